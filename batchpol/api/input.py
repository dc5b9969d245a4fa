"""Records of any kind that a program has, and what a journal says of where they came from."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

from batchpol.batch.intake import AT_ONCE
from batchpol.batch.options import Options
from batchpol.model import Record
from batchpol.rewriting.template import open_input
from batchpol.source import Names, as_record

Item = Record | Mapping[str, Any]
"""A record, or a mapping with its fields by our names or boto3's (``Identity``, ``PolicyName``, ``Policy``)."""

Input = str | os.PathLike[str] | Iterable[Item] | AsyncIterable[Item]
"""A path to a CSV, TSV or JSON Lines file, or records from a program."""


@asynccontextmanager
async def opened(
    records: Input, options: Options
) -> AsyncIterator[tuple[Iterable[Record] | AsyncIterable[Record], dict[str, Any]]]:
    """The records of any input, and what a journal says of it."""
    template, names = options.template, Names.of(options.reading.columns)
    read = partial(as_record, names=names, name_required=template is None or template.name is None)
    if isinstance(records, str | os.PathLike):
        with open_input(records, options.reading, template) as source:
            known = {"name": source.name, "columns": lambda: source.columns, "sheet": source.sheet}
            yield source, known | {"digest": lambda: source.sha256}
    elif isinstance(records, AsyncIterable):
        async with aclosing(_converted(records, read)) as converted:
            yield converted, {}
    else:
        found = (read(item, number) for number, item in enumerate(records))
        yield list(found) if isinstance(records, list | tuple) and len(records) <= AT_ONCE else found, {}


async def _converted(records: AsyncIterable[Item], read: Callable[[Item, int], Record]) -> AsyncGenerator[Record, None]:
    number = 0
    async for item in records:
        yield read(item, number)
        number += 1
