"""Cases from people who do this job, found in public and tried as a user would: the command, what it says, how it ends.

Each stands for a kind, whose neighbours are tested with the module that knows it. The inputs are our own.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from batchpol.source import as_record
from batchpol.validation import Checker
from tests.place import Place

ACCOUNT, REGION = "123456789012", "us-east-1"
HERE = ("--account", ACCOUNT, "--region", REGION)
ARN = f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/tenant.example.com"
STATEMENT = {"Effect": "Allow", "Principal": {"AWS": "444455556666"}, "Action": "ses:SendEmail", "Resource": ARN}
SERVICE = {"Service": "email.cognito-idp.amazonaws.com"}
TEMPLATE = {**STATEMENT, "Principal": {"AWS": "{{tenant_account}}"}, "Resource": "{{identity_arn}}"}
POOL = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{REGION}_a1B2c3D4e"


def document(version: str = "2012-10-17", **elements: Any) -> str:
    return json.dumps({"Version": version, "Statement": [{**STATEMENT, **elements}]})


def cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def table(*rows: str, head: str = "identity,policy_name,policy") -> str:
    return "\n".join((head, *rows)) + "\n"


def lines(*policies: str, **more: Any) -> str:
    fields = {"identity": "tenant.example.com", **more}
    return "".join(
        json.dumps(fields | {"policy_name": f"p{number}"})[:-1] + f', "policy": {policy}}}\n'
        for number, policy in enumerate(policies, 1)
    )


def under(*conditions: dict[str, Any], version: str = "2012-10-17", **elements: Any) -> str:
    return lines(*(document(version, Condition=condition, **elements) for condition in conditions))


ROW = f"tenant.example.com,sending,{cell(document())}"
GOOD = table(ROW)
FILLED = ("--policy-template", "template.json", "--policy-name", "sending", *HERE)


class Case(NamedTuple):
    """A command with its input, how it ends, and what it says: ``line: code (mend)`` of each finding, or texts."""

    number: str
    name: str
    content: str | bytes
    said: tuple[str, ...]
    code: int = 1
    command: tuple[str, ...] = ("validate", *HERE)
    unsaid: tuple[str, ...] = ()
    findings: int = -1
    template: Any = TEMPLATE


ROUNDED = "a spreadsheet rounded it: format the column as text, and write all 12 digits"
CASES = [
    Case(
        "01", "a.csv", "identity,tenant_account\ntenant.example.com,444455556666\n",
        ('--account "1234-5678-9012" is no account id of 12 digits', "write 123456789012"), 2,
        ("validate", *FILLED, "--account", "1234-5678-9012"),
    ),
    Case(
        "01", "a.csv", "identity,tenant_account\ntenant.example.com,444455556666\n", ("write 123456789012",), 2,
        ("render", *FILLED, "--account", "1234-5678-9012"), unsaid=("1234-5678-9012:",),
    ),
    Case(
        "02", "a.jsonl", lines(document()), ('--region "us-east-1a" is no Region', "did you mean us-east-1?"), 2,
        ("validate", "--account", ACCOUNT, "--region", "us-east-1a"), unsaid=("SES needs the Resource",),
    ),
    Case(
        "02", "a.csv", "identity,region,tenant_account\ntenant.example.com,us-east-1a,444455556666\n",
        ("a.csv:2: error", "did you mean us-east-1?",
        "[identity-region at region]"), 1, ("validate", *FILLED), findings=1,
    ),
    Case("03", "a.csv", GOOD + " ,,\n , , \n,,\n\u00a0,\u200b,\n\n", ("1 valid, 0 rejected",), 0, findings=0),
    Case("04", "a.csv", table(ROW + ","), ("1 valid, 0 rejected",), 0),
    Case("04", "b.csv", table(ROW, head="identity,policy_name,policy,note"), ("1 valid, 0 rejected",), 0),
    Case("04", "c.csv", table(ROW, head="identity,policy_name,policy,"), ("1 valid, 0 rejected",), 0),
    Case("04", "d.csv", table(ROW + ",x"), ("too many commas",), findings=1, unsaid=("quote the policy",)),
    Case(
        "05", "a.jsonl", lines(document()).encode("utf-16"), ("iconv -f UTF-16 -t UTF-8 a.jsonl", "-Encoding utf8"), 2,
        unsaid=("Save As",),
    ),
    *(
        Case(
            "06", "a.jsonl", lines(document(), score=0).replace(": 0", f": {word}"),
            (f"{word} at character 45 of the line is no JSON value (write {mend})",
            "[record-json at record]"), findings=1,
        )
        for word, mend in (("NaN", "null"), ("-Infinity", "null"), ("True", "true"), ("None", "null"))
    ),
    *(
        Case(
            "07", "a.jsonl", under({operator: {key: value}}),
            ("1 valid", "[condition-key-unlisted at /Statement/0"), 0,
            unsaid=("did you mean",), findings=1,
        )
        for operator, key, value in (
            ("Bool", "aws:ViaAWSMCPService", "true"), ("Bool", "aws:IsMcpServiceAction", "false"),
            ("ArnEquals", "lambda:SourceFunctionArn", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:mail"),
            ("ArnLike", "ec2:SourceInstanceArn", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*"),
            ("NumericLessThan", "ec2:RoleDelivery", "2.0"), ("StringEquals", "identitystore:UserId", "x"),
            ("StringEquals", "glue:CredentialIssuingService", "glue.amazonaws.com"),
        )
    ),
    *(
        Case(
            "08", "a.jsonl",
            under(
                {"StringEquals": {"aws:SourceAccount": account}, "ArnEquals": {"aws:SourceArn": arn}},
                version=version, Principal=SERVICE,
            ),
            ("1 valid", "is a placeholder of a template (fill it in) [condition-placeholder at"), 0, findings=2,
        )
        for account, arn, version in (
            ("<ACCOUNT_ID>", "arn:aws:cognito-idp:us-east-1:<ACCOUNT_ID>:userpool/<POOL_ID>", "2008-10-17"),
            ("${AWS::AccountId}", "arn:aws:cognito-idp:${AWS::Region}:${AWS::AccountId}:userpool/x", "2012-10-17"),
            ("${data.aws_caller_identity.current.account_id}", "${aws_cognito_user_pool.main.arn}", "2012-10-17"),
            ("$ACCOUNT", "arn:aws:cognito-idp:us-east-1:$ACCOUNT:userpool/x", "2008-10-17"),
        )
    ),
    *(
        Case(
            "09", "a.csv", f"identity,tenant_account\ntenant.example.com,{account}\n",
            ("1 valid", f"({mend}) [condition-form at /Statement/0/Condition/StringEquals/aws:SourceAccount]"), 0,
            ("validate", *FILLED), findings=1,
            template={
                **STATEMENT, "Principal": SERVICE, "Resource": "{{identity_arn}}",
                "Condition": {"StringEquals": {"aws:SourceAccount": "{{tenant_account}}"}},
            },
        )
        for account, mend in (
            ("12345678901", "was it 012345678901 before a spreadsheet dropped leading zeros?"),
            ("4.44456E+11", ROUNDED),
            ("4444-5555-6666", "write 444455556666"), ("444455556666.0", "write 444455556666"),
        )
    ),
    *(
        Case("09", "a.jsonl", under({operator: {key: value}}), ("1 valid", f"[{code} at /Statement/0/Condition"), 0)
        for operator, key, value, code in (
            ("StringEquals", "aws:SourceAccount", " 444455556666", "condition-blanks"),
            ("StringEquals", "aws:SourceAccount", "444455556666\u200b", "condition-blanks"),
            ("StringEquals", "aws:SourceAccount", "arn:aws:iam::444455556666:root", "condition-form"),
            ("StringEquals", "aws:PrincipalOrgID", "ou-ab12-12345678", "condition-form"),
            ("StringEquals", "aws:PrincipalAccount", "4444-5555-6666", "condition-form"),
            ("StringLike", "ses:FromAddress", "*@tenant.example.com ", "condition-blanks"),
            ("StringLike", "ses:FromAddress", "billing.*@tenant\\.example\\.com", "condition-regex"),
            ("ArnLike", "aws:SourceArn", "arn:aws:cognito-idp:us-east-1:44445555666:userpool/*", "condition-form"),
        )
    ),
    *(
        Case(
            "10", "a.jsonl", under({"ArnLike": {"aws:SourceArn": arn}}, Principal=SERVICE),
            tuple(f"1 document still names {old} in aws:SourceArn" for old in olds), 0,
            ("retarget", "--to-account", "444455556666", "--to-region", "eu-west-1", "--conditions", "-o",
            "moved.jsonl"),
            unsaid=() if olds else ("still names",),
        )
        for arn, olds in (
            (POOL, (REGION,)), (f"arn:aws:sns:{REGION}:{ACCOUNT}:bounces-{ACCOUNT}-{REGION}", (ACCOUNT, REGION)),
            (f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{REGION}_*", (REGION,)),
            (f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/*", ()),
            (f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:mailer", ()),
        )
    ),
    Case(
        "10", "a.jsonl", lines(document(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/mailer-{REGION}"})),
        ("1 document still names us-east-1 in Principal",), 0,
        ("retarget", "--to-account", "444455556666", "--to-region", "eu-west-1", "--principals", "-o", "moved.jsonl"),
    ),
    *(
        Case("15", "a.csv", above + GOOD, (f"the header seems to be line {line}: remove {which}",), 2)
        for above, line, which in (
            ("#TYPE System.Management.Automation.PSCustomObject\r\n", 2, "line 1"), ("Table 1\n", 2, "line 1"),
            ("Tenants 2026,,\n\n", 3, "lines 1 to 2"),
        )
    ),
    Case("15", "c.csv", ",,\n" + GOOD, ("1 valid",), 0),
    Case("15", "d.csv", '"sep=;"\n' + table(ROW.replace(",", ";", 2), head="identity;policy_name;policy"),
    ("1 valid",), 0),
    Case("15", "e.csv", "sep=,,\n" + GOOD, ("1 valid",), 0),
    *(
        Case("20", "a.jsonl", under({operator: {key: value}}),
        ("1 valid", f"[{code} at" if code else "0 with warnings"), 0)
        for operator, key, value, code in (
            ("StringLike", "ses:Recipients", "*@example.com", "condition-set-missing"),
            ("StringEquals", "ses:Recipients", ["a@example.com", "b@example.com"], "condition-set-missing"),
            ("ForAllValues:StringLike", "ses:Recipients", "*@example.com", ""),
            ("StringLike", "aws:PrincipalOrgPaths", "o-a1b2c3d4e5/r-ab12/*", "condition-set-missing"),
            ("ForAllValues:StringEquals", "ses:FromAddress", "x@tenant.example.com", "condition-set-needless"),
        )
    ),
    Case(
        "21", "a.jsonl",
        json.dumps({"EmailIdentity": "tenant.example.com", "PolicyName": "p", "Policy": document()})
        + "\n" + json.dumps({"Policies": {"p": document()}}) + "\n",
        ('rename "EmailIdentity" to identity', "batchpol export --identity NAME writes whole records"),
    ),
    Case("21", "b.jsonl", json.dumps({"Policies": {"p": document()}}, indent=4),
    ("batchpol export --identity NAME",), 2),
    *(
        Case(
            "22", "a.csv", table(f"tenant.example.com,a,{name}"),
            ("a.csv:2: error", "(did you mean file://p.json?) [policy-file at policy]"), findings=1,
        )
        for name in ("fileb://p.json", "p.json", "./p.json", "file:p.json", "FILE://p.json", "@p.json")
    ),
    Case(
        "23", "a.csv", "identity,name,tenant_account\ntenant.example.com,Acme,444455556666\n",
        ('column "name" is taken for the policy name: where it is filled it comes first', '"policy_name":"Acme"'), 0,
        ("render", *FILLED), unsaid=("column policy_name",),
    ),
    *(
        Case("25", "a.csv", table(f"tenant.example.com,a,{cell(text)}"),
        (f"it is {what} (decode it once)",), findings=1)
        for text, what in (
            (document().replace('"', "&quot;"), "HTML-escaped"), (document().replace('"', "&#34;"), "HTML-escaped"),
            ("%7B%22Version%22%3A%20%222012-10-17%22%7D", "URL-encoded"),
        )
    ),
    *(
        Case(
            "26", "a.csv",
            table(ROW.replace(",sending,", f",sending,{account},"), head="identity,policy_name,account,policy"),
            (f"({mend}) [identity-account at account]",), findings=1,
        )
        for account, mend in (
            ("123456789012.0", "write 123456789012"), ("1.23457E+11", ROUNDED), ("nan", "leave it empty"),
        )
    ),
    *(
        Case(
            "33", "a.jsonl", lines(document(Principal={"AWS": principal})),
            (f"({mend}) [principal-{code} at /Statement/0/Principal/AWS]",), findings=1,
        )
        for principal, mend, code in (
            ("0123456789", "was it 000123456789 before a spreadsheet dropped leading zeros?", "account"),
            ("12345678901", "was it 012345678901 before a spreadsheet dropped leading zeros?", "account"),
            ("arn:aws:iam:444455556666:role/Mail", "write arn:aws:iam::444455556666:role/Mail", "arn"),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda it: it.number)
def test_a_case(place: Place, case: Case) -> None:
    content = case.content if isinstance(case.content, bytes) else case.content.encode()
    (place.folder / case.name).write_bytes(content)
    template = {"Version": "2012-10-17", "Statement": [case.template]}
    (place.folder / "template.json").write_text(json.dumps(template))
    command, *arguments = case.command
    ended = place.run(command, case.name, *arguments, code=case.code)
    said = ended.out + ended.err
    for text in case.said:
        assert text in said
    for text in case.unsaid:
        assert text not in said
    if case.findings >= 0:
        found = [line for line in said.splitlines() if ": error: " in line or ": warning: " in line]
        assert len(found) == case.findings, found


# The kind of the first two: whatever is said of a whole run, to whatever takes it

FAULTY = {
    "account": [" 123456789012", "acme", "arn:aws:iam::123456789012:root", "1234-5678-9012", "12345678901", "1.23E+11"],
    "region": [
        " us-east-1",
        "Ireland",
        "arn:aws:ses:us-east-1:123456789012:identity/x.example",
        "us-esat-1",
        "us-east-1a",
    ],
}
TAKEN = [
    (command, option, faulty)
    for command, options in {
        "validate": ("account", "region"), "render": ("account", "region"), "retarget": ("account", "region"),
        "apply": ("region", "expect-account"), "plan": ("region", "expect-account"),
        "export": ("region", "account", "expect-account"),
    }.items()
    for option in options
    for faulty in FAULTY[option.removeprefix("expect-")]
]  # fmt: skip


@pytest.mark.parametrize("command, option, faulty", TAKEN)
@pytest.mark.parametrize("configured", [False, True], ids=["option", "configuration"])
def test_a_faulty_account_or_region_of_a_run(
    place: Place, command: str, option: str, faulty: str, configured: bool
) -> None:
    (place.folder / "a.csv").write_text(GOOD)
    (place.folder / "batchpol.toml").write_text(f"[batchpol]\n{option} = {json.dumps(faulty)}\n")
    given = ("--config", "batchpol.toml") if configured else (f"--{option}", faulty)
    arguments = {"export": (), "retarget": ("a.csv", "--to-account", "444455556666")}.get(command, ("a.csv",))
    ended = place.run(command, *arguments, *given, code=2)
    assert f'--{option} "{faulty}" is no' in ended.err
    assert "-> " in ended.err
    assert not place.arrivals()
    assert {path.name for path in place.folder.iterdir()} == {"a.csv", "batchpol.toml"}


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_a_faulty_region_of_the_environment(place: Place, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.folder / "a.csv").write_text(GOOD)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "us-east-1a")
    ended = place.run("plan", "a.csv", code=2)
    assert "did you mean us-east-1?" in ended.err
    assert not place.arrivals()


def test_the_records_of_a_data_frame() -> None:
    """Case 14."""
    row = {"identity": "tenant.example.com", "policy_name": "p", "policy": document(), "account": int(ACCOUNT)}
    empty = {"region": float("nan"), "note": float("nan")}
    checked = Checker().check(as_record(row | empty, 0))
    assert checked.findings == ()
    assert checked.change is not None
    assert checked.change.target.account == ACCOUNT


def test_every_case_is_here() -> None:
    elsewhere = {"11", "12", "13", "16", "17", "18", "19", "24"}  # of configuration and of AWS's answers
    here = {case.number for case in CASES} | {"14"}
    assert here.isdisjoint(elsewhere)
    assert len(here) == 19
