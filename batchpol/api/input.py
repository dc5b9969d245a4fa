"""Records of any kind that a program has, and what a journal says of where they came from."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from batchpol.batch.intake import AT_ONCE
from batchpol.batch.options import Options
from batchpol.model import Record
from batchpol.rewriting.template import open_input
from batchpol.source import as_record

Item = Record | Mapping[str, Any]
"""A record, or a mapping with its fields by our names or boto3's (``Identity``, ``PolicyName``, ``Policy``)."""

Input = str | os.PathLike[str] | Iterable[Item] | AsyncIterable[Item]
"""A path to a CSV, TSV or JSON Lines file, or records from a program."""


@asynccontextmanager
async def opened(
    records: Input, options: Options
) -> AsyncIterator[tuple[Iterable[Record] | AsyncIterable[Record], dict[str, Any]]]:
    """The records of any input, and what a journal says of it."""
    template = options.template
    named = template is None or template.name is None
    if isinstance(records, str | os.PathLike):
        with open_input(records, format=options.reading.format, template=template) as source:
            yield source, {"name": source.name, "columns": lambda: source.columns, "digest": lambda: source.sha256}
    elif isinstance(records, AsyncIterable):
        async with aclosing(_converted(records, named)) as converted:
            yield converted, {}
    else:
        found = (as_record(item, number, name_required=named) for number, item in enumerate(records))
        yield list(found) if isinstance(records, list | tuple) and len(records) <= AT_ONCE else found, {}


async def _converted(records: AsyncIterable[Item], named: bool) -> AsyncGenerator[Record, None]:
    number = 0
    async for item in records:
        yield as_record(item, number, name_required=named)
        number += 1
