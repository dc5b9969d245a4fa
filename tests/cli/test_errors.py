"""What a new user gets wrong ends in one plain paragraph: what, where, why, what to do; and in the right exit code."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from batchpol.testing import Sandbox
from tests.cli.conftest import Command
from tests.e2e.command import save_table, tenants

SSO = """
[profile sso]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Admin
region = us-east-1
[sso-session corp]
sso_region = us-east-1
sso_start_url = https://example.awsapps.com/start
[profile helper]
region = us-east-1
credential_process = ~/no
[profile mfa]
region = us-east-1
role_arn = arn:aws:iam::123456789012:role/Admin
mfa_serial = arn:aws:iam::123456789012:mfa/me
source_profile = keys
[profile keys]
aws_access_key_id = AKIATESTTESTTESTTEST
aws_secret_access_key = not-so-secret
"""


def _archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")


def _text(content: str, encoding: str = "utf-8") -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content.encode(encoding))


INPUTS: dict[str, tuple[str, Callable[[Path], object], tuple[str, ...]]] = {
    "missing file": ("none.csv", lambda path: None, ("none.csv: there is no such file", "check the path")),
    "folder": ("folder.csv", Path.mkdir, ("folder.csv is a folder", "give a file in it")),
    "empty file": ("empty.csv", _text(""), ("empty.csv is empty", "it needs records")),
    "spreadsheet": ("book.xlsx", _archive, ("book.xlsx is a spreadsheet", "save it as CSV UTF-8")),
    "renamed spreadsheet": ("book.csv", _archive, ("zip archive or a spreadsheet", "save it as CSV UTF-8")),
    "OpenDocument": ("book.ods", _archive, ("book.ods is a spreadsheet", "save it as CSV UTF-8")),
    "zip": ("all.zip", _archive, ("all.zip is an archive", "unpack it first")),
    "pdf": ("doc.pdf", _text("%PDF-1.7"), ("doc.pdf: its suffix tells no format", "--format")),
    "json": ("list.json", _text("[]"), (".json may be an array", "jq -c '.[]' list.json", "this as --policy-template")),
    "json array": (
        "list.jsonl",
        _text('[{"identity": "a"}]'),
        ("list.jsonl is a JSON array", "jq -c '.[]' list.jsonl"),
    ),
    "spread object": ("one.jsonl", _text('{\n "identity": "a"\n}'), ("objects that span lines", "jq -c . one.jsonl")),
    "UTF-16": ("wide.csv", _text("identity,policy_name,policy", "utf-16"), ("UTF-16", "save it as CSV UTF-8")),
    "misspelt column": (
        "tenants.csv",
        _text("identitty,policy_name,policy\na,b,{}\n"),
        ("tenants.csv, line 1: the header has no column identity", 'rename "identitty" to identity'),
    ),
    "no header": ("rows.csv", _text("a.example,n,{}\n"), ("rows.csv, line 1: no header", "names the columns")),
    "misspelt column, semicolons": (
        "excel.csv",
        _text("identity;policyname;polcy\na;b;{}\n"),
        ("excel.csv, line 1", 'rename "polcy" to policy'),
    ),
}
"""A file's name, what makes it, and what is said of it."""

ARGUMENTS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "misspelt option": (["--regoin", "x"], ("no such option: --regoin", "--region", "batchpol apply --help")),
    "no number": (["--limit", "x"], ("invalid value for '--limit'", "batchpol apply --help")),
    "no Region": (["--yes"], ("no AWS Region is set", "--region")),
    "no credentials": (["--yes", "--region", "us-east-1"], ("no usable credentials", "--profile")),
    "unknown profile": (["--yes", "--profile", "ssso"], ("ssso", "sso")),
    "expired SSO session": (
        ["--yes", "--profile", "sso"],
        ("Error loading SSO Token", "aws sso login --profile sso, then run the same command again"),
    ),
    "helper that is not there": (
        ["--yes", "--profile", "helper"],
        ("credential_process of profile helper, ~/no: ~ is not replaced there", "write the whole path"),
    ),
    "code of nobody": (
        ["--yes", "--profile", "mfa"],
        ("profile mfa asks for an MFA code", "no terminal", "give temporary credentials"),
    ),
    "role with a colon too few": (
        ["--yes", "--role-arn", "arn:aws:iam:{account}:role/Mail"],
        ("--role-arn", "is no ARN of a role", "write arn:aws:iam::{account}:role/Mail"),
    ),
    "role by its name": (["--yes", "--role-arn", "Mail"], ("write arn:aws:iam::{account}:role/Mail",)),
    "no profile": (
        ["--yes", "--profile", "", "--region", "us-east-1"],
        ("Unable to locate credentials (profile default)",),
    ),
    "wrong Region, no credentials": (["--yes", "--region", "us-esat-1"], ("no Region", "did you mean us-east-1?")),
    "journal without a folder": (["--sandbox", "--journal", "no/j.jsonl"], ("a folder that is not there", "make no")),
    "no journal": (["--sandbox", "--journal", "good.txt"], ("good.txt is not a batchpol journal", "--journal")),
    "form of the log": (["--sandbox", "--log-format", "xml"], ("--log-format", "text or json")),
}
"""Arguments after ``apply good.csv``, and what is said."""


def assert_one_paragraph(err: str, said: tuple[str, ...]) -> None:
    """What happened and then what to do, and nothing else."""
    assert err.startswith("error: "), err
    assert "Traceback" not in err
    text = re.sub(r"\s+", " ", err)
    for words in said:
        assert words in text, err
    assert "\n  -> " in err, "it does not say what to do"
    assert len(err.splitlines()) <= 3, err


@pytest.mark.parametrize("what", INPUTS)
def test_an_unusable_input(what: str, folder: Path, command: Command) -> None:
    name, make, said = INPUTS[what]
    make(folder / name)
    ended = command("apply", name, "--sandbox")
    assert (ended.code, ended.out) == (2, "")
    assert_one_paragraph(ended.err, said)
    assert not list(folder.glob("*.journal.jsonl"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_input_that_may_not_be_read(folder: Path, command: Command) -> None:
    (folder / "secret.csv").touch(0)
    ended = command("apply", "secret.csv", "--sandbox")
    assert ended.code == 2
    assert_one_paragraph(ended.err, ("secret.csv may not be read by this user", "change its permissions"))


@pytest.mark.parametrize("what", ARGUMENTS)
def test_unusable_arguments_and_configuration(what: str, folder: Path, command: Command) -> None:
    save_table(folder / "good.csv", tenants(1))
    (folder / "good.txt").write_text("no journal\n")
    (folder / "config").write_text(SSO)
    arguments, said = ARGUMENTS[what]
    ended = command("apply", "good.csv", *arguments, AWS_CONFIG_FILE=str(folder / "config"))
    assert (ended.code, ended.out) == (2, "")
    assert_one_paragraph(ended.err, said)


def test_aws_out_of_reach_at_the_start_is_an_outage(folder: Path, command: Command) -> None:
    save_table(folder / "good.csv", tenants(1))
    away = {
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    for arguments in (("apply", "--yes"), ("plan",)):
        ended = command(*arguments, "good.csv", "--region", "us-east-1", **away)
        assert (ended.code, ended.out) == (3, "")
        assert_one_paragraph(ended.err, ("whose credentials these are: no connection", "run the same command again"))


def test_a_misspelt_command(command: Command) -> None:
    ended = command("aply")
    assert ended.code == 2
    assert_one_paragraph(ended.err, ("no such command 'aply'", "batchpol --help"))


def test_a_journal_of_another_place(folder: Path, command: Command, ses_sandbox: Sandbox) -> None:
    (folder / "one.csv").write_text("identity,policy_name,policy\na.example,p,{}\n")
    first = command("apply", "one.csv", "--yes", "--region", "us-east-1", **ses_sandbox.environment())
    assert first.code == 1, first.err
    ended = command("apply", "one.csv", "--yes", "--region", "eu-west-1", **ses_sandbox.environment())
    assert (ended.code, ended.out) == (2, "")
    assert_one_paragraph(ended.err, ("one.journal.jsonl belongs to another place: region us-east-1", "--fresh"))


def test_a_spreadsheets_semicolons_are_understood(folder: Path, command: Command) -> None:
    save_table(folder / "excel.csv", tenants(2), delimiter=";")
    ended = command("validate", "excel.csv", "--account", "123456789012", "--region", "us-east-1")
    assert ended.code == 0, ended.out
    assert ended.out.startswith("2 valid")


def test_debug_shows_the_traceback(folder: Path, command: Command) -> None:
    for arguments, variables in ((["--debug"], {}), ([], {"BATCHPOL_APPLY_DEBUG": "1"})):
        ended = command("apply", "none.csv", "--sandbox", *arguments, **variables)
        assert ended.code == 2
        assert ended.err.startswith("Traceback (most recent call last)")
        assert ended.err.splitlines()[-2].startswith("error: none.csv: there is no such file")


def test_an_error_is_an_event_too(command: Command) -> None:
    for arguments in (["apply", "none.csv", "--sandbox", "--log-format=json"], ["apply", "--log-format", "json", "-x"]):
        ended = command(*arguments)
        (event,) = map(json.loads, ended.err.splitlines())
        assert (ended.code, event["event"], event["level"]) == (2, "error", "error")
        assert event["message"]
        assert event["hint"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--fault", "thortle=0.1", ("unknown fault 'thortle'", "batchpol sandbox --faults")),
        ("--fault", "throttle=2", ("between 0 and 1", "batchpol sandbox --faults")),
        ("--fault", "throttle=often", ("NAME=PROBABILITY",)),
        ("--fault", "invalid_principal@ListIdentities=1", ("cannot strike 'ListIdentities'", "PutIdentityPolicy")),
        ("--stale", "soon", ("SECONDS or READ=SECONDS",)),
        ("--stale", "get-after-rain=3", ("unknown lag 'get-after-rain'", "get-after-put")),
        ("--refuse", "resource-wildcards", ("did you mean resource-wildcard?", "batchpol sandbox --doubts")),
        ("--log", "none/log.jsonl", ("none/log.jsonl cannot be written: No such file", "--log")),
    ],
)
def test_an_embedded_ses_that_cannot_be_run(command: Command, option: str, value: str, said: tuple[str, ...]) -> None:
    ended = command("sandbox", option, value)
    assert ended.code == 2
    for text in said:
        assert text in ended.err
