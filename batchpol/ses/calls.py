"""SES of one target: one attempt a call, and where the gate takes part in it."""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import time
from typing import Any

import anyio
import botocore.exceptions as bx
from aiobotocore.client import AioBaseClient
from botocore import xform_name
from botocore.awsrequest import AWSRequest

from batchpol.model.errors import BatchpolError, NoAnswer, SesError, Unreachable, UsageError
from batchpol.ses.answers import check
from batchpol.ses.configuration import NOWHERE
from batchpol.ses.credentials import Credentials
from batchpol.ses.exchange import Exchange
from batchpol.ses.internals import credentials_of, http_session_of
from batchpol.ses.translation import TOO_OLD, translate

IDENTITIES_AT_ONCE = 100
"""Identities one ``GetIdentityVerificationAttributes`` takes (API Reference)."""

IDENTITIES_A_PAGE = 1000
"""Identities that one ``ListIdentities`` gives at most (botocore's model: "Possible values are 1-1000 inclusive")."""

CALL_TIMEOUT = 30.0
"""Seconds that an attempt may take from departure on, name resolution and a dripping answer included."""


@dataclass(slots=True)
class Attempt:
    """What the gate wants to know of one attempt: ``admit`` is awaited right before signing, ``departed`` called
    when the signed request is handed to the network."""

    admit: Callable[[], Awaitable[None]]
    departed: Callable[[], None]

    def telling(self, departed: Callable[[], None]) -> Attempt:
        """The same attempt, of whose departure somebody else is told, too."""

        def both() -> None:
            self.departed()
            departed()

        return Attempt(self.admit, both)


@dataclass(slots=True)
class _Call:
    """One attempt under way. The wait at the gate has no bound; signing has one, and from departure on the rest.

    ``left`` is when it departed by the wall clock, in seconds since 1970.
    """

    attempt: Attempt | None
    scope: anyio.CancelScope
    seconds: float
    credentials: Any
    sent: bool = False
    left: float = 0.0

    async def admit(self) -> None:
        if self.attempt is not None:
            await self.attempt.admit()
        self.scope.deadline = get_running_loop().time() + self.seconds

    def depart(self) -> None:
        self.sent, self.left = True, time()
        self.scope.deadline = get_running_loop().time() + self.seconds
        if self.attempt is not None:
            self.attempt.departed()

    def failed(self, error: SesError) -> SesError:
        """The error as it came; but where the signature got too old because the machine slept, which shows by the wall
        clock alone, nothing was taken, and a new one will do."""
        if not self.sent or error.code not in TOO_OLD or time() - self.left <= self.seconds:
            return error
        return Unreachable(f"this machine slept before the request arrived: {error}", code="Overslept")


_call: ContextVar[_Call | None] = ContextVar("batchpol_call", default=None)


async def _before_sign(request: Any, **_: Any) -> None:
    call = _call.get()
    if call is not None:
        await call.admit()
        if call.credentials is not None:
            request.context.setdefault("signing", {})["request_credentials"] = call.credentials


def _before_send(**_: Any) -> None:
    call = _call.get()
    if call is not None:
        call.depart()


def before_parse(response_dict: Mapping[str, Any], operation_model: Any, **_: Any) -> None:
    """Of a client's answers, take only those of the service's own."""
    check(response_dict, operation_model)


def _before_parse(**event: Any) -> None:
    if _call.get() is not None:
        before_parse(**event)


_HOOKS: Mapping[str, Callable[..., Any]] = {
    "before-sign.ses": _before_sign,
    "before-send.ses": _before_send,
    "before-parse.ses": _before_parse,
}

_HOOKS_V2 = {"before-sign.sesv2": _before_sign, "before-send.sesv2": _before_send}
"""Of SESv2, whose answers are JSON, which botocore reads no junk as."""


def hook(client: Any) -> Any:
    """Let the gate take part in every call of this SES client that :class:`Ses` makes; other calls pass as before."""
    hooks = _HOOKS if client.meta.service_model.service_name == "ses" else _HOOKS_V2
    for event, handler in hooks.items():
        client.meta.events.register(event, handler, unique_id=f"batchpol-{event}", unique_id_uses_count=True)
    return client


def unhook(client: Any) -> None:
    """Take back one :func:`hook`."""
    for event, handler in _HOOKS.items():
        client.meta.events.unregister(event, handler, unique_id=f"batchpol-{event}", unique_id_uses_count=True)


@contextmanager
def adopt(client: Any) -> Iterator[Ses]:
    """Use a caller's own aiobotocore SES client for as long as the block lasts; nothing is left on it afterwards.

    Raises:
        UsageError: if it is none, or if botocore would retry by itself; such attempts would pass the gate unseen.
    """
    if not isinstance(client, AioBaseClient) or client.meta.service_model.service_name != "ses":
        raise UsageError("this is no SES client of aiobotocore", hint='make one with session.create_client("ses", ...)')
    retries = client.meta.config.retries or {}
    if retries.get("total_max_attempts") != 1 or retries.get("mode") == "adaptive":
        raise UsageError(
            "the SES client retries or waits by itself, and such attempts would not pass the gate",
            hint='create it with config=AioConfig(retries={"total_max_attempts": 1, "mode": "standard"})',
        )
    try:
        yield Ses(hook(client), CALL_TIMEOUT)
    finally:
        unhook(client)


@dataclass(slots=True)
class Ses:
    """SES of one target: one client, one attempt a call.

    Every method raises a :class:`~batchpol.model.errors.SesError` and nothing else of AWS's. ``attempt`` is how the
    gate takes part; ``None`` only where no quota is concerned. ``call_timeout`` is in seconds; ``source`` are the
    credentials that all others come from, and ``credentials`` those of a role: what there is of them signs instead of
    the client's own, since one client serves every account in a Region (it costs 5 ms of processor time and 0.2 MB).
    With ``exchange`` requests are put together by it; without, made through the client and all that is registered.
    """

    client: Any
    call_timeout: float
    source: Any = None
    credentials: Credentials | None = None
    exchange: Exchange | None = None

    async def put(self, identity: str, policy_name: str, document: str, attempt: Attempt | None) -> str:
        """``PutIdentityPolicy``; returns SES's request id."""
        answer = await self._make(
            "PutIdentityPolicy", attempt, Identity=identity, PolicyName=policy_name, Policy=document
        )
        return _request_id(answer)

    async def delete(self, identity: str, policy_name: str, attempt: Attempt | None) -> str:
        """``DeleteIdentityPolicy``, which also succeeds when there is nothing to delete; returns the request id."""
        answer = await self._make("DeleteIdentityPolicy", attempt, Identity=identity, PolicyName=policy_name)
        return _request_id(answer)

    async def policies(self, identity: str, names: Iterable[str], attempt: Attempt | None) -> dict[str, str]:
        """``GetIdentityPolicies``: documents by name, of at most ``MAX_POLICIES`` names; unknown ones left out."""
        answer = await self._make("GetIdentityPolicies", attempt, Identity=identity, PolicyNames=list(names))
        return {str(name): str(text) for name, text in (answer.get("Policies") or {}).items()}

    async def policy_names(self, identity: str, attempt: Attempt | None) -> list[str]:
        """``ListIdentityPolicies``: all names of one identity (at most ``MAX_POLICIES``)."""
        answer = await self._make("ListIdentityPolicies", attempt, Identity=identity)
        return [str(name) for name in answer.get("PolicyNames") or ()]

    async def verified(self, identities: Iterable[str], attempt: Attempt | None) -> dict[str, str]:
        """``GetIdentityVerificationAttributes``: status by identity, of at most :data:`IDENTITIES_AT_ONCE`."""
        answer = await self._make("GetIdentityVerificationAttributes", attempt, Identities=list(identities))
        found = answer.get("VerificationAttributes") or {}
        return {str(name): str(value.get("VerificationStatus", "")) for name, value in found.items()}

    async def identities(self, token: str, attempt: Attempt | None) -> tuple[list[str], str]:
        """``ListIdentities``: a page of at most :data:`IDENTITIES_A_PAGE`, and the token of the next one.

        The first page has no token, and none follows the last.
        """
        following = {"NextToken": token} if token else {}
        answer = await self._make("ListIdentities", attempt, MaxItems=IDENTITIES_A_PAGE, **following)
        return [str(name) for name in answer.get("Identities") or ()], str(answer.get("NextToken") or "")

    async def warm(self) -> None:
        """Open the connection with a request that no quota counts, so that the first attempt need not.

        Best effort: whatever goes wrong here will go wrong, and be told, at the first attempt.
        """
        http = http_session_of(self.client)
        if http is None:
            return
        request = AWSRequest(method="HEAD", url=self.client.meta.endpoint_url).prepare()
        with anyio.move_on_after(self.call_timeout):
            try:
                await http.send(request)
            except bx.BotoCoreError:
                return

    async def ready(self) -> None:
        """Wait for credentials now if there are none that hold, so that signing does not.

        Raises AccessRefused if there are none to be had, Unreachable if there may be later.
        """
        credentials = self._signs() or credentials_of(self.client)
        if credentials is None or (isinstance(credentials, Credentials) and credentials.hold):
            return
        try:
            with anyio.fail_after(self.call_timeout):
                await credentials.get_frozen_credentials()
        except BatchpolError:
            raise
        except Exception as error:
            raise translate(error, sent=False) from error

    def _signs(self) -> Any:
        return self.credentials or self.source

    async def _make(self, operation: str, attempt: Attempt | None, **arguments: Any) -> Mapping[str, Any]:
        """Make one attempt."""
        if "Identity" in arguments:
            arguments["Identity"] = _bare(arguments["Identity"])
        return await self.ask(operation, arguments, attempt)

    async def ask(self, operation: str, arguments: Mapping[str, Any], attempt: Attempt | None) -> Mapping[str, Any]:
        """Any operation with its arguments as they are, however wrong; returns the answer as botocore reads it."""
        with anyio.CancelScope() as scope:
            call = _Call(attempt, scope, self.call_timeout, self._signs())
            try:
                if self.exchange is None:
                    answer = await self._through_client(operation, arguments, call)
                else:
                    answer = await self.exchange.make(operation, arguments, call.credentials, call.admit, call.depart)
                if self.credentials is not None:
                    self.credentials.worked = True
                return answer
            except BatchpolError:
                raise
            except Exception as error:
                found = translate(error, sent=call.sent, setup=getattr(self.source, "setup", NOWHERE))
                raise call.failed(found) from error
        if call.sent:
            raise NoAnswer("no answer within the time allowed", code="Timeout")
        raise Unreachable("no credentials to sign with within the time allowed", code="Timeout")

    async def _through_client(self, operation: str, arguments: Mapping[str, Any], call: _Call) -> Mapping[str, Any]:
        """With all that is registered on the client."""
        token = _call.set(call)
        try:
            answer: Mapping[str, Any] = await getattr(self.client, xform_name(operation))(**arguments)
            return answer
        finally:
            _call.reset(token)


def _bare(identity: str) -> str:
    """An identity by its name: SES takes its ARN, too, but to emulators that is another identity than the name."""
    return identity.partition(":identity/")[2] if identity.startswith("arn:") else identity


def _request_id(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ResponseMetadata", {}).get("RequestId") or "")
