"""The server on the network: faults as a client sees them, the log, delays, coming and going."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import itertools
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from batchpol.sandbox import FAULTS, Owner, SandboxOptions, serve
from batchpol.sandbox.arrivals import read_arrivals
from batchpol.testing import Sandbox, running_sandbox
from tests.sandbox.documents import ACCOUNT, REGION, policy_for
from tests.sandbox.test_service import signed

POLICY = policy_for("example.com")
OWNER = Owner(ACCOUNT, REGION, "example.com")


async def put(
    session: aiohttp.ClientSession, url: str, name: str = "send", *, patience: float = 5
) -> tuple[int, str, str]:
    """A put by a client that knows HTTP and nothing else: status, content type and text."""
    form = {"Action": "PutIdentityPolicy", "Version": "2010-12-01"}
    form |= {"Identity": "example.com", "PolicyName": name, "Policy": POLICY}
    async with session.post(
        url, data=form, headers={"Authorization": signed()}, timeout=aiohttp.ClientTimeout(total=patience)
    ) as response:
        return response.status, response.content_type, await response.text()


# --- faults, each seen by a client

ANSWERS = {
    "portal": (200, "text/html", "Please sign in"),
    "expired_token": (403, "text/xml", "<Code>ExpiredToken</Code>"),
    "invalid_client_token": (403, "text/xml", "<Code>InvalidClientTokenId</Code>"),
    "bad_signature": (403, "text/xml", "<Code>SignatureDoesNotMatch</Code>"),
    "clock_skew": (403, "text/xml", "<Code>RequestTimeTooSkewed</Code>"),
    "throttle": (400, "text/xml", "<Code>Throttling</Code><Message>Rate exceeded</Message>"),
    "access_denied": (403, "text/xml", "is not authorized to perform: ses:PutIdentityPolicy"),
    "server_error": (500, "text/xml", "<Type>Receiver</Type><Code>InternalFailure</Code>"),
    "unavailable": (503, "text/xml", "<Code>ServiceUnavailable</Code>"),
    "invalid_principal": (400, "text/xml", "invalid principal"),
    "invalid_identity": (400, "text/xml", "<Code>InvalidParameterValue</Code><Message>Invalid identity.</Message>"),
    "malformed": (200, "text/xml", "<PutIdentityPolicyResponse"),
    "wrong_type": (200, "text/html", "<html>"),
    "bad_gateway": (502, "text/html", "<html>"),
    "error_after": (500, "text/xml", "<Code>InternalFailure</Code>"),
}
NO_ANSWERS: dict[str, type[Exception] | tuple[type[Exception], ...]] = {
    "reset_before": aiohttp.ClientOSError,
    "reset_after": aiohttp.ClientOSError,
    "drop_before": aiohttp.ServerDisconnectedError,
    "drop_after": aiohttp.ServerDisconnectedError,
    "truncated": aiohttp.ClientPayloadError,
    "stall_before": TimeoutError,
    "stall_after": TimeoutError,
}


def test_every_fault_is_tried_here() -> None:
    assert ANSWERS.keys() | NO_ANSWERS.keys() == FAULTS.keys()


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_fault_with_an_answer(name: str) -> None:
    async with Sandbox(SandboxOptions(rate=0, faults_at={name: {1}})) as sandbox, aiohttp.ClientSession() as session:
        status, kind, text = await put(session, sandbox.url)
        assert (status, kind) == ANSWERS[name][:2]
        assert ANSWERS[name][2] in text
        assert bool(sandbox.store.get(OWNER)) == FAULTS[name].applied
        # The next one is spared.
        assert (await put(session, sandbox.url))[0] == 200
        assert [(arrival.fault, arrival.applied) for arrival in sandbox.arrivals] == [
            (name, FAULTS[name].applied),
            ("", True),
        ]


@pytest.mark.parametrize("name", NO_ANSWERS)
async def test_a_fault_without_an_answer(name: str) -> None:
    async with Sandbox(SandboxOptions(rate=0, faults_at={name: {1}})) as sandbox, aiohttp.ClientSession() as session:
        with pytest.raises(NO_ANSWERS[name]) as caught:
            await put(session, sandbox.url, patience=0.3)
        if isinstance(caught.value, aiohttp.ClientOSError):
            assert caught.value.errno == errno.ECONNRESET
        assert bool(sandbox.store.get(OWNER)) == FAULTS[name].applied
        assert (await put(session, sandbox.url))[0] == 200


async def test_malformed_xml_is_malformed() -> None:
    async with Sandbox(SandboxOptions(rate=0, faults={"malformed": 1})) as sandbox, aiohttp.ClientSession() as session:
        assert "</PutIdentityPolicyResponse>" not in (await put(session, sandbox.url))[2]


async def test_a_stall_ends_at_its_bound() -> None:
    options = SandboxOptions(rate=0, faults={"stall_before": 1}, stall_seconds=0.05)
    async with Sandbox(options) as sandbox, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientOSError):
            await put(session, sandbox.url)


async def test_a_refused_request_is_not_applied_whatever_the_fault() -> None:
    options = SandboxOptions(rate=0.001, faults_at={"reset_after": {2}})
    async with Sandbox(options) as sandbox, aiohttp.ClientSession() as session:
        await put(session, sandbox.url, "first")
        with pytest.raises(aiohttp.ClientOSError):
            await put(session, sandbox.url, "second")
        assert sandbox.store.get(OWNER).keys() == {"first"}
        assert [(arrival.accepted, arrival.applied) for arrival in sandbox.arrivals] == [(True, True), (False, False)]


@pytest.mark.parametrize(
    ("fault", "takes_its_place"),
    [
        ("throttle", False),
        ("reset_before", False),
        ("expired_token", False),
        ("server_error", True),
        ("reset_after", True),
    ],
)
async def test_which_faults_take_from_the_limit(fault: str, takes_its_place: bool) -> None:
    options = SandboxOptions(rate=0.001, faults_at={fault: {1}})
    async with Sandbox(options) as sandbox, aiohttp.ClientSession() as session:
        try:
            await put(session, sandbox.url)
        except aiohttp.ClientOSError:
            assert fault.startswith("reset")
        status, _, text = await put(session, sandbox.url)
        assert (status == 400 and "Throttling" in text) == takes_its_place


async def test_what_aiobotocore_makes_of_faults() -> None:
    plan = {
        "throttle": {1},
        "reset_after": {2},
        "drop_after": {3},
        "server_error": {4},
        "malformed": {5},
        "portal": {6},
        "expired_token@GetCallerIdentity": {1},
    }
    keys: dict[str, Any] = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "secret", "region_name": REGION}
    config = AioConfig(retries={"total_max_attempts": 1})
    async with Sandbox(SandboxOptions(rate=0, faults_at=plan)) as sandbox:
        async with get_session().create_client("ses", endpoint_url=sandbox.url, config=config, **keys) as client:
            arguments = {"Identity": "example.com", "PolicyName": "send", "Policy": POLICY}
            # A reset after the write looks to it as if no connection had been made: it is not safe to believe.
            for error, message in (
                (ClientError, "Throttling"),
                (EndpointConnectionError, "Could not connect"),
                (ConnectionClosedError, "closed"),
                (ClientError, "InternalFailure"),
                (ResponseParserError, "invalid XML"),
                (KeyError, "PutIdentityPolicyResult"),
            ):
                with pytest.raises(error, match=message):
                    await client.put_identity_policy(**arguments)
        async with get_session().create_client("sts", endpoint_url=sandbox.url, config=config, **keys) as client:
            with pytest.raises(ClientError, match="ExpiredToken"):
                await client.get_caller_identity()


async def test_faults_can_be_changed_while_it_runs() -> None:
    async with Sandbox(SandboxOptions(rate=0)) as sandbox, aiohttp.ClientSession() as session:
        assert (await put(session, sandbox.url))[0] == 200
        sandbox.change(faults={"expired_token": 1})
        assert (await put(session, sandbox.url))[0] == 403
        sandbox.change(faults={})
        assert (await put(session, sandbox.url))[0] == 200
        with pytest.raises(TypeError):
            sandbox.change(seed=1)
        with pytest.raises(TypeError):
            sandbox.change(colour="blue")


# --- limits and delays, measured at the server


def test_the_limit_is_kept_at_the_server(connect: Callable[..., Any], ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(rate=20)
    client, refused, taken = connect(), 0, 0
    while taken < 5:
        try:
            client.put_identity_policy(Identity="example.com", PolicyName="send", Policy=POLICY)
            taken += 1
        except ClientError as error:
            assert error.response["Error"] == {"Type": "Sender", "Code": "Throttling", "Message": "Rate exceeded"}
            refused += 1
    accepted = [arrival.at for arrival in ses_sandbox.arrivals if arrival.accepted]
    assert refused == len(ses_sandbox.arrivals) - len(accepted) > 0
    assert min(later - earlier for earlier, later in itertools.pairwise(accepted)) >= 1 / 20


async def test_half_of_the_latency_lies_before_the_limit_and_half_after_it() -> None:
    async with Sandbox(SandboxOptions(rate=0, latency_ms=100)) as sandbox, aiohttp.ClientSession() as session:
        await session.get(sandbox.url)
        sent = time.monotonic()
        await put(session, sandbox.url)
        answered, arrived = time.monotonic(), sandbox.arrivals[0].at
        # Lower bounds on both halves show where the delay lies; how much a busy machine adds is no subject.
        assert arrived - sent > 0.049
        assert answered - arrived > 0.049
        assert answered - sent < 2


async def test_jitter_before_the_limit_lets_requests_overtake_each_other() -> None:
    options = SandboxOptions(rate=0, jitter_ms=20, seed=3)
    async with Sandbox(options) as sandbox, aiohttp.ClientSession() as session:
        await asyncio.gather(*(put(session, sandbox.url, f"p{number}") for number in range(12)))
        order = [int(arrival.policy_name[1:]) for arrival in sandbox.arrivals]
        assert sorted(order) == list(range(12))
        assert order != sorted(order)


# --- the log


async def test_the_log_has_a_line_for_each_arrival_as_it_happens(tmp_path: Path) -> None:
    log = tmp_path / "arrivals.jsonl"
    async with (
        Sandbox(SandboxOptions(rate=0.001, log=log, faults_at={"reset_after": {1}})) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        with pytest.raises(aiohttp.ClientOSError):
            await put(session, sandbox.url)
        first = read_arrivals(log)
        await put(session, sandbox.url)
        assert read_arrivals(log) == list(sandbox.arrivals)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert len(first) == 1
    arrival = first[0]
    assert (arrival.operation, arrival.identity, arrival.policy_name) == ("PutIdentityPolicy", "example.com", "send")
    assert (arrival.account, arrival.region, arrival.access_key) == (ACCOUNT, REGION, "AKIATEST")
    assert arrival.sha256 == hashlib.sha256(POLICY.encode()).hexdigest()
    assert (arrival.accepted, arrival.applied, arrival.fault, arrival.status) == (True, True, "reset_after", 200)
    assert abs(arrival.wall - time.time()) < 5
    assert abs(arrival.at - time.monotonic()) < 5
    second = read_arrivals(log)[1]
    assert (second.accepted, second.applied, second.error_code, second.place) == (False, False, "Throttling", 2)


async def test_a_log_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "arrivals.jsonl"
    for _ in range(2):
        async with Sandbox(SandboxOptions(rate=0, log=log)) as sandbox, aiohttp.ClientSession() as session:
            await put(session, sandbox.url)
    assert len(read_arrivals(log)) == 2


# --- coming, going, and who may connect


async def test_it_listens_on_loopback_and_nowhere_else() -> None:
    async with Sandbox() as sandbox:
        # All of 127/8 is this machine: another address of it reaches whatever listens on every interface.
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.2", sandbox.port)
        _, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        nodelay = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert nodelay
        writer.close()
        await writer.wait_closed()


async def test_a_get_warms_a_connection_and_counts_against_nothing() -> None:
    async with Sandbox(SandboxOptions(rate=0.001)) as sandbox, aiohttp.ClientSession() as session:
        for method in ("GET", "HEAD"):
            async with session.request(method, sandbox.url) as response:
                assert response.status == 200
        assert (await put(session, sandbox.url))[0] == 200
        assert len(sandbox.arrivals) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/index.html"),
        ("PUT", "/"),
        ("POST", "/v2/email/identities"),
        ("PATCH", "/v2/email/identities/example.com/policies/p"),
        ("GET", "/v2/email/identities/example.com/policies/p"),
        ("POST", "/2010-12-01/"),
    ],
)
async def test_what_is_no_operation_is_not_found(method: str, path: str) -> None:
    headers = {"Authorization": signed()}
    async with (
        Sandbox() as sandbox,
        aiohttp.ClientSession() as session,
        session.request(method, sandbox.url + path, headers=headers) as response,
    ):
        assert (response.status, response.headers["x-amzn-ErrorType"]) == (404, "UnknownOperationException")


@pytest.mark.parametrize("options", [{"faults": {"stall_before": 1}}, {"latency_ms": 60_000}])
async def test_it_closes_at_once_though_requests_hang(options: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as session:
        async with Sandbox(SandboxOptions(rate=0, **options)) as sandbox:
            hanging = [asyncio.create_task(put(session, sandbox.url, f"p{number}")) for number in range(5)]
            await asyncio.sleep(0.1)
            began = time.monotonic()
        assert time.monotonic() - began < 1
        results = await asyncio.gather(*hanging, return_exceptions=True)
        assert all(isinstance(result, aiohttp.ClientError | OSError) for result in results)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_it_goes_away_and_comes_back_with_all_it_knew() -> None:
    async with Sandbox(SandboxOptions(rate=0)) as sandbox, aiohttp.ClientSession() as session:
        url = sandbox.url
        await put(session, url)
        await sandbox.go_away()
        for _ in range(2):
            with pytest.raises(aiohttp.ClientConnectionError):
                await put(session, url)
        await sandbox.come_back()
        assert sandbox.url == url
        assert sandbox.store.get(OWNER).keys() == {"send"}
        assert (await put(session, url, "more"))[0] == 200
        assert [arrival.place for arrival in sandbox.arrivals] == [1, 2]


async def test_a_taken_port_is_an_error_and_leaves_nothing_behind() -> None:
    async with Sandbox() as sandbox:
        with pytest.raises(OSError, match="in use"):
            async with Sandbox(port=sandbox.port):
                pass
    with running_sandbox() as sandbox, pytest.raises(OSError, match="in use"), running_sandbox(port=sandbox.port):
        pass


async def test_serve_runs_until_it_is_cancelled() -> None:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(SandboxOptions(rate=0), 0, ready=url.set_result))
    async with aiohttp.ClientSession() as session:
        assert (await put(session, await url))[0] == 200
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(aiohttp.ClientConnectorError):
            await put(session, url.result())


async def test_a_request_that_is_too_large_is_refused() -> None:
    async with Sandbox(SandboxOptions(rate=0)) as sandbox, aiohttp.ClientSession() as session:
        body = urlencode({"Action": "PutIdentityPolicy", "Policy": "x" * 2_000_000}).encode()
        async with session.post(sandbox.url, data=io.BytesIO(body), headers={"Authorization": signed()}) as response:
            assert response.status == 413
