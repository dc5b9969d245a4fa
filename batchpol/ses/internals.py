"""What we use of aiobotocore without its promise: names that begin with an underscore, here and nowhere else.

:func:`strange` looks at them, once a process. Where one is not as it was in aiobotocore 3.9 and 3.10, what is built on
it is left alone: the client goes its own way, which is slower and less strict, and :func:`notes` says so.
"""

from __future__ import annotations

import inspect
import ssl
import threading
import zlib
from collections.abc import Iterable
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiobotocore
from aiobotocore.client import AioBaseClient
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.endpoint import AioEndpoint
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import ClientPayloadError

LONGEST_ANSWER = 1 << 24
"""Bytes of an answer that are read at most; a thousand identities or twenty policies take half a million."""

_CALLED = (
    (AioBaseClient, "_resolve_endpoint_ruleset", ("self", "operation_model", "params", "request_context")),
    (AIOHTTPSession, "_get_session", ("self", "proxy_url")),
    (AIOHTTPSession, "_build_ssl_contexts", ("self", "proxy_url")),
)
"""Methods, and the parameters that they begin with."""

_HELD = (
    (AioBaseClient, "_endpoint"),
    (AioBaseClient, "_request_signer"),
    (AioEndpoint, "http_session"),
    (AioRefreshableCredentials, "_expiry_time"),
    (AioRefreshableCredentials, "_frozen_credentials"),
)
"""Attributes that an object has once it is made."""

OF_EXCHANGE = {"AioBaseClient._resolve_endpoint_ruleset", "AioBaseClient._endpoint", "AioEndpoint.http_session"}
OF_CREDENTIALS = {"AioRefreshableCredentials._expiry_time", "AioRefreshableCredentials._frozen_credentials"}
OF_HTTP = {"AIOHTTPSession._get_session", "AIOHTTPSession._build_ssl_contexts"}


@cache
def strange() -> frozenset[str]:
    """Those names that are not as known in the aiobotocore that is installed."""
    held = {f"{kind.__name__}.{name}" for kind, name in _HELD if name not in _made_with(kind)}
    called = {f"{kind.__name__}.{name}" for kind, name, takes in _CALLED if _taken(kind, name)[: len(takes)] != takes}
    return frozenset(held | called)


def _made_with(kind: type) -> set[str]:
    """The names in what makes an object of this kind, those of the attributes that it is given among them."""
    makers = [vars(base).get("__init__") for base in kind.__mro__]
    return {name for maker in makers if inspect.isfunction(maker) for name in maker.__code__.co_names}


def _taken(kind: type, method: str) -> tuple[str, ...]:
    """The parameters of a method, none where there is no such method."""
    there = getattr(kind, method, None)
    return tuple(inspect.signature(there).parameters) if callable(there) else ()


def notes() -> list[str]:
    """Sentences for people about what is left out, as aiobotocore is not as known."""
    found = []
    if missing := strange() & OF_EXCHANGE:
        found.append(f"{_other(missing)}: requests go through its client, which costs processor time")
    if missing := strange() & OF_HTTP:
        found.append(f"{_other(missing)}: clients follow redirects, and none shares its TLS context")
    if missing := strange() & OF_CREDENTIALS:
        found.append(f"{_other(missing)}: requests wait for credentials of a quarter of an hour or less")
    return found


def _other(missing: Iterable[str]) -> str:
    return f"aiobotocore {aiobotocore.__version__} is not as known to batchpol ({', '.join(sorted(missing))})"


def know_services_by_name(session: Any) -> None:
    """Have a session take the names of botocore's folders of models for its services, whatever is in them.

    It looks into each of 400 otherwise, twice before it makes its first client, which takes 15 ms and more. A model
    that is not there is missed when it is loaded.
    """
    loader = session.get_component("data_loader")
    folders = [it for it in map(Path, loader.search_paths) if it.is_dir()]
    loader.list_available_services = lambda type_name: [it.name for folder in folders for it in folder.iterdir()]


def credentials_of(client: Any) -> Any:
    """The credentials that a client signs with; None if it has none, or they are not where they were."""
    return getattr(getattr(client, "_request_signer", None), "_credentials", None)


def held_by(credentials: Any) -> Any:
    """The keys that refreshable credentials have, without asking for newer ones; None before the first."""
    return credentials._frozen_credentials


def end_of(credentials: Any) -> datetime | None:
    """When the keys that refreshable credentials have will hold no more; None before the first."""
    found: datetime | None = credentials._expiry_time
    return found


def http_session_of(client: Any) -> Any:
    """What a client sends prepared requests with; None if it is not where it was."""
    return getattr(getattr(client, "_endpoint", None), "http_session", None)


async def endpoint_of(client: Any, operation: Any, context: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Where requests go by botocore's rules, and with which headers more; ``context`` is told how they are signed."""
    url, headers, _ = await client._resolve_endpoint_ruleset(operation, {}, context)
    return url, headers


def http_session_class(*urls: str | None) -> Any:
    """What makes HTTP sessions that share their TLS contexts, as botocore is told to use it.

    Reading the certificate authorities takes 20 to 100 ms and 0.7 MB, more than all else of a client, and each
    client would do it for itself. Where all endpoints (``urls``) are plain HTTP none are read.
    """
    return AIOHTTPSession if strange() & OF_HTTP else partial(_HttpSession, tls=_Tls(*urls))


class _Tls:
    """The TLS contexts of one run, by whom they trust."""

    def __init__(self, *urls: str | None) -> None:
        self._built: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._plain_http = all(urlsplit(url or "").scheme == "http" for url in urls)

    def contexts(self, trusting: str, proxy_url: str | None, build: Any) -> Any:
        """One for the endpoint and one for the proxy; called on a thread."""
        if self._plain_http and proxy_url is None:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), None
        with self._lock:
            key = f"{trusting} {proxy_url}"
            if key not in self._built:
                self._built[key] = build(proxy_url)
            return self._built[key]


class _HttpSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore is untyped
    """aiobotocore's, with shared TLS contexts, without redirects, and with answers that have a bound."""

    def __init__(self, *args: Any, tls: _Tls, **options: Any) -> None:
        super().__init__(*args, **options)
        self._tls = tls
        self._trusting = repr((args, {name: options.get(name) for name in ("verify", "client_cert", "proxies_config")}))

    def _build_ssl_contexts(self, proxy_url: str | None) -> Any:
        return self._tls.contexts(self._trusting, proxy_url, super()._build_ssl_contexts)

    async def _get_session(self, proxy_url: str | None) -> _Straight:
        return _Straight(await super()._get_session(proxy_url))


class _Straight:
    """An HTTP session that sends to whom it was told to, and follows no redirect.

    AWS sends none; aiohttp would go along, past the gate, and hand the session token to whatever host is named.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    async def request(self, *args: Any, **options: Any) -> _Bounded:
        return _Bounded(await self._session.request(*args, **options, allow_redirects=False))


class _Bounded:
    """An answer of aiohttp's, of which no more is read than AWS ever sends."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)

    async def read(self) -> bytes:
        body = bytearray()
        try:
            async for piece in self._answer.content.iter_any():
                body += piece
                if len(body) > LONGEST_ANSWER:
                    raise ClientPayloadError(f"an answer of more than {LONGEST_ANSWER:,} bytes")
        except BaseException:  # as aiohttp does, also when it is cancelled
            self._answer.close()
            raise
        return self._unpacked(bytes(body))

    def _unpacked(self, body: bytes) -> bytes:
        """What a gateway on the way has compressed, although nobody asked it to."""
        if self._answer.headers.get("Content-Encoding", "").strip().lower() not in ("gzip", "x-gzip", "deflate"):
            return body
        packed = zlib.decompressobj(wbits=47)  # gzip or zlib, as its first bytes say
        try:
            body = packed.decompress(body, LONGEST_ANSWER)
        except zlib.error as error:
            raise ClientPayloadError(f"an answer that is not compressed as it says: {error}") from error
        if not packed.eof:
            raise ClientPayloadError(f"a compressed answer that was cut off, or has more than {LONGEST_ANSWER:,} bytes")
        return body
