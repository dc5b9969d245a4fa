"""Runs that take long are started first and looked at last, so that they pass the time together."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from batchpol.sandbox import Owner, SandboxOptions
from batchpol.testing import Sandbox, running_sandbox
from tests.e2e.command import (
    ACCOUNT,
    REGION,
    SAMPLES,
    Ended,
    arrived,
    await_that,
    environment,
    finish,
    kill,
    nothing_left_running,
    policy,
    record,
    save_lines,
    save_table,
    start,
    tenants,
)
from tests.readme_commands import main_command

EARLY = ("slept_run", "long_runs", "paced_run")
"""Fixtures whose processes are started before the first test that runs here, if any test wants them."""


@pytest.fixture(scope="session", autouse=True)
def early(request: pytest.FixtureRequest) -> None:
    for name in EARLY:
        if any(name in getattr(item, "fixturenames", ()) for item in request.session.items):
            request.getfixturevalue(name)


@pytest.fixture(autouse=True)
def at_the_end() -> Iterator[None]:
    with nothing_left_running():
        yield


class LongRun:
    """A command under way in its folder; asked for how it ended, it is waited for once."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self._process = process
        self._ended: Ended | None = None

    @property
    def ended(self) -> Ended:
        if self._ended is None:
            self._ended = finish(self._process)
        return self._ended

    def wake(self) -> None:
        """Go on, after it was stopped."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        kill(self._process)


@pytest.fixture(scope="session")
def long_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, LongRun]]:
    """The README's main command in a fresh folder, the same where an earlier run was, and the file with mistakes."""
    before = "batchpol apply samples/tenants.csv --sandbox --quiet --limit 1"
    commands = {
        "first": main_command(),
        "again": f"{before} ; {main_command()}",
        "mistakes": "batchpol apply samples/tenants-with-mistakes.csv --sandbox",
    }
    runs = {}
    for name, command in commands.items():
        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(SAMPLES, folder / "samples")
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        runs[name] = LongRun(folder, process)
    yield runs
    for run in runs.values():
        run.kill()


@pytest.fixture(scope="session")
def paced_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LongRun, Sandbox]]:
    """Ten records at SES's own pace, with round trips of 80 ms."""
    folder = tmp_path_factory.mktemp("paced")
    table = save_table(folder / "ten.csv", tenants(10))
    with running_sandbox(SandboxOptions(latency_ms=80)) as sandbox:
        process = start("apply", table, "--yes", "--output", "json", cwd=folder, env=sandbox.environment())
        run = LongRun(folder, process)
        yield run, sandbox
        run.kill()


@pytest.fixture(scope="session")
def slept_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LongRun, Sandbox, float]]:
    """Two records whose quota is taken by others, and a process that is stopped since then; and when that was."""
    folder = tmp_path_factory.mktemp("slept")
    save_lines(folder / "in.jsonl", [record("a.example", if_match="absent"), *tenants(1)])
    with running_sandbox(SandboxOptions(rate=0, faults={"throttle@PutIdentityPolicy": 1.0})) as sandbox:
        process = start("apply", "in.jsonl", "--yes", "--rate", "0.8", cwd=folder, env=sandbox.environment())
        run = LongRun(folder, process)
        await_that(arrived(sandbox, "PutIdentityPolicy", 2), process)
        somebody_s = json.dumps(policy("a.example", Sid="Somebody"))
        sandbox.store.put(Owner(ACCOUNT, REGION, "a.example"), "tenant", somebody_s)
        time.sleep(0.2)  # so that no answer is under way, nor anything else to leave
        process.send_signal(signal.SIGSTOP)
        yield run, sandbox, time.time()
        run.kill()


@pytest.fixture
def aws(ses_sandbox: Sandbox) -> dict[str, str]:
    """Variables that lead any AWS client to the sandbox."""
    return ses_sandbox.environment()


@pytest.fixture(scope="session")
def boto() -> boto3.Session:
    """One session for all: loading botocore's models is what costs."""
    return boto3.Session(aws_access_key_id="AKIATEST", aws_secret_access_key="secret", region_name="us-east-1")


@pytest.fixture
def read_back(ses_sandbox: Sandbox, boto: boto3.Session) -> Iterator[Callable[[str, str], str]]:
    """Reads one policy with boto3."""
    client = boto.client("ses", endpoint_url=ses_sandbox.url, config=Config(retries={"total_max_attempts": 1}))

    def read(identity: str, name: str) -> str:
        answer = client.get_identity_policies(Identity=identity, PolicyNames=[name])
        return str(answer["Policies"][name])

    yield read
    client.close()
