"""What a resume may believe: the latest fate of each change over all sections."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchpol import journal
from batchpol.journal import Journal
from batchpol.model import Status
from tests.journal.books import (
    ACCOUNT,
    REGION,
    believed,
    changes_of,
    digest,
    end,
    intent,
    outcome,
    planned,
    record,
    rejected,
    run,
    told,
    write,
)

ONE, TWO = '{"a": 1}', '{"a": 2}'
SENT = (planned(1, 1), intent(0))


def fate(tmp_path: Path, entries: list[journal.Entry], document: str = ONE, action: str = "put") -> str | None:
    path = tmp_path / "j"
    path.unlink(missing_ok=True)
    with Journal.resume(write(path, entries)) as book:
        found = book.history.fate(ACCOUNT, REGION, "tenant-0.example", "sending", action, digest(document))
        return found.status.value if found else None


CASES: dict[str, tuple[list[journal.Entry], str | None]] = {
    "applied": ([run(), record(0), *SENT, outcome(0)], "applied"),
    "unchanged": ([run(), record(0), planned(1, 1), outcome(0, Status.UNCHANGED)], "unchanged"),
    "refused": ([run(), record(0), *SENT, outcome(0, Status.FAILED)], "failed"),
    "sent, no answer": ([run(), record(0), *SENT], "unknown"),
    "never sent": ([run(), record(0), planned(1, 1)], None),
    "never sent, and said so": ([run(), record(0), planned(1, 1), outcome(0, Status.NOT_ATTEMPTED), end()], None),
    "sent again, no answer": ([run(), record(0), *SENT, outcome(0), run(), record(0), *SENT], "unknown"),
    "another document applied after": (
        [run(), record(0), *SENT, outcome(0), run(), record(0, document=TWO), *SENT, outcome(0)],
        None,
    ),
    "another document sent after": (
        [run(), record(0), *SENT, outcome(0), run(), record(0, document=TWO), *SENT],
        None,
    ),
    "another document refused after": (
        [run(), record(0), *SENT, outcome(0), run(), record(0, document=TWO), *SENT, outcome(0, Status.FAILED), end()],
        None,
    ),
    "another document only planned, in a run that was killed": (
        [run(), record(0), *SENT, outcome(0), end(), run(), record(0, document=TWO), planned(1, 1)],
        None,
    ),
    "another document only planned, in a run that ended in order": (
        [run(), record(0), *SENT, outcome(0), end(), run(), record(0, document=TWO), planned(1, 1), end()],
        "applied",
    ),
    "deleted after": (
        [run(), record(0), *SENT, outcome(0), run(), record(0, document="", action="delete"), *SENT, outcome(0)],
        None,
    ),
    "carried": (
        [run(), record(0), *SENT, outcome(0), run(), record(0), outcome(0, carried=True), planned(1, 0)],
        "applied",
    ),
    "a resume killed before it carried": (
        [run(), record(0), *SENT, outcome(0), run(), record(0)],
        "applied",
    ),
    "all done, and the next run compares anew": (
        [run(), record(0), *SENT, outcome(0), end(), run(anew=True), record(0), planned(1, 1)],
        None,
    ),
    "compared anew": (
        [run(), record(0), *SENT, outcome(0), end(), run(anew=True), record(0), outcome(0, Status.UNCHANGED)],
        "unchanged",
    ),
    "left out of a later input": ([run(), record(0), *SENT, outcome(0), run(), record(0, "b.example")], "applied"),
    "only rejected later": ([run(), record(0), *SENT, outcome(0), run(), rejected(0), planned(1, 0)], "applied"),
    "duplicate of another record": (
        [run(), record(0), record(1, "tenant-0.example", verdict="duplicate"), *SENT, outcome(0)],
        "applied",
    ),
    "the second outcome": ([run(), record(0), *SENT, outcome(0, Status.FAILED), intent(0), outcome(0)], "applied"),
    "another Region": ([run(), record(0, region="us-east-1"), *SENT, outcome(0)], None),
    "another account": ([run(), record(0, account="999988887777"), *SENT, outcome(0)], None),
    "another name": ([run(), record(0, policy_name="other"), *SENT, outcome(0)], None),
    "another spelling, same key": (
        [run(), record(0, f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/x", key="tenant-0.example"), *SENT, outcome(0)],
        "applied",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_fate(tmp_path: Path, case: str) -> None:
    entries, expected = CASES[case]
    assert fate(tmp_path, entries) == expected


def test_a_delete_is_not_a_put(tmp_path: Path) -> None:
    entries = [run(), record(0, document="", action="delete"), *SENT, outcome(0)]
    assert fate(tmp_path, entries, "", "delete") == "applied"
    assert fate(tmp_path, entries, "", "put") is None


def test_an_outcome_can_be_read_again_to_be_carried(tmp_path: Path) -> None:
    first = outcome(0, Status.FAILED, error_code="Throttling", attempts=5, retryable=True)
    path = write(tmp_path / "j", [run(), record(0), record(1), *SENT, first, intent(1)])
    with Journal.resume(path) as book:
        refused = book.history.fate(ACCOUNT, REGION, "tenant-0.example", "sending", "put", digest(ONE))
        unknown = book.history.fate(ACCOUNT, REGION, "tenant-1.example", "sending", "put", digest(ONE))
        assert refused is not None
        assert refused.retryable
        assert book.read_outcome(refused.offset) == first
        assert unknown == (Status.UNKNOWN, True, 0, False, False)
        assert book.history.counts() == {Status.FAILED: 1, Status.UNKNOWN: 1}
        assert len(book.history) == 2


def test_header_plan_and_end_are_those_of_the_last_section(tmp_path: Path) -> None:
    path = write(tmp_path / "j", [run("a"), record(0), *SENT, end(), run("b"), record(0)])
    with Journal.resume(path) as book:
        assert book.history.run == run("b")
        assert book.history.planned is None
        assert book.history.end is None


steps = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([ONE, TWO]), st.sampled_from(["-", "?", *Status])), max_size=6
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(steps, st.booleans()), max_size=4))
def test_any_history_is_told_as_the_rules_say(
    tmp_path: Path, sections: list[tuple[list[tuple[int, str, str]], bool]]
) -> None:
    """Sections of any records and fates ("-": never sent, "?": no answer), ended in order or not."""
    entries: list[journal.Entry] = []
    for number, (made, ended) in enumerate(sections):
        entries.append(run(str(number)))
        entries += [record(n, f"id-{which}.example", document) for n, (which, document, _) in enumerate(made)]
        entries.append(planned(len(made), len(made)))
        for n, (_, _, became) in enumerate(made):
            entries += [] if became == "-" else [intent(n)]
            entries += [] if became in "-?" else [outcome(n, Status(became))]
        entries += [end()] if ended else []
    path = tmp_path / "j"
    path.unlink(missing_ok=True)
    with Journal.resume(write(path, entries)) as book:
        assert told(book, changes_of(entries)) == believed(entries)
