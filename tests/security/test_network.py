"""Who is spoken to: the endpoint that was named and nobody else, and answers meant to hurt; who may speak to us."""

from __future__ import annotations

import asyncio
import gzip
import os
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batchpol.model.errors import NoAnswer, SesError
from batchpol.model.settings import Connection
from batchpol.ses import Aws, in_the_clear
from batchpol.testing import Sandbox
from tests.runs import REGION, Watcher, apply, row, write_input
from tests.ses.conftest import DOCUMENT, IDENTITY, TARGET, settle

TOKEN = "session-token-for-one-host-alone"
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a session, and nothing else of this machine's configuration."""
    for name in os.environ:
        if name.upper().startswith("AWS_") or name.upper().endswith(("_PROXY", "_CA_BUNDLE")):
            monkeypatch.delenv(name)
    keys = {"AWS_ACCESS_KEY_ID": "ASIATEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": TOKEN}
    for name, value in (keys | {"AWS_CONFIG_FILE": "/not/there", "AWS_SHARED_CREDENTIALS_FILE": "/not/there"}).items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def answering(answer: bytes, then: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that answers every request so; gives its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await then(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await settle()


async def nothing(_: asyncio.StreamWriter) -> None:
    """Say no more."""


async def put(url: str) -> SesError:
    async with Aws(Connection(endpoint_url=url)) as aws:
        with pytest.raises(SesError) as caught:
            await (await aws.ses(TARGET)).put(IDENTITY, "name", DOCUMENT, None)
        await settle()
    return caught.value


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_takes_a_token_or_a_policy_to_another_host(status: int) -> None:
    """aiohttp would follow it: without the Authorization header, but with the session token and the document."""
    reached: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.read(65536))
        writer.close()

    other = await asyncio.start_server(note, "127.0.0.1", 0)
    where = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}/"
    answer = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n"
    async with answering(answer.encode(), nothing) as url:
        error = await put(url)
    other.close()
    assert reached == []
    assert isinstance(error, NoAnswer)


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    for _ in range(10_000):
        writer.write(b"X-Endless: %s\r\n" % (b"x" * 4000))
        await writer.drain()


async def endless_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\r\n")
    for _ in range(4_000):
        writer.write(b" " * 65_536)
        await writer.drain()


@pytest.mark.parametrize("endless", [endless_headers, endless_body])
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 500 No\r\n"])
async def test_an_answer_without_an_end_is_none_and_fills_no_memory(
    head: bytes, endless: Callable[[asyncio.StreamWriter], Awaitable[None]]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with answering(head, endless) as url:
        error = await put(url)
    assert isinstance(error, NoAnswer)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes; it sends 262,144"


async def test_a_compressed_answer_that_unpacks_to_more_than_aws_sends_is_none() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    packed = gzip.compress(bytes(256 << 20), 9)
    for body in (packed, packed[: len(packed) // 2], b"not compressed at all"):
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        async with answering(head + body, nothing) as url:
            assert isinstance(await put(url), NoAnswer)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "kilobytes; our own 256 MB among them"


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("http://ses.internal:4566", True),
        ("http://10.0.0.7", True),
        ("http://[2001:db8::1]:80", True),
        ("http://localhost.example.com", True),
        ("http://localhost:4566", False),
        ("http://127.0.0.1:4566", False),
        ("http://[::1]:4566", False),
        ("https://ses.internal", False),
        ("", False),
    ],
)
def test_an_endpoint_beyond_this_machine_without_tls_is_said_so(url: str, clear: bool) -> None:
    assert in_the_clear(url) == clear


async def test_the_run_says_it_before_it_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox() as sandbox:
        look_up = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: look_up("127.0.0.1", *rest, **more))
        watcher, url = Watcher(), f"http://ses.internal:{sandbox.port}"
        connection = Connection(regions=(REGION,), endpoint_url=url)
        source = write_input(tmp_path / "in.jsonl", [row(0)])
        await apply(sandbox, source, observer=watcher, connection=connection, own_session=True, dry_run=True)
    assert watcher.preview is not None
    assert watcher.preview.notes == [f"{url} has no TLS: who is on the way can read and change requests"]


async def test_the_sandbox_is_not_reached_by_any_other_address_of_this_machine() -> None:
    """Nor by IPv6, where it listens not at all."""
    own = {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, proto=socket.IPPROTO_TCP)}
    async with Sandbox() as sandbox:
        for address in (own - {"127.0.0.1"}) | {"127.0.0.2", "::1"}:
            with pytest.raises(OSError):
                await asyncio.wait_for(asyncio.open_connection(address, sandbox.port), 2)
