"""A service: an event loop of its own, an embedded SES, nothing of this machine's AWS configuration."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.loaders import create_loader

from batchpol.testing import Sandbox

LOADERS = functools.cache(create_loader)
"""Sessions of all tests share the models that botocore loaded: reading them is what a session costs."""

ACCOUNT = "123456789012"
SOON = 0.002
"""A period for tests whose subject is not the pace."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ses_sandbox: Sandbox) -> pytest.MonkeyPatch:
    """Variables that lead to the sandbox, and to nothing else."""
    for name in os.environ:
        if name.upper().startswith("AWS_") or name.upper().endswith(("_PROXY", "_CA_BUNDLE")):
            monkeypatch.delenv(name)
    for name, value in ses_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setattr(botocore.session, "create_loader", LOADERS)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture(autouse=True)
async def nothing_left_behind(ses_sandbox: Sandbox) -> AsyncIterator[None]:
    """Whatever a test does, no task and no connection outlives it."""
    yield
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    await eventually(lambda: ses_sandbox.connections == 0)


async def eventually(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Give the event loop, and the server beside it, time until something is the case."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.001)


def policy(identity: str, **elements: Any) -> dict[str, Any]:
    """A good document."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": "ses:SendEmail",
        "Resource": f"arn:aws:ses:us-east-1:{ACCOUNT}:identity/{identity}",
    }
    return {"Version": "2012-10-17", "Statement": [statement | elements]}


def item(identity: str, name: str = "tenant", **fields: Any) -> dict[str, Any]:
    """A good record as boto3's arguments."""
    return {"Identity": identity, "PolicyName": name, "Policy": policy(identity)} | fields


def items(count: int) -> list[dict[str, Any]]:
    return [item(f"tenant{number:03}.example") for number in range(count)]


def puts(sandbox: Sandbox) -> list[str]:
    """Identities of the writes that arrived, in order."""
    return [it.identity for it in list(sandbox.arrivals) if it.operation == "PutIdentityPolicy"]
