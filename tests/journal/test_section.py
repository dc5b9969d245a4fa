"""What the report is made from: one section read back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from batchpol import journal
from batchpol.journal import LANE_STOPPED, UNANSWERED, End, Note, RecordEntry
from batchpol.model import Action, Change, Outcome, Status, Target
from tests.journal.books import (
    ACCOUNT,
    REGION,
    REJECTION,
    WARNING,
    digest,
    end,
    intent,
    outcome,
    planned,
    record,
    rejected,
    run,
    sample,
    write,
)


def rows(tmp_path: Path, *entries: journal.Entry) -> list[Outcome]:
    path = tmp_path / "j"
    path.unlink(missing_ok=True)
    return list(journal.outcomes(write(path, entries)))


def test_every_record_has_a_row_in_input_order(tmp_path: Path) -> None:
    found = rows(
        tmp_path,
        run(columns=("tenant",)),
        record(0, extra={"tenant": "a"}, findings=(WARNING,)),
        rejected(1),
        record(2, verdict="duplicate"),
        record(3),
        record(4),
        record(5),
        planned(6, 4),
        intent(5, 1),
        outcome(5, Status.FAILED, error_code="InvalidPolicy", message="no such principal", attempts=1, retryable=True),
        intent(4, 2),
        intent(0, 3),
        outcome(0, attempts=1, request_id="r-0", started_at="2026-03-01T08:00:03.000Z", duration_ms=80.0),
    )
    statuses = [row.status.value for row in found]
    assert statuses == ["applied", "rejected", "duplicate", "not_attempted", "unknown", "failed"]
    assert found[0] == Outcome(
        number=0,
        line=2,
        identity="tenant-0.example",
        policy_name="sending",
        status=Status.APPLIED,
        region=REGION,
        account=ACCOUNT,
        attempts=1,
        request_id="r-0",
        started_at="2026-03-01T08:00:03.000Z",
        duration_ms=80.0,
        sha256=digest('{"a": 1}'),
        findings=(WARNING,),
        extra={"tenant": "a"},
        policy='{"a": 1}',
    )
    assert found[1].findings == (REJECTION,)
    assert (found[5].error_code, found[5].message, found[5].retryable) == ("InvalidPolicy", "no such principal", True)


def test_a_request_without_an_answer_is_unknown(tmp_path: Path) -> None:
    sent, later, again = rows(
        tmp_path,
        run(),
        record(0),
        record(1),
        record(2),
        planned(3, 3),
        intent(0, 7, attempt=2),
        intent(2, 8),
        outcome(2, Status.FAILED, retryable=True),
        intent(2, 9, attempt=2),
    )
    assert (sent.status, sent.error_code, sent.retryable) == (Status.UNKNOWN, UNANSWERED, True)
    assert (sent.attempts, sent.started_at) == (2, "2026-03-01T08:00:07.000Z")
    assert later.status is Status.NOT_ATTEMPTED
    assert (again.status, again.attempts) == (Status.UNKNOWN, 2)


def test_counts_agree_with_the_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "j", sample()[:22])
    section = journal.scan(path)
    assert section is not None
    assert section.counts() == Counter(row.status for row in journal.outcomes(path))
    path = write(tmp_path / "again", [run(), record(0), intent(0), outcome(0, Status.FAILED), intent(0)])
    section = journal.scan(path)
    assert section is not None
    assert section.counts() == {Status.UNKNOWN: 1}


def test_the_last_outcome_counts(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, run(), record(0), intent(0), outcome(0, Status.FAILED), intent(0), outcome(0))
    assert row.status is Status.APPLIED


def test_a_rejection_found_late_adds_its_finding(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, run(), record(0, findings=(WARNING,)), outcome(0, Status.REJECTED, findings=(REJECTION,)))
    assert row.status is Status.REJECTED
    assert row.findings == (WARNING, REJECTION)


def test_what_was_not_attempted_says_why(tmp_path: Path) -> None:
    killed = rows(tmp_path, run(), record(0), planned(1, 1))
    stopped = rows(tmp_path, run(), record(0), planned(1, 1), end("stopped: too many failures"))
    assert killed[0].message == ""
    assert "stopped: too many failures" in stopped[0].message


def test_counts_and_header(tmp_path: Path) -> None:
    path = write(
        tmp_path / "j", [run("x"), record(0), record(1), rejected(2), planned(3, 2), intent(1), outcome(1), end()]
    )
    section = journal.scan(path)
    assert section is not None
    assert section.counts() == {Status.NOT_ATTEMPTED: 1, Status.APPLIED: 1, Status.REJECTED: 1}
    assert section.run.run_id == "x"
    assert section.planned == planned(3, 2)
    assert isinstance(section.end, End)
    assert len(list(journal.outcomes(path, section))) == 3


def test_a_resume_that_never_got_to_sending_does_not_hide_the_run_before(tmp_path: Path) -> None:
    first = [run("first"), record(0), record(1), planned(2, 2), intent(0), outcome(0)]
    path = write(tmp_path / "j", [*first, run("second"), record(0), run("third", pid=77), record(0)])
    section = journal.scan(path)
    assert section is not None
    assert section.run.run_id == "first"
    assert [row.status for row in journal.outcomes(path)] == [Status.APPLIED, Status.NOT_ATTEMPTED]
    assert any("process 77" in note for note in section.notes)


def test_a_resume_stopped_while_reading_does_not_hide_the_run_before(tmp_path: Path) -> None:
    first = [run("first"), record(0), record(1), planned(2, 2), intent(0), outcome(0), end("interrupted")]
    path = write(tmp_path / "j", [*first, run("second"), record(0), end("interrupted")])
    assert [row.status for row in journal.outcomes(path)] == [Status.APPLIED, Status.NOT_ATTEMPTED]


def test_records_of_a_target_that_stopped_alone_say_why(tmp_path: Path) -> None:
    data = {"account": ACCOUNT, "region": REGION, "error_code": "ExpiredToken"}
    note = Note(at="2026-03-01T08:00:19Z", text="the token is expired", kind=LANE_STOPPED, data=data)
    elsewhere = record(1)
    elsewhere.region = "ap-south-1"
    found = rows(tmp_path, run(), record(0), elsewhere, planned(2, 2), note, end("stopped"))
    assert (found[0].status, found[0].error_code) == (Status.NOT_ATTEMPTED, "ExpiredToken")
    assert "the token is expired" in found[0].message
    assert (found[1].error_code, found[1].message) == ("", "not sent: the run ended before its turn (stopped)")


def test_what_is_left_leaves_out_what_a_limit_withheld(tmp_path: Path) -> None:
    path = write(tmp_path / "j", [run(), *(record(n) for n in range(5)), planned(5, 3), intent(0), outcome(0)])
    section = journal.scan(path)
    assert section is not None
    assert section.left == 2


def test_the_latest_lines_are_those_of_this_section_s_requests(tmp_path: Path) -> None:
    sent = [intent(0, 1), outcome(0, attempts=1, started_at="1"), outcome(2, attempts=1, started_at="2"), intent(3, 9)]
    carried = outcome(1, attempts=1, started_at="0", carried=True)
    path = write(tmp_path / "j", [run(), *(record(n) for n in range(5)), carried, planned(5, 4), *sent])
    section = journal.scan(path)
    assert section is not None
    assert journal.latest(path, section, 10) == [sent[1], sent[2], sent[3]]
    assert journal.latest(path, section, 2) == [sent[2], sent[3]]


def test_a_run_that_gave_up_after_its_first_pass_has_its_own_report(tmp_path: Path) -> None:
    found = rows(
        tmp_path,
        *(run("first"), record(0), planned(1, 1), intent(0), outcome(0), end()),
        *(run("strict"), rejected(0), record(1), planned(2, 1), end("stopped: some records are rejected")),
    )
    assert [row.status for row in found] == [Status.REJECTED, Status.NOT_ATTEMPTED]


def test_a_first_run_killed_while_reading_shows_what_it_read(tmp_path: Path) -> None:
    assert [row.status for row in rows(tmp_path, run(), record(0))] == [Status.NOT_ATTEMPTED]


def test_columns_of_the_header_come_before_those_that_records_bring(tmp_path: Path) -> None:
    path = write(
        tmp_path / "j",
        [
            run(columns=("z", "a")),
            record(0, extra={"a": "1"}),
            record(1, extra={"m": "2", "a": "3"}),
            record(2, extra={"b": "", "m": ""}),
        ],
    )
    section = journal.scan(path)
    assert section is not None
    assert section.columns == ("z", "a", "m", "b")


def test_a_new_column_in_every_record_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "j", [run(), *(record(n, extra={f"column {n}": ""}) for n in range(1500))])
    section = journal.scan(path)
    assert section is not None
    assert len(section.columns) == 1000


def test_a_change_goes_through_the_journal_unchanged() -> None:
    change = Change(
        number=3,
        line=5,
        target=Target(ACCOUNT, REGION),
        identity=f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/example.com",
        key_identity="example.com",
        policy_name="sending",
        action=Action.DELETE,
        document="",
        sha256="",
    )
    entry = RecordEntry.of(change, extra={"a": "b"}, findings=(WARNING,))
    assert entry.change() == change
    assert (entry.extra, entry.findings) == ({"a": "b"}, (WARNING,))
