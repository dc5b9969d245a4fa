"""What a run has in common with the one before it is not written again, and every reader finds it all the same."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpol import journal
from batchpol.journal import Before, Intent, Journal, OutcomeEntry, Planned, RecordEntry, Repeats, Run, Same
from batchpol.model import Status
from batchpol.model.errors import JournalDamaged
from batchpol.rewriting.undo import Undone, undo_records
from tests.journal.books import digest, end, intent, outcome, planned, record, run, write

NAMES = [f"tenant-{number}.example" for number in range(3)]
DOCUMENTS = ['{"a": 1}', '{"a": 2}']
SENT = (Status.APPLIED, Status.UNCHANGED, Status.FAILED, Status.UNKNOWN)

lines = st.tuples(st.sampled_from(NAMES), st.sampled_from(DOCUMENTS), st.sampled_from(["", "", "", "duplicate"]))
inputs = st.lists(lines, min_size=1, max_size=3, unique_by=lambda line: line[0])
moves = st.tuples(st.integers(0, 2), st.sampled_from([None, *SENT, Status.NOT_ATTEMPTED]), st.booleans())


class Start(NamedTuple):
    """One start: the input's rows, whether row 1 amends row 0, what is sent, how it ends, and whether it looks anew."""

    rows: list[tuple[str, str, str]]
    amends: bool = False
    moves: tuple[tuple[int, Status | None, bool], ...] = ()
    ending: str = "killed"
    anew: bool = False


@st.composite
def starts(draw: st.DrawFn) -> list[Start]:
    """Some starts of the command, mostly with the same input or one that is edited a little."""
    made: list[Start] = []
    rows = draw(inputs)
    for _ in range(draw(st.integers(2, 6))):
        edit = draw(st.sampled_from(["none", "none", "none", "none", "more", "less", "other", "back"]))
        if edit == "other":
            rows = draw(inputs)
        elif edit == "back" and len(made) > 1:
            rows = made[-2].rows
        elif edit == "less":
            rows = rows[: draw(st.integers(0, len(rows)))]
        elif edit == "more":
            rows = rows + [line for line in draw(inputs) if line[0] not in {name for name, *_ in rows}]
        ending = draw(st.sampled_from(["killed", "interrupted", "finished", "reading"]))
        amends = draw(st.sampled_from([False, False, False, True]))
        made.append(Start(rows, amends, tuple(draw(st.lists(moves, max_size=4))), ending, draw(st.booleans())))
    return made


def start(path: Path, number: int, form: int, what: Start) -> None:
    """One start, as a run writes it down."""
    with Journal.resume(path) if path.exists() else Journal.create(path) as book:
        anew = what.anew and book.history.is_over
        if anew:
            book.history.forget()
        header = run(f"run-{number}", format=form, anew=anew, columns=("tenant",))
        book.append(header)
        repeats = Repeats(book, header)
        for n, (name, document, verdict) in enumerate(what.rows):
            entry = record(n, name, document, verdict=verdict, extra={"tenant": name, f"only-{n}": "x"})
            repeats.write(entry, None if verdict else entry.change())
            if n == 1 and what.amends:
                repeats.say()
                book.append(outcome(0, Status.REJECTED, attempts=0, error_code="conflict"))
        if what.ending == "reading":
            return
        repeats.end()
        book.append(planned(len(what.rows), len(what.rows)))
        for second, (n, status, attempted) in enumerate(what.moves):
            if n >= len(what.rows) or what.rows[n][2] or (n == 0 and what.amends):
                continue
            if attempted:
                book.append(Before(n=n, policy='{"old": true}'), intent(n, 10 * number + second))
            if status is not None:
                book.append(outcome(n, status, attempts=int(attempted), retryable=status is Status.UNKNOWN))
        if what.ending != "killed":
            book.append(end(what.ending))


def told(path: Path) -> dict[str, object]:
    """What every reader makes of a journal, without where things stand in it."""
    section = journal.scan(path)
    assert section is not None
    with Journal.resume(path) as book:
        changes = [(name, digest(document)) for name in NAMES for document in DOCUMENTS]
        fates = [book.history.fate("111122223333", "eu-west-1", n, "sending", "put", sha) for n, sha in changes]
        lately = [(book.read_record(it.offset).identity, it.at, it.sure, it.before) for it in book.history.lately()]
        again = [fate and (fate.status, fate.retryable, bool(fate.offset)) for fate in fates]
    return {
        "rows": list(journal.outcomes(path)),
        "columns": section.columns,
        "counts": (section.counts(), section.left),
        "latest": [latest.n for latest in journal.latest(path, section, 10)],
        "fates": again,
        "lately": [it[:3] for it in lately],
        "runs": [(it.run.run_id, it.end, it.counts) for it in journal.runs(path)],
        "sends": list(journal.sends(path)),
        "undo": list(undo_records(path, Undone())),
        "undo last": list(undo_records(path, Undone(), last=True)),
    }


@given(starts())
@settings(max_examples=500, deadline=None)
def test_every_reader_finds_what_it_would_find_had_all_been_written_again(made: list[Start]) -> None:
    with TemporaryDirectory() as folder:
        whole, short = Path(folder, "whole"), Path(folder, "short")
        for number, what in enumerate(made):
            start(whole, number, 1, what)
            start(short, number, 2, what)
            assert told(short) == told(whole)
        assert short.stat().st_size <= whole.stat().st_size


ROWS = [(name, DOCUMENTS[0], "") for name in NAMES]


def test_an_input_that_is_the_same_costs_a_line(tmp_path: Path) -> None:
    start(tmp_path / "j", 0, 2, Start(ROWS, moves=((1, Status.APPLIED, True),)))
    start(tmp_path / "j", 1, 2, Start(ROWS))
    last = [entry for _, entry in journal.read(tmp_path / "j")][-3:]
    assert [type(entry) for entry in last] == [Run, Same, Planned]
    statuses = [row.status.value for row in journal.outcomes(tmp_path / "j")]
    assert statuses == ["not_attempted", "applied", "not_attempted"]


def test_from_the_first_record_that_differs_all_are_written(tmp_path: Path) -> None:
    start(tmp_path / "j", 0, 2, Start(ROWS))
    start(tmp_path / "j", 1, 2, Start([ROWS[0], (NAMES[1], DOCUMENTS[1], ""), ROWS[2]]))
    last = [entry for _, entry in journal.read(tmp_path / "j")][-4:]
    assert last[0] == Same(records=1)
    assert [entry.n for entry in last if isinstance(entry, RecordEntry)] == [1, 2]


def test_a_fate_that_is_unanswered_has_a_line(tmp_path: Path) -> None:
    start(tmp_path / "j", 0, 2, Start(ROWS, moves=((0, Status.APPLIED, True), (2, None, True))))
    start(tmp_path / "j", 1, 2, Start(ROWS))
    last = [entry for _, entry in journal.read(tmp_path / "j")][-4:]
    assert [type(entry) for entry in last] == [Run, Same, OutcomeEntry, Planned]
    assert [row.carried for row in journal.outcomes(tmp_path / "j")] == [True, False, True]


@pytest.mark.parametrize(
    "entries",
    [
        [run(format=2), Same(records=1)],
        [run(format=2), record(0), planned(1, 1), run("b", format=2), Same(records=2)],
        [run(format=2), record(0), planned(1, 1), run("b", format=2), record(0), Same(records=0)],
        [run(format=2), record(0), run("b", format=2), Same(records=1)],
    ],
    ids=["nothing before", "more than before", "less than stands", "never planned"],
)
def test_records_that_no_section_before_has(tmp_path: Path, entries: list[journal.Entry]) -> None:
    path = write(tmp_path / "j", [*entries, planned(1, 1), Intent(n=0, attempt=1, at="2026-03-01T08:00:01Z")])
    with pytest.raises(JournalDamaged, match="the section before"):
        Journal.resume(path)
    with pytest.raises(JournalDamaged, match="section before"):
        journal.scan(path)
    with pytest.raises((JournalDamaged, ValueError)):
        list(undo_records(path, Undone()))
    with pytest.raises(JournalDamaged):
        list(journal.sends(path))
