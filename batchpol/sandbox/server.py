"""The sandbox on the network: an HTTP server on loopback, delays, and what faults do to a connection."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Self

from aiohttp import web

from batchpol.sandbox.arrivals import Arrival
from batchpol.sandbox.options import SandboxOptions
from batchpol.sandbox.service import Answer, Service
from batchpol.sandbox.store import Store
from batchpol.sandbox.wire import Request

HOST: Final = "127.0.0.1"
"""The only address the sandbox ever listens on: it checks no signature."""

_PAGE: Final = b"<html><head><title>Welcome</title></head><body><p>Please sign in.</p></body></html>"
_PAGES: Final = {"portal": 200, "wrong_type": 200, "bad_gateway": 502}
_KEEP_ALIVE_SECONDS: Final = 3600.0
_SHUTDOWN_SECONDS: Final = 0.1


class Sandbox:
    """An SES on loopback for as long as the ``async with`` block lasts.

    ``port`` 0 takes a free one. Entering raises OSError if the port is taken. The object belongs to the event
    loop that entered it; :meth:`change` and reading may happen from any thread.
    """

    def __init__(self, options: SandboxOptions | None = None, port: int = 0) -> None:
        self._service = Service(options or SandboxOptions())
        self._port = port
        self._runner: web.ServerRunner | None = None
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go_away()
        self._service.close()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def options(self) -> SandboxOptions:
        return self._service.options

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        server = self._runner.server if self._runner is not None else None
        return sum(it.transport is not None for it in server.connections) if server is not None else 0

    @property
    def store(self) -> Store:
        """Identities and policies as they are."""
        return self._service.store

    @property
    def arrivals(self) -> deque[Arrival]:
        """The latest arrivals (up to 200,000), oldest first."""
        return self._service.arrivals

    def environment(self, region: str = "us-east-1") -> dict[str, str]:
        """Environment variables that make botocore, boto3 and the AWS CLI use this sandbox and nothing else."""
        return {
            "AWS_ENDPOINT_URL_SES": self.url,
            "AWS_ENDPOINT_URL_SESV2": self.url,
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            "AWS_ACCESS_KEY_ID": "AKIASANDBOXSANDBOXSB",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "AWS_SESSION_TOKEN": "",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": HOST,
            "no_proxy": HOST,
        }

    def change(self, **options: Any) -> None:
        """Set other options at run time, by the names of :class:`SandboxOptions`, all but ``log`` and ``seed``.

        Policies, limits and counts stay as they are. Raises TypeError for an unknown name and ValueError as
        the options do.
        """
        fixed = options.keys() & {"log", "seed"}
        if fixed:
            raise TypeError(f"cannot be changed at run time: {', '.join(sorted(fixed))}")
        self._service.change(dataclasses.replace(self.options, **options))

    async def go_away(self) -> None:
        """Stop listening and drop every connection, as a server does that is down. Nothing is forgotten."""
        self._closing.set()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def come_back(self) -> None:
        """Listen again, on the same port."""
        if self._runner is not None:
            return
        self._closing = asyncio.Event()
        server = web.Server(self._handle, access_log=None, keepalive_timeout=_KEEP_ALIVE_SECONDS, lingering_time=0.0)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            # Bound by hand, so that a port given up can be taken again at once.
            listener = socket.create_server((HOST, self._port), backlog=1024)
            await web.SockSite(runner, listener).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._port = listener.getsockname()[1]
        self._runner = runner

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One HTTP request: travel in, be answered, travel back."""
        # As it came, since that was signed; who asks a proxy names the host, too.
        target = request.raw_path if request.raw_path.startswith("/") else request.rel_url.raw_path_qs
        path, _, query = target.partition("?")
        if path == "/" and request.method in ("GET", "HEAD"):
            return web.Response(text="The embedded SES of batchpol.\n")
        headers = {name.lower(): value for name, value in request.headers.items()}
        sent = Request(await request.read(), headers, request.method, path, query)
        options = self.options
        await self._travel(options.latency_ms / 2, options.jitter_ms)
        answer = self._service.answer(sent)
        options = self.options
        await self._travel(options.latency_ms / 2, options.jitter_after_ms)
        return await self._deliver(request, answer)

    async def _travel(self, milliseconds: float, jitter: float) -> None:
        if jitter:
            milliseconds += self._service.jitter.expovariate(1 / jitter)
        if milliseconds:
            await asyncio.sleep(milliseconds / 1000)

    async def _deliver(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        """Send the answer, or what its fault leaves of it."""
        headers = dict(answer.headers)
        match answer.fault:
            case "reset_before" | "reset_after":
                _reset(request)
            case "drop_before" | "drop_after":
                _drop(request)
            case "stall_before" | "stall_after":
                await self._stall()
                _reset(request)
            case "portal" | "wrong_type" | "bad_gateway" as name:
                return web.Response(status=_PAGES[name], body=_PAGE, content_type="text/html")
            case "malformed":
                return web.Response(status=200, body=answer.body[: len(answer.body) // 2], headers=headers)
            case "truncated":
                return await _truncate(request, answer, headers)
            case _:
                return web.Response(status=answer.status, body=answer.body, headers=headers)
        # The connection is gone; aiohttp finds that out when it tries to send this.
        return web.Response(status=answer.status)

    async def _stall(self) -> None:
        """Keep silent for as long as a stall lasts, or until the sandbox closes."""
        try:
            async with asyncio.timeout(self.options.stall_seconds):
                await self._closing.wait()
        except TimeoutError:
            return


async def serve(options: SandboxOptions, port: int, *, ready: Callable[[str], None]) -> None:
    """Run a sandbox until cancelled; ``ready`` gets its URL once it listens. Raises OSError if the port is taken."""
    async with Sandbox(options, port) as sandbox:
        ready(sandbox.url)
        await asyncio.get_running_loop().create_future()


def _reset(request: web.BaseRequest) -> None:
    """End the connection with a TCP reset, so that the client sees one and not an orderly end."""
    transport = request.transport
    if transport is not None:
        linger_not_at_all = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not_at_all)
        transport.abort()


def _drop(request: web.BaseRequest) -> None:
    """End the connection in good order; clients tell that from a reset, and not all treat it the same."""
    if request.transport is not None:
        request.transport.close()


async def _truncate(request: web.BaseRequest, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
    """Announce the whole answer, send half of it, and close."""
    response = web.StreamResponse(status=200, headers=headers | {"Content-Length": str(len(answer.body))})
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    _drop(request)
    return response
