"""What users see is what was recorded, byte for byte; ``python -m tests.cli.recording`` records anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.recording import RECORDED, RECORDINGS


@pytest.mark.parametrize("name", RECORDINGS)
def test_what_users_see(name: str, folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = RECORDINGS[name](command, folder)
    assert found == (RECORDED / f"{name}.txt").read_text(encoding="utf-8")
