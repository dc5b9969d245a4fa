"""Identities that are not verified: said before the question, marked in the report, not sent where that is asked."""

from __future__ import annotations

import pytest

from tests.e2e.command import record
from tests.place import DELETE, FASTER, LOOK_UP, PUT, READ, Place
from tests.terminal import Terminal

UNVERIFIED = "identity-unverified"


def test_each_one_is_marked_in_the_report(place: Place) -> None:
    place.sandbox.change(require_verified=True)
    place.save("a.jsonl", [record("good.example"), record("bad.invalid"), record("someone@bad.invalid")])
    place.run("apply", "a.jsonl", "--report", "report.jsonl", code=1)
    rows = place.report("report.jsonl")
    assert [row["status"] for row in rows] == ["applied", "failed", "failed"], "SES says no to them itself"
    assert [[finding["code"] for finding in row["findings"]] for row in rows] == [[], [UNVERIFIED], [UNVERIFIED]]
    assert place.calls[LOOK_UP] == 1


def test_what_must_be_verified_is_rejected_and_never_sent(place: Place) -> None:
    bad = [record(f"bad{number}.invalid") for number in range(120)]
    deleted = {"identity": "bad0.invalid", "policy_name": "old", "action": "delete"}
    place.save("a.jsonl", [*bad, deleted, record("someone@good.example"), record("good.example")])
    place.run("apply", "a.jsonl", "--require-verified", "--report", "report.jsonl", code=1)
    rows = place.report("report.jsonl")
    assert [row["status"] for row in rows] == ["rejected"] * 121 + ["applied"] * 2
    assert {row["error_code"] for row in rows[:121]} == {UNVERIFIED}
    assert all("not verified" in row["message"] for row in rows[:121])
    assert place.calls == {LOOK_UP: 2, READ: 2, PUT: 2}


def test_they_can_be_told_apart_without_comparing_anything(place: Place) -> None:
    place.save("a.jsonl", [record("good.example"), record("bad.invalid")])
    place.run("apply", "a.jsonl", "--blind", "--require-verified", code=1)
    assert place.calls == {LOOK_UP: 1, PUT: 1}


def test_once_verified_they_are_sent(place: Place) -> None:
    """What was rejected for that is looked up again by the next run of the same command."""
    place.save("a.jsonl", [record("late.invalid")])
    place.run("apply", "a.jsonl", "--require-verified", code=1)
    place.sandbox.change(require_verified=False)
    place.run("apply", "a.jsonl", "--require-verified", "--report", "report.jsonl")
    assert place.statuses("report.jsonl") == {"applied": 1}


def test_a_look_up_that_is_not_allowed_is_noted_and_the_run_goes_on(place: Place) -> None:
    place.sandbox.change(faults={f"access_denied@{LOOK_UP}": 1.0})
    place.save("a.jsonl", [record(f"t{number}.example") for number in range(120)])
    ended = place.run("apply", "a.jsonl", "--report", "report.jsonl")
    assert ended.err.count("could not be looked up") == 1
    assert "not authorized to perform: ses:GetIdentityVerificationAttributes" in ended.err
    assert place.statuses("report.jsonl") == {"applied": 120}
    assert place.calls[LOOK_UP] == 1


def test_a_look_up_that_is_not_allowed_ends_a_run_that_needs_it(place: Place) -> None:
    place.sandbox.change(faults={f"access_denied@{LOOK_UP}": 1.0})
    place.save("a.jsonl", [record("a.example")])
    ended = place.run("apply", "a.jsonl", "--require-verified", code=3)
    assert "give the caller ses:GetIdentityVerificationAttributes" in ended.err
    assert place.calls == {LOOK_UP: 1}


@pytest.mark.parametrize("answer", ["y", "n"])
def test_they_are_named_before_the_question(place: Place, answer: str) -> None:
    bad = [record(f"bad{number}.invalid") for number in range(7)]
    place.save("a.jsonl", [record("good.example"), *bad])
    line = ("apply", "a.jsonl", *FASTER)
    terminal = Terminal(*line, cwd=place.folder, env=place.sandbox.environment() | {"NO_COLOR": "1"})
    terminal.read_until("[y/N]")
    assert [name for name in ("bad0.invalid", "bad4.invalid") if f"not verified: {name}" in terminal.shown]
    assert "2 more that are not verified" in terminal.shown
    assert "good.example" not in terminal.shown
    assert place.calls == {LOOK_UP: 1}
    terminal.type(f"{answer}\n")
    assert terminal.end() == (1 if answer == "y" else 2)
    assert place.calls[LOOK_UP] == 1, "nobody is looked up twice"
    assert place.calls[PUT] == (8 if answer == "y" else 0)
    assert place.calls[DELETE] == 0
