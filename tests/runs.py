"""Batches against the embedded SES, in this process or as the real command, and what the server saw of them."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import AioSession

from batchpol.batch.batch import Batch
from batchpol.batch.observer import Observer, Preview, Result
from batchpol.batch.options import Options
from batchpol.journal import Journal
from batchpol.model import Record
from batchpol.model.settings import Conduct, Connection, Keeping, Patience
from batchpol.sandbox import SES_OPERATIONS, Arrival, Sandbox, SandboxOptions
from batchpol.ses import Aws
from batchpol.source import open_source

ACCOUNT, REGION = "123456789012", "us-east-1"
PERIOD = 0.03
"""Seconds between two requests in these tests; short, so that they are."""
BLIND, COMPARE = Conduct(compare=False, staleness=0), Conduct(staleness=0)
"""Reads of the embedded SES are never stale, unless a test says so."""
WRITES = ("PutIdentityPolicy", "DeleteIdentityPolicy")

AWS = partial(Aws, session=AioSession())
"""With one session for all runs of this process: botocore keeps the models it loaded, which is what costs."""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """An SES without a limit of requests a second, in the test's own event loop."""
    async with Sandbox(SandboxOptions(rate=0)) as running:
        yield running


def document(identity: str, sid: str = "Mail", *, principal: str = "444455556666", account: str = ACCOUNT) -> str:
    """A policy that SES takes for this identity."""
    statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": "ses:SendEmail",
        "Resource": f"arn:aws:ses:{REGION}:{account}:identity/{identity}",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def row(number: int, sid: str = "Mail", principal: str = "444455556666", **more: Any) -> dict[str, Any]:
    """A record as a line of JSON Lines has it."""
    identity = f"tenant-{number}.example"
    return {
        "identity": identity,
        "policy_name": "sending",
        "policy": document(identity, sid, principal=principal),
        **more,
    }


def write_input(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in rows), encoding="utf-8")
    return path


class Watcher(Observer):
    """Remembers what a run told."""

    def __init__(self) -> None:
        self.preview: Preview | None = None
        self.told: list[str] = []

    async def planned(self, preview: Preview, journal: Journal) -> bool:
        self.preview = preview
        return True

    def noted(self, target: object, text: str) -> None:
        self.told.append(text)

    def noted_of_run(self, text: str) -> None:
        self.told.append(text)


def options(server: Sandbox, folder: Path, **choices: Any) -> Options:
    """Quick choices for a run against ``server``; ``timeout`` is in seconds, ``patience`` by its fields."""
    connection = Connection(
        regions=(REGION,),
        endpoint_url=server.url,
        access_key=choices.pop("access_key", "AKIATESTTESTTESTTEST"),
        secret_key="nothing secret",
        connect_timeout=2.0,
        read_timeout=choices.pop("timeout", 5.0),
    )
    whole = {name: choices.pop(name) for name in ("sandbox", "drain", "command", "template") if name in choices}
    quick = Options(
        connection=choices.pop("connection", connection),
        conduct=choices.pop("conduct", BLIND),
        patience=Patience(**{"period": PERIOD} | choices.pop("patience", {})),
        keeping=Keeping(journal=folder / "run.journal.jsonl", reports=(folder / "report.jsonl",)),
        **whole,
    )
    return quick.changed(choices)


@contextmanager
def opened(
    server: Sandbox,
    source: Path,
    *,
    observer: Observer | None = None,
    records: AsyncIterable[Record] | None = None,
    **choices: Any,
) -> Iterator[Batch]:
    """A batch that is ready to run, of ``source`` or of other records said to be from it."""
    with open_source(str(source)) as file:
        yield Batch(
            records or file,
            options(server, source.parent, **choices),
            observer=observer,
            name=file.name,
            columns=lambda: file.columns,
            digest=lambda: file.sha256,
        )


async def run(batch: Batch, *, own_session: bool = False) -> Result:
    """Run it to its end; with ``own_session`` its credentials come from the environment."""
    async with batch.options.targets(Aws if own_session else AWS) as targets:
        return await batch.run(targets)


async def apply(server: Sandbox, source: Path, *, own_session: bool = False, **choices: Any) -> Result:
    """Run one batch to its end."""
    with opened(server, source, **choices) as batch:
        return await run(batch, own_session=own_session)


def report(folder: Path) -> list[dict[str, Any]]:
    """The rows of the last run's report."""
    return [json.loads(line) for line in (folder / "report.jsonl").read_text("utf-8").splitlines()]


def statuses(folder: Path) -> list[str]:
    return [line["status"] for line in report(folder)]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "batchpol", *map(str, arguments)]


def environment(sandbox: Sandbox, home: Path, **more: str) -> dict[str, str]:
    """Of the real command: nothing of this machine's AWS configuration, everything of the sandbox."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("AWS_", "BATCHPOL_"))}
    nowhere = {"AWS_CONFIG_FILE": str(home / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(home / "none")}
    fresh = {"BATCHPOL_APPLY_STALENESS": "0"}
    return kept | {"HOME": str(home), "COLUMNS": "200"} | fresh | nowhere | sandbox.environment(REGION) | more


def run_command(
    sandbox: Sandbox, folder: Path, *arguments: str | Path, env: Mapping[str, str] | None = None, **how: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(sandbox, folder, **(env or {})),
        capture_output=True,
        text=True,
        timeout=60,
        **how,
    )


# -- what the server saw ---------------------------------------------------------------------------------------


def writes(sandbox: Sandbox, since: int = 0) -> list[Arrival]:
    """The writes that arrived, but for the first ``since`` of them."""
    return [arrival for arrival in sandbox.arrivals if arrival.operation in WRITES][since:]


def names(arrivals: Iterable[Arrival]) -> list[str]:
    return [arrival.identity for arrival in arrivals]


def closest(arrivals: Sequence[Arrival]) -> float:
    """The shortest time between two arrivals of one operation, in seconds."""
    gaps = [later - earlier for times in times_of(arrivals).values() for earlier, later in itertools.pairwise(times)]
    return min(gaps, default=float("inf"))


def times_of(arrivals: Iterable[Arrival]) -> dict[str, list[float]]:
    """When the requests of each operation of SES arrived, in seconds."""
    by_operation: dict[str, list[float]] = {}
    for arrival in arrivals:
        if arrival.operation in SES_OPERATIONS:
            by_operation.setdefault(arrival.operation, []).append(arrival.at)
    return by_operation


def check_truth(sandbox: Sandbox, folder: Path, asked: Sequence[Mapping[str, Any]], *, period: float = PERIOD) -> None:
    """What the report says against what the server saw: the promises of the whole tool.

    - every record has exactly one row;
    - what is reported as applied was taken by the server, and what is stored is what was asked for;
    - what is reported as never sent never arrived;
    - every request passed the gate: no more of one operation came than one a period (a machine that stands still for a
      moment may bring two together, so that the distance of two says less than their number; two are left to it).
    """
    rows = report(folder)
    assert Counter((line["identity"], line["policy_name"]) for line in rows) == Counter(
        (line["identity"], line["policy_name"]) for line in asked
    )
    taken = {(it.identity, it.policy_name, it.sha256) for it in writes(sandbox) if it.applied}
    came = {(it.identity, it.policy_name, it.sha256) for it in writes(sandbox)}
    stored = {
        (owner.identity, name): policy
        for owner, found in sandbox.store.policies.items()
        for name, policy in found.items()
    }
    for line, wanted in zip(rows, asked, strict=True):
        place = line["identity"], line["policy_name"]
        this = (*place, hashlib.sha256(wanted["policy"].encode()).hexdigest())
        if line["status"] == "applied":
            assert this in taken, f"reported as applied and never taken: {line}"
        if line["status"] in ("applied", "unchanged"):
            assert stored.get(place) == wanted["policy"], f"stored is something else: {line}"
        if line["status"] == "not_attempted" and not line["attempts"]:
            assert this not in came, f"reported as never sent and sent: {line}"
    for times in times_of(sandbox.arrivals).values():
        assert (len(times) - 1) * period <= times[-1] - times[0] + 2 * period
