"""Faults of a proxy nobody here wrote: microburst (PyPI) between the real command and the sandbox.

It reads botocore's service models and answers as it thinks AWS does; what its rules break here is broken on the wire
between two programs that know nothing of each other. It comes with the extra ``proxy``; nothing depends on it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from batchpol.testing import Sandbox, SandboxOptions
from tests.runs import check_truth, report, row, run_command, write_input, writes

pytest.importorskip("microburst", reason="microburst is not installed: pip install 'batchpol[proxy]'")

RECORDS = 12
FAST = ("--yes", "--blind", "--rate", "40", "--i-have-a-higher-quota", "--report", "report.jsonl")
Rule = dict[str, Any]


def put(**what: Any) -> Rule:
    """A rule for writes."""
    return {"service": "ses", "operation": "PutIdentityPolicy", **what}


def fail(code: str, status: int, **how: Any) -> Rule:
    return put(error={"code": code, "status": status, "message": "of microburst"}, **how)


PASSING = [
    fail("Throttling", 400, times=3),
    fail("InternalFailure", 500, times=1),
    fail("ServiceUnavailable", 503, times=1),
    put(reset=True, times=1),
    put(request={"cut_upload": {"after_bytes": 10}}, times=1),
    put(response={"abort_frac": 0.3}, times=1),
    put(response={"truncate_frac": 0.5}, times=1),
    put(response={"set_headers": {"Content-Type": "text/plain"}}, times=1),
    put(timeout_ms=50, times=1),
]
"""Faults after which the same request succeeds: a storm of throttling, 500 and 503, resets before and after the write
took effect, answers that break off or are of another type, and a stall that ends in 504."""


@asynccontextmanager
async def microburst(sandbox: Sandbox, folder: Path, rules: Sequence[Rule]) -> AsyncIterator[str]:
    """The proxy before the sandbox; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    await asyncio.to_thread((folder / "rules.yml").write_text, json.dumps({"rules": rules}))  # JSON is YAML
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "microburst", "--upstream", sandbox.url, "--port", str(port)),
        *("--config", str(folder / "rules.yml"), "--no-resign"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until_open(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def until_open(port: int) -> None:
    limit = time.monotonic() + 20
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert time.monotonic() < limit, "microburst does not listen"
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


def control(url: str, rules: Sequence[Rule] | None = None) -> list[dict[str, Any]]:
    """Which faults there were, or give it other rules."""
    data = None if rules is None else json.dumps(rules).encode()
    with urlopen(f"{url}/_microburst/{'fired' if rules is None else 'rules'}", data) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


async def test_what_passes_costs_attempts_and_what_does_not_stops_the_run(tmp_path: Path) -> None:
    rows = [row(number) for number in range(RECORDS)]
    write_input(tmp_path / "in.jsonl", rows)
    async with Sandbox(SandboxOptions(rate=0)) as sandbox, microburst(sandbox, tmp_path, PASSING) as url:
        arguments = ("apply", "in.jsonl", *FAST, "--endpoint-url", url)
        ended = await asyncio.to_thread(run_command, sandbox, tmp_path, *arguments)
        faults = await asyncio.to_thread(control, url)
        assert ended.returncode == 0, ended.stderr
        assert len(faults) == sum(rule["times"] for rule in PASSING), "each rule had its turns"
        assert Counter(line["status"] for line in report(tmp_path)) == {"applied": RECORDS}
        assert sum(line["attempts"] for line in report(tmp_path)) > RECORDS
        check_truth(sandbox, tmp_path, rows, period=0.025)

        await asyncio.to_thread(control, url, [fail("ExpiredToken", 403)])
        sent = len(writes(sandbox))
        ended = await asyncio.to_thread(run_command, sandbox, tmp_path, *arguments, "--fresh")
    assert ended.returncode == 3, ended.stderr
    assert {(line["status"], line["error_code"]) for line in report(tmp_path)} == {("not_attempted", "ExpiredToken")}
    assert len(writes(sandbox)) == sent
