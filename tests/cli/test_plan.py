"""``batchpol plan``: what it shows and reports, what it exits with, and that it never writes."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest

from batchpol.testing import Sandbox, SandboxOptions, running_sandbox
from tests.e2e.command import arrived, await_that, finish, policy, record, start
from tests.place import LIST, LOOK_UP, READ, Place

CREATE, UPDATE, UNCHANGED, DELETE = "create", "update", "unchanged", "delete"


def some_of_each(place: Place) -> Path:
    """One record of each effect, a duplicate and two that are rejected."""
    place.put("there.example", "same", policy("there.example"))
    place.put("there.example", "other", policy("there.example", Sid="Was"))
    place.put("there.example", "goes", policy("there.example"))
    return place.save(
        "each.jsonl",
        [
            record("new.example", tenant="T-1"),
            record("there.example", "same"),
            record("there.example", "other"),
            {"identity": "THERE.example", "policy_name": "goes", "action": "delete"},
            {"identity": "there.example", "policy_name": "never", "action": "delete"},
            record("there.example", "same"),
            record("broken.example", "a b"),
            record("late.invalid"),
            record("other.example", policy="{not json"),
        ],
    )


def test_one_line_a_record_and_the_counts_at_the_end(place: Place) -> None:
    ended = place.run("plan", some_of_each(place), code=1)
    shown = ended.out.splitlines()
    assert shown[:-1] == [
        "line 1: create new.example tenant",
        "line 2: unchanged there.example same",
        "line 3: update there.example other",
        '    /Statement/0/Sid: - "Was"',
        "line 4: delete there.example goes",
        "line 5: unchanged there.example never",
        "line 8: create late.invalid tenant",
    ]
    assert re.fullmatch(
        r"2 create, 1 update, 2 unchanged, 1 delete, 2 rejected, 1 duplicate; "
        r"compared in \d+\.\d s, apply would take about 0 s",
        shown[-1],
    )
    assert "line 7: rejected:" in ended.err
    assert "line 9: rejected:" in ended.err
    assert "not verified: late.invalid" in ended.err
    assert place.writes == []


def test_the_report_has_every_record(place: Place) -> None:
    place.run("plan", some_of_each(place), "--report", "plan.jsonl", code=1)
    rows = place.report("plan.jsonl")
    assert [row["line"] for row in rows] == list(range(1, 10))
    effects = [CREATE, UNCHANGED, UPDATE, DELETE, UNCHANGED, None, None, CREATE, None]
    assert [row["effect"] for row in rows] == effects
    assert [row["status"] for row in rows] == [None] * 5 + ["duplicate", "rejected", None, "rejected"]
    assert rows[2]["changes"] == ['/Statement/0/Sid: - "Was"']
    assert [row["changes"] for number, row in enumerate(rows) if number != 2] == [[]] * 8
    assert rows[6]["error_code"] == "name-characters" or rows[6]["error_code"].startswith("name-")
    assert rows[6]["message"]
    assert [finding["code"] for finding in rows[7]["findings"]] == ["identity-unverified"]
    assert {row["account"] for row in rows if row["effect"]} == {"123456789012"}


@pytest.mark.parametrize(
    ("names", "codes"),
    [(["same"], (0, 0)), (["same", "other"], (0, 4)), (["same", "new"], (0, 4)), (["same", "a b"], (1, 1))],
)
def test_the_exit_code_says_whether_there_is_something_to_do(place: Place, names: list[str], codes: tuple) -> None:
    place.put("a.example", "same", policy("a.example"))
    place.put("a.example", "other", policy("a.example", Sid="Was"))
    place.save("a.jsonl", [record("a.example", name) for name in names])
    place.run("plan", "a.jsonl", code=codes[0])
    place.run("plan", "a.jsonl", "--detailed-exitcode", code=codes[1])


def test_a_diff_can_be_read_and_moves_no_terminal(place: Place) -> None:
    hostile = "\x1b[2J\u202eevil\x07"
    place.put("a.example", "tenant", policy("a.example", Sid=hostile))
    place.save("a.jsonl", [record("a.example", policy=policy("a.example", Action="ses:SendEmail"))])
    ended = place.run("plan", "a.jsonl", "--diff")
    assert "--- present" in ended.out
    assert any(line.lstrip().startswith('-      "Sid"') for line in ended.out.splitlines())
    assert "evil" in ended.out, "what goes is shown"
    assert all(char.isprintable() or char == "\n" for char in ended.out + ended.err)


def test_changes_are_told_apart_whatever_stands_in_them(place: Place) -> None:
    place.put("a.example", "tenant", policy("a.example", Sid="one; two", Effect="Deny"))
    place.save("a.jsonl", [record("a.example", policy=policy("a.example", Sid="x; y\nz"))])
    place.run("plan", "a.jsonl", "--report", "plan.jsonl")
    (row,) = place.report("plan.jsonl")
    assert row["changes"] == [
        '/Statement/0/Effect: "Deny" -> "Allow"',
        '/Statement/0/Sid: "one; two" -> "x; y\\nz"',
    ]


def test_two_hundred_records_on_ten_identities_cost_ten_reads(place: Place) -> None:
    everything = [record(f"t{number // 20}.example", f"name-{number % 20}") for number in range(200)]
    place.save("200.jsonl", everything)
    ended = place.run("plan", "200.jsonl", "--detailed-exitcode", code=4)
    assert "200 create" in ended.out
    assert place.calls == {READ: 10, LIST: 10, LOOK_UP: 1}
    for it in everything:
        place.put(it["identity"], it["policy_name"], it["policy"])
    place.forget_arrivals()
    place.run("plan", "200.jsonl", "--detailed-exitcode")
    assert place.calls == {READ: 10, LOOK_UP: 1}


def test_the_twenty_first_policy_is_found_and_said(place: Place) -> None:
    for number in range(19):
        place.put("full.example", f"old-{number}", policy("full.example"))
    place.save("two.jsonl", [record("full.example", "fits"), record("FULL.example", "does-not")])
    ended = place.run("plan", "two.jsonl", "--report", "plan.jsonl", code=1)
    assert "line 2: would fail: full.example does-not: the identity has 20 policies by then" in ended.out
    assert ", 1 would fail;" in ended.out
    assert [(row["effect"], row["status"], row["error_code"]) for row in place.report("plan.jsonl")] == [
        (CREATE, None, None),
        (CREATE, "failed", "TooManyPolicies"),
    ]
    # And that is what SES then says.
    place.run("apply", "two.jsonl", "--report", "applied.jsonl", code=1)
    assert [row["status"] for row in place.report("applied.jsonl")] == ["applied", "failed"]


def test_identities_that_nobody_has_are_planned_all_the_same(place: Place) -> None:
    place.save("a.jsonl", [record("nobody.invalid"), {"identity": "x.invalid", "policy_name": "a", "action": "delete"}])
    ended = place.run("plan", "a.jsonl")
    assert "1 create, 0 update, 1 unchanged, 0 delete" in ended.out
    assert "not verified: nobody.invalid" in ended.err


def test_nothing_to_plan_is_no_mistake(place: Place) -> None:
    (place.folder / "none.csv").write_text("identity,policy_name,policy\n")
    ended = place.run("plan", "none.csv", "--detailed-exitcode", "--report", "plan.jsonl")
    assert ended.out.startswith("0 create, 0 update, 0 unchanged, 0 delete; ")
    assert place.report("plan.jsonl") == []
    assert place.calls == {}


def test_what_would_be_pruned_is_shown_by_name(place: Place) -> None:
    for name in ("kept", "tenant-old", "other"):
        place.put("a.example", name, policy("a.example"))
    place.save("a.jsonl", [record("a.example", "kept")])
    ended = place.run("plan", "a.jsonl", "--prune", "--prune-prefix", "tenant-", "--detailed-exitcode", code=4)
    assert "prune: delete a.example tenant-old" in ended.out
    assert "0 create, 0 update, 1 unchanged, 1 delete" in ended.out
    assert place.writes == []


def test_findings_count_as_they_do_for_apply(place: Place) -> None:
    place.save("a.jsonl", [record("a.example", policy=policy("a.example", Principal="*"))])
    place.run("plan", "a.jsonl")
    place.run("plan", "a.jsonl", "--warnings-as-errors", code=1)
    place.run("plan", "a.jsonl", "--warnings-as-errors", "--ignore", "risk", code=0)


def test_reads_that_are_not_allowed_end_the_plan_at_once(place: Place) -> None:
    place.sandbox.change(faults={f"access_denied@{READ}": 1.0})
    place.save("a.jsonl", [record(f"t{number}.example") for number in range(9)])
    ended = place.run("plan", "a.jsonl", "--report", "plan.jsonl", code=3)
    assert place.calls[READ] == 3
    assert "ses:GetIdentityPolicies" in ended.err
    assert "--blind" not in ended.err
    assert "9 not compared" in ended.out
    assert [row["status"] for row in place.report("plan.jsonl")] == ["not_attempted"] * 9


def test_what_cannot_be_read_is_said(place: Place) -> None:
    place.sandbox.change(faults_at={f"server_error@{READ}": range(1, 99)})
    place.save("a.jsonl", [record("a.example")])
    ended = place.run("plan", "a.jsonl", code=1)
    assert "line 1: not compared: a.example tenant:" in ended.out
    assert "[InternalFailure]" in ended.out
    assert ", 1 not compared;" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--report", "plan.csv"), "let its name end in .jsonl"),
        (("--report", "no/plan.jsonl"), "folder"),
        (("--rate", "5"), "--i-have-a-higher-quota"),
        (("--prune-prefix", "x"), "without --prune"),
    ],
)
def test_arguments_that_cannot_be_meant(place: Place, arguments: tuple[str, ...], said: str) -> None:
    place.save("a.jsonl", [record("a.example")])
    line = ["plan", "a.jsonl", *arguments]
    process = start(*line, cwd=place.folder, env=place.sandbox.environment())
    ended = finish(process)
    assert ended.code == 2
    assert said in ended.err
    assert place.calls == {}


def test_a_plan_that_is_interrupted_says_what_it_did_not_see(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record(f"t{number}.example")) + "\n" for number in range(40)))
    with running_sandbox(SandboxOptions(faults_at={f"stall_before@{READ}": range(3, 99)})) as sandbox:
        line = ("plan", "a.jsonl", "--report", "plan.jsonl")
        process = start(*line, cwd=tmp_path, env=sandbox.environment())
        await_that(arrived(sandbox, READ, 3), process)
        interrupted = time.monotonic()
        process.send_signal(signal.SIGINT)
        ended = finish(process)
        assert time.monotonic() - interrupted < 5, "it did not wait for the read that stalls"
        assert not [it for it in sandbox.arrivals if it.applied]
    assert ended.code == 130
    assert "the plan ended early: interrupted" in ended.err
    assert "2 create, 0 update, 0 unchanged, 0 delete, 38 not compared;" in ended.out
    rows = [json.loads(line) for line in (tmp_path / "plan.jsonl").read_text().splitlines()]
    assert [row["effect"] for row in rows] == [CREATE] * 2 + [None] * 38


def test_a_reader_that_goes_away_breaks_nothing(tmp_path: Path, ses_sandbox: Sandbox) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record(f"t{number}.example")) + "\n" for number in range(9)))
    line = ("plan", "a.jsonl", "--rate", "200", "--i-have-a-higher-quota", "--report", "plan.jsonl")
    process = start(*line, cwd=tmp_path, env=ses_sandbox.environment())
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    ended = finish(process)
    assert ended.code == 0
    assert len((tmp_path / "plan.jsonl").read_text().splitlines()) == 9
