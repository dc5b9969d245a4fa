"""What is wrong with a configuration is said with the profile, the setting and the mend; proved against botocore's."""

from __future__ import annotations

import ast
import inspect
import json
import shlex
from pathlib import Path

import aiobotocore.credentials
import aiobotocore.tokens
import anyio
import botocore.credentials
import botocore.exceptions as bx
import botocore.tokens
import botocore.utils
import pytest
from aiobotocore.session import AioSession

import batchpol.ses.aws
from batchpol.model.errors import AccessRefused, SesError, UsageError
from batchpol.model.settings import Connection
from batchpol.ses import Aws
from batchpol.ses.configuration import WORDS, Setup, explained
from batchpol.testing import Sandbox
from tests.ses.conftest import ACCOUNT, KEY, SECRET, SESSION, save
from tests.ses.test_connection import Environment
from tests.ses.test_translation import classes, made

SSO = "sso_session = corp\nsso_account_id = 123456789012\nsso_role_name = r\n"
CORP = "[sso-session corp]\nsso_start_url = https://x\nsso_region = us-east-1\n"
ROLE = "role_arn = arn:aws:iam::111122223333:role/a\n"

WRONG = {
    "a program that is not there": ("credential_process = /not/there --x\n", "credential_process", "no such file"),
    "a program at home": ("credential_process = ~/helper\n", "credential_process", "write the whole path"),
    "a program that may not be run": ("credential_process = {folder}/plain\n", "credential_process", "chmod +x"),
    "a program that is none": ("credential_process = {folder}/text\n", "credential_process", "prod"),
    "a program that is a folder": ("credential_process = {folder}\n", "credential_process", "mend credential_process"),
    "a program that fails": ("credential_process = false\n", "credential_process", "mend the program"),
    "a banner before the keys": ("credential_process = {folder}/banner\n", "credential_process", "as JSON"),
    "a list of keys": ("credential_process = {folder}/list\n", "credential_process", "as JSON"),
    "another form of keys": ("credential_process = {folder}/old\n", "credential_process", "version"),
    "keys that have ended": ("credential_process = {folder}/ended\n", "credential_process", "have ended"),
    "keys that end at no time": ("credential_process = {folder}/never\n", "credential_process", "as Expiration"),
    "a quote without its end": ("credential_process = 'x\n", "credential_process", "no closing quotation"),
    "a source that is not there": (f"{ROLE}source_profile = gone\n", "source_profile", "gone"),
    "a source without keys": (f"{ROLE}source_profile = empty\n[profile empty]\n", "profile", "empty"),
    "a source of another kind": (f"{ROLE}credential_source = Lambda\n", "credential_source", "Lambda"),
    "two sources": (f"{ROLE}source_profile = x\ncredential_source = Environment\n", "source_profile", "both"),
    "a loop": (f"{ROLE}source_profile = b\n[profile b]\n{ROLE}source_profile = prod\n", "source_profile", "end at one"),
    "half a key": ("aws_access_key_id = AKIAX\n", "aws_secret_access_key", "secret key"),
    "a token that is not there": (f"{ROLE}web_identity_token_file = /no/token\n", "web_identity_token_file", "no such"),
    "an SSO session that is not there": (SSO, "sso-session", "corp"),
    "half an SSO session": (f"{SSO}[sso-session corp]\nsso_region = us-east-1\n", "sso_start_url", "mend"),
    "an SSO session not logged in": (f"{SSO}{CORP}", "SSO", "aws sso login --profile prod, then run"),
    "an old SSO profile not logged in": (
        "sso_start_url = https://x\nsso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = r\n",
        "SSO",
        "aws sso login --profile prod, then run",
    ),
    "an MFA code to be typed": (f"{ROLE}source_profile = b\nmfa_serial = arn:x\n[profile b]\n"
                                f"aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n",
                                "mfa_serial", "temporary credentials"),
}  # fmt: skip
"""What stands in [profile prod], the setting that the error names, and words of the mend or the reason."""


def programs(folder: Path) -> None:
    """Helpers that a credential_process may be."""
    keys = {"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": SECRET}
    for name, printed in (
        ("banner", "Welcome!\n" + json.dumps(keys)),
        ("list", json.dumps([keys])),
        ("old", json.dumps(keys | {"Version": 2})),
        ("ended", json.dumps(keys | {"Expiration": "2020-01-01T00:00:00Z"})),
        ("never", json.dumps(keys | {"Expiration": "soon"})),
    ):
        (folder / name).write_text(f"#!/bin/sh\necho {shlex.quote(printed)}\n")
        (folder / name).chmod(0o755)
    (folder / "plain").write_text("#!/bin/sh\n")
    (folder / "text").write_text("no program")
    (folder / "text").chmod(0o755)


@pytest.mark.every_loop
@pytest.mark.parametrize("wrong", WRONG)
async def test_the_profile_and_the_setting_are_named_and_never_the_network(
    wrong: str, environment: Environment, config_file: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    text, setting, words = WRONG[wrong]
    programs(tmp_path)
    save(config_file, "[profile prod]\n" + text.format(folder=tmp_path))
    environment.setenv("HOME", str(tmp_path))
    environment.setattr(batchpol.ses.aws, "_has_terminal", lambda: False)
    async with Aws(Connection(profile="prod", endpoint_url=sandbox.url)) as aws:
        with pytest.raises(AccessRefused) as caught:
            await aws.caller("us-east-1")
    said = caught.value.in_full
    for named in ("prod", setting, words):
        assert named in said
    for never in ("Errno", "network", KEY, SECRET):
        assert never not in said
    assert not sandbox.arrivals


async def test_a_program_that_never_ends_is_not_called_the_network(
    environment: Environment, config_file: Path, sandbox: Sandbox
) -> None:
    save(config_file, "[profile prod]\ncredential_process = sleep 60\n")

    async def wait(_: AioSession) -> None:  # a process would be left behind
        await anyio.sleep_forever()

    environment.setattr(AioSession, "get_credentials", wait)
    connection = Connection(profile="prod", endpoint_url=sandbox.url, connect_timeout=0.01, read_timeout=0.01)
    async with Aws(connection) as aws:
        with pytest.raises(AccessRefused, match="credential_process of profile prod gave no credentials"):
            await aws.caller("us-east-1")


async def test_a_fault_of_the_profile_behind_is_laid_at_its_door(
    environment: Environment, config_file: Path, sandbox: Sandbox
) -> None:
    save(config_file, f"[profile prod]\n{ROLE}source_profile = base\n[profile base]\ncredential_process = /not/there\n")
    async with Aws(Connection(profile="prod", endpoint_url=sandbox.url)) as aws:
        with pytest.raises(
            AccessRefused, match="credential_process of profile base, /not/there: there is no such file"
        ):
            await aws.caller("us-east-1")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/no/token", "AWS_ROLE_ARN": "a"}, "AWS_WEB_IDENTITY_TOKEN_FILE, /no/token"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/"}, "AWS_"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
          "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/no/token"}, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, /no/token"),
        ({"AWS_ACCESS_KEY_ID": KEY}, "the environment"),
        ({"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL_STS": "sts"}, "AWS_ENDPOINT"),
    ],
)  # fmt: skip
async def test_a_variable_that_is_wrong_is_named_too(
    variables: dict[str, str], words: str, environment: Environment
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    async with Aws(Connection()) as aws:
        with pytest.raises(AccessRefused) as caught:
            await aws.caller("us-east-1")
    assert words in caught.value.in_full
    assert caught.value.hint


async def test_an_mfa_code_without_a_terminal_is_not_read_from_the_records(
    environment: Environment, config_file: Path, sandbox: Sandbox
) -> None:
    save(config_file, "[profile prod]\n" + WRONG["an MFA code to be typed"][0])
    environment.setattr(batchpol.ses.aws, "_has_terminal", lambda: False)
    environment.setattr("getpass.getpass", lambda _: pytest.fail("asked"))
    async with Aws(Connection(profile="prod", endpoint_url=sandbox.url)) as aws:
        with pytest.raises(AccessRefused, match="asks for an MFA code"):
            await aws.caller("us-east-1")


@pytest.mark.parametrize(
    "variables",
    [{"AWS_PROFILE": ""}, {"AWS_DEFAULT_PROFILE": ""}, {"AWS_PROFILE": "", "AWS_DEFAULT_PROFILE": ""}, {}],
)
async def test_an_empty_profile_is_none(
    variables: dict[str, str], environment: Environment, config_file: Path, sandbox: Sandbox
) -> None:
    keys = f"aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    save(config_file, f"[default]\nregion = eu-west-1\n{keys}[profile other]\nregion = eu-west-2\n{keys}")
    for name, value in variables.items():
        environment.setenv(name, value)
    for profile in (None, ""):
        async with Aws(Connection(profile=profile, endpoint_url=sandbox.url, role_arn="", external_id="")) as aws:
            assert aws.region() == "eu-west-1"
            assert (await aws.caller("eu-west-1")).account == ACCOUNT
    environment.setenv("AWS_PROFILE", "other")
    assert Aws(Connection(profile="")).region() == "eu-west-2"


@pytest.mark.parametrize(
    ("arn", "mend"),
    [
        ("arn:aws:iam:{account}:role/Mail", "write arn:aws:iam::{account}:role/Mail"),
        ("arn:aws:iam::{{account}}:role/Mail", "write arn:aws:iam::{account}:role/Mail"),
        ("arn:aws:iam::<ACCOUNT_ID>:role/Mail", "write arn:aws:iam::{account}:role/Mail"),
        ("arn:aws:iam::${account}:role/Mail", "write arn:aws:iam::{account}:role/Mail"),
        (" arn:aws:iam::{account}:role/Mail\n", "write arn:aws:iam::{account}:role/Mail"),
        ("Mail", "write arn:aws:iam::{account}:role/Mail"),
        ("role/path/Mail", "write arn:aws:iam::{account}:role/path/Mail"),
        ("{{account}}", "the form is"),
        ("arn:aws:iam::{konto}:role/Mail", "the form is"),
        ("arn:aws:iam::12345678901:role/Mail", "the form is"),
        ("arn:aws:iam::{account}:user/Mail", "the form is"),
        ("arn:aws:iam::{account}:role/", "the form is"),
        ("arn:aws:sts::{account}:assumed-role/Mail/x", "write arn:aws:iam::{account}:role/Mail"),
    ],
)
def test_a_role_that_can_be_none_is_refused_before_anything_is_asked(arn: str, mend: str) -> None:
    for keys in ({}, {"access_key": KEY, "secret_key": SECRET}):
        with pytest.raises(UsageError, match="`role_arn`") as caught:
            Aws(Connection(role_arn=arn, **keys), SESSION)
        assert caught.value.hint.startswith(mend)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::{account}:role/Mail",
        "arn:aws-cn:iam::123456789012:role/a/b/Mail+=,.@-_1",
        "arn:aws-us-gov:iam::{account}:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_x_0123456789abcdef",
    ],
)
def test_a_role_that_can_be_one_is_taken(arn: str) -> None:
    Aws(Connection(role_arn=arn, access_key=KEY, secret_key=SECRET), SESSION)


@pytest.mark.parametrize("external_id", ["x", "a b", "x" * 1225, "ä" * 5])
def test_an_external_id_that_can_be_none_is_refused(external_id: str) -> None:
    with pytest.raises(UsageError, match="`external_id`"):
        Aws(Connection(role_arn="arn:aws:iam::{account}:role/a", external_id=external_id), SESSION)


# --- the table is complete

SETUP = Setup("prod", {"prod": {"credential_process": "x", "sso_session": "corp"}})


@pytest.mark.parametrize("name", sorted(it for it, kind in classes().items() if issubclass(kind, bx.BotoCoreError)))
def test_every_exception_of_botocore_s_has_words_that_name_the_profile_and_a_mend(name: str) -> None:
    error = explained(made(classes()[name]), SETUP)
    assert error is not None
    assert "prod" in str(error)
    assert error.hint
    assert "network" not in error.in_full


def test_the_table_names_nothing_that_botocore_does_not_have() -> None:
    later = {"LoginError", "LoginInsufficientPermissions", "UnknownTokenProviderError"}  # not in the oldest botocore
    assert WORDS.keys() - later <= vars(bx).keys()


def raised() -> list[tuple[str, str]]:
    """What the providers raise: each class of botocore's with the text that they give it, as far as that is fixed."""
    found = []
    for module in (aiobotocore.credentials, aiobotocore.tokens, botocore.credentials, botocore.tokens):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
                texts = [
                    it.value for it in ast.walk(node.exc) if isinstance(it, ast.Constant) and isinstance(it.value, str)
                ]
                found.append((node.exc.func.id, " ".join(texts)))
    return found


def test_all_that_the_providers_raise_is_said_in_our_words() -> None:
    """Not "the answer cannot be read as AWS's", which is for answers."""
    seen = 0
    for name, text in raised():
        kind = getattr(bx, name, None)
        if kind is None:  # one of Python's
            continue
        seen += 1
        details = dict.fromkeys(("error_msg", "msg"), text or "something") | {"provider": "custom-process"}
        fields = {key: value for key, value in details.items() if "{" + key + "}" in kind.fmt}
        told = fields.keys() & {"error_msg", "msg"}
        error: SesError | None = explained(made(kind, **fields), SETUP)
        assert error is not None and error.hint and "prod" in error.in_full, (name, text)
        assert text[:40].strip() in str(error) or not told, (name, text)
    assert seen > 30
