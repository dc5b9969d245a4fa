"""What people see of an export while it goes on."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from batchpol.cli.screen.exporting import ExportScreen
from batchpol.exporting import ExportOptions


def test_time_left_is_said_only_while_something_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    screen: Any = ExportScreen(ExportOptions(), quiet=True)
    reader: Any = SimpleNamespace(left=3, seconds=3.0, stopped=None, contact=SimpleNamespace(silent=False))
    screen._readers.append(reader)
    assert screen._words() == "0 policies, about 3 s left"
    screen.read(None, "a.example", 2)
    now = 20.0
    assert screen._words() == "2 policies, nothing came back for 19 s"
    reader.contact.silent = True
    assert screen._words() == "2 policies, SES does not answer"
    screen.read(None, "b.example", 1)
    reader.contact.silent = False
    assert screen._words() == "3 policies, about 3 s left"
