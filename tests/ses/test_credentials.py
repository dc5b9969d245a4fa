"""Credentials are asked for again shortly before they end: once, beside the requests, and by their profile's name."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiobotocore.credentials import AioDeferredRefreshableCredentials, AioRefreshableCredentials

from batchpol.model.errors import AccessRefused
from batchpol.model.settings import Connection
from batchpol.ses import Aws
from batchpol.ses.configuration import Setup
from batchpol.ses.credentials import Credentials
from batchpol.testing import Sandbox
from tests.ses.conftest import DOCUMENT, IDENTITY, KEY, SECRET, TARGET, save, settle
from tests.ses.test_connection import Environment

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Helper:
    """Gives credentials that live for ``life`` seconds, by a clock that the test sets; ``asked`` counts."""

    def __init__(self, life: float, *, deferred: bool = False) -> None:
        self.life, self.asked, self.at = life, 0, 0.0
        self.ends: float | None = None
        self.fails = False
        self.answered = asyncio.Event()
        self.answered.set()
        if deferred:
            source = AioDeferredRefreshableCredentials(self.give, "test", self.now)
        else:
            self.asked = 1
            metadata = self._metadata()
            source = AioRefreshableCredentials(
                metadata["access_key"],
                metadata["secret_key"],
                metadata["token"],
                BEGAN + timedelta(seconds=life),
                self.give,
                "test",
                self.now,
            )
        self.credentials = Credentials(source, Setup("prod"), self.now)

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.at)

    async def give(self) -> dict[str, str]:
        self.asked += 1
        await self.answered.wait()
        if self.fails:
            raise FileNotFoundError(2, "No such file", "/helper")
        return self._metadata()

    def _metadata(self) -> dict[str, str]:
        ends = self.at + self.life if self.ends is None else self.ends
        return {
            "access_key": f"key-{self.asked}",
            "secret_key": "s",
            "token": "t",
            "expiry_time": (BEGAN + timedelta(seconds=ends)).isoformat(),
        }

    async def key(self, at: float) -> str:
        """What a request at this time is signed with; what goes on beside it is over then."""
        self.at = at
        found = (await self.credentials.get_frozen_credentials()).access_key
        await settle()
        return str(found)


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize(("life", "before"), [(300, 60), (900, 120), (3600, 120), (10, 2)])
async def test_they_are_asked_for_shortly_before_their_end_and_once(life: int, before: int, deferred: bool) -> None:
    helper = Helper(life, deferred=deferred)
    for second in range(0, life - before, max(1, life // 100)):
        assert await helper.key(second) == "key-1"
    assert helper.asked == 1
    helper.answered.clear()
    for _ in range(3):
        assert await helper.key(life - before + 0.5) == "key-1", "what goes on beside a request does not hold it up"
    assert helper.asked == 2
    helper.answered.set()
    await settle()
    assert await helper.key(life - before + 0.6) == "key-2"
    assert helper.asked == 2


async def test_who_gives_the_same_until_the_end_is_not_asked_for_each_request() -> None:
    """Helpers keep what they got until it ends."""
    helper = Helper(900)
    helper.ends = 900
    for tenth in range(7700, 8990):
        await helper.key(tenth / 10)
    assert 2 < helper.asked < 14


async def test_what_fails_beside_a_request_is_told_when_there_is_nothing_left_to_sign_with() -> None:
    helper = Helper(300)
    helper.fails = True
    for second in range(0, 300, 10):
        assert await helper.key(second) == "key-1"
    with pytest.raises(AccessRefused, match="profile prod"):
        await helper.key(301)
    helper.fails = False
    assert await helper.key(302) == f"key-{helper.asked}"


async def test_all_who_wait_for_the_first_ask_once() -> None:
    helper = Helper(900, deferred=True)
    found = await asyncio.gather(*(helper.credentials.get_frozen_credentials() for _ in range(9)))
    assert {it.access_key for it in found} == {"key-1"}
    assert helper.asked == 1


async def test_nothing_goes_on_once_they_are_closed() -> None:
    helper = Helper(300)
    helper.answered.clear()
    await helper.key(299)
    assert helper.asked == 2
    await helper.credentials.aclose()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("minutes", [5, 15])
async def test_a_helper_of_short_credentials_runs_once_for_many_requests(
    minutes: int, environment: Environment, config_file: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    ends = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
    keys = {"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": SECRET, "Expiration": ends}
    helper = tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\necho x >> '{tmp_path}/ran'\necho '{json.dumps(keys)}'\n")
    helper.chmod(0o755)
    save(config_file, f"[default]\ncredential_process = {helper}\n")
    async with Aws(Connection(endpoint_url=sandbox.url)) as aws:
        await aws.caller("us-east-1")
        ses = await aws.ses(TARGET)
        for _ in range(10):
            await ses.ready()
            await ses.put(IDENTITY, "name", DOCUMENT, None)
    assert (tmp_path / "ran").read_text() == "x\n"
