"""``batchpol validate``: its forms of output, several inputs, policies and templates alone, folders."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Command
from tests.e2e.command import SAMPLES, policy, record, save_table

HERE = ("--account", "123456789012", "--region", "us-east-1")
MISTAKES = "samples/tenants-with-mistakes.csv"


@pytest.fixture
def samples(folder: Path) -> Path:
    return Path(shutil.copytree(SAMPLES, folder / "samples"))


def of(command: Command, form: str, *arguments: str) -> str:
    ended = command("validate", *arguments, "--output-format", form)
    assert ended.code == 1, ended.err
    return ended.out


def found_by_text(command: Command, *arguments: str) -> list[tuple[str, ...]]:
    """File, line, severity and code of every line of the usual form."""
    out = of(command, "text", *arguments)
    return re.findall(r"^(.+?):(\d+): (error|warning): .* \[([a-z-]+) at .*\]$", out, re.MULTILINE)


def test_equal_findings_are_one_line(folder: Path, command: Command) -> None:
    lines = "".join(f"t{number}.example\n" for number in range(500))
    (folder / "list.csv").write_text("identity\n" + lines + "nowhere at all\n")
    (folder / "t.json").write_text('{"Version": "2012-10-17", "Statement": "{{account}}"}')
    out = of(command, "text", "list.csv", "--policy-template", "t.json", "--policy-name", "a", "--region", "us-east-1")
    known = [line for line in out.splitlines() if "[template-unknown" in line]
    assert len(known) == 1
    assert known[0].startswith("list.csv:2: error: 501 records, lines 2 to 502: The template needs the account")
    assert "--account" in known[0]


def test_findings_that_differ_are_told_in_their_order_whatever_their_number(folder: Path, command: Command) -> None:
    save_table(folder / "many.csv", [record(f"not {number}") for number in range(2500)])
    told = found_by_text(command, "many.csv", *HERE)
    lines = [int(line) for _, line, _, code in told if code == "identity-syntax"]
    assert lines == list(range(2, 2502))


def test_sarif_has_what_its_schema_requires_and_every_finding(samples: Path, command: Command) -> None:
    """Required parts of SARIF 2.1.0's schema, and what GitHub's code scanning wants besides."""
    log = json.loads(of(command, "sarif", MISTAKES, *HERE))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "batchpol"
    assert run["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]
    rules = {rule["id"]: rule for rule in driver["rules"]}
    assert len(rules) == len(driver["rules"])
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"] for rule in rules.values())
    found = []
    for result in run["results"]:
        assert result["level"] in ("error", "warning") and result["message"]["text"] and result["ruleId"] in rules
        (place,) = result["locations"]
        physical = place["physicalLocation"]
        assert physical["artifactLocation"]["uri"] == MISTAKES and physical["region"]["startLine"] >= 1
        assert place["logicalLocations"][0]["fullyQualifiedName"]
        found.append((MISTAKES, str(physical["region"]["startLine"]), result["level"], result["ruleId"]))
    assert found == found_by_text(command, MISTAKES, *HERE)
    assert len(found) > 20


def test_junit_has_a_suite_for_each_input(samples: Path, command: Command) -> None:
    root = ElementTree.fromstring(of(command, "junit", MISTAKES, "samples/tenants.csv", *HERE))
    suites = {suite.get("name"): suite for suite in root}
    assert root.tag == "testsuites" and list(suites) == [MISTAKES, "samples/tenants.csv"]
    for suite in suites.values():
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases)) and suite.get("errors") == "0"
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert all(case.get("name") and case.get("classname") == case.get("file") for case in cases)
    failed = {case.get("line"): case.find("failure") for case in suites[MISTAKES]}
    assert failed["4"].get("type") == "action-useless" and "ses:SendRawEmial" in failed["4"].text  # type: ignore[union-attr]
    assert failed["24"] is None  # a warning alone
    assert "risk-public" in suites[MISTAKES].find("testcase[@line='24']/system-out").text  # type: ignore[union-attr]
    assert [case.get("name") for case in suites["samples/tenants.csv"]] == ["every other record"]


def test_workflow_commands_are_escaped(folder: Path, command: Command) -> None:
    save_table(folder / "a,b%c:d.csv", [record("100% wrong\n::error::x"), record("good.example")])
    out = of(command, "github", "a,b%c:d.csv", *HERE)
    assert out.startswith("::error file=a%2Cb%25c%3Ad.csv,line=2,title=identity-")
    assert all(line.startswith(("::error file=", "::warning file=")) for line in out.splitlines())
    assert "100%25 wrong" in out


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif", "junit"])
def test_an_input_that_cannot_be_read_hides_no_other(form: str, samples: Path, command: Command) -> None:
    ended = command("validate", "none.csv", MISTAKES, *HERE, "--output", form)
    assert ended.code == 2
    assert "error: none.csv: there is no such file" in ended.err
    alone = command("validate", "none.csv", *HERE, "--output", form)
    assert alone.code == 2 and alone.err.count("there is no such file") == 1
    for out in (ended.out, alone.out):
        if form == "junit":
            assert (
                ElementTree.fromstring(out).find("testsuite[@name='none.csv'][@errors='1']/testcase/error") is not None
            )
        elif form == "sarif":
            (invocation,) = json.loads(out)["runs"][0]["invocations"]
            assert not invocation["executionSuccessful"] and invocation["toolExecutionNotifications"]
        elif form == "github":
            assert out.startswith("::error file=none.csv,line=1,title=input-unusable::")
    if form == "json":
        assert (json.loads(ended.out)["rejected"], json.loads(ended.out)["unusable"]) == (19, 1)
    if form == "text":
        assert ended.out.endswith("1 of 2 inputs unusable\n") and not alone.out


def test_the_next_command_reads_the_input_as_this_one_did(folder: Path, command: Command) -> None:
    (folder / "list.csv").write_text("Domain\na.example\n")
    write(folder / "t.json", policy("{{identity}}") | {"Id": "{{env}}"})
    read = ("--column", "identity=Domain", "--policy-template", "t.json", "--policy-name", "a", "--var", "env=prod")
    ended = command("validate", "list.csv", "list.csv", *read, *HERE, "--output", "json")
    found = json.loads(ended.out)
    assert found["valid"] == 1, ended.err  # named twice, it is one input
    assert found["next"][0]["command"] == ["batchpol", "plan", "list.csv", *read, "--region", "us-east-1"]
    (folder / "list.csv").write_text("Domain\nnowhere at all\n")
    (step,) = json.loads(of(command, "json", "list.csv", *read, *HERE, "--warnings-as-errors"))["next"]
    assert command(*step["command"][1:]).code == 1
    assert json.loads((folder / "findings.jsonl").read_text())["identity"] == "nowhere at all"


def test_documents_keep_standard_output_to_themselves(samples: Path, command: Command) -> None:
    ended = command("validate", MISTAKES, "--report", "-", "--output", "sarif")
    assert ended.code == 2 and "cannot have both" in ended.err


def write(path: Path, document: Any) -> str:
    path.write_text(document if isinstance(document, str) else json.dumps(document, indent=1))
    return path.name


def test_a_policy_alone_is_checked_with_its_own_lines(folder: Path, command: Command) -> None:
    good = write(folder / "good.json", policy("a.example"))
    assert command("validate", good).out == "1 valid, 0 rejected, 0 duplicate, 0 with warnings\n"
    assert "1 rejected" in of(command, "text", good, "--account", "999999999999")  # another account than is meant
    document = policy("a.example")
    document["Statement"].append({**document["Statement"][0], "Action": ["ses:SendEmail", "ses:SendEmial"]})
    document["Statement"].append({**document["Statement"][0], "Resource": "*"})
    bad = write(folder / "bad.json", document)
    lines = (folder / bad).read_text().splitlines()
    told = {code: lines[int(line) - 1] for _, line, _, code in found_by_text(command, bad)}
    assert '"ses:SendEmial"' in told["action-unknown"] and '"Resource": "*"' in told["resource-wildcard"]
    broken = write(folder / "broken.json", '{\n"Version": "2012-10-17",\n}')
    assert ("broken.json", "2", "error", "json-comma") in found_by_text(command, broken)
    assert "policy-statement" in of(command, "text", write(folder / "no.json", {"Version": "2012-10-17"}))


def test_a_template_alone_is_checked_but_for_what_columns_say(samples: Path, folder: Path, command: Command) -> None:
    assert command("validate", "samples/policy-template.json").code == 0
    text = (samples / "policy-template.json").read_text()
    wrong = write(
        folder / "wrong.json", text.replace('"Allow"', '"allow"').replace("ses:FromAddress", "ses:FromAdress")
    )
    codes = [code for *_, code in found_by_text(command, wrong)]
    assert codes == ["effect-value", "condition-key"]
    for column in ("{{effect}}", "{{ }}", "{{open"):
        ended = command("validate", write(folder / "t.json", text.replace('"Allow"', f'"{column}"')))
        assert ended.code == (0 if column == "{{effect}}" else 2), column
        assert ("placeholder" in ended.err) == (ended.code == 2)


def test_a_folder_is_the_lists_and_policies_in_it(samples: Path, folder: Path, command: Command) -> None:
    (folder / "lists" / ".git").mkdir(parents=True)
    save_table(folder / "lists" / "eu.csv", [record("a.example")])
    (folder / "lists" / "more").mkdir()
    write(folder / "lists" / "more" / "one.json", policy("b.example"))
    write(folder / "lists" / "package.json", {"name": "x"})
    write(folder / "lists" / ".git" / "hidden.json", policy("c.example"))
    assert command("apply", "lists/eu.csv", "--sandbox", "--yes", "--rate", "500", "--i-have-a-higher-quota").code == 0
    ended = command("validate", "lists", *HERE, "--report", "f.jsonl")
    assert ended.code == 0 and ended.out.startswith("2 valid"), ended.err  # neither the journal nor the report
    assert "lists/package.json is not checked" in ended.err
    rows = [json.loads(line) for line in (folder / "f.jsonl").read_text().splitlines()]
    assert [(row["file"], row["status"]) for row in rows] == [
        ("lists/eu.csv", "valid"), ("lists/more/one.json", "valid"),
    ]  # fmt: skip


def test_a_conflict_amends_the_row_of_its_own_input(folder: Path, command: Command) -> None:
    save_table(folder / "a.csv", [record("a.example")])
    other = policy("b.example", Action=["ses:SendEmail"])
    save_table(folder / "b.csv", [record("a.example"), record("b.example"), record("b.example", policy=other)])
    assert command("validate", "a.csv", "b.csv", "--report", "f.jsonl").code == 1
    rows = [json.loads(line) for line in (folder / "f.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["valid", "valid", "rejected", "rejected"]
