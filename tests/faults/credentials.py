"""Credentials that the embedded SES takes, in a file as tools that renew them write it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from batchpol.sandbox.sessions import credentials_of, open_session
from batchpol.testing import Sandbox

ROLE = "arn:aws:iam::123456789012:role/Deployer"


def given() -> str:
    """A credentials file with a new session of an hour."""
    found = credentials_of(open_session(ROLE, "test", time.time() + 3600))
    return (
        f"[default]\naws_access_key_id = {found.access_key}\naws_secret_access_key = {found.secret_key}\n"
        f"aws_session_token = {found.token}\n"
    )


def keys_file(
    monkeypatch: pytest.MonkeyPatch, folder: Path, sandbox: Sandbox, text: str | None = None, **more: str
) -> Path:
    """Point the AWS environment at the sandbox, with credentials in a file; returns the file."""
    for name in os.environ:
        if name.upper().startswith("AWS_"):
            monkeypatch.delenv(name)
    file = folder / "credentials"
    file.write_text(text if text is not None else given())
    keyless = {
        name: value for name, value in sandbox.environment().items() if not name.startswith(("AWS_ACC", "AWS_SE"))
    }
    for name, value in (
        keyless | {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_CONFIG_FILE": str(folder / "none")} | more
    ).items():
        monkeypatch.setenv(name, value)
    return file
