"""The summary: counts by status, failures by cause."""

from __future__ import annotations

import json

import pytest

from batchpol.model import Finding, Outcome, Severity, Status
from batchpol.model.remedies import REMEDIES
from batchpol.report import Summary, summary_json, summary_text


def outcome(number: int, status: Status, code: str = "", message: str = "", **more: object) -> Outcome:
    named = {"line": number + 2, "identity": f"tenant-{number}.example", "policy_name": "sending"}
    return Outcome(number=number, status=status, error_code=code, message=message, **(named | more))  # type: ignore[arg-type]


def test_counts_come_in_the_order_of_the_statuses() -> None:
    statuses = [Status.FAILED, Status.APPLIED, Status.UNKNOWN, Status.APPLIED]
    summary = Summary.of((outcome(n, status) for n, status in enumerate(statuses)), seconds=3.21)
    assert list(summary.counts.items()) == [(Status.APPLIED, 2), (Status.FAILED, 1), (Status.UNKNOWN, 1)]
    assert summary.records == 4
    assert summary_text(summary).splitlines()[0] == "4 records in 3.2 s: 2 applied (2 written), 1 failed, 1 unknown"


def test_what_was_done_is_counted_apart_and_deletions_come_first() -> None:
    did: list[dict[str, str]] = [{"effect": "update"}, {"action": "delete"}, {"action": "delete", "effect": "delete"}]
    did += [{"effect": "create"}, {}]
    summary = Summary.of(outcome(n, Status.APPLIED, **more) for n, more in enumerate(did))
    assert summary_json(summary)["effects"] == {"delete": 2, "create": 1, "update": 1, "write": 1}
    assert summary_text(summary) == "5 records: 5 applied (2 deleted, 1 created, 1 updated, 1 written)"


def test_failures_are_grouped_by_cause_whatever_the_values_in_the_message() -> None:
    messages = [
        "Invalid principal in arn:aws:iam::{n}:role/r{n}",
        'Expected the resource to be "tenant-{n}.example" but was "{n}".',
        "tenant-{n}.example is over 4096 bytes by {n}",
        "the identity tenant-{n}.example is not verified (user{n}@host{n}.example)",
    ]
    many = [
        outcome(n * 10 + kind, Status.FAILED, "InvalidPolicy", message.format(n=n * 10 + kind))
        for kind, message in enumerate(messages)
        for n in range(kind + 4)
    ]
    summary = Summary.of(many)
    assert [cause.count for cause in summary.causes] == [7, 6, 5, 4]
    assert {len(cause.examples) for cause in summary.causes} == {3}
    assert (
        summary.causes[0].examples[0].message == "the identity tenant-3.example is not verified (user3@host3.example)"
    )


def test_status_and_code_tell_causes_apart() -> None:
    summary = Summary.of(
        [
            outcome(0, Status.FAILED, "Throttling", "slow down"),
            outcome(1, Status.FAILED, "Timeout", "slow down"),
            outcome(2, Status.UNKNOWN, "Timeout", "slow down"),
            outcome(3, Status.APPLIED),
            outcome(4, Status.DUPLICATE),
        ]
    )
    assert [(cause.status, cause.error_code) for cause in summary.causes] == [
        (Status.FAILED, "Throttling"),
        (Status.FAILED, "Timeout"),
        (Status.UNKNOWN, "Timeout"),
    ]


def test_rejections_are_grouped_by_what_was_found() -> None:
    def rejected(n: int) -> Outcome:
        found = Finding(Severity.ERROR, "name-length", "policy_name", f"the name has {n} characters")
        return outcome(n, Status.REJECTED, findings=(found,))

    (cause,) = Summary.of(map(rejected, range(70, 75))).causes
    assert (cause.error_code, cause.count) == ("name-length", 5)


@pytest.mark.parametrize(
    ("status", "retryable", "expected"),
    [
        (Status.UNKNOWN, False, True),
        (Status.NOT_ATTEMPTED, False, True),
        (Status.FAILED, True, True),
        (Status.FAILED, False, False),
        (Status.REJECTED, False, False),
        (Status.APPLIED, False, False),
    ],
)
def test_whether_running_again_would_send_something(status: Status, retryable: bool, expected: bool) -> None:
    assert Summary.of([outcome(0, status, retryable=retryable)]).can_go_on is expected


def test_text_for_people() -> None:
    failed = [outcome(n, Status.FAILED, "InvalidPolicy", f'no principal "{n}"') for n in range(5)]
    alike = [outcome(n, Status.UNKNOWN, "Timeout", "no answer in 30 s") for n in range(2)]
    assert summary_text(Summary.of([*failed, *alike])).splitlines() == [
        "7 records: 5 failed, 2 unknown",
        "",
        "5 failed, InvalidPolicy",
        '  line 2: tenant-0.example / sending: no principal "0"',
        '  line 3: tenant-1.example / sending: no principal "1"',
        '  line 4: tenant-2.example / sending: no principal "2"',
        "  … and 2 more",
        f"  -> {REMEDIES['InvalidPolicy']}",
        "",
        "2 unknown, Timeout",
        "  no answer in 30 s",
        "  line 2: tenant-0.example / sending",
        "  line 3: tenant-1.example / sending",
        f"  -> {REMEDIES['Timeout']}",
    ]
    assert summary_text(Summary.of([])) == "0 records"


def test_what_the_failed_have_in_common_and_the_others_have_not_is_said() -> None:
    def asked(n: int, who: str, identity: str, status: Status, **more: object) -> Outcome:
        policy = f'{{"Principal": {{"AWS": ["{who}", "arn:aws:iam::999999999999:root"]}}}}'
        place = {"account": "123456789012", "region": "us-east-1"}
        return outcome(n, status, "InvalidPolicy", "no", identity=identity, policy=policy, **(place | more))

    gone = "arn:aws:iam::111122223333:role/gone"
    well = [asked(n, f"{n:012}", f"t{n}.example", Status.APPLIED) for n in range(3)]
    bad = [asked(n, gone, f"t{n}.eu.example", Status.FAILED, region="eu-west-1") for n in range(3, 6)]
    (cause,) = Summary.of([*well, *bad]).causes
    assert cause.shared == {"Region": "eu-west-1", "domain": "eu.example", "principal": gone}
    said = f"  all of them: Region eu-west-1, domain eu.example, principal {gone}"
    assert said in summary_text(Summary.of([*well, *bad])).splitlines()
    assert Summary.of([*well, bad[0]]).causes[0].shared == {}, "one record has everything in common with itself"
    (alone,) = Summary.of(bad).causes
    assert alone.shared["account"] == "123456789012" and gone in alone.shared["principal"], "all that there is failed"


def test_nothing_in_the_text_moves_a_terminal() -> None:
    nasty = "\x1b[2J\x9b\u202e\r\n"
    one = Outcome(
        number=0, line=2, identity=nasty, policy_name=nasty, status=Status.FAILED, error_code=nasty, message=nasty
    )
    text = summary_text(Summary.of([one]))
    assert all(line.isprintable() for line in text.splitlines())


def test_json_has_every_status_and_plain_values() -> None:
    summary = Summary.of([outcome(0, Status.FAILED, "Timeout", "late"), outcome(1, Status.APPLIED)], seconds=1.5)
    assert json.loads(json.dumps(summary_json(summary))) == {
        "records": 2,
        "counts": {
            "applied": 1,
            "unchanged": 0,
            "rejected": 0,
            "failed": 1,
            "unknown": 0,
            "duplicate": 0,
            "not_attempted": 0,
        },
        "effects": {"delete": 0, "create": 0, "update": 0, "write": 1},
        "seconds": 1.5,
        "can_go_on": False,
        "causes": [
            {
                "status": "failed",
                "error_code": "Timeout",
                "count": 1,
                "remedy": REMEDIES["Timeout"],
                "shared": {},
                "examples": [{"line": 2, "identity": "tenant-0.example", "policy_name": "sending", "message": "late"}],
            }
        ],
    }


def test_hostile_messages_do_not_fill_the_memory() -> None:
    words = (f"{chr(0x4E00 + n % 5000)}{chr(0x4E00 + n // 7)}" for n in range(5000))
    summary = Summary.of(outcome(n, Status.FAILED, "X", word) for n, word in enumerate(words))
    assert summary.counts == {Status.FAILED: 5000}
    assert len(summary.causes) == 200


def test_people_are_shown_the_most_frequent_causes_and_not_what_had_no_turn() -> None:
    failed = [outcome(n, Status.FAILED, f"Code{kind}", "no") for kind in range(22) for n in range(22 - kind)]
    waiting = [outcome(n, Status.NOT_ATTEMPTED, "", "the run ended") for n in range(50)]
    text = summary_text(Summary.of([*failed, *waiting]))
    assert [line for line in text.splitlines() if line.endswith(tuple("0123456789")) and "Code" in line] == [
        f"{22 - kind} failed, Code{kind}" for kind in range(20)
    ]
    assert text.endswith("… and 2 more causes, of 3 records; the report has them all")
    assert "50 not attempted" in text.splitlines()[0]
    assert "the run ended" not in text


def test_a_lane_that_had_to_stop_is_a_cause() -> None:
    stopped = outcome(0, Status.NOT_ATTEMPTED, "ExpiredToken", "the token is expired")
    assert "1 not attempted, ExpiredToken" in summary_text(Summary.of([stopped]))
