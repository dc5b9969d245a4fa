"""The installed command as a user runs it: a process of its own, in a folder of its own, seen by what it leaves."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from batchpol.testing import Sandbox
from tests.forked import Forked, can_fork

SAMPLES = Path(__file__).parents[2] / "samples"
COMMAND = Path(sys.executable).with_name("batchpol")
ACCOUNT = "123456789012"
REGION = "us-east-1"
PATIENCE = 60.0
"""Seconds after which a command that should have ended counts as hung."""

STARTED: list[subprocess.Popen[bytes]] = []
"""What :func:`start` started; a fixture kills what a failed test left running."""

AT_ONCE = 4
"""Commands that run beside each other where a test needs several."""

FAST = ("--yes", "--rate", "500", "--i-have-a-higher-quota")
"""For tests whose subject is not the pace, against a sandbox without a limit."""


@dataclass(frozen=True)
class Ended:
    """What a finished command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        """Standard output of ``--output json``."""
        found: dict[str, Any] = json.loads(self.out)
        return found


def environment(home: Path, **variables: str) -> dict[str, str]:
    """This process's environment without a trace of AWS or batchpol in it, and an empty home."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("AWS_", "BATCHPOL_"))
        and not name.upper().endswith("_PROXY")
        and name != "PYTHONDONTWRITEBYTECODE"  # or each command compiles the package anew
    }
    path = f"{COMMAND.parent}{os.pathsep}{kept.get('PATH', '')}"
    fresh = {"BATCHPOL_APPLY_STALENESS": "0"}  # reads of the embedded SES are never stale, unless a test says so
    return kept | {"HOME": str(home), "PATH": path, "AWS_EC2_METADATA_DISABLED": "true"} | fresh | variables


def start(
    *arguments: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
    before: Callable[[], object] | None = None,
) -> subprocess.Popen[bytes]:
    """Start the command; ``env`` is added to a clean environment, ``before`` is called in the new process first."""
    variables = environment(cwd, **(env or {}))
    kind = Forked if before is None and can_fork(variables) else subprocess.Popen
    process = kind(
        [str(COMMAND), *map(str, arguments)],
        cwd=cwd,
        env=variables,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=before,
    )
    STARTED.append(process)
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children, unless it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    with process:
        pass


def finish(process: subprocess.Popen[bytes], input: bytes | None = None) -> Ended:
    """Wait for the end. Whatever happened, nobody is shown a traceback."""
    try:
        out, err = process.communicate(input, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {PATIENCE:.0f} s; it wrote:\n{err.decode()}") from None
    ended = Ended(process.returncode, (out or b"").decode(), (err or b"").decode())
    assert "Traceback" not in ended.err, ended.err
    assert "Exception ignored" not in ended.err, ended.err
    return ended


def await_that(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    """Wait until something is the case, while the command runs."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, finish(process).err
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def arrived(sandbox: Sandbox, operation: str, count: int = 1) -> Callable[[], bool]:
    return lambda: sum(it.operation == operation for it in list(sandbox.arrivals)) >= count


@contextmanager
def nothing_left_running() -> Iterator[None]:
    """What is started meanwhile ends with this, whatever becomes of the test."""
    before = len(STARTED)
    try:
        yield
    finally:
        while len(STARTED) > before:
            kill(STARTED.pop())


def run(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, **how: Any) -> Ended:
    """Run the command to its end; ``how`` is that of :func:`start`."""
    return finish(start(*arguments, cwd=cwd, env=env, **how))


def run_each(
    cases: Mapping[str, Sequence[str | Path]], *, cwd: Path, env: Mapping[str, str] | None = None
) -> dict[str, Ended]:
    """Run the command with each of these arguments, some at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = pool.map(lambda arguments: run(*arguments, cwd=cwd, env=env), cases.values())
        return dict(zip(cases, ended, strict=True))


def policy(identity: str, *, account: str = ACCOUNT, region: str = REGION, **elements: Any) -> dict[str, Any]:
    """A good document for one identity."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": ["ses:SendEmail", "ses:SendRawEmail"],
        "Resource": f"arn:aws:ses:{region}:{account}:identity/{identity}",
    }
    return {"Version": "2012-10-17", "Statement": [statement | elements]}


def record(identity: str, policy_name: str = "tenant", **fields: Any) -> dict[str, Any]:
    """A good record, with other or more fields if asked."""
    return {"identity": identity, "policy_name": policy_name, "policy": policy(identity)} | fields


def tenants(count: int) -> list[dict[str, Any]]:
    return [record(f"tenant{number:03}.example") for number in range(count)]


def save_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    """JSON Lines of records."""
    path.write_text("".join(json.dumps(it) + "\n" for it in records))
    return path


def save_table(path: Path, records: Sequence[Mapping[str, Any]], delimiter: str = ",") -> Path:
    """CSV of records, their documents as text."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]), delimiter=delimiter)
        writer.writeheader()
        for it in records:
            document = it["policy"]
            writer.writerow({**it, "policy": document if isinstance(document, str) else json.dumps(document)})
    return path


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV report."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines report."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
