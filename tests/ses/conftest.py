"""The border to AWS against the embedded SES, with nothing of this machine's AWS configuration."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiobotocore.endpoint
import anyio
import botocore.session
import pytest
from aiobotocore.session import AioSession
from botocore.loaders import create_loader

from batchpol.model import Target
from batchpol.model.settings import Connection
from batchpol.ses import Aws, Ses
from batchpol.testing import Sandbox, SandboxOptions

ACCOUNT = "123456789012"
TARGET = Target(ACCOUNT, "us-east-1")
IDENTITY = "tenant.example"
DOCUMENT = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},'
    '"Action":"ses:SendEmail","Resource":"arn:aws:ses:us-east-1:123456789012:identity/tenant.example"}]}'
)
KEY, SECRET = "AKIATESTTESTTESTTEST", "not-so-secret-secret-of-the-tests"

LOADERS = functools.cache(create_loader)
"""Sessions of all tests share the models that botocore loaded: reading them is what a session costs."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No AWS, proxy or certificate variable, empty configuration files, no instance metadata."""
    for name in os.environ:
        if name.upper().startswith("AWS_") or name.upper().endswith(("_PROXY", "_CA_BUNDLE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setattr(botocore.session, "create_loader", LOADERS)
    return monkeypatch


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """AWS's configuration file, not there yet."""
    return tmp_path / "config"


@pytest.fixture
def credentials_file(tmp_path: Path) -> Path:
    """AWS's credentials file, not there yet."""
    return tmp_path / "credentials"


def save(path: Path, text: str | bytes) -> None:
    """Write a file of AWS's, as some other program does."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """An SES without a limit of requests a second, in the test's own event loop."""
    async with Sandbox(SandboxOptions(rate=0)) as running:
        yield running


@pytest.fixture
def embedded(sandbox: Sandbox) -> Callable[..., Connection]:
    """Makes the connection to the sandbox; options of :class:`Connection` on top."""

    def make(**options: object) -> Connection:
        return Connection(
            **{
                "regions": ("us-east-1",),
                "endpoint_url": sandbox.url,
                "access_key": KEY,
                "secret_key": SECRET,
                **options,
            }
        )

    return make


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore tries again at once."""

    async def at_once(self: object, seconds: float) -> None:
        assert seconds < 10

    monkeypatch.setattr(aiobotocore.endpoint.AioEndpoint, "_sleep", at_once)


SESSION = AioSession()
"""For the tests that are not about sessions; registering its handlers is what costs."""


@asynccontextmanager
async def opened(connection: Connection, *, callers: bool = False) -> AsyncIterator[Ses]:
    """SES of the tests' target for as long as the block lasts, from a session of ours or from a caller's own."""
    aws = Aws(connection, SESSION)
    aws._own_session = not callers
    async with aws:
        ses = await aws.ses(TARGET)
        assert (ses.exchange is None) == callers
        yield ses


async def settle() -> None:
    """Let both ends see what the other did to the connections, all in this test's event loop."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
