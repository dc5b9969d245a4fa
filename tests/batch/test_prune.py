"""``--prune``: what the input's identities have and the input has not is deleted, and nothing else ever."""

from __future__ import annotations

import pytest

from tests.e2e.command import arrived, await_that, kill, policy, record, start
from tests.place import DELETE, FASTER, LIST, PUT, Place, Record
from tests.terminal import Terminal

NAMES = ("kept", "tenant-old", "other")


def fill(place: Place, *identities: str) -> None:
    for identity in identities:
        for name in NAMES:
            place.put(identity, name, policy(identity, Sid="Was"))


def names(place: Place, identity: str) -> set[str]:
    return {name for whose, name in place.there if whose == identity}


def kept(*identities: str) -> list[Record]:
    return [record(identity, "kept") for identity in identities]


def test_only_what_the_input_has_not_and_only_on_its_identities(place: Place) -> None:
    fill(place, "a.example", "b.example", "elsewhere.example", "me@a.example")
    place.save("a.jsonl", [*kept("A.example"), record("b.example", "other"), record("b.example", "new")])
    place.run("apply", "a.jsonl", "--prune", "--report", "report.jsonl")
    assert names(place, "a.example") == {"kept"}
    assert names(place, "b.example") == {"other", "new"}
    assert names(place, "elsewhere.example") == names(place, "me@a.example") == set(NAMES)
    rows = place.report("report.jsonl")
    assert [row["status"] for row in rows] == ["applied"] * 7
    pruned = [(row["line"], row["action"], row["identity"], row["policy_name"]) for row in rows[3:]]
    assert pruned == [
        (None, "delete", "a.example", "other"),
        (None, "delete", "a.example", "tenant-old"),
        (None, "delete", "b.example", "kept"),
        (None, "delete", "b.example", "tenant-old"),
    ]


def test_of_a_full_identity_what_is_pruned_goes_first(place: Place) -> None:
    for number in range(20):
        place.put("full.example", f"old-{number}", policy("full.example"))
    place.save("a.jsonl", [record("full.example", f"new-{number}") for number in range(20)])
    place.run("apply", "a.jsonl", "--prune", "--report", "report.jsonl")
    assert names(place, "full.example") == {f"new-{number}" for number in range(20)}
    assert place.statuses("report.jsonl") == {"applied": 40}
    place.run("undo", "a.journal.jsonl", "-o", "undo.jsonl")
    place.run("apply", "undo.jsonl")
    assert names(place, "full.example") == {f"old-{number}" for number in range(20)}


def test_no_more_goes_first_than_there_must_be_room_for(place: Place) -> None:
    """A delete of the input's own makes room where there is something, and takes none where there is nothing."""
    for number in range(20):
        place.put("full.example", f"old-{number}", policy("full.example"))
    own = [record("full.example", name, action="delete", policy="") for name in ("nowhere", "old-19")]
    place.save("a.jsonl", [*own, *(record("full.example", f"new-{number}") for number in range(2))])
    place.run("apply", "a.jsonl", "--prune")
    writes = [(it.operation, it.policy_name) for it in place.writes]
    assert writes[:4] == [(DELETE, "old-19"), (DELETE, "old-0"), (PUT, "new-0"), (PUT, "new-1")]
    assert names(place, "full.example") == {"new-0", "new-1"}


def test_of_any_other_what_takes_its_place_is_there_before_it_goes(place: Place) -> None:
    fill(place, "a.example")
    place.save("a.jsonl", [record("a.example", "new")])
    place.run("apply", "a.jsonl", "--prune")
    assert [it.operation for it in place.writes] == [PUT, *[DELETE] * 3]


def test_nothing_is_pruned_unasked(place: Place) -> None:
    fill(place, "a.example")
    place.save("a.jsonl", kept("a.example"))
    place.run("apply", "a.jsonl")
    assert names(place, "a.example") == set(NAMES)
    assert place.calls[LIST] == 0


def test_the_prefix_restricts_it(place: Place) -> None:
    fill(place, "a.example")
    place.save("a.jsonl", kept("a.example"))
    place.run("apply", "a.jsonl", "--prune", "--prune-prefix", "tenant-")
    assert names(place, "a.example") == {"kept", "other"}


def test_a_name_given_by_arn_and_a_duplicate_are_kept(place: Place) -> None:
    fill(place, "a.example")
    arn = "arn:aws:ses:us-east-1:123456789012:identity/A.example"
    place.save("a.jsonl", [*kept("a.example"), record("a.example", "other") | {"identity": arn}, *kept("a.example")])
    place.run("apply", "a.jsonl", "--prune")
    assert names(place, "a.example") == {"kept", "other"}


def test_addresses_differ_by_their_letters(place: Place) -> None:
    fill(place, "Me@a.example", "me@a.example")
    place.save("a.jsonl", kept("Me@a.example"))
    place.run("apply", "a.jsonl", "--prune")
    assert names(place, "Me@a.example") == {"kept"}
    assert names(place, "me@a.example") == set(NAMES)


@pytest.mark.parametrize("wrong", [record("a.example", "a b"), record("a.example", "kept", policy={"a": 1})])
def test_as_long_as_a_record_is_rejected_nothing_is_pruned_nor_sent(place: Place, wrong: Record) -> None:
    fill(place, "a.example")
    place.save("a.jsonl", [*kept("a.example"), wrong])
    ended = place.run("apply", "a.jsonl", "--prune", code=2)
    assert "line 2 is rejected, and what the file does not have cannot be told from it" in ended.err
    assert place.calls == {}


def test_a_file_that_was_edited_since_is_what_counts(place: Place) -> None:
    """A resume goes by the file as it is now, never by what an earlier run had."""
    fill(place, "a.example", "b.example")
    place.save("a.jsonl", kept("a.example"))
    place.run("apply", "a.jsonl")
    place.save("a.jsonl", [*kept("a.example"), record("a.example", "other"), *kept("b.example")])
    place.run("apply", "a.jsonl", "--prune", "--report", "report.jsonl")
    assert names(place, "a.example") == {"kept", "other"}
    assert names(place, "b.example") == {"kept"}
    place.save("a.jsonl", kept("a.example"))
    place.run("apply", "a.jsonl", "--prune")
    assert names(place, "a.example") == {"kept"}


def test_what_was_applied_before_and_is_not_sent_again_is_kept(place: Place) -> None:
    place.save("a.jsonl", [record("a.example", name) for name in NAMES])
    place.run("apply", "a.jsonl")
    place.put("a.example", "late", policy("a.example"))
    place.forget_arrivals()
    place.run("apply", "a.jsonl", "--prune")
    assert names(place, "a.example") == set(NAMES)
    assert {(it.operation, it.policy_name) for it in place.writes} == {(DELETE, "late")}


def test_a_limit_holds_for_what_is_pruned_too(place: Place) -> None:
    fill(place, "a.example", "b.example")
    place.save("a.jsonl", [record("a.example", "new"), *kept("a.example", "b.example")])
    place.run("apply", "a.jsonl", "--prune", "--limit", "1", "--report", "report.jsonl", code=3)
    assert names(place, "a.example") == {*NAMES, "new"}
    assert names(place, "b.example") == set(NAMES)
    assert len(place.writes) == 1
    place.run("apply", "a.jsonl", "--prune", "--report", "report.jsonl")
    assert names(place, "a.example") == {"new", "kept"}
    assert names(place, "b.example") == {"kept"}


def test_a_dry_run_says_how_many_and_deletes_none(place: Place) -> None:
    fill(place, "a.example")
    place.save("a.jsonl", kept("a.example"))
    ended = place.run("apply", "a.jsonl", "--prune", "--dry-run", code=None)
    assert "prune: 2 policies that the input does not have will be deleted" in ended.err
    assert place.writes == []


@pytest.mark.parametrize(("answers", "gone"), [(["n"], 0), (["y", "n"], 0), (["y", "y"], 2)])
def test_pruning_is_asked_for_apart(place: Place, answers: list[str], gone: int) -> None:
    fill(place, "a.example")
    place.save("a.jsonl", kept("a.example"))
    line = ("apply", "a.jsonl", "--prune", *FASTER)
    terminal = Terminal(*line, cwd=place.folder, env=place.sandbox.environment())
    questions = ["Delete 2 policies that the input does not have?", "Write up to 1 policy?"]
    for question, answer in zip(questions, answers, strict=False):
        terminal.read_until(question)
        terminal.type(f"{answer}\n")
    assert terminal.end() == (0 if gone else 2)
    assert len(names(place, "a.example")) == 3 - gone
    assert place.calls[PUT] == (1 if gone else 0)


def test_deletions_are_what_the_question_says_first(place: Place) -> None:
    place.save(
        "a.jsonl",
        [
            record("a.example"),
            *({"identity": "b.example", "policy_name": f"n{n}", "action": "delete"} for n in range(22)),
        ],
    )
    terminal = Terminal("apply", "a.jsonl", *FASTER, cwd=place.folder, env=place.sandbox.environment())
    terminal.read_until("up to 22 to delete, up to 1 to write")
    terminal.read_until("Delete up to 22 policies, and write up to 1 policy? [y/N]")
    terminal.type("n\n")
    assert terminal.end() == 2
    assert place.writes == []


def test_what_was_pruned_comes_back(place: Place) -> None:
    fill(place, "a.example")
    before = place.there
    place.save("a.jsonl", [record("a.example", "new")])
    place.run("apply", "a.jsonl", "--prune")
    assert names(place, "a.example") == {"new"}
    place.run("undo", "a.journal.jsonl", "-o", "undo.jsonl")
    place.run("validate", "undo.jsonl")
    place.run("apply", "undo.jsonl")
    assert place.there == before


def test_what_somebody_deleted_meanwhile_is_no_failure(place: Place) -> None:
    """Between the listing and its turn."""
    place.sandbox.change(stale_seconds=60.0)
    fill(place, "a.example")
    for owner in list(place.sandbox.store.policies):
        place.sandbox.store.delete(owner, "other", now=1e12)
    place.save("a.jsonl", kept("a.example"))
    place.run("apply", "a.jsonl", "--prune", "--report", "report.jsonl")
    assert place.statuses("report.jsonl") == {"applied": 3}
    assert names(place, "a.example") == {"kept"}


def test_nothing_is_pruned_without_a_copy(place: Place) -> None:
    fill(place, "a.example")
    place.save("a.jsonl", kept("a.example"))
    ended = place.run("apply", "a.jsonl", "--prune", "--blind", code=2)
    assert "no copy of it would be kept" in ended.err
    assert not place.sandbox.arrivals


def test_what_was_pruned_without_an_answer_stays_unknown_while_lists_show_the_past(place: Place) -> None:
    fill(place, "a.example")
    place.save("a.jsonl", kept("a.example"))
    place.sandbox.change(faults={f"stall_after@{DELETE}": 1.0})
    process = start("apply", "a.jsonl", "--yes", "--prune", cwd=place.folder, env=place.sandbox.environment())
    await_that(arrived(place.sandbox, DELETE), process)
    kill(process)
    sent = {it.policy_name for it in place.arrivals(DELETE)}
    place.sandbox.change(faults={}, stale_seconds=60.0)
    place.run("apply", "a.jsonl", "--prune", "--limit", "0", "--report", "report.jsonl", code=3)
    rows = {row["policy_name"]: row["status"] for row in place.report("report.jsonl") if not row["line"]}
    assert rows == {"other": "unknown", "tenant-old": "not_attempted"} and sent == {"other"}


def test_names_that_cannot_be_listed_end_the_run_before_anything_is_sent(place: Place) -> None:
    place.sandbox.change(faults={f"access_denied@{LIST}": 1.0})
    place.save("a.jsonl", kept("a.example"))
    ended = place.run("apply", "a.jsonl", "--prune", code=2)
    assert "what to prune could not be listed" in ended.err
    assert "ses:ListIdentityPolicies" in ended.err
    assert place.writes == []
