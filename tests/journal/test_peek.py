"""A kind of line is written down in two files: entries, and what of it is looked at in peek."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest

from batchpol.journal import Entry, entries, peek
from tests.edited import PACKAGE, run_edited

KINDS = {kind.__struct_config__.tag: kind for kind in get_args(Entry)}


@pytest.mark.parametrize(
    "peeked", [peek.ColumnsLine, peek.ChangeLine, peek.EffectLine], ids=["columns", "changes", "effects"]
)
def test_each_kind_is_looked_at_and_as_the_entry_that_it_is(peeked: object) -> None:
    """A reader that knew fewer kinds would call a sound journal damaged."""
    found = {kind.__struct_config__.tag: kind for kind in get_args(peeked)}
    assert found.keys() == KINDS.keys()
    for tag, kind in found.items():
        assert set(kind.__struct_fields__) <= set(KINDS[tag].__struct_fields__)


def test_no_other_file_tells_what_is_in_a_line() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            tags = [it.value for it in node.keywords if it.arg == "tag"] if isinstance(node, ast.ClassDef) else []
            if any(isinstance(tag, ast.Constant) and tag.value in KINDS for tag in tags):
                found.add(path)
    assert found == {Path(entries.__file__), Path(peek.__file__)}


USES_A_NEW_KIND = """
from batchpol import journal
from batchpol.journal import Intent, Journal, OutcomeEntry, Planned, RecordEntry, Run
from batchpol.journal.entries import Weather
from batchpol.model import Status

with Journal.create("j") as book:
    book.append(
        Run(format=1, run_id="r", at="2026-03-01T08:00:00Z"),
        RecordEntry(n=0, line=2, identity="a.example", policy_name="p", key="a.example"),
        Weather(text="rain"),
        Planned(records=1),
        Intent(n=0, attempt=1, at="2026-03-01T08:00:01Z"),
        Weather(text="sun"),
        OutcomeEntry(n=0, status=Status.APPLIED),
    )
with Journal.resume("j") as book:
    print(len(book.history), book.history.counts())
print([row.status.value for row in journal.outcomes("j")], len(list(journal.sends("j"))))
print([entry.text for _, entry in journal.read("j") if isinstance(entry, Weather)])
print([run.counts for run in journal.runs("j")])
"""


ENTRY = """
class Weather(_Line, tag="weather"):
    text: str


Entry = Weather | """
PEEK = """
class WeatherPeek(_Peek, tag="weather"):
    pass


_Common = WeatherPeek | """


def test_a_new_kind_takes_two_files(tmp_path: Path) -> None:
    edits = [("journal/entries.py", "\nEntry = ", ENTRY), ("journal/peek.py", "\n_Common = ", PEEK)]
    assert run_edited(tmp_path, edits, USES_A_NEW_KIND).splitlines() == [
        "1 {<Status.APPLIED: 'applied'>: 1}",
        "['applied'] 1",
        "['rain', 'sun']",
        "[{'written': 1}]",
    ]
