"""A journal of every format that was ever released is reported, resumed and taken back, for good.

``tests/data/journals/format-N.jsonl`` was written by the code of its day and is never written again. It holds a
finished run, one that was killed with a request under way, and one that resumed them and was interrupted.

The folder ``format-N`` has a longer one, of four runs of the command of that day against its sandbox: one that finished
and pruned, with a record throttled, one without an answer, one deferred and one in vain; one that was killed with two
requests under way; one whose credentials expired; and one that gave a record up, not knowing what became of it. Beside
it stand the input as the last run had it, and what ``report`` and ``undo`` of that day said after each run. The folder
``format-2`` has the same runs as format 2 writes them down: what a run has in common with the one before is left out.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from batchpol import journal
from batchpol.journal import FORMAT, Journal
from batchpol.model import Status
from batchpol.report import write_report
from batchpol.rewriting.undo import Undone, undo_records
from batchpol.testing import Sandbox
from tests.journal.books import ACCOUNT, REGION, digest, end, run
from tests.runs import COMPARE, apply, report, sandbox, writes

__all__ = ["sandbox"]

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


LIVED = JOURNALS / "format-1"
HEADER = b'{"t":"run",'


def after(runs: int | None, folder: Path, lived: Path = LIVED) -> Path:
    """The longer journal as so many runs left it, or as all did."""
    path = folder / "tenants.journal.jsonl"
    path.write_bytes(b"".join(HEADER + run for run in (lived / "journal.jsonl").read_bytes().split(HEADER)[1:][:runs]))
    return path


def kept_files(pattern: str) -> list[Path]:
    return sorted(JOURNALS.glob(f"format-*/{pattern}"))


@pytest.mark.parametrize("kept", kept_files("report-*"), ids=lambda path: f"{path.parent.name} {path.name}")
def test_its_report_is_that_of_its_day(tmp_path: Path, kept: Path) -> None:
    path = after(int(kept.stem[-1]), tmp_path, kept.parent)
    section = journal.scan(path)
    assert section is not None
    write_report(journal.outcomes(path, section), tmp_path / kept.name, columns=section.columns)
    assert (tmp_path / kept.name).read_bytes() == kept.read_bytes()


@pytest.mark.parametrize("kept", kept_files("undo-*"), ids=lambda path: f"{path.parent.name} {path.stem}")
def test_the_way_back_is_that_of_its_day(tmp_path: Path, kept: Path) -> None:
    """The same records in the same order; a record may say more today than it did then."""
    _, _, runs = kept.stem.partition("-")
    last = runs == "last"
    path = after(None if last else int(runs), tmp_path, kept.parent)
    said = [json.loads(line) for line in kept.read_text("utf-8").splitlines()]
    found = list(undo_records(path, Undone(), last=last))
    assert [{key: now[key] for key in then} for now, then in zip(found, said, strict=True)] == said


@pytest.mark.parametrize("kept", [*FORMATS, *kept_files("journal.jsonl")], ids=str)
def test_the_same_entries_are_the_same_bytes_today(tmp_path: Path, kept: Path) -> None:
    with Journal.create(tmp_path / "j") as book:
        book.append(*(entry for _, entry in journal.read(kept)))
    assert (tmp_path / "j").read_bytes() == kept.read_bytes()


async def test_a_run_goes_on_from_it_as_the_run_of_its_day_did(sandbox: Sandbox, tmp_path: Path) -> None:
    """What the last run of that day carried over is carried over, and what was left for it to send is sent."""
    of_its_day = [entry for _, entry in journal.read(LIVED / "journal.jsonl")]
    with Journal.create(tmp_path / "run.journal.jsonl") as book:
        for _, entry in journal.read(after(3, tmp_path)):
            if isinstance(entry, journal.Run):
                entry.endpoint = sandbox.url
            book.append(entry)
    await apply(sandbox, Path(shutil.copy(LIVED / "tenants.csv", tmp_path)), conduct=COMPARE)
    lines = [entry for _, entry in journal.read(tmp_path / "run.journal.jsonl")]
    # What that day left unanswered is carried until a newer fate replaces it.
    assert [line for line in carried(lines) if line.status is not Status.UNKNOWN] == carried(of_its_day)
    sent = {arrival.identity for arrival in writes(sandbox)}
    assert sent == {"update.example", "more.example", "matched.example", "twice.example"}
    assert {row["identity"] for row in report(tmp_path) if row["status"] == "failed"} == {
        "never.example",
        "nobody.invalid",
    }


def carried(lines: list[journal.Entry]) -> list[journal.OutcomeEntry]:
    """The outcomes that the last run in these took over from those before it."""
    last = max(place for place, entry in enumerate(lines) if isinstance(entry, journal.Run))
    return [entry for entry in lines[last:] if isinstance(entry, journal.OutcomeEntry) and entry.carried]
