"""The command in this process, as a new user has it: no AWS configuration, an empty folder and home."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

import batchpol.cli
from batchpol.cli.command import State
from batchpol.cli.screen import log
from tests.e2e.command import Ended
from tests.place import models, place
from tests.runs import sandbox

__all__ = ["command", "folder", "models", "place", "sandbox"]

Command = Callable[..., Ended]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory and home, and an environment that has nothing of AWS's or ours."""
    for name in os.environ:
        if name.upper().startswith(("AWS_", "BATCHPOL_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs ``batchpol`` with these arguments and variables, and gives what it left."""

    def leave(code: int) -> NoReturn:
        raise SystemExit(code)

    # What follows would end this process, or change what it has open.
    monkeypatch.setattr(batchpol.cli, "leave", leave)
    monkeypatch.setattr(batchpol.cli, "open_standard_streams", lambda dropped: None)

    def run(*arguments: str | Path, **variables: str) -> Ended:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["batchpol", *map(str, arguments)])
            for name, value in variables.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ending:
                batchpol.cli.main()
        log.end()
        State.debug = False
        said = capsys.readouterr()
        assert isinstance(ending.value.code, int)
        return Ended(ending.value.code, said.out, said.err)

    garbage = gc.get_threshold()
    yield run
    log.end()
    gc.unfreeze()
    gc.set_threshold(*garbage)
