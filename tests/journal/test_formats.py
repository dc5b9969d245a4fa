"""A journal of every format that was ever released is read and resumed, for good.

``tests/data/journals/format-N.jsonl`` was written by the code of its day and is never written again. It holds a
finished run, one that was killed with a request under way, and one that resumed them and was interrupted.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from batchpol import journal
from batchpol.journal import FORMAT, Journal
from batchpol.model import Status, Target
from tests.journal.books import ACCOUNT, REGION, digest, end, run

JOURNALS = Path(__file__).parents[1] / "data" / "journals"
FORMATS = sorted(JOURNALS.glob("format-*.jsonl"))


def test_every_format_is_kept() -> None:
    assert [path.name for path in FORMATS] == [f"format-{number + 1}.jsonl" for number in range(FORMAT)]


@pytest.fixture(params=FORMATS, ids=lambda path: path.stem)
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(request.param, tmp_path / "j"))


def test_it_is_reported(released: Path) -> None:
    section = journal.scan(released)
    assert section is not None
    assert section.run.run_id == "resumed"
    assert section.end == end("interrupted")
    rows = list(journal.outcomes(released))
    assert [(row.identity, row.status.value) for row in rows] == [
        ("new.example", "unchanged"),
        ("tenant-1.example", "applied"),
        ("late.example", "not_attempted"),
        ("tenant-0.example", "failed"),
    ]
    assert rows[3].error_code == "Throttling"
    assert rows[1].policy == '{"a": 2}'


def test_it_is_resumed(released: Path) -> None:
    with Journal.resume(released) as book:

        def fate(identity: str, document: str) -> Status | None:
            found = book.history.fate(ACCOUNT, REGION, identity, "sending", "put", digest(document))
            return found.status if found else None

        assert fate("tenant-0.example", '{"a": 9}') is Status.FAILED
        assert fate("tenant-0.example", '{"a": 1}') is None
        assert fate("tenant-1.example", '{"a": 2}') is Status.APPLIED
        assert fate("tenant-1.example", '{"a": 1}') is None
        assert fate("new.example", '{"a": 1}') is Status.UNCHANGED
        assert fate("late.example", '{"a": 1}') is None
        assert book.history.last_sent == {Target(ACCOUNT, REGION): "2026-03-01T08:00:21.000Z"}
        before = sum(1 for _ in journal.read(released))
        book.append(run("today"))
        book.sync()
        assert sum(1 for _ in journal.read(released)) == before + 1


def test_each_section_of_it_can_be_told_apart(released: Path) -> None:
    entries = [entry for _, entry in journal.read(released)]
    assert [entry.run_id for entry in entries if isinstance(entry, journal.Run)] == ["finished", "killed", "resumed"]
    assert [entry.policy for entry in entries if isinstance(entry, journal.Before)] == ['{"old": true}', None]
    assert [entry.text for entry in entries if isinstance(entry, journal.Note)] == ["widened to 1.1 s"]
    assert {entry.extra["tenant"] for entry in entries if isinstance(entry, journal.RecordEntry) if entry.extra} == {
        "Zoë",
        '=cmd|" "!A0',
    }
