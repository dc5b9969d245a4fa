"""Many targets in one process: their lanes enter one after another, and each has what it needs."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from batchpol.sending.targets import ENTER_EVERY
from batchpol.testing import Sandbox, SandboxOptions
from tests.runs import document, report, run_command, write_input

ROLE = "arn:aws:iam::{account}:role/Tenant"
TARGETS = 48


@pytest.fixture
def sandbox_in_a_thread():
    """A server with a loop of its own."""
    from anyio.from_thread import start_blocking_portal

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Sandbox(SandboxOptions(latency_ms=300))) as server,
    ):
        yield server


def few_files() -> None:
    """A soft limit on open files that is too low, and a hard one that leaves room."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def test_lanes_enter_one_after_another_and_have_more_connections_than_the_soft_limit_of_files_allows(
    sandbox_in_a_thread: Sandbox, tmp_path: Path
) -> None:
    accounts = [f"{100_000_000_000 + number}" for number in range(TARGETS)]
    rows = [
        {"identity": "a.example", "policy_name": "n", "policy": document("a.example", account=account)}
        | {"account": account}
        for account in accounts
    ]
    source = write_input(tmp_path / "input.jsonl", rows)
    done = run_command(
        sandbox_in_a_thread,
        tmp_path,
        *("apply", source.name, "--role-arn", ROLE, "--blind", "--yes", "--report", "report.jsonl"),
        preexec_fn=few_files,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line["status"] for line in report(tmp_path)] == ["applied"] * len(rows)
    entered = [it.at for it in sandbox_in_a_thread.arrivals if it.operation == "AssumeRole"]
    assert len(entered) == TARGETS
    assert entered[-1] - entered[0] >= (TARGETS - 1) * ENTER_EVERY * 0.9
