"""``batchpol render``, ``batchpol retarget`` and templates everywhere else, by command."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

import batchpol
from tests.e2e.command import ACCOUNT, COMMAND, REGION, SAMPLES, environment, policy
from tests.place import Place

DOMAINS = SAMPLES / "domains.csv"
TEMPLATE = ("--policy-template", SAMPLES / "policy-template.json", "--policy-name", "sending-{{tenant_id}}")
HERE = ("--account", ACCOUNT, "--region", REGION)


def test_what_is_rendered_is_what_would_be_sent_and_is_an_input(place: Place) -> None:
    place.run("render", DOMAINS, *TEMPLATE, *HERE, "-o", "records.jsonl")
    first, *others = place.report("records.jsonl")
    assert (first["identity"], first["policy_name"], len(others)) == ("acme.example", "sending-acme", 2)
    assert first["origin"] == {"file": str(DOMAINS), "line": 2}
    assert first["policy"]["Statement"][0]["Resource"] == f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/acme.example"
    assert first["policy"]["Statement"][0]["Action"] == ["ses:SendEmail", "ses:SendRawEmail"]

    place.run("apply", DOMAINS, *TEMPLATE, "--report", "first.jsonl")
    assert place.statuses("first.jsonl") == {"applied": 3}
    assert place.there["acme.example", "sending-acme"] == first["policy"]
    assert "3 unchanged" in place.run("plan", DOMAINS, *TEMPLATE).out
    place.run("apply", "records.jsonl", "--report", "second.jsonl")
    assert place.statuses("second.jsonl") == {"unchanged": 3}
    assert [row["line"] for row in place.report("second.jsonl")] == [2, 3, 4], "lines of the first file"
    assert "3 valid" in place.run("validate", DOMAINS, *TEMPLATE, *HERE).out


def test_an_edited_list_goes_on_where_it_was(place: Place) -> None:
    """A resume matches what the template makes, not the line of the list."""
    table = place.folder / "domains.csv"
    table.write_text("identity,tenant_id,sender_account,ses_actions\na.example,a,bad,ses:SendEmail\n")
    place.run("apply", "domains.csv", *TEMPLATE, code=1)
    table.write_text(DOMAINS.read_text() + "a.example,a,444455556666,ses:SendEmail\n")
    place.run("apply", "domains.csv", *TEMPLATE, "--report", "all.jsonl")
    assert place.statuses("all.jsonl") == {"applied": 4}


def test_what_is_rejected_is_left_out_and_said(place: Place) -> None:
    table = place.folder / "in.csv"
    rows = ["identity,tenant_id,note", "a.example,1,x", "not an identity,2,x", "c.example,3,y", "c.example,3,z"]
    table.write_text("\n".join(rows) + "\n")
    template = place.folder / "policy.json"
    document = json.dumps(policy("IDENTITY")).replace(
        f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/IDENTITY", "{{identity_arn}}"
    )
    template.write_text(document.replace('"Allow"', '"Allow", "Sid": "S{{note}}"'))
    ended = place.run(
        "render", "in.csv", "--policy-template", template, "--policy-name", "t-{{tenant_id}}", *HERE, code=1
    )
    assert [json.loads(line)["identity"] for line in ended.out.splitlines()] == ["a.example"], "a conflict rejects both"
    assert "in.csv:3: error:" in ended.err and "batch-conflict" in ended.err
    assert "1 records written, 3 rejected and left out" in ended.err


def test_a_column_that_is_missing_is_found_before_anything_is_asked(place: Place) -> None:
    for command in (("apply", "--sandbox"), ("plan",), ("validate",), ("render",)):
        ended = place.run(*command, DOMAINS, "--policy-name", "x-{{tenant}}", *TEMPLATE[:2], code=2)
        assert "{{tenant}} is no column of the input, which has tenant_id, sender_account" in ended.err
    assert not place.sandbox.arrivals


def test_a_table_without_policies_says_how_to_make_them(place: Place) -> None:
    ended = place.run("apply", DOMAINS, "--yes", code=2)
    assert "--policy-template FILE" in ended.err and "--policy-name NAME" in ended.err


def test_an_offline_command_wants_to_be_told_the_account(place: Place) -> None:
    ended = place.run("render", DOMAINS, *TEMPLATE, code=1)
    assert ended.out == ""
    assert "needs the account and the Region" in ended.err and "--account" in ended.err


def test_an_output_that_would_overwrite_its_input_or_hide_what_it_is(place: Place) -> None:
    place.save("in.jsonl", [{"identity": "a.example", "policy_name": "p", "policy": policy("a.example")}])
    before = (place.folder / "in.jsonl").read_bytes()
    assert "is the input itself" in place.run("render", "in.jsonl", "-o", "./in.jsonl", code=2).err
    assert "JSON Lines" in place.run("render", "in.jsonl", "-o", "out.csv", code=2).err
    assert (place.folder / "in.jsonl").read_bytes() == before


def test_retarget_sums_what_changed_and_what_was_left(place: Place) -> None:
    condition = {
        "StringEquals": {"aws:SourceAccount": [ACCOUNT, ACCOUNT]},
        "StringLike": {"aws:SourceArn": f"x{ACCOUNT}"},
    }
    rows = [
        {"identity": name, "policy_name": "p", "policy": policy(name, Condition=condition)}
        for name in ("a.example", "b.example")
    ]
    place.save("old.jsonl", [*rows, {"identity": "c.example", "policy_name": "p", "policy": policy("other.example")}])
    ended = place.run("retarget", "old.jsonl", *HERE, "--to-account", "444455556666", "-o", "new.jsonl", code=1)
    assert [line for line in ended.err.splitlines() if "old.jsonl" not in line] == [
        "2 records written, 1 rejected and left out",
        "2 documents get a new Resource",
        f"2 records move from account {ACCOUNT} to 444455556666",
        f"2 documents still name {ACCOUNT} in aws:SourceAccount (--conditions moves it)",
    ]


@pytest.mark.parametrize("old", ["999988887777=444455556666", "eu-west-2=eu-west-1", "none.example=new.example"])
def test_a_map_of_what_is_not_there_is_refused_and_nothing_is_written(place: Place, old: str) -> None:
    place.save("old.jsonl", [{"identity": "me@a.example", "policy_name": "p", "policy": policy("me@a.example")}])
    ended = place.run(
        "retarget", "old.jsonl", *HERE, "--map", "a.example=b.example", "--map", old, "-o", "n.jsonl", code=2
    )
    assert f'--map says where "{old.partition("=")[0]}" goes, and no record of the input has that' in ended.err
    assert not (place.folder / "n.jsonl").exists()
    place.run("retarget", "old.jsonl", *HERE, "--map", "a.example=b.example", "-o", "n.jsonl")


@pytest.mark.parametrize(
    "wrong", [("--to-region", "eu-wst-1"), ("--map", "us-east-1=eu-wst-1"), ("--region", "eu-wst-1")]
)
def test_a_mistyped_region_is_refused_once(place: Place, wrong: tuple[str, str]) -> None:
    names = [f"{letter}.example" for letter in "abc"]
    place.save("old.jsonl", [{"identity": it, "policy_name": "p", "policy": policy(it)} for it in names])
    ended = place.run("retarget", "old.jsonl", "--to-account", "444455556666", *wrong, code=2)
    assert ended.err.count("eu-wst-1") == 1 and "did you mean eu-west-1?" in ended.err and not ended.out


def test_retarget_says_what_changed_and_what_was_left(place: Place) -> None:
    moved = policy("a.example", Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}})
    place.save(
        "old.jsonl",
        [
            {"identity": "a.example", "policy_name": "p", "policy": moved, "tenant": "7"},
            {"identity": "b.example", "policy_name": "p", "policy": policy("other.example")},
        ],
    )
    to = ("--to-account", "444455556666", "--to-region", "eu-west-1")
    ended = place.run("retarget", "old.jsonl", *HERE, *to, "-v", "-o", "new.jsonl", code=1)
    assert f"old.jsonl:1: a.example p: account: {ACCOUNT} -> 444455556666" in ended.err
    assert (
        "/Statement/0/Condition/StringEquals/aws:SourceAccount still says" in ended.err and "--conditions" in ended.err
    )
    assert "old.jsonl:2: error: Resource" in ended.err and "retarget-place" in ended.err
    (only,) = place.report("new.jsonl")
    assert (only["account"], only["region"], only["tenant"]) == ("444455556666", "eu-west-1", "7")
    assert only["policy"]["Statement"][0]["Resource"] == "arn:aws:ses:eu-west-1:444455556666:identity/a.example"
    assert "1 valid, 0 rejected" in place.run("validate", "new.jsonl").out
    quiet = place.run("retarget", "old.jsonl", *HERE, *to, "-q", "--conditions", code=1)
    assert len(quiet.err.splitlines()) == 2 and "retarget-place" in quiet.err
    assert "1 records written, 1 rejected and left out" in quiet.err
    assert ACCOUNT not in quiet.out


def test_commands_pipe_into_each_other_and_keep_the_lines(tmp_path: Path) -> None:
    """Of the installed command: a render, a move, and the validation of the result."""
    batchpol_ = shlex.quote(str(COMMAND))
    template = shlex.join(map(str, TEMPLATE))
    broken = "sed 's/acme.example\\\"/acme..example\\\"/'"  # somebody's slip in the middle of the pipe
    line = (
        f"{batchpol_} render {shlex.quote(str(DOMAINS))} {template} {shlex.join(HERE)} | "
        f"{batchpol_} retarget - --to-region eu-west-1 | {broken} | {batchpol_} validate -"
    )
    ended = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=60
    )
    assert f"{DOMAINS}:2: error:" in ended.stdout
    assert "2 valid, 1 rejected" in ended.stdout


@pytest.mark.parametrize("as_file", [True, False])
async def test_a_service_gives_a_template_too(place: Place, as_file: bool) -> None:
    """One that onboards a tenant on sign-up, say."""
    path = SAMPLES / "policy-template.json"
    result = await batchpol.apply(
        [
            {
                "identity": "new.example",
                "tenant_id": "7",
                "sender_account": "444455556666",
                "ses_actions": "ses:SendEmail",
            }
        ],
        policy_template=path if as_file else json.loads(path.read_text()),
        policy_name="sending-{{tenant_id}}",
    )
    assert result.exit_code == 0
    assert place.there["new.example", "sending-7"]["Statement"][0]["Sid"] == "Tenant7"


def test_a_document_with_line_breaks_comes_out_as_it_was(place: Place) -> None:
    text = json.dumps(policy("a.example"), indent=2)
    place.save("in.jsonl", [{"identity": "a.example", "policy_name": "p", "policy": text}])
    place.run("render", "in.jsonl", "-o", "out.jsonl")
    assert place.report("out.jsonl")[0]["policy"] == text


async def test_a_service_checks_what_its_template_makes(place: Place) -> None:
    tenant = {
        "identity": "new.example",
        "tenant_id": "7",
        "sender_account": "444455556666",
        "ses_actions": "ses:SendEmial",
    }
    (checked,) = await batchpol.validate(
        [tenant],
        account=ACCOUNT,
        region=REGION,
        policy_template=SAMPLES / "policy-template.json",
        policy_name="sending-{{tenant_id}}",
    )
    assert [finding.code for finding in checked.findings] == ["action-useless"]


SHEET = "\ufeffDomäne;Größe;Plan\r\na.example;1,5;gold.json\r\nb.example;2;\r\n"


def test_a_spreadsheets_list_gives_a_report_that_the_spreadsheet_opens(place: Place) -> None:
    """And another value of a variable is another policy, which is sent."""
    (place.folder / "list.csv").write_text(SHEET, encoding="utf-8", newline="")
    for name, action in (("gold", "ses:SendEmail"), ("other", "ses:SendRawEmail")):
        document = policy("a.example", Sid="{{env}}", Action=action, Resource="{{identity_arn}}")
        (place.folder / f"{name}.json").write_text(json.dumps(document))
    made = (
        "list.csv", "--column", "identity=domäne", "--column", "template=plan", "--policy-template", "other.json",
        "--policy-name", "p", "--region", REGION,
    )  # fmt: skip
    place.run("apply", *made, "--var", "env=prod")
    place.run("apply", *made, "--var", "env=prod", "--blind")
    assert len(place.writes) == 2
    place.run("apply", *made, "--var", "env=test", "--blind")
    assert len(place.writes) == 4
    there = {name: document["Statement"][0] for (name, _), document in place.there.items()}
    assert {(it["Sid"], it["Action"]) for it in there.values()} == {
        ("test", "ses:SendEmail"),
        ("test", "ses:SendRawEmail"),
    }
    place.run("report", "list.journal.jsonl", "--report", "again.csv")
    for report in ("list.report.csv", "again.csv"):
        head, *rows = (place.folder / report).read_text(encoding="utf-8").splitlines()
        assert head.startswith("\ufeffline;identity;") and head.endswith(";Größe") and len(rows) == 2
        assert rows[0].endswith(";1,5")
