"""TLS is verified, come what may, and its authorities are read once a run.

The certificates in ``tls/`` are self-signed, their keys are public, and they are trusted nowhere but here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiobotocore.httpsession
import anyio
import pytest

from batchpol.model import Target
from batchpol.model.errors import AccessRefused, SesError, Unreachable, UsageError
from batchpol.model.settings import Connection
from batchpol.ses import Aws
from batchpol.testing import Sandbox
from tests.ses.conftest import ACCOUNT, DOCUMENT, IDENTITY, KEY, SECRET, TARGET, save, settle

CERTIFICATES = Path(__file__).parent / "tls"
LOCALHOST, OTHER = CERTIFICATES / "localhost.pem", CERTIFICATES / "other.pem"


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Pass everything on to ``port`` and back until one side ends."""
    onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
        except OSError:
            pass
        finally:
            sink.close()

    await asyncio.gather(pump(reader, onward_writer), pump(onward_reader, writer))


Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handle: Handle, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on loopback that leaves nothing open; gives its port."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await handle(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await settle()


@asynccontextmanager
async def tls_server(sandbox: Sandbox, certificate: Path = LOCALHOST) -> AsyncIterator[str]:
    """The sandbox behind TLS; gives its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with listening(lambda reader, writer: relay(reader, writer, sandbox.port), context) as port:
        yield f"https://127.0.0.1:{port}"


@asynccontextmanager
async def proxy(asked: list[str], answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> AsyncIterator[str]:
    """A proxy for CONNECT, which writes down what it was asked for; gives its URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(request.splitlines()[0])
        writer.write(answer)
        if b" 200 " in answer:
            await relay(reader, writer, int(request.split()[1].rpartition(":")[2]))
        else:
            writer.close()

    async with listening(handle) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def environment(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    environment.setenv("AWS_ACCESS_KEY_ID", KEY)
    environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return environment


async def put(url: str) -> SesError | None:
    """What a put at ``url`` is refused with, None if it is taken."""
    async with Aws(Connection(endpoint_url=url)) as aws:
        try:
            await (await aws.ses(TARGET)).put(IDENTITY, "name", DOCUMENT, None)
        except SesError as error:
            return error
        finally:
            await settle()
    return None


def assert_refused(error: SesError | None, sandbox: Sandbox) -> None:
    assert isinstance(error, AccessRefused)
    assert (error.code, len(sandbox.arrivals)) == ("TLSRefused", 0)
    assert "AWS_CA_BUNDLE" in error.hint


@pytest.mark.every_loop
async def test_a_certificate_of_unknown_authorities_is_refused(
    environment: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    async with tls_server(sandbox) as url:
        error = await put(url)
    assert_refused(error, sandbox)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
async def test_ones_own_authorities_can_be_named(
    variable: str, environment: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    environment.setenv(variable, str(LOCALHOST))
    async with tls_server(sandbox) as url:
        assert await put(url) is None
    assert len(sandbox.arrivals) == 1


async def test_sts_has_the_authorities_also_where_ses_is_asked_in_the_clear(
    environment: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    environment.setenv("AWS_CA_BUNDLE", str(LOCALHOST))
    async with tls_server(sandbox) as url:
        environment.setenv("AWS_ENDPOINT_URL_STS", url)
        async with Aws(Connection(endpoint_url=sandbox.url)) as aws:
            assert (await aws.caller("us-east-1")).account == ACCOUNT
            assert await (await aws.ses(TARGET)).put(IDENTITY, "name", DOCUMENT, None)
        await settle()


@pytest.mark.every_loop
async def test_a_trusted_certificate_of_another_host_is_refused(
    environment: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    """aiobotocore before 3.9 takes it: any certificate of any host, as long as it is trusted."""
    environment.setenv("AWS_CA_BUNDLE", str(OTHER))
    async with tls_server(sandbox, OTHER) as url:
        assert_refused(await put(url), sandbox)


@pytest.mark.every_loop
async def test_behind_a_proxy_the_certificate_is_verified_all_the_same(
    environment: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    """aiobotocore before 3.9 verifies nothing there."""
    asked: list[str] = []
    async with tls_server(sandbox) as url, proxy(asked) as proxy_url:
        environment.setenv("HTTPS_PROXY", proxy_url)
        environment.setenv("AWS_CA_BUNDLE", str(OTHER))
        assert_refused(await put(url), sandbox)
        environment.setenv("AWS_CA_BUNDLE", str(LOCALHOST))
        assert await put(url) is None
    assert asked == [f"CONNECT {url.removeprefix('https://')} HTTP/1.1"] * 2


@pytest.mark.every_loop
async def test_a_proxy_that_does_not_let_through_was_asked_for_nothing_else(
    environment: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    environment.setenv("AWS_CA_BUNDLE", str(LOCALHOST))
    async with tls_server(sandbox) as url:
        async with proxy([], b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as proxy_url:
            environment.setenv("HTTPS_PROXY", proxy_url)
            error = await put(url)
        assert (type(error), error and error.code) == (Unreachable, "ConnectFailed")
        error = await put(url)  # the proxy itself is gone now
        assert (type(error), error and error.code) == (Unreachable, "ConnectFailed")
    assert len(sandbox.arrivals) == 0


async def test_no_setting_switches_verification_off(
    environment: pytest.MonkeyPatch, config_file: Path, tmp_path: Path, sandbox: Sandbox
) -> None:
    """Whatever stands there instead of a file of authorities: refused with a hint that says so, nothing sent."""
    garbage = tmp_path / "garbage.pem"
    save(garbage, "no certificates here\n")
    unusable = ["", " ", "false", "/not/there.pem", str(tmp_path), str(garbage)]
    async with tls_server(sandbox) as url:
        for value in unusable:
            for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
                environment.setenv(variable, value)
                await assert_unusable(url)
                environment.delenv(variable)
            save(config_file, f"[default]\nca_bundle = {value}\n")
            await assert_unusable(url)
            save(config_file, "")
    assert len(sandbox.arrivals) == 0


async def assert_unusable(url: str) -> None:
    with pytest.raises((UsageError, AccessRefused)) as caught:
        async with Aws(Connection(endpoint_url=url)) as aws:
            await (await aws.ses(TARGET)).put(IDENTITY, "name", DOCUMENT, None)
    assert "AWS_CA_BUNDLE" in caught.value.hint


@pytest.mark.every_loop
async def test_a_server_that_speaks_no_tls(environment: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    environment.setenv("AWS_CA_BUNDLE", str(LOCALHOST))
    assert_refused(await put(sandbox.url.replace("http:", "https:")), sandbox)


async def test_the_authorities_are_read_once_a_run(environment: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """Reading them is what a client costs: 20 to 100 ms and 0.7 MB. For plain HTTP they are not read at all."""
    environment.setenv("AWS_CA_BUNDLE", str(LOCALHOST))
    read: list[object] = []
    get_cert_path = aiobotocore.httpsession.get_cert_path
    environment.setattr(
        aiobotocore.httpsession, "get_cert_path", lambda verify: read.append(verify) or get_cert_path(verify)
    )
    role = "arn:aws:iam::{account}:role/Writer"
    async with tls_server(sandbox) as url:
        for endpoint, times in ((url, 1), (sandbox.url, 0)):
            async with Aws(Connection(endpoint_url=endpoint, role_arn=role)) as aws:
                for account in (ACCOUNT, "111122223333", "444455556666"):
                    assert (await aws.caller("us-east-1", account)).account == account
                    ses = await aws.ses(Target(account, "us-east-1"))
                    await asyncio.gather(ses.warm(), ses.ready())
                await settle()
            assert len(read) == times, endpoint
            read.clear()


async def test_a_cancelled_run_waits_until_its_connections_are_closed(
    environment: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    """Ending TLS takes a few turns of the event loop, which a cancelled task gets only where it is shielded."""
    environment.setenv("AWS_CA_BUNDLE", str(LOCALHOST))
    closed: list[object] = []
    close = aiobotocore.httpsession.AIOHTTPSession.__aexit__

    async def watched(self: object, *details: object) -> None:
        await close(self, *details)
        closed.append(self)

    environment.setattr(aiobotocore.httpsession.AIOHTTPSession, "__aexit__", watched)
    async with tls_server(sandbox) as url:
        with anyio.CancelScope() as scope:
            async with Aws(Connection(endpoint_url=url)) as aws:
                for region in ("us-east-1", "eu-west-1"):
                    await (await aws.ses(Target(ACCOUNT, region))).warm()
                scope.cancel()
                await anyio.sleep_forever()
        assert len(set(closed)) == 2
