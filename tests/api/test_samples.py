"""The sample of a service does what it says."""

from __future__ import annotations

import asyncio
import importlib.util
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

import batchpol
from batchpol.testing import Sandbox
from tests.api.conftest import ACCOUNT, SOON, puts

SAMPLE = Path(__file__).parents[2] / "samples" / "onboarding.py"


@pytest.fixture
def onboarding() -> ModuleType:
    spec = importlib.util.spec_from_file_location("onboarding", SAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_who_signs_up_gets_a_policy_and_an_answer(onboarding: ModuleType, ses_sandbox: Sandbox) -> None:
    service = onboarding.Onboarding(period=SOON)
    worker = asyncio.create_task(service.work(pause=0.0))
    names = [f"tenant-{number}.example" for number in range(4)]
    found = await asyncio.gather(*(service.sign_up(name, f"t{n}", ACCOUNT) for n, name in enumerate(names)))
    assert [(it.identity, it.status, it.policy_name) for it in found] == [
        (name, batchpol.Status.APPLIED, f"sending-t{n}") for n, name in enumerate(names)
    ]
    again = await service.sign_up(names[0], "t0", ACCOUNT)
    assert again.status is batchpol.Status.UNCHANGED
    assert puts(ses_sandbox) == names
    wrong = await service.sign_up("no domain", "t9", ACCOUNT)
    assert wrong.status is batchpol.Status.REJECTED and wrong.findings
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker


async def test_what_ends_the_batch_is_told_to_whoever_waits(
    onboarding: ModuleType, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("AWS_REGION")
    environment.delenv("AWS_DEFAULT_REGION", raising=False)
    service = onboarding.Onboarding(period=SOON)
    worker = asyncio.create_task(service.work())
    with pytest.raises(batchpol.UsageError, match="Region"):
        await service.sign_up("a.example", "a", ACCOUNT)
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker
