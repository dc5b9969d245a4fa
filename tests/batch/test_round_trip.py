"""The whole way round by the command: apply, again, edit, plan, apply, undo; with a server that errs, after a kill."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterable
from typing import Any

import pytest

from batchpol.testing import Sandbox
from tests.e2e.command import arrived, await_that, finish, policy, record, start
from tests.place import FASTER, PUT, READ, Place, Record

FAULTS = {"server_error": 0.05, "reset_before": 0.05, "reset_after": 0.05}
OLD = {"Sid": "Was"}
ARN = "arn:aws:ses:us-east-1:123456789012:identity/"


def tenants() -> list[Record]:
    """Domains, an ARN, addresses and an identity with several policies."""
    domains = [record(f"tenant{number}.example") for number in range(6)]
    several = [record("several.example", f"policy-{number}") for number in range(4)]
    arn = [record("by-arn.example") | {"identity": f"{ARN}By-ARN.example"}]
    addresses = [record("Sales@Tenant1.example"), record("sales@tenant1.example")]
    return domains + several + arn + addresses


def edited(records: list[Record], places: Iterable[int]) -> list[Record]:
    other = json.loads(json.dumps(records))
    for number in places:
        other[number]["policy"]["Statement"][0]["Action"] = "ses:SendRawEmail"
    return other


def wanted(records: list[Record]) -> dict[tuple[str, str], Any]:
    """What the server holds when these records are applied."""

    def name(identity: str) -> str:
        bare = identity.rpartition("/")[2]
        return bare if "@" in bare else bare.lower()

    return {(name(it["identity"]), it["policy_name"]): it["policy"] for it in records}


@pytest.mark.parametrize("faults", [{}, FAULTS], ids=["well", "with faults"])
def test_apply_again_edit_plan_apply_undo(place: Place, ses_sandbox: Sandbox, faults: dict[str, float]) -> None:
    ses_sandbox.change(faults=faults)
    original = tenants()
    changed = edited(original, (1, 8, 11))
    place.save("original.jsonl", original)
    place.save("edited.jsonl", changed)
    place.run("apply", "original.jsonl", "--report", "first.jsonl")
    assert place.there == wanted(original)
    assert set(place.statuses("first.jsonl")) <= {"applied", "unchanged"}

    place.forget_arrivals()
    place.run("apply", "original.jsonl", "--report", "again.jsonl")
    assert place.statuses("again.jsonl") == {"unchanged": len(original)}
    assert place.writes == []

    ended = place.run("plan", "edited.jsonl", "--detailed-exitcode", "--report", "plan.jsonl", code=4)
    assert "0 delete, 0 create, 3 update, 10 unchanged" in ended.out
    effects = [row["effect"] for row in place.report("plan.jsonl")]
    assert [number for number, effect in enumerate(effects) if effect == "update"] == [1, 8, 11]
    assert place.writes == []

    place.run("apply", "edited.jsonl", "--report", "edited-report.jsonl")
    assert place.there == wanted(changed)
    assert place.statuses("edited-report.jsonl") == {"applied": 3, "unchanged": 10}
    assert {(it.identity, it.policy_name) for it in place.writes} == {
        (changed[number]["identity"], changed[number]["policy_name"]) for number in (1, 8, 11)
    }
    if not faults:
        assert len(place.writes) == 3

    place.run("undo", "edited.journal.jsonl", "-o", "undo.jsonl")
    place.run("validate", "undo.jsonl")
    place.run("apply", "undo.jsonl", "--report", "undone.jsonl")
    assert place.there == wanted(original)
    assert place.statuses("undone.jsonl") == {"applied": 3}
    place.run("apply", "edited.jsonl", "--report", "redone.jsonl")
    assert place.statuses("redone.jsonl") == {"applied": 3, "unchanged": 10}
    place.run("undo", "edited.journal.jsonl", "--last", "-o", "back.jsonl")
    place.run("apply", "back.jsonl")
    assert place.there == wanted(original)

    place.forget_arrivals()
    ended = place.run("plan", "original.jsonl", "--detailed-exitcode")
    assert "0 delete, 0 create, 0 update, 13 unchanged" in ended.out
    assert place.writes == []


def test_the_way_back_can_be_gone_back_again(place: Place) -> None:
    original = tenants()
    place.save("original.jsonl", original)
    place.run("apply", "original.jsonl")
    place.run("undo", "original.journal.jsonl", "-o", "undo.jsonl")
    place.run("apply", "undo.jsonl")
    assert place.there == {}
    place.run("undo", "undo.journal.jsonl", "-o", "redo.jsonl")
    place.run("apply", "redo.jsonl")
    assert place.there == wanted(original)
    # Undone twice: the same records again, in the journal of the first time.
    place.run("undo", "original.journal.jsonl", "-o", "back.jsonl")
    place.run("apply", "back.jsonl")
    assert place.there == {}


def test_one_journal_of_two_runs_goes_back_to_the_beginning_or_by_one_run(place: Place) -> None:
    original = tenants()
    place.save("tenants.jsonl", original)
    place.run("apply", "tenants.jsonl")
    place.save("tenants.jsonl", edited(original, (0, 5)))
    place.run("apply", "tenants.jsonl")
    ended = place.run("undo", "tenants.journal.jsonl", "-o", "last.jsonl", "--last")
    assert "2 to put back, as it was before the run of " in ended.err
    assert "what 1 other runs of the journal wrote stays" in ended.err
    place.run("apply", "last.jsonl")
    assert place.there == wanted(original)
    ended = place.run("undo", "tenants.journal.jsonl", "-o", "all.jsonl")
    assert f"{len(original)} to delete, as it was before " in ended.err


def test_any_run_of_a_journal_is_taken_back_by_its_id(place: Place) -> None:
    place.save("list.jsonl", [record("a.example")])
    place.run("apply", "list.jsonl")
    place.save(
        "list.jsonl", [record("b.example"), {"identity": "a.example", "policy_name": "tenant", "action": "delete"}]
    )
    ended = place.run("apply", "list.jsonl")
    assert "2 applied (1 deleted, 1 created)" in ended.out
    said = place.run("status", "list.journal.jsonl").out
    first, second = re.findall(r"\(([0-9a-f]{8})\): (.+)", said)
    assert (first[1], second[1]) == ("1 created", "1 deleted, 1 created")
    ended = place.run("undo", "list.journal.jsonl", "-o", "undo.jsonl", "--run", second[0])
    assert "1 to delete, 1 to put back, as it was before the run of" in ended.err and f"({second[0]})" in ended.err
    place.run("apply", "undo.jsonl")
    assert {identity for identity, _ in place.there} == {"a.example"}
    ended = place.run("undo", "list.journal.jsonl", "--run", "0000", code=2)
    assert "no run that wrote anything" in ended.err and "batchpol status lists" in ended.err
    assert "name two runs" in place.run("undo", "list.journal.jsonl", "--run", first[0], "--last", code=2).err


def test_updates_deletes_and_creates_all_go_back_and_nothing_else(place: Place) -> None:
    old = policy("a.example", Sid="old")
    for name in ("updated", "deleted", "left"):
        place.put("a.example", name, old)
    before = place.there
    place.save(
        "mixed.jsonl",
        [
            record("a.example", "updated"),
            {"identity": f"{ARN}A.example", "policy_name": "deleted", "action": "delete"},
            record("a.example", "created"),
            {"identity": "a.example", "policy_name": "never-there", "action": "delete"},
        ],
    )
    place.run("apply", "mixed.jsonl", "--report", "mixed-report.jsonl")
    assert place.statuses("mixed-report.jsonl") == {"applied": 3, "unchanged": 1}
    assert set(place.there) == {("a.example", name) for name in ("updated", "created", "left")}
    ended = place.run("undo", "mixed.journal.jsonl")
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert [(it["action"], it["policy_name"]) for it in found] == [
        ("delete", "created"),
        ("put", "deleted"),
        ("put", "updated"),
    ]
    place.save("undo.jsonl", found)
    place.run("apply", "undo.jsonl")
    assert place.there == before


@pytest.mark.parametrize("way", ["--compare", "--blind"])
def test_what_somebody_changed_since_is_left_alone(place: Place, way: str) -> None:
    names = ("theirs", "gone", "untouched")
    place.save("three.jsonl", [record("a.example", name) for name in names])
    place.run("apply", "three.jsonl")
    place.run("undo", "three.journal.jsonl", "-o", "undo.jsonl")
    theirs = policy("a.example", Sid="theirs")
    place.put("a.example", "theirs", theirs)
    place.sandbox.store.policies[next(iter(place.sandbox.store.policies))].pop("gone")
    place.forget_arrivals()
    ended = place.run("plan", "undo.jsonl", "--report", "plan.jsonl", code=1)
    assert "would fail: a.example theirs: somebody changed this policy since" in ended.out
    assert [(row["effect"], row["status"]) for row in place.report("plan.jsonl")] == [
        ("delete", None),
        ("unchanged", None),
        ("delete", "failed"),
    ]
    place.run("apply", "undo.jsonl", way, "--report", "undone.jsonl", code=1)
    rows = {row["policy_name"]: (row["status"], row["error_code"]) for row in place.report("undone.jsonl")}
    assert rows == {"theirs": ("failed", "Changed"), "gone": ("unchanged", None), "untouched": ("applied", None)}
    assert place.there == {("a.example", "theirs"): theirs}
    assert len(place.writes) == 1
    assert place.calls[READ] == (2 if way == "--compare" else 4)


def test_a_column_if_match_is_heeded_however_it_is_spelled(place: Place) -> None:
    """A spreadsheet may have given it other letters; to overlook it would be to overwrite."""
    place.put("a.example", "tenant", policy("a.example", Sid="theirs"))
    before = place.there
    for number, name in enumerate(("If_Match", " IF_MATCH ", "if_match")):
        place.save(f"{number}.jsonl", [record("a.example", **{name: " absent "})])
        place.run("apply", f"{number}.jsonl", "--blind", "--report", f"{number}-report.jsonl", code=1)
        (row,) = place.report(f"{number}-report.jsonl")
        assert (row["status"], row["error_code"]) == ("failed", "Changed")
    assert place.there == before
    assert place.writes == []


def test_blind_runs_say_that_they_cannot_be_taken_back(place: Place) -> None:
    place.save("two.jsonl", [record("a.example"), record("b.example")])
    place.run("apply", "two.jsonl", "--blind")
    assert place.calls == {PUT: 2}
    ended = place.run("undo", "two.journal.jsonl", "-o", "undo.jsonl")
    assert (place.folder / "undo.jsonl").read_text() == ""
    assert "2 writes cannot be taken back" in ended.err


@pytest.mark.parametrize(
    ("output", "said"),
    [("a.journal.jsonl", "is the journal itself"), ("undo.csv", "let its name end in .jsonl")],
)
def test_undo_writes_no_file_that_would_be_a_mistake(place: Place, output: str, said: str) -> None:
    place.save("a.jsonl", [record("a.example")])
    place.run("apply", "a.jsonl")
    before = (place.folder / "a.journal.jsonl").read_bytes()
    assert said in place.run("undo", "a.journal.jsonl", "-o", output, code=2).err
    assert (place.folder / "a.journal.jsonl").read_bytes() == before
    assert not (place.folder / "undo.csv").exists()


def test_what_is_no_journal_cannot_be_undone(place: Place) -> None:
    place.save("a.jsonl", [record("a.example")])
    assert "not a batchpol journal" in place.run("undo", "a.jsonl", "-o", "undo.jsonl", code=2).err
    assert "cannot be read" in place.run("undo", "nowhere.journal.jsonl", code=2).err
    assert not (place.folder / "undo.jsonl").exists()


def test_only_creating_and_only_replacing(place: Place) -> None:
    old = policy("a.example", Sid="old")
    place.put("a.example", "tenant", old)
    place.save("two.jsonl", [record("a.example"), record("b.example")])
    place.run("apply", "two.jsonl", "--only-existing", "--journal", "1.jsonl", "--report", "existing.jsonl", code=1)
    assert [row["error_code"] for row in place.report("existing.jsonl")] == [None, "Absent"]
    place.put("a.example", "tenant", old)
    place.run("apply", "two.jsonl", "--no-clobber", "--blind", "--journal", "2.jsonl", "--report", "new.jsonl", code=1)
    assert [row["error_code"] for row in place.report("new.jsonl")] == ["Exists", None]
    assert place.there[("a.example", "tenant")] == old


@pytest.mark.parametrize("fault", ["stall_before", "stall_after"])
def test_a_run_that_was_killed_after_it_sent_is_taken_back_whatever_took_effect(place: Place, fault: str) -> None:
    """Of what was under way nobody knows whether it took effect; the way back is the same."""
    records = [record(f"t{number}.example") for number in range(8)]
    for number in (1, 3):
        place.put(f"t{number}.example", "tenant", policy(f"t{number}.example", **OLD))
    before = place.there
    place.save("a.jsonl", records)
    place.sandbox.change(faults_at={f"{fault}@{PUT}": range(3, 99)})
    line = ("apply", "a.jsonl", "--yes", *FASTER)
    process = start(*line, cwd=place.folder, env=place.sandbox.environment())
    await_that(arrived(place.sandbox, PUT, 6), process)
    process.send_signal(signal.SIGKILL)
    assert finish(process).code == -signal.SIGKILL
    assert place.there != before
    place.sandbox.change(faults_at={})
    place.run("undo", "a.journal.jsonl", "-o", "undo.jsonl")
    place.run("validate", "undo.jsonl")
    place.run("apply", "undo.jsonl", "--report", "undone.jsonl")
    assert place.there == before
    assert set(place.statuses("undone.jsonl")) <= {"applied", "unchanged"}


def test_a_run_that_was_killed_and_resumed_with_an_edited_file_is_taken_back(place: Place) -> None:
    place.put("t2.example", "tenant", policy("t2.example", **OLD))
    before = place.there
    records = [record(f"t{number}.example") for number in range(5)]
    place.save("a.jsonl", records)
    place.sandbox.change(faults_at={f"stall_after@{PUT}": range(2, 99)})
    process = start("apply", "a.jsonl", "--yes", *FASTER, cwd=place.folder, env=place.sandbox.environment())
    await_that(arrived(place.sandbox, PUT, 4), process)
    process.kill()
    finish(process)
    place.sandbox.change(faults_at={f"server_error@{PUT}": range(1, 999)})
    place.save(
        "a.jsonl", [record(f"t{number}.example", policy=policy(f"t{number}.example", Sid="New")) for number in range(5)]
    )
    place.run("apply", "a.jsonl", "--max-attempts", "2", code=None)
    place.sandbox.change(faults_at={})
    place.run("undo", "a.journal.jsonl", "-o", "undo.jsonl")
    place.run("apply", "undo.jsonl")
    assert place.there == before


@pytest.mark.parametrize("seed", range(2))
def test_a_run_among_faults_is_taken_back(place: Place, seed: int) -> None:
    """Lost answers, refusals and breaks, on the way there and on the way back."""
    for number in range(0, 20, 3):
        place.put(f"t{number}.example", "tenant", policy(f"t{number}.example", **OLD))
    before = place.there
    place.save("a.jsonl", [record(f"t{number}.example") for number in range(20)])
    faults = {"server_error": 0.1, "reset_before": 0.1, "reset_after": 0.1, "error_after": 0.1, "throttle": 0.1}
    place.sandbox.change(faults=faults)
    for _ in range(seed):
        place.run("plan", "a.jsonl", code=None)  # draws, so that each seed has faults of its own
    place.run("apply", "a.jsonl", "--max-attempts", "2", code=None)
    place.run("undo", "a.journal.jsonl", "-o", "undo.jsonl")
    place.run("apply", "undo.jsonl", "--max-attempts", "50")
    assert place.there == before
