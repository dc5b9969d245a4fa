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


CHANGES = [
    "line 4: delete there.example goes",
    "create 2:",
    "  line 1: new.example tenant",
    "  line 8: late.invalid tenant",
    "line 3: update there.example other",
    '    /Statement/0/Sid: - "Was"',
]


def test_changes_are_shown_deletions_first_and_counted_at_the_end(place: Place) -> None:
    ended = place.run("plan", some_of_each(place), code=1)
    shown = ended.out.splitlines()
    assert shown[:-1] == CHANGES
    assert re.fullmatch(
        r"1 delete, 2 create, 1 update, 2 unchanged, 1 duplicate, 2 rejected; "
        r"compared in \d+\.\d s, apply would take about 0 s",
        shown[-1],
    )
    assert "line 7: rejected:" in ended.err
    assert "line 9: rejected:" in ended.err
    assert "not verified: late.invalid" in ended.err
    assert place.writes == []


def test_what_is_unchanged_is_named_where_everything_is(place: Place) -> None:
    every = place.run("plan", some_of_each(place), "--all", code=1).out.splitlines()
    assert every[:-1] == [*CHANGES, "unchanged 2:", "  line 2: there.example same", "  line 5: there.example never"]
    quiet = place.run("plan", "each.jsonl", "--quiet", code=1)
    assert quiet.out.splitlines() == [quiet.out.strip()] and quiet.err == ""


def test_the_same_change_is_shown_once_for_all_it_is_made_to(place: Place) -> None:
    names = [f"t{number}.example" for number in range(30)]
    for name in names:
        place.put(name, "tenant", policy(name))
    place.save("30.jsonl", [record(name, policy=policy(name, Action="ses:SendRawEmail")) for name in names])
    shown = place.run("plan", "30.jsonl", "--diff").out
    assert shown.startswith("update 30, the same change to each:\n    --- present\n")
    assert shown.count("+++ asked") == 1 and "identity/{identity}" in shown
    assert "  line 5: t4.example tenant\n  ... and 25 more; --all names them\n" in shown
    found = json.loads(place.run("plan", "30.jsonl", "--output", "json").out)
    (group,) = found["groups"]
    assert (group["effect"], group["count"], found["effects"]["update"]) == ("update", 30, 30)
    assert group["changes"] == ['/Statement/0/Action: - "ses:SendEmail"']


def save(place: Place) -> None:
    """A saved plan of one of each effect, and of records that have none."""
    place.run("plan", some_of_each(place), "--out", "each.plan", code=1)


def test_a_saved_plan_does_what_it_says_and_nothing_else(place: Place) -> None:
    save(place)
    place.forget_arrivals()
    place.put("there.example", "same", policy("there.example", Sid="Since"))  # unchanged then: none of its business
    ended = place.run("apply", "each.plan", "--report", "report.jsonl", code=1)
    assert "3 applied (1 deleted, 1 created, 1 updated), 1 failed" in ended.out, "one identity is not verified"
    assert sorted((it.identity, it.policy_name) for it in place.writes) == [
        ("late.invalid", "tenant"),
        ("new.example", "tenant"),
        ("there.example", "goes"),
        ("there.example", "other"),
    ]
    rows = place.report("report.jsonl")
    assert [row["line"] for row in rows] == [1, 3, 4, 8], "lines of the list that the plan was made of"
    assert rows[0]["tenant"] == "T-1"
    place.forget_arrivals()
    again = place.run("apply", "each.plan", "--retry-failed", code=1)
    assert "3 unchanged, 1 failed" in again.out, "what is done is done"
    assert {it.identity for it in place.writes} == {"late.invalid"}


def test_what_somebody_changed_since_the_plan_is_left_alone(place: Place) -> None:
    save(place)
    since = policy("there.example", Sid="Since")
    for name in ("other", "goes"):
        place.put("there.example", name, since)
    place.put("new.example", "tenant", policy("new.example", Sid="Since"))
    place.run("apply", "each.plan", "--report", "report.jsonl", code=1)
    codes = {(row["identity"], row["policy_name"]): row["error_code"] for row in place.report("report.jsonl")}
    assert codes == {
        ("new.example", "tenant"): "Changed",
        ("there.example", "other"): "Changed",
        ("there.example", "goes"): "Changed",
        ("late.invalid", "tenant"): "InvalidParameterValue",
    }
    assert place.there["there.example", "goes"] == since


def test_a_saved_plan_is_of_one_place_whole_and_as_it_was_written(place: Place) -> None:
    save(place)
    ended = place.run("apply", "each.plan", "--region", "eu-west-1", code=2)
    assert "the plan each.plan belongs to another place: region us-east-1" in ended.err
    assert "has no say" in place.run("apply", "each.plan", "--prune", code=2).err
    assert "--column has no say" in place.run("apply", "each.plan", "--column", "identity=Domain", code=2).err
    again = place.run("plan", "each.jsonl", "--out", "each.plan", code=2).err
    assert "each.plan is a saved plan, which no output replaces" in again
    assert "name another file with --out, or move that one away first" in " ".join(again.split())
    assert "no journal of a run" in place.run("apply", "each.jsonl", "--journal", "each.plan", code=2).err
    written = Path("each.plan").read_bytes()
    Path("each.plan").write_bytes(written.replace(b"new.example", b"bad.example"))
    assert "the plan was altered: each.plan, line 2" in place.run("apply", "each.plan", code=2).err
    Path("each.plan").write_bytes(written[:-20])
    assert "its end is missing" in place.run("apply", "each.plan", code=2).err
    Path("each.plan").write_bytes(b"")
    assert "is no saved plan" in place.run("apply", "each.plan", code=2).err
    assert place.writes == []


def test_pruning_that_was_planned_waits_for_what_the_list_has(place: Place) -> None:
    place.put("a.example", "old", policy("a.example"))
    place.save("a.jsonl", [record("a.example", "new")])
    place.run("plan", "a.jsonl", "--prune", "--out", "a.plan")
    place.run("apply", "a.plan")
    assert [it.operation for it in place.writes] == ["PutIdentityPolicy", "DeleteIdentityPolicy"]


def test_a_page_says_what_would_change_to_whoever_must_agree(place: Place) -> None:
    place.run("plan", some_of_each(place), "--report", "plan.html", code=1)
    page = Path("plan.html").read_text("utf-8")
    assert "<h1>1 to delete, 2 to create, 1 to update, 2 unchanged</h1>" in page
    assert "Of the other records: 1 duplicate, 2 rejected." in page
    assert page.index("delete 1</h3>") < page.index("create 2, the same to each</h3>") < page.index("update 1</h3>")
    assert "-      &quot;Sid&quot;: &quot;Was&quot;" in page
    assert "What stands in the way" in page and "Pace" not in page
    assert "<p>To carry that out</p><pre><code>batchpol apply" in page
    assert "<dt>Caller</dt><dd>arn:aws:" in page and "<dt>Endpoint</dt>" in page
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
    assert "0 delete, 1 create, 0 update, 1 unchanged" in ended.out
    assert "not verified: nobody.invalid" in ended.err


def test_a_header_alone_is_said_to_be_one_and_asks_nothing(place: Place) -> None:
    (place.folder / "none.csv").write_text("identity,policy_name,policy\n")
    ended = place.run("plan", "none.csv", "--detailed-exitcode", "--report", "plan.jsonl", code=2)
    assert "none.csv has a header and no record: there is nothing to do" in ended.err
    assert place.calls == {}


def test_what_would_be_pruned_is_shown_by_name(place: Place) -> None:
    for name in ("kept", "tenant-old", "other"):
        place.put("a.example", name, policy("a.example"))
    place.save("a.jsonl", [record("a.example", "kept")])
    ended = place.run("plan", "a.jsonl", "--prune", "--prune-prefix", "tenant-", "--detailed-exitcode", code=4)
    assert "prune: delete a.example tenant-old" in ended.out
    assert "1 delete, 0 create, 0 update, 1 unchanged" in ended.out
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
    assert "0 delete, 2 create, 0 update, 0 unchanged, 38 not compared;" in ended.out
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
