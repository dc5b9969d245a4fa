"""The lane on a simulated network, and a place to work in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from botocore.loaders import Loader, create_loader

from batchpol.testing import Sandbox
from tests.batch.place import Place
from tests.sending.conftest import bench

__all__ = ["bench", "place"]


@pytest.fixture(scope="session")
def models() -> Loader:
    """AWS's models, read once for all sessions: a megabyte of JSON for each command otherwise."""
    return create_loader()


@pytest.fixture
def place(
    tmp_path: Path,
    ses_sandbox: Sandbox,
    models: Loader,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Place:
    """An empty folder to be in, a sandbox without a limit, and nothing of this machine's configuration."""
    monkeypatch.setattr("botocore.session.create_loader", lambda path: models)
    for name in [name for name in os.environ if name.startswith(("AWS_", "BATCHPOL_"))]:
        monkeypatch.delenv(name)
    for name, value in (ses_sandbox.environment() | {"HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, ses_sandbox, capsys)
