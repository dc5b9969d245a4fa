"""Real clients on a sandbox: boto3's for SES and STS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import boto3
import pytest
from botocore.config import Config

from batchpol.testing import Sandbox

NO_RETRIES = Config(retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=5)


@pytest.fixture(scope="session")
def aws() -> boto3.Session:
    """One session for all: loading botocore's models is what costs."""
    return boto3.Session(aws_access_key_id="AKIATEST", aws_secret_access_key="secret", region_name="us-east-1")


@pytest.fixture
def connect(aws: boto3.Session, ses_sandbox: Sandbox) -> Iterator[Callable[..., Any]]:
    """Makes clients of the sandbox that try once, and closes them."""
    with ExitStack() as stack:

        def make(service: str = "ses", **options: Any) -> Any:
            client = aws.client(service, endpoint_url=ses_sandbox.url, config=NO_RETRIES, **options)
            return stack.enter_context(closing(client))

        yield make


@pytest.fixture
def ses(connect: Callable[..., Any]) -> Any:
    return connect("ses")
