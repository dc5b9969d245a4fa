"""A caller's own client: used as it is, and left as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator

import boto3
import pytest
from aiobotocore.config import AioConfig

from batchpol.model.errors import UsageError
from batchpol.ses import adopt
from batchpol.testing import Sandbox
from tests.ses.conftest import DOCUMENT, IDENTITY, KEY, SECRET, SESSION
from tests.ses.test_attempts import gate

SINGLE = {"total_max_attempts": 1}


def options(sandbox: Sandbox, **retries: object) -> dict[str, object]:
    return {
        "region_name": "us-east-1",
        "endpoint_url": sandbox.url,
        "aws_access_key_id": KEY,
        "aws_secret_access_key": SECRET,
        "config": AioConfig(retries=retries or None),
    }


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[object]:
    async with SESSION.create_client("ses", **options(sandbox, **SINGLE)) as made:
        yield made


@pytest.mark.parametrize("retries", [{}, {"max_attempts": 1}, {"total_max_attempts": 2}, SINGLE | {"mode": "adaptive"}])
async def test_a_client_that_retries_or_waits_by_itself_is_refused(
    retries: dict[str, object], sandbox: Sandbox
) -> None:
    async with SESSION.create_client("ses", **options(sandbox, **retries)) as client:
        with pytest.raises(UsageError, match="would not pass the gate") as caught, adopt(client):
            pass
        assert '"total_max_attempts": 1' in caught.value.hint


@pytest.mark.parametrize("retries", [SINGLE, {"max_attempts": 0}, SINGLE | {"mode": "standard"}])
async def test_a_client_that_tries_once_is_taken(retries: dict[str, object], sandbox: Sandbox) -> None:
    async with SESSION.create_client("ses", **options(sandbox, **retries)) as client:
        with adopt(client) as ses:
            await ses.put(IDENTITY, "name", DOCUMENT, None)
    assert len(sandbox.arrivals) == 1


async def test_what_is_no_client_of_ses_is_refused(sandbox: Sandbox) -> None:
    async with SESSION.create_client("sts", **options(sandbox, **SINGLE)) as sts:
        given = options(sandbox) | {"config": None}
        for client in (sts, boto3.client("ses", **given), None, "ses"):  # type: ignore[call-overload]
            with pytest.raises(UsageError, match="no SES client"), adopt(client):
                pass


async def test_the_gate_takes_part_once_however_often_a_client_is_adopted(client: object) -> None:
    with adopt(client) as outer, adopt(client) as ses:
        for used in (outer, ses):
            told, attempt = gate()
            await used.put(IDENTITY, "name", DOCUMENT, attempt)
            assert told == ["admit", "departed"]


async def test_nothing_is_left_on_the_client(client: object) -> None:
    with adopt(client) as outer:
        with adopt(client), pytest.raises(ZeroDivisionError), adopt(client):
            raise ZeroDivisionError
        told, attempt = gate()
        await outer.put(IDENTITY, "name", DOCUMENT, attempt)
        assert told == ["admit", "departed"], "the outer one still holds"
    told, attempt = gate()
    await outer.put(IDENTITY, "name", DOCUMENT, attempt)
    assert told == []


async def test_the_callers_own_calls_pass_no_gate_and_the_client_stays_open(client: object, sandbox: Sandbox) -> None:
    with adopt(client) as ses:
        told, attempt = gate()
        await client.list_identities()  # type: ignore[attr-defined]
        await ses.put(IDENTITY, "name", DOCUMENT, attempt)
        await client.list_identities()  # type: ignore[attr-defined]
        assert told == ["admit", "departed"]
    await client.list_identities()  # type: ignore[attr-defined]
    assert len(sandbox.arrivals) == 4
