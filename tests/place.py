"""A place to work in: a folder, a sandbox, and batchpol's commands run in this process, so that many cost little."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from botocore.loaders import Loader, create_loader

from batchpol.cli import app
from batchpol.cli.screen import log
from batchpol.cli.screen.terminal import complain, exit_code_of
from batchpol.model.errors import BatchpolError
from batchpol.sandbox import Arrival
from batchpol.testing import Sandbox
from tests.e2e.command import ACCOUNT, REGION, Ended, lines, nothing_left_running, save_lines

PUT, DELETE, READ = "PutIdentityPolicy", "DeleteIdentityPolicy", "GetIdentityPolicies"
LIST, LOOK_UP, PAGE = "ListIdentityPolicies", "GetIdentityVerificationAttributes", "ListIdentities"
FASTER = ("--rate", "500", "--i-have-a-higher-quota")
PACED = {"apply": (*FASTER, "--yes", "--staleness", "0"), "plan": FASTER, "export": FASTER}
"""Options of the commands against a sandbox that has no limit, and whose reads are never stale."""

COMMAND = typer.main.get_command(app)
"""Built once: that costs more than most of what it then runs."""

Record = dict[str, Any]


@dataclass
class Place:
    """One folder and one sandbox, and what the commands leave in both."""

    folder: Path
    sandbox: Sandbox
    capture: pytest.CaptureFixture[str]

    def run(self, command: str, *arguments: str | Path, code: int | None = 0) -> Ended:
        """Run a command to its end; ``code`` None takes any exit code."""
        self.capture.readouterr()
        line = [command, *PACED.get(command, ()), *map(str, arguments)]
        try:
            COMMAND(line, prog_name="batchpol")
        except BatchpolError as error:
            complain(error)
            ended = exit_code_of(error)
        except SystemExit as ending:
            ended = int(ending.code or 0)
        finally:
            log.end()  # each command is a process of its own for whoever types it
        out, err = self.capture.readouterr()
        assert code is None or ended == code, f"exit code {ended}\n{out}\n{err}"
        return Ended(ended, out, err)

    def save(self, name: str, records: Iterable[Mapping[str, Any]]) -> Path:
        return save_lines(self.folder / name, records)

    def report(self, name: str) -> list[dict[str, Any]]:
        return lines(self.folder / name)

    def statuses(self, name: str) -> Counter[str]:
        return Counter(row["status"] for row in self.report(name))

    @property
    def there(self) -> dict[tuple[str, str], Any]:
        """The documents that the sandbox holds, by identity and policy name."""
        found = self.sandbox.store.policies.items()
        return {(owner.identity, name): json.loads(text) for owner, them in found for name, text in them.items()}

    def put(self, identity: str, name: str, document: Any) -> None:
        """What somebody else does: straight into the store."""
        from batchpol.sandbox.store import Owner

        self.sandbox.store.put(Owner(ACCOUNT, REGION, identity), name, json.dumps(document))

    def forget_arrivals(self) -> None:
        self.sandbox.arrivals.clear()

    def arrivals(self, *operations: str) -> list[Arrival]:
        """What arrived since they were last forgotten, of SES's operations or of some of them."""
        wanted = operations or (PUT, DELETE, READ, LIST, LOOK_UP, PAGE)
        return [arrival for arrival in list(self.sandbox.arrivals) if arrival.operation in wanted]

    @property
    def calls(self) -> Counter[str]:
        return Counter(arrival.operation for arrival in self.arrivals())

    @property
    def writes(self) -> list[Arrival]:
        return self.arrivals(PUT, DELETE)


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
) -> Iterator[Place]:
    """An empty folder to be in, a sandbox without a limit, and nothing of this machine's configuration."""
    monkeypatch.setattr("botocore.session.create_loader", lambda path: models)
    for name in [name for name in os.environ if name.startswith(("AWS_", "BATCHPOL_"))]:
        monkeypatch.delenv(name)
    for name, value in (ses_sandbox.environment() | {"HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with nothing_left_running():
        yield Place(tmp_path, ses_sandbox, capsys)
