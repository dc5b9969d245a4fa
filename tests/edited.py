"""The package with its source edited, in a process of its own: how many edits a change takes is tried, not counted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import batchpol

PACKAGE = Path(batchpol.__file__).parent
TESTS = Path(__file__).parent

Edit = tuple[str, str, str]
"""A file of the package, a text that stands in it once, and what stands there instead."""


def run_edited(folder: Path, edits: Iterable[Edit], program: str) -> str:
    """What a program prints that imports the package with these edits made to a copy of it."""
    shutil.copytree(PACKAGE, folder / "batchpol", ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, after in edits:
        path = folder / "batchpol" / name
        source = path.read_text("utf-8")
        assert source.count(before) == 1, f"{before!r} stands {source.count(before)} times in {name}"
        path.write_text(source.replace(before, after), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{TESTS.parent}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
