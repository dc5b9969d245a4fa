"""One call is one attempt, bounded from its departure on, with the gate right before the signature and the wire."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio
import botocore.auth
import pytest
from aiobotocore.credentials import AioCredentials

import batchpol.ses.calls
import batchpol.ses.exchange
import batchpol.ses.internals
from batchpol.model.errors import (
    AccessRefused,
    BatchpolError,
    NoAnswer,
    PolicyRefused,
    SesError,
    Throttled,
    Unreachable,
)
from batchpol.model.settings import Connection
from batchpol.ses import Attempt, Aws, Ses
from batchpol.testing import FAULTS, Sandbox
from tests.ses.conftest import ACCOUNT, DOCUMENT, IDENTITY, KEY, SECRET, SESSION, TARGET, opened, settle

pytestmark = pytest.mark.every_loop

both_ways = pytest.mark.parametrize("callers", [False, True], ids=["session of ours", "session of the caller's"])
"""Requests are put together by us, or made through a client on which others may have registered something."""

CALLS: dict[str, Callable[[Ses, Attempt | None], Awaitable[object]]] = {
    "PutIdentityPolicy": lambda ses, attempt: ses.put(IDENTITY, "name", DOCUMENT, attempt),
    "DeleteIdentityPolicy": lambda ses, attempt: ses.delete(IDENTITY, "name", attempt),
    "GetIdentityPolicies": lambda ses, attempt: ses.policies(IDENTITY, ["name"], attempt),
    "ListIdentityPolicies": lambda ses, attempt: ses.policy_names(IDENTITY, attempt),
    "GetIdentityVerificationAttributes": lambda ses, attempt: ses.verified([IDENTITY], attempt),
}

put = CALLS["PutIdentityPolicy"]


def gate() -> tuple[list[str], Attempt]:
    """An open gate that writes down what it is told."""
    told: list[str] = []

    async def admit() -> None:
        told.append("admit")

    return told, Attempt(admit, lambda: told.append("departed"))


async def failure(call: Awaitable[object]) -> SesError:
    with pytest.raises(SesError) as caught:
        await call
    return caught.value


@both_ways
async def test_what_is_put_is_there_and_can_be_deleted(
    sandbox: Sandbox, embedded: Callable[..., Connection], callers: bool
) -> None:
    async with opened(embedded(), callers=callers) as ses:
        request_id = await ses.put(IDENTITY, "name", DOCUMENT, None)
        assert request_id == sandbox.arrivals[-1].request_id != ""
        assert await ses.policies(IDENTITY, ["name", "other"], None) == {"name": DOCUMENT}
        assert await ses.policy_names(IDENTITY, None) == ["name"]
        assert await ses.verified([IDENTITY, "other.invalid"], None) == {IDENTITY: "Success"}
        assert await ses.delete(IDENTITY, "name", None) == sandbox.arrivals[-1].request_id
        assert await ses.delete(IDENTITY, "name", None)
        assert await ses.policies(IDENTITY, ["name"], None) == {}
        assert await ses.policy_names(IDENTITY, None) == []


SOME_FAULTS = ["reset_before", "reset_after", "drop_after", "server_error", "unavailable", "stall_before", "throttle"]


@both_ways
@pytest.mark.parametrize("operation", sorted(CALLS))
async def test_one_call_is_one_attempt_whatever_comes_back(
    operation: str, sandbox: Sandbox, embedded: Callable[..., Connection], callers: bool
) -> None:
    """Neither aiohttp nor botocore sends anything again, on a fresh connection or on a used one."""
    sandbox.change(stall_seconds=0.01)
    async with opened(embedded(), callers=callers) as ses:
        told, attempt = gate()
        faults = list(FAULTS) if operation == "PutIdentityPolicy" else SOME_FAULTS
        for made, fault in enumerate(faults, start=1):
            sandbox.change(faults={})
            await CALLS[operation](ses, attempt)  # leaves an open connection
            sandbox.change(faults={fault: 1.0})
            await failure(CALLS[operation](ses, attempt))
            assert len(sandbox.arrivals) == 2 * made, f"{operation} under {fault}"
            assert {arrival.operation for arrival in sandbox.arrivals} == {operation}
        assert told == ["admit", "departed"] * 2 * len(faults)


KINDS = {
    **dict.fromkeys(("reset_before", "reset_after", "drop_before", "drop_after", "truncated"), "ConnectionClosed"),
    **dict.fromkeys(("stall_before", "stall_after"), "Timeout"),
    **dict.fromkeys(("portal", "wrong_type", "malformed"), "UnreadableAnswer"),
    **dict.fromkeys(("server_error", "error_after"), "InternalFailure"),
    "unavailable": "ServiceUnavailable",
    "bad_gateway": "HTTP502",
}


@both_ways
@pytest.mark.parametrize("fault", sorted(KINDS))
async def test_a_write_that_may_have_taken_effect_is_no_answer(
    fault: str, sandbox: Sandbox, embedded: Callable[..., Connection], callers: bool
) -> None:
    sandbox.change(faults={fault: 1.0})
    async with opened(embedded(**({"read_timeout": 0.02} if "stall" in fault else {})), callers=callers) as ses:
        error = await failure(put(ses, None))
    assert (type(error), error.code) == (NoAnswer, KINDS[fault])
    assert sandbox.arrivals[-1].applied == FAULTS[fault].applied


async def test_a_connection_that_the_server_closed_meanwhile_is_opened_anew_and_nothing_sent_twice(
    sandbox: Sandbox, embedded: Callable[..., Connection]
) -> None:
    async with opened(embedded()) as ses:
        for calls in range(1, 6):
            await put(ses, None)
            assert len(sandbox.arrivals) == calls
            await sandbox.go_away()
            await sandbox.come_back()
            await settle()


async def test_a_server_that_is_away_was_certainly_not_asked(
    sandbox: Sandbox, embedded: Callable[..., Connection]
) -> None:
    async with opened(embedded()) as ses:
        await put(ses, None)
        await sandbox.go_away()
        await settle()
        error = await failure(put(ses, None))
        assert (type(error), error.code) == (Unreachable, "ConnectFailed")
        await sandbox.come_back()
        await put(ses, None)
    assert len(sandbox.arrivals) == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://name-that-is-not.invalid"])
async def test_a_host_that_is_not_there_was_certainly_not_asked(url: str) -> None:
    async with opened(Connection(endpoint_url=url, access_key="AKIAX", secret_key="x")) as ses:
        error = await failure(put(ses, None))
    assert (type(error), error.code) == (Unreachable, "ConnectFailed")


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port at which no connection is taken any more: its queue is full."""
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for client in waiting:
            client.close()


async def test_connecting_has_a_bound_of_its_own() -> None:
    with full_backlog() as port:
        connection = Connection(
            endpoint_url=f"http://127.0.0.1:{port}", access_key="AKIAX", secret_key="x", connect_timeout=0.05
        )
        async with opened(connection) as ses:
            error = await failure(put(ses, None))
    assert (type(error), error.code) == (Unreachable, "ConnectFailed")


@both_ways
async def test_answers_are_sorted_by_what_the_caller_can_do(
    sandbox: Sandbox, embedded: Callable[..., Connection], callers: bool
) -> None:
    async with opened(embedded(), callers=callers) as ses:
        refused = await failure(ses.put(IDENTITY, "name", "{}", None))
        assert (type(refused), refused.code, refused.http_status) == (PolicyRefused, "InvalidPolicy", 400)
        assert refused.request_id == sandbox.arrivals[-1].request_id
        sandbox.change(rate=0.001)
        await put(ses, None)
        throttled = await failure(put(ses, None))
        assert (type(throttled), throttled.code, str(throttled)) == (Throttled, "Throttling", "Rate exceeded")


# --- the gate


@both_ways
async def test_the_gate_is_passed_before_the_signature_and_told_before_the_wire(
    sandbox: Sandbox, embedded: Callable[..., Connection], monkeypatch: pytest.MonkeyPatch, callers: bool
) -> None:
    """The signature is of the time of departure: what waited at the gate for an hour is not refused as too old."""
    queued = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    clock = [queued]
    signed: list[str] = []
    order: list[str] = []
    text_of = botocore.auth.SigV4Auth.string_to_sign

    def string_to_sign(self: object, request: object, canonical: str) -> str:
        order.append("sign")
        signed.append(request.context["timestamp"])  # type: ignore[attr-defined]
        return text_of(self, request, canonical)  # type: ignore[no-any-return]

    async def admit() -> None:
        order.append(f"admit after {len(sandbox.arrivals)} arrivals")
        clock[0] = queued + datetime.timedelta(hours=1)

    def departed() -> None:
        order.append(f"departed after {len(sandbox.arrivals)} arrivals")

    monkeypatch.setattr(botocore.auth.SigV4Auth, "string_to_sign", string_to_sign)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: clock[0])
    monkeypatch.setattr(batchpol.ses.exchange, "gmtime", lambda: clock[0].utctimetuple())
    async with opened(embedded(), callers=callers) as ses:
        await put(ses, Attempt(admit, departed))
    assert order == ["admit after 0 arrivals", "sign", "departed after 0 arrivals"]
    assert signed == ["20260101T130000Z"]
    assert len(sandbox.arrivals) == 1


@both_ways
@pytest.mark.parametrize("slept", [0, 8 * 3600])
@pytest.mark.parametrize("fault", ["clock_skew", "bad_signature"])
async def test_a_signature_that_got_old_while_the_machine_slept_is_made_anew(
    fault: str, slept: int, sandbox: Sandbox, embedded: Callable[..., Connection], callers: bool, monkeypatch
) -> None:
    """It was signed and under way; nothing was taken, and neither clock nor keys are wrong."""
    now = [1_767_225_600.0]
    monkeypatch.setattr(batchpol.ses.calls, "time", lambda: now[0])
    told, attempt = gate()
    departed = attempt.departed

    def leave() -> None:
        departed()
        now[0] += slept

    sandbox.change(faults_at={fault: {1}})
    async with opened(embedded(), callers=callers) as ses:
        error = await failure(put(ses, Attempt(attempt.admit, leave)))
        assert (type(error), error.code == "Overslept") == ((Unreachable, True) if slept else (AccessRefused, False))
        await put(ses, attempt)
    assert told == ["admit", "departed"] * 2


@both_ways
async def test_an_attempt_that_the_gate_turns_away_is_not_made(
    sandbox: Sandbox, embedded: Callable[..., Connection], callers: bool
) -> None:
    class Closed(BatchpolError):
        pass

    async def admit() -> None:
        raise Closed("for today")

    told, attempt = gate()
    async with opened(embedded(), callers=callers) as ses:
        with pytest.raises(Closed):
            await put(ses, Attempt(admit, attempt.departed))
        assert (told, len(sandbox.arrivals)) == ([], 0)
        await put(ses, attempt)
    assert told == ["admit", "departed"]


@both_ways
async def test_calls_at_the_same_time_each_have_their_own_gate(
    sandbox: Sandbox, embedded: Callable[..., Connection], callers: bool
) -> None:
    sandbox.change(latency_ms=5)
    gates = [gate() for _ in range(6)]
    async with opened(embedded(), callers=callers) as ses, anyio.create_task_group() as tasks:
        for _, attempt in gates:
            tasks.start_soon(put, ses, attempt)
    assert [told for told, _ in gates] == [["admit", "departed"]] * 6
    assert len(sandbox.arrivals) == 6


async def test_opening_the_connection_passes_no_gate_and_is_no_request_of_ses(
    sandbox: Sandbox, embedded: Callable[..., Connection]
) -> None:
    async with opened(embedded()) as ses:
        await ses.warm()
        assert len(sandbox.arrivals) == 0
        await sandbox.go_away()
        await settle()
        await ses.warm()  # told at the first attempt
        assert isinstance(await failure(put(ses, None)), Unreachable)


# --- time


async def test_the_wait_at_the_gate_has_no_bound_and_what_follows_has(embedded: Callable[..., Connection]) -> None:
    told: list[str] = []

    async def admit() -> None:
        for _ in range(100):  # any of which would be the end if the bound, which is no time at all, counted here
            await anyio.lowlevel.checkpoint()
        told.append("admitted")

    async with opened(embedded()) as ses:
        ses.call_timeout = 0.0
        error = await failure(put(ses, Attempt(admit, lambda: told.append("departed"))))
    assert (type(error), error.code) == (NoAnswer, "Timeout")
    assert told == ["admitted", "departed"]


@pytest.mark.parametrize("fault", ["stall_before", "stall_after"])
async def test_an_answer_that_never_comes_ends_with_the_call_timeout(
    fault: str, sandbox: Sandbox, embedded: Callable[..., Connection]
) -> None:
    """Not by the read time-out, which a dripping answer would put off for ever."""
    async with opened(embedded()) as ses:
        await put(ses, None)
        ses.call_timeout = 0.05
        sandbox.change(faults={fault: 1.0})
        error = await failure(put(ses, None))
        assert (type(error), error.code) == (NoAnswer, "Timeout")
        sandbox.change(faults={})
        ses.call_timeout = 30.0
        await put(ses, None)
    assert len(sandbox.arrivals) == 3


@both_ways
async def test_signing_has_a_bound_too(sandbox: Sandbox, embedded: Callable[..., Connection], callers: bool) -> None:
    """Credentials that are refreshed while signing may wait for STS; nothing has been sent then."""
    sandbox.change(faults={"stall_before@AssumeRole": 1.0})
    role = f"arn:aws:iam::{ACCOUNT}:role/Writer"
    async with opened(embedded(role_arn=role), callers=callers) as ses:
        ses.call_timeout = 0.05
        told, attempt = gate()
        error = await failure(put(ses, attempt))
        assert (type(error), error.code, told) == (Unreachable, "Timeout", ["admit"])
        error = await failure(ses.ready())
        assert (type(error), error.code) == (Unreachable, "Timeout")
    assert {arrival.operation for arrival in sandbox.arrivals} == {"AssumeRole"}


@both_ways
async def test_the_time_that_signing_took_is_not_taken_from_the_request(
    embedded: Callable[..., Connection], callers: bool
) -> None:
    ends: list[float] = []

    class Slow(AioCredentials):
        async def get_frozen_credentials(self) -> object:
            ends.append(anyio.current_effective_deadline())
            await anyio.sleep(0.002)  # uvloop's clock goes by the millisecond
            return await super().get_frozen_credentials()

    async with opened(embedded(), callers=callers) as ses:
        ses.source = Slow(KEY, SECRET)
        _, attempt = gate()
        attempt.departed = lambda: ends.append(anyio.current_effective_deadline())
        await put(ses, attempt)
    at_signing, at_departure = ends
    assert at_signing <= at_departure < at_signing + 5


# --- mistakes of our own


def nobody_knows(_: object) -> object:
    raise TypeError("in somebody else's line")


BUGS: dict[str, tuple[type[Exception], Callable[[pytest.MonkeyPatch], None]]] = {
    "a name, while the request is made": (NameError, lambda it: it.delattr(batchpol.ses.exchange, "quoted")),
    "a call, while the request is made": (TypeError, lambda it: it.setattr(batchpol.ses.exchange, "quoted", None)),
    "a part, while the request is made": (
        AttributeError,
        lambda it: it.setattr(batchpol.ses.exchange, "_SERIALIZER", None),
    ),
    "a name, while it is answered": (NameError, lambda it: it.delattr(batchpol.ses.internals, "_Bounded")),
    "a call, while it is answered": (TypeError, lambda it: it.setattr(batchpol.ses.internals, "_Bounded", None)),
    "a part, while it is answered": (
        AttributeError,
        lambda it: it.setattr(batchpol.ses.internals._Straight, "__init__", lambda *_: None),
    ),
}
"""What comes while a request is answered, aiobotocore wraps into an error of the network."""


@pytest.mark.parametrize("bug", BUGS)
async def test_a_bug_of_ours_is_no_network_error(
    bug: str, embedded: Callable[..., Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, make = BUGS[bug]
    async with opened(embedded()) as ses:
        make(monkeypatch)
        with pytest.raises(kind):
            await put(ses, None)


async def test_a_bug_of_ours_on_the_way_through_a_client(embedded: Callable[..., Connection]) -> None:
    async with opened(embedded(), callers=True) as ses:
        ses.client = object()
        with pytest.raises(AttributeError, match="put_identity_policy"):
            await put(ses, None)


async def test_what_somebody_elses_code_trips_over_is_their_answer(
    embedded: Callable[..., Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(embedded()) as ses:
        assert ses.exchange is not None
        monkeypatch.setattr(ses.exchange.http, "send", nobody_knows)
        error = await failure(put(ses, None))
        assert (type(error), error.code) == (NoAnswer, "UnreadableAnswer")


async def open_connections(sandbox: Sandbox) -> int:
    """Connections that the server still has, once the loop has seen to what was closed."""
    server = sandbox._runner.server  # type: ignore[union-attr]
    await settle()
    return len([connection for connection in server.connections if connection.transport is not None])


@pytest.mark.parametrize("at", ["gate", "wire"])
async def test_a_cancelled_call_leaves_no_connection_and_no_task(
    at: str, sandbox: Sandbox, embedded: Callable[..., Connection]
) -> None:
    sandbox.change(faults={"stall_before": 1.0})
    reached = anyio.Event()

    async def admit() -> None:
        if at == "gate":
            reached.set()
            await anyio.sleep_forever()

    async with Aws(embedded(), SESSION) as aws:
        ses = await aws.ses(TARGET)
        before = asyncio.all_tasks()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(put, ses, Attempt(admit, reached.set))
            await reached.wait()
            while at == "wire" and not sandbox.arrivals:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert {task for task in asyncio.all_tasks() - before if "RequestHandler" not in repr(task)} == set()
        assert await open_connections(sandbox) == 0
        sandbox.change(faults={})
        await put(ses, None)
        assert await open_connections(sandbox) == 1
    assert await open_connections(sandbox) == 0


async def test_connections_are_closed_when_the_run_is_cancelled(
    sandbox: Sandbox, embedded: Callable[..., Connection]
) -> None:
    with anyio.CancelScope() as scope:
        async with Aws(embedded(), SESSION) as aws:
            await put(await aws.ses(TARGET), None)
            assert await open_connections(sandbox) == 1
            scope.cancel()
            await anyio.sleep_forever()
    assert await open_connections(sandbox) == 0
