"""Credentials in no output at any log level: every artefact of runs that go wrong is searched for them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from aiobotocore.session import AioSession

import batchpol
from batchpol.sandbox import operations
from batchpol.sandbox.sessions import SessionKeys, credentials_of, open_session
from batchpol.testing import Sandbox, SandboxOptions
from tests.runs import REGION, command, environment, row, run_command, write_input, writes

EXTERNAL_ID = "external-id-that-nobody-else-knows"
PORTAL_TOKEN = "portal-token-that-opens-every-account"
EVERYTHING = """
import logging
logging.basicConfig(level=1, filename="everything.log", format="%(name)s %(message)s")
"""
"""What a program that logs all there is does before ours begins."""
FAST = ("--yes", "--rate", "200", "--i-have-a-higher-quota", "--debug")


@pytest.fixture
def handed_out(monkeypatch: pytest.MonkeyPatch) -> list[SessionKeys]:
    """All temporary credentials of the test: the run's own, and those that the sandbox hands out."""
    found: list[SessionKeys] = []

    def noted(session: object) -> SessionKeys:
        found.append(credentials_of(session))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(operations, "credentials_of", noted)
    noted(open_session("arn:aws:iam::123456789012:role/Deployer", "test", time.time() + 3600))
    return found


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    options = SandboxOptions(rate=0, log=tmp_path / "arrivals.jsonl", fault_operations=["PutIdentityPolicy"])
    async with Sandbox(options) as running:
        yield running


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "sitecustomize.py").write_text(EVERYTHING)
    return write_input(tmp_path / "in.jsonl", [row(number) for number in range(6)])


def logging_all(folder: Path, given: SessionKeys, **more: str) -> dict[str, str]:
    keys = {
        "AWS_ACCESS_KEY_ID": given.access_key,
        "AWS_SECRET_ACCESS_KEY": given.secret_key,
        "AWS_SESSION_TOKEN": given.token,
    }
    return keys | {"PYTHONPATH": str(folder)} | more


def needles(secrets: list[SessionKeys]) -> list[str]:
    """Everything that must not be anywhere."""
    found = [EXTERNAL_ID, PORTAL_TOKEN, "AWS4-HMAC-SHA256 Credential", "SecretAccessKey>"]
    for given in secrets:
        found += [given.secret_key, given.token.rstrip("="), given.token[20:60]]
    return found


def search(folder: Path, ended: subprocess.CompletedProcess[str] | None, secrets: list[SessionKeys]) -> set[str]:
    """Every file in the folder and everything said, for everything that must not be there; gives their names."""
    places = {file.name: file.read_text() for file in folder.iterdir() if file.is_file() and file.name != "credentials"}
    if ended is not None:
        places |= {"stdout": ended.stdout, "stderr": ended.stderr}
    for name, text in places.items():
        assert [needle for needle in needles(secrets) if needle in text] == [], name
    return set(places)


async def test_a_run_with_a_role_and_failures_of_every_kind(
    sandbox: Sandbox, source: Path, tmp_path: Path, handed_out: list[SessionKeys]
) -> None:
    sandbox.change(
        external_id=EXTERNAL_ID,
        faults_at={"malformed": {1}, "server_error": {2}, "reset_after": {3}, "bad_signature": range(6, 99)},
    )
    role = ("--role-arn", "arn:aws:iam::{account}:role/Tenant", "--external-id", EXTERNAL_ID)
    reports = ("--report", "r.csv", "--report", "r.jsonl")
    env = logging_all(tmp_path, handed_out[0])
    arguments = ("apply", source.name, *FAST, *role, *reports)
    ended = await asyncio.to_thread(run_command, sandbox, tmp_path, *arguments, env=env)
    assert (ended.returncode, len(handed_out) > 1) == (3, True), ended.stderr
    assert {arrival.access_key for arrival in writes(sandbox)} <= {given.access_key for given in handed_out[1:]}
    logged = (tmp_path / "everything.log").read_text()
    assert "botocore.endpoint Sending http request: (not shown: it may hold credentials)" in logged
    found = search(tmp_path, ended, handed_out)
    assert {"in.journal.jsonl", "r.csv", "r.jsonl", "arrivals.jsonl"} <= found


async def test_a_program_that_logs_everything_gets_its_own_and_none_of_ours(
    sandbox: Sandbox,
    handed_out: list[SessionKeys],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in environment(sandbox, tmp_path, **logging_all(tmp_path, handed_out[0])).items():
        monkeypatch.setenv(name, value)
    sandbox.change(external_id=EXTERNAL_ID, faults_at={"malformed": {1}, "reset_after": {2}})
    role = {"role_arn": "arn:aws:iam::{account}:role/Tenant", "external_id": EXTERNAL_ID}
    caplog.set_level(1)
    how = {"region": REGION, "compare": False, "period": 0.02}
    result = await batchpol.apply([row(number) for number in range(2)], **how, **role)
    assert result.exit_code == 0
    assert len(handed_out) == 2
    assert "botocore.endpoint" in {record.name for record in caplog.records}
    assert [needle for needle in needles(handed_out) if needle in caplog.text] == []
    caplog.clear()
    async with AioSession().create_client("sts", region_name=REGION) as own:
        await own.get_caller_identity()
    assert "Sending http request: <AWSPreparedRequest" in caplog.text, "what the program itself does is its own affair"


class Portal(BaseHTTPRequestHandler):
    """What single sign-on answers: credentials of a role, for the token that the browser brought."""

    given: SessionKeys

    def do_GET(self) -> None:
        assert self.headers["x-amz-sso_bearer_token"] == PORTAL_TOKEN
        keys = {
            "accessKeyId": self.given.access_key,
            "secretAccessKey": self.given.secret_key,
            "sessionToken": self.given.token,
            "expiration": int(1000 * (time.time() + 3600)),
        }
        body = json.dumps({"roleCredentials": keys}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def portal(handed_out: list[SessionKeys]) -> Iterator[str]:
    handler = type("Handler", (Portal,), {"given": handed_out[0]})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def sign_on(home: Path) -> None:
    """Leave what ``aws sso login`` leaves."""
    start = "https://example.awsapps.com/start"
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    name = hashlib.sha1(start.encode(), usedforsecurity=False).hexdigest()
    token = {"startUrl": start, "region": REGION, "accessToken": PORTAL_TOKEN, "expiresAt": "2099-01-01T00:00:00Z"}
    (cache / f"{name}.json").write_text(json.dumps(token))
    (home / "config").write_text(
        f"[profile sso]\nsso_start_url = {start}\nsso_region = {REGION}\nsso_account_id = 123456789012\n"
        "sso_role_name = Deployer\n"
    )


async def test_a_single_sign_on_that_expires_in_mid_run(
    sandbox: Sandbox, source: Path, tmp_path: Path, handed_out: list[SessionKeys], portal: str
) -> None:
    sign_on(tmp_path)
    sandbox.change(faults_at={"expired_token": range(3, 99)})
    env = logging_all(tmp_path, handed_out[0], AWS_CONFIG_FILE=str(tmp_path / "config"), AWS_ENDPOINT_URL_SSO=portal)
    arguments = ("apply", source.name, *FAST, "--profile", "sso")
    ended = await asyncio.to_thread(run_command, sandbox, tmp_path, *arguments, env=env)
    assert ended.returncode == 3, ended.stderr
    assert writes(sandbox)[0].access_key == handed_out[0].access_key, "the portal's it was"
    assert "botocore.parsers Response body:" in (tmp_path / "everything.log").read_text()
    search(tmp_path, ended, handed_out)


async def test_a_run_that_is_killed(
    sandbox: Sandbox, source: Path, tmp_path: Path, handed_out: list[SessionKeys]
) -> None:
    env = environment(sandbox, tmp_path, **logging_all(tmp_path, handed_out[0]))
    process = await asyncio.create_subprocess_exec(
        *command("apply", source.name, *FAST), cwd=tmp_path, env=env, stdout=-3, stderr=-3
    )
    while not writes(sandbox):
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert (tmp_path / "in.journal.jsonl").stat().st_size
    search(tmp_path, None, handed_out)


ROLE = "arn:aws:iam::123456789012:role/Tenant"
OF_A_PROFILE = f"[profile tenants]\nrole_arn = {ROLE}\ncredential_source = Environment\n"
HELPER = "[profile tenants]\ncredential_process = sh -c 'cat helper.txt >&2; exit 1'\n"
WAYS = {
    "who am I": ("bad_signature@GetCallerIdentity", ()),
    "our role": ("bad_signature@AssumeRole", ("--role-arn", ROLE)),
    "a profile's role": ("bad_signature@AssumeRole", ("--profile", "tenants")),
    "a profile's role, unreadable": ("malformed@AssumeRole", ("--profile", "tenants")),
    "a write": ("bad_signature@PutIdentityPolicy", ()),
}
"""Who quotes the request that it saw, session token and all; or hands out credentials in an answer that is none."""


@pytest.mark.parametrize("way", WAYS)
async def test_what_aws_quotes_is_in_no_message_cause_or_log(
    sandbox: Sandbox, source: Path, tmp_path: Path, handed_out: list[SessionKeys], way: str
) -> None:
    (tmp_path / "config").write_text(OF_A_PROFILE)
    fault, arguments = WAYS[way]
    sandbox.change(faults={fault: 1})
    env = logging_all(tmp_path, handed_out[0], AWS_CONFIG_FILE=str(tmp_path / "config"))
    ended = await asyncio.to_thread(run_command, sandbox, tmp_path, "apply", source.name, *FAST, *arguments, env=env)
    assert ended.returncode not in (0, 1), ended.stderr
    assert ("The request signature we calculated" in ended.stderr) == ("bad" in fault)
    search(tmp_path, ended, handed_out)


async def test_what_a_helper_says_that_brings_credentials(
    sandbox: Sandbox, source: Path, tmp_path: Path, handed_out: list[SessionKeys]
) -> None:
    """Its standard error is in the message, so that people see why; the credentials in it are not."""
    given = handed_out[0]
    (tmp_path / "config").write_text(HELPER)
    said = f"AWS_SECRET_ACCESS_KEY={given.secret_key}", f"got {given.token}", json.dumps({"SecretAccessKey": "shh"})
    (tmp_path / "helper.txt").write_text("\n".join(["vault is sealed", *said]))
    keyless = {"PYTHONPATH": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_ACCESS_KEY_ID": ""}
    keyless |= {"AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "tenants"}
    ended = await asyncio.to_thread(run_command, sandbox, tmp_path, "apply", source.name, *FAST, env=keyless)
    (tmp_path / "helper.txt").unlink()
    assert ended.returncode == 2, ended.stderr
    assert "vault is sealed" in ended.stderr
    assert "AKIA" not in ended.stderr
    search(tmp_path, ended, handed_out)
