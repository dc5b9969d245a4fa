"""What these tests share: an input written to a folder of its own and read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from batchpol.model import Record
from batchpol.source import open_source

Reading = Callable[..., list[Record]]


@pytest.fixture
def read(tmp_path: Path) -> Reading:
    """Write ``content`` to ``name`` and give its records."""

    def reading(content: bytes | str, name: str = "in.csv", **options: object) -> list[Record]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with open_source(path, **options) as source:  # type: ignore[arg-type]
            return list(source)

    return reading
