"""SES and STS through aiobotocore: the one border to AWS (floor 2).

The only module that imports aiobotocore and botocore: untyped values and foreign exceptions stop here. botocore's
own retries are off (``total_max_attempts=1``), so that one call is one attempt; trying again is the lane's
business and goes through the gate. Sources: ``PutIdentityPolicy`` and its neighbours in the SES v1 API Reference.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import botocore.exceptions as bx
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioAssumeRoleCredentialFetcher, AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession
from aiohttp import ClientConnectorError, ClientError
from botocore.awsrequest import AWSRequest
from botocore.parsers import ResponseParserError

from batchpol.errors import (
    AccessRefused,
    BatchpolError,
    NoAnswer,
    PolicyRefused,
    SesError,
    Throttled,
    Unreachable,
    UsageError,
)
from batchpol.model import Target
from batchpol.version import __version__

READS_AT_ONCE = 20
"""Names one ``GetIdentityPolicies`` takes (API Reference)."""

IDENTITIES_AT_ONCE = 100
"""Identities one ``GetIdentityVerificationAttributes`` takes (API Reference)."""

KEEP_WARM = 75.0
"""Seconds an idle connection is kept: longer than the widest period of a gate."""

THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
    }
)

ACCESS_REFUSED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})

HINTS = {
    "AccessDenied": "give the caller the permissions that the README lists, then run the same command again",
    "RequestTimeTooSkewed": "set this machine's clock, then run the same command again",
    "SignatureDoesNotMatch": "check the secret key and this machine's clock, then run the same command again",
    "InvalidClientTokenId": "check the access key (or profile), then run the same command again",
} | dict.fromkeys(EXPIRED, "renew the credentials (for SSO: aws sso login), then run the same command again")

_CREDENTIALS = (
    bx.NoCredentialsError,
    bx.PartialCredentialsError,
    bx.CredentialRetrievalError,
    bx.TokenRetrievalError,
    bx.NoAuthTokenError,
    bx.SSOError,
    bx.MetadataRetrievalError,
    bx.RefreshWithMFAUnsupportedError,
    bx.InfiniteLoopConfigError,
    getattr(bx, "LoginError", bx.SSOError),  # of newer botocore only
)
_NEVER_SENT = (bx.EndpointConnectionError, bx.ConnectTimeoutError, bx.ProxyConnectionError)
_TLS = (bx.SSLError,)
_NO_ANSWER = (bx.HTTPClientError, bx.ConnectionError, ResponseParserError, bx.IncompleteReadError)


def translate(error: BaseException) -> SesError:
    """The :class:`~batchpol.errors.SesError` that says what ``error`` of botocore means for a record or a run."""
    if isinstance(error, bx.ClientError):
        return _translate_answer(error)
    text = " ".join(str(error).split())
    if isinstance(error, _CREDENTIALS):
        return AccessRefused(f"no usable credentials: {text}", code=type(error).__name__, hint=_credentials_hint(error))
    if isinstance(error, _TLS):
        return AccessRefused(
            f"the TLS connection was refused: {text}",
            code="TLSRefused",
            hint="check the endpoint, or name your certificate authorities in AWS_CA_BUNDLE",
        )
    if isinstance(error, _NEVER_SENT) and _never_connected(error):
        return Unreachable(f"SES could not be reached: {text}", code=type(error).__name__)
    if isinstance(error, TimeoutError):
        return NoAnswer("no answer within the time allowed", code="Timeout")
    if isinstance(error, _NO_ANSWER):
        return NoAnswer(f"no usable answer: {text}", code=type(error).__name__)
    if isinstance(error, bx.BotoCoreError):
        return AccessRefused(f"botocore cannot make the request: {text}", code=type(error).__name__)
    return NoAnswer(f"no usable answer: {text}", code=type(error).__name__)


def _never_connected(error: bx.BotoCoreError) -> bool:
    """aiobotocore says "could not connect" of a reset too, which may come after the write took effect."""
    cause = error.kwargs.get("error")
    return not isinstance(cause, ClientError | ConnectionError) or isinstance(cause, ClientConnectorError)


def _translate_answer(error: bx.ClientError) -> SesError:
    answer: Mapping[str, Any] = error.response
    code = str(answer.get("Error", {}).get("Code") or "")
    message = str(answer.get("Error", {}).get("Message") or "") or "(SES gave no reason)"
    meta = answer.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode") or 0)
    details: dict[str, Any] = {
        "code": code or f"HTTP{status}",
        "request_id": str(meta.get("RequestId") or ""),
        "http_status": status,
        "hint": HINTS.get(code, ""),
    }
    if code in THROTTLED or status == 429:
        return Throttled(message, **details)
    if code in ACCESS_REFUSED or status in (401, 403):
        return AccessRefused(message, **details)
    if status >= 500 or status < 400 or not code or code.isdigit():
        return NoAnswer(message, **details)
    return PolicyRefused(message, **details)


def _credentials_hint(error: BaseException) -> str:
    if isinstance(error, bx.SSOError | bx.TokenRetrievalError | bx.NoAuthTokenError):
        return "log in again with: aws sso login, then run the same command again"
    return "name a profile with --profile or AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who the credentials belong to, as STS ``GetCallerIdentity`` says."""

    account: str
    arn: str


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach AWS: the options that botocore would otherwise take from its environment.

    ``endpoint_url`` goes to SES, and to STS too unless it is one of AWS's own hosts (a VPC endpoint of SES does
    not speak STS). ``access_key``/``secret_key`` are for an embedded SES only: with them no configuration file,
    profile or environment variable of AWS is read. Times are in seconds.
    """

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    connect_timeout: float = 5.0
    read_timeout: float = 20.0

    @property
    def call_timeout(self) -> float:
        """Bound on one whole attempt in seconds, name resolution and a dripping answer included."""
        return self.connect_timeout + self.read_timeout + 5.0


@dataclass(slots=True)
class Attempt:
    """What the gate wants to know of one attempt: ``admit`` is awaited right before signing, ``departed`` called
    when the signed request is handed to the network."""

    admit: Callable[[], Awaitable[None]]
    departed: Callable[[], None]


_attempt: ContextVar[Attempt | None] = ContextVar("batchpol_attempt", default=None)


async def _before_sign(**_: Any) -> None:
    attempt = _attempt.get()
    if attempt is not None:
        await attempt.admit()


def _before_send(**_: Any) -> None:
    attempt = _attempt.get()
    if attempt is not None:
        attempt.departed()


@dataclass(slots=True)
class Ses:
    """SES of one target: one client, one attempt a call.

    Every method raises a :class:`~batchpol.errors.SesError` and nothing else of AWS's. ``attempt`` is how the
    gate takes part; ``None`` only where no quota is concerned.
    """

    client: Any
    call_timeout: float

    async def put(self, identity: str, policy_name: str, document: str, attempt: Attempt | None) -> str:
        """``PutIdentityPolicy``; returns SES's request id."""
        answer = await self._call(
            "put_identity_policy", attempt, Identity=identity, PolicyName=policy_name, Policy=document
        )
        return _request_id(answer)

    async def delete(self, identity: str, policy_name: str, attempt: Attempt | None) -> str:
        """``DeleteIdentityPolicy``, which also succeeds when there is nothing to delete; returns the request id."""
        answer = await self._call("delete_identity_policy", attempt, Identity=identity, PolicyName=policy_name)
        return _request_id(answer)

    async def policies(self, identity: str, names: Iterable[str], attempt: Attempt | None) -> dict[str, str]:
        """``GetIdentityPolicies``: documents by name, of at most :data:`READS_AT_ONCE` names; unknown ones left out."""
        answer = await self._call("get_identity_policies", attempt, Identity=identity, PolicyNames=list(names))
        return {str(name): str(text) for name, text in (answer.get("Policies") or {}).items()}

    async def policy_names(self, identity: str, attempt: Attempt | None) -> list[str]:
        """``ListIdentityPolicies``: all names of one identity (at most 20)."""
        answer = await self._call("list_identity_policies", attempt, Identity=identity)
        return [str(name) for name in answer.get("PolicyNames") or ()]

    async def verified(self, identities: Iterable[str], attempt: Attempt | None) -> dict[str, str]:
        """``GetIdentityVerificationAttributes``: status by identity, of at most :data:`IDENTITIES_AT_ONCE`."""
        answer = await self._call("get_identity_verification_attributes", attempt, Identities=list(identities))
        found = answer.get("VerificationAttributes") or {}
        return {str(name): str(value.get("VerificationStatus", "")) for name, value in found.items()}

    async def warm(self) -> None:
        """Open the connection with a request that no quota counts, so that the first attempt need not.

        Best effort: whatever goes wrong here will go wrong, and be told, at the first attempt.
        """
        request = AWSRequest(method="HEAD", url=self.client.meta.endpoint_url).prepare()
        with anyio.move_on_after(self.call_timeout):
            try:
                await self.client._endpoint.http_session.send(request)
            except bx.BotoCoreError:
                return

    async def ready(self) -> None:
        """Refresh the credentials now if they are about to expire, so that signing does not wait for it."""
        credentials = self.client._request_signer._credentials
        if credentials is None:
            return
        try:
            with anyio.fail_after(self.call_timeout):
                await credentials.get_frozen_credentials()
        except Exception as error:
            raise translate(error) from error

    async def access_key(self) -> str:
        """The access key in use, to tell renewed credentials from the old ones; it is written nowhere."""
        credentials = self.client._request_signer._credentials
        return str((await credentials.get_frozen_credentials()).access_key) if credentials else ""

    async def _call(self, method: str, attempt: Attempt | None, **arguments: Any) -> Mapping[str, Any]:
        """Make one attempt; its time is bounded from departure on, the wait at the gate before it is not."""
        with anyio.CancelScope() as scope:

            def departed() -> None:
                scope.deadline = anyio.current_time() + self.call_timeout
                if attempt is not None:
                    attempt.departed()

            token = _attempt.set(Attempt(attempt.admit if attempt else _at_once, departed))
            try:
                answer: Mapping[str, Any] = await getattr(self.client, method)(**arguments)
                return answer
            except BatchpolError:
                raise
            except Exception as error:
                raise translate(error) from error
            finally:
                _attempt.reset(token)
        raise NoAnswer("no answer within the time allowed", code="Timeout")


async def _at_once() -> None:
    """Admit where no quota is concerned."""


def _request_id(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ResponseMetadata", {}).get("RequestId") or "")


_credentials_of_client: ContextVar[Any] = ContextVar("batchpol_credentials", default=None)


class _Session(AioSession):  # type: ignore[misc]  # aiobotocore is untyped
    """An aiobotocore session whose clients may have credentials of their own (one assumed role an account).

    One session for all clients: the second one costs a twentieth of the first in time and memory.
    """

    async def get_credentials(self) -> Any:
        return _credentials_of_client.get() or await super().get_credentials()


def _session(connection: Connection) -> AioSession:
    if connection.access_key is None:
        return _Session(profile=connection.profile)
    untouched = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    return _Session(session_vars=untouched)


class Aws:
    """All clients of one run, opened from one session.

    Args:
        connection: how to reach AWS.
        session: an aiobotocore session of the caller's, used instead of one of our own.
    """

    def __init__(self, connection: Connection, session: AioSession | None = None) -> None:
        self.connection = connection
        try:
            self._own_session = session is None
            self._session = session or _session(connection)
            self._session.get_scoped_config()  # raises on a profile that is not there
        except bx.BotoCoreError as error:
            raise UsageError(
                f"the AWS configuration is unusable: {error}",
                hint="name a profile that exists with --profile",
            ) from error
        self._roles: dict[str, Any] = {}
        self._clients = AsyncExitStack()

    async def __aenter__(self) -> Aws:
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):  # connections are closed even when the run is cancelled
            await self._clients.aclose()

    def region(self) -> str:
        """The run's Region: ``--region`` > ``AWS_REGION`` > ``AWS_DEFAULT_REGION`` > profile; empty if none.

        botocore itself does not read ``AWS_REGION``.
        """
        if self.connection.region:
            return self.connection.region
        if self.connection.access_key is not None:
            return ""
        return os.environ.get("AWS_REGION") or self._session.get_config_variable("region") or ""

    async def caller(self, region: str, account: str = "") -> Caller:
        """STS ``GetCallerIdentity`` with the credentials used for ``account``."""
        async with AsyncExitStack() as stack:
            sts = await self._open("sts", Target(account, region), stack)
            try:
                with anyio.fail_after(self.connection.call_timeout):
                    answer = await sts.get_caller_identity()
            except Exception as error:
                raise translate(error) from error
        return Caller(account=str(answer["Account"]), arn=str(answer["Arn"]))

    async def ses(self, target: Target) -> Ses:
        """SES of one target, open until this object is closed."""
        return Ses(_hooked(await self._open("ses", target, self._clients)), self.connection.call_timeout)

    async def renew(self, target: Target, old: Ses) -> Ses | None:
        """SES with credentials read or assumed afresh after they expired; None if there are no newer ones.

        Short-lived credentials that botocore can refresh are refreshed by it in time; this is for those that
        something else renews, a credentials file, say.
        """
        try:
            before = await old.access_key()
            if self._own_session:
                self._session = _session(self.connection)
            self._roles.pop(target.account, None)
            fresh = await self.ses(target)
            return fresh if await fresh.access_key() != before else None
        except (SesError, bx.BotoCoreError):
            return None

    async def _open(self, service: str, target: Target, stack: AsyncExitStack) -> Any:
        connection = self.connection
        token = _credentials_of_client.set(await self._role(target))
        try:
            return await stack.enter_async_context(
                self._session.create_client(
                    service,
                    region_name=target.region,
                    endpoint_url=_endpoint(connection, service),
                    aws_access_key_id=connection.access_key,
                    aws_secret_access_key=connection.secret_key,
                    config=_config(connection),
                )
            )
        except (bx.BotoCoreError, ValueError) as error:
            raise translate(error) from error
        finally:
            _credentials_of_client.reset(token)

    async def _role(self, target: Target) -> Any:
        """Refreshable credentials of the role in the target's account, or None without ``--role-arn``."""
        connection = self.connection
        if connection.role_arn is None or not target.account:
            return None
        if target.account not in self._roles:
            source = await self._session.get_credentials()
            if source is None:
                raise translate(bx.NoCredentialsError())
            extra = {"RoleSessionName": "batchpol"}
            if connection.external_id:
                extra["ExternalId"] = connection.external_id
            fetcher = AioAssumeRoleCredentialFetcher(
                partial(
                    self._session.create_client,
                    region_name=target.region,
                    endpoint_url=_endpoint(connection, "sts"),
                    config=_config(connection),
                ),
                source,
                connection.role_arn.replace("{account}", target.account),
                extra_args=extra,
            )
            self._roles[target.account] = AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
        return self._roles[target.account]


def _hooked(client: Any) -> Any:
    """Let the gate take part in every SES call of this client."""
    client.meta.events.register("before-sign.ses", _before_sign)
    client.meta.events.register("before-send.ses", _before_send)
    return client


def adopt(client: Any) -> Ses:
    """Use a caller's own aiobotocore SES client.

    Raises:
        UsageError: if botocore would retry by itself; such attempts would pass the gate unseen.
    """
    retries = client.meta.config.retries or {}
    if retries.get("total_max_attempts") != 1:
        raise UsageError(
            "the SES client retries by itself, and such attempts would not pass the gate",
            hint='create it with config=AioConfig(retries={"total_max_attempts": 1})',
        )
    return Ses(_hooked(client), Connection().call_timeout)


def _endpoint(connection: Connection, service: str) -> str | None:
    """The endpoint for ``service``, or None for botocore's own choice (its ``AWS_ENDPOINT_URL…`` included)."""
    url = connection.endpoint_url
    if url is None or service == "ses":
        return url
    host = urlsplit(url).hostname or ""
    is_aws = host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
    if is_aws or (connection.access_key is None and os.environ.get("AWS_ENDPOINT_URL_STS")):
        return None
    return url


def _config(connection: Connection) -> AioConfig:
    embedded = connection.access_key is not None
    return AioConfig(
        connect_timeout=connection.connect_timeout,
        read_timeout=connection.read_timeout,
        retries={"total_max_attempts": 1},
        parameter_validation=False,  # everything was checked; SES's own words are better than botocore's
        proxies={} if embedded else None,  # loopback is never asked for through a proxy
        user_agent_extra=f"batchpol/{__version__}",
        connector_args={"keepalive_timeout": KEEP_WARM},
    )
