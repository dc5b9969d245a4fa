"""Many callers of one second: ``python -m tests.bench.callers [--case NAME …]``.

A service asks for one change at a time, from many tasks at once, and perhaps in several processes. Each case has a
server of its own, strict and 80 ms away, and the same with boto3 in threads, one a caller, beside it. Each process
makes one call first, which is not measured; then all begin together. What is measured is read from the server's log of
arrivals, but for the waits of the callers and the processor time of the calls, which the processes tell. The exit code
is 1 when batchpol misses a threshold of :data:`CASES`.

A call that is made once a second costs more than it would back to back, since the process sleeps in between: beside the
table stands what that does to work which is always the same (:mod:`tests.bench.pauses`). So what a call may cost is
judged where calls come back to back, at a server without a limit.

``python -m tests.bench.callers --as KIND --calls N --of NAME`` is one such process.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from tests.bench import machine, pauses
from tests.bench.pacing import pace, policy, written
from tests.bench.server import ACCOUNT, served

LATENCY, NEAR = 80.0, 5.0
"""Round trip in milliseconds, and where calls come back to back."""

BACK_TO_BACK = 0.002
"""Seconds between two requests there: less than they take."""

AT_ONCE = 3
"""Cases that run at the same time: they sleep nearly all the time."""

WARM = "warm"
"""How the name of an identity begins whose call is not measured."""


@dataclass(frozen=True, slots=True)
class Case:
    """So many processes with so many callers each, and what batchpol must reach: utilisation at least, refused at most
    (a share of the requests), processor milliseconds a call at most. ``period`` is in seconds."""

    name: str
    title: str
    calls: int
    kind: str = "put"
    processes: int = 1
    share: bool = True
    utilisation: float = 0.97
    refused: float = 0.0
    cpu_ms: float = inf
    period: float = 1.0

    @property
    def paced(self) -> bool:
        """Whether the server has a limit, which is to be used up."""
        return self.period == 1


CASES = {
    case.name: case
    for case in (
        Case("put-20", "20 callers of `client.put`", 20),
        Case("put-200", "200 callers of `client.put`", 200),
        Case("apply-20", "20 calls of `client.apply`", 20, kind="apply"),
        Case("put-busy", "200 callers of `client.put`, back to back", 200, cpu_ms=3.0, period=BACK_TO_BACK),
        Case("apply-busy", "20 calls of `client.apply`, back to back", 20, "apply", cpu_ms=3.0, period=BACK_TO_BACK),
        Case("processes-2", "2 processes, 20 callers each", 20, processes=2, refused=0.01),
        Case("processes-4", "4 processes, 15 callers each", 15, processes=4, refused=0.01),
        Case("processes-8", "8 processes, 8 callers each", 8, processes=8, refused=0.01),
        Case("hosts-2", "2 hosts, 30 callers each", 30, processes=2, share=False, utilisation=0.85, refused=0.15),
    )
}


@dataclass(frozen=True, slots=True)
class Row:
    """One client in one case; ``longest`` is the longest wait of a caller, and ``ideal`` what it would be if nothing
    were lost of any second, both in seconds."""

    case: Case
    client: str
    utilisation: float
    refused: float
    lost: int
    cpu_ms: float
    longest: float
    ideal: float
    complaint: str

    @property
    def misses(self) -> list[str]:
        """The thresholds that batchpol misses; boto3 has none to meet."""
        if self.client != "ours":
            return []
        checks = {
            "utilisation": self.utilisation >= self.case.utilisation or not self.case.paced,
            "refused": self.refused <= self.case.refused,
            "lost": self.lost == 0,
            "processor time": self.cpu_ms <= self.case.cpu_ms,
            "exit code": not self.complaint,
        }
        return [name for name, met in checks.items() if not met]


# -- one process -----------------------------------------------------------------------------------------------


def records(of: str, count: int) -> list[dict[str, str]]:
    identities = [f"{of}-{number}.example.com" for number in range(count)]
    return [{"identity": it, "policy_name": "sending", "policy": policy(it, ACCOUNT)} for it in identities]


def begin() -> tuple[float, float]:
    """Wait until all processes are ready; returns the time and the processor time then, in seconds."""
    print("ready", flush=True)
    sys.stdin.readline()
    return time.monotonic(), time.process_time()


def tell(begun: tuple[float, float], ended: Sequence[float], calls: int) -> None:
    """Say how long the callers waited and what a call cost."""
    cpu_ms = (time.process_time() - begun[1]) / calls * 1000
    print(json.dumps({"longest": max(ended) - begun[0], "cpu_ms": cpu_ms}), flush=True)


async def ours(kind: str, of: str, calls: int, *, share: bool, period: float) -> None:
    """All calls at once, in one client."""
    import batchpol

    async with batchpol.Client(share=share, period=period) as client:
        call: Callable[[Any], Awaitable[Any]] = client.put if kind == "put" else lambda it: client.apply([it])
        await call(records(f"{WARM}-{of}", 1)[0])
        ended: list[float] = []

        async def timed(record: dict[str, str]) -> None:
            await call(record)
            ended.append(time.monotonic())

        begun = begin()
        await asyncio.gather(*map(timed, records(of, calls)))
        tell(begun, ended, calls)


def boto3(of: str, calls: int) -> None:
    """A thread a call, on one client with its usual retries; what fails is passed over."""
    from boto3 import client
    from botocore.exceptions import BotoCoreError, ClientError

    ses = client("ses")

    def call(record: dict[str, str]) -> float:
        with suppress(BotoCoreError, ClientError):
            ses.put_identity_policy(
                Identity=record["identity"], PolicyName=record["policy_name"], Policy=record["policy"]
            )
        return time.monotonic()

    call(records(f"{WARM}-{of}", 1)[0])
    with ThreadPoolExecutor(calls) as pool:
        begun = begin()
        tell(begun, list(pool.map(call, records(of, calls))), calls)


# -- all of a case ---------------------------------------------------------------------------------------------


def run(case: Case, client: str) -> Row:
    """One client against a fresh server."""
    with tempfile.TemporaryDirectory(prefix="batchpol-bench-") as name:
        folder = Path(name)
        latency, rate = (LATENCY, 1.0) if case.paced else (NEAR, 0.0)
        with served(folder / "arrivals.jsonl", latency_ms=latency, rate=rate) as server:
            environment = server.environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
            command = [sys.executable, "-m", "tests.bench.callers", "--calls", str(case.calls)]
            command += ["--period", str(case.period)]
            command += ["--as", case.kind if client == "ours" else "boto3", *([] if case.share else ["--alone"])]
            processes = [
                subprocess.Popen(
                    [*command, "--of", f"p{number}"],
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                for number in range(case.processes)
            ]
            for process in processes:
                assert process.stdout is not None
                process.stdout.readline()
            told, complaints = [], []
            with ThreadPoolExecutor(case.processes) as pool:
                for process, (out, err) in zip(
                    processes, pool.map(lambda it: it.communicate("\n"), processes), strict=True
                ):
                    told += [json.loads(out)] if not process.returncode else []
                    complaints += [err] if process.returncode else []
            arrivals = [it for it in server.arrivals() if not it.identity.startswith(WARM)]
    wanted = [it for number in range(case.processes) for it in records(f"p{number}", case.calls)]
    digests = {(it["identity"], "sending"): hashlib.sha256(it["policy"].encode()).hexdigest() for it in wanted}
    puts = [it for it in arrivals if it.operation == "PutIdentityPolicy"]
    return Row(
        case=case,
        client=client,
        utilisation=pace(puts)[1],
        refused=sum(not it.accepted for it in arrivals) / max(1, len(arrivals)),
        lost=len(digests.items() - written(puts)),
        cpu_ms=sum(it["cpu_ms"] for it in told) / max(1, len(told)),
        longest=max((it["longest"] for it in told), default=0.0),
        ideal=len(wanted) * case.period + latency / 1000,
        complaint="\n".join(complaints),
    )


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The figures as Markdown, batchpol's thresholds beside its own."""
    yield "| case | client | utilisation | refused | lost | processor ms a call | longest wait s (ideal) | |"
    yield "|" + "---|" * 8
    for row in rows:
        case, at_least, at_most, none, most, verdict = row.case, "", "", "", "", ""
        if row.client == "ours":
            at_least = f" (≥ {case.utilisation:g})" if case.paced else ""
            at_most, none = f" (≤ {case.refused:.0%})", " (0)"
            most = f" (≤ {case.cpu_ms:g})" if case.cpu_ms < inf else ""
            verdict = f"**missed: {', '.join(row.misses)}**" if row.misses else "met"
        used = f"{row.utilisation:.3f}" if case.paced else "no limit"
        yield (
            f"| {case.title} | {'batchpol' if row.client == 'ours' else 'boto3 in threads'} "
            f"| {used}{at_least} | {row.refused:.1%}{at_most} | {row.lost}{none} "
            f"| {row.cpu_ms:.2f}{most} | {row.longest:.1f} ({row.ideal:.1f}) | {verdict} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--clients", default="ours,boto3", help="comma-separated: %(default)s")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="cases that run at the same time")
    parser.add_argument("--as", dest="kind", choices=("put", "apply", "boto3"), help="be one process of a case")
    parser.add_argument("--calls", type=int)
    parser.add_argument("--period", type=float, default=1.0)
    parser.add_argument("--of", default="p0")
    parser.add_argument("--alone", action="store_true", help="do not take turns with other processes")
    given = parser.parse_args()
    if given.kind == "boto3":
        boto3(given.of, given.calls)
    elif given.kind:
        asyncio.run(ours(given.kind, given.of, given.calls, share=not given.alone, period=given.period))
    else:
        runs = [(CASES[name], client) for name in given.case for client in given.clients.split(",")]
        with ThreadPoolExecutor(given.at_once) as pool:
            rows = list(pool.map(lambda each: run(*each), runs))
        print(f"{LATENCY:g} ms, back to back {NEAR:g} ms; {machine.describe()}\n")
        print("\n".join(table(rows)), end="\n\n")
        print("\n".join(pauses.table(pauses.run())))
        for row in rows:
            if row.complaint:
                print(f"\n{row.case.name}, {row.client}:\n{row.complaint}")
        sys.exit(any(row.misses for row in rows))


if __name__ == "__main__":
    main()
