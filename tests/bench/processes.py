"""Several commands at once on one target of one machine: ``python -m tests.bench.processes [--processes 2 4 8 …]``.

Every case has a fresh server of its own, strict and 80 ms away. What is measured is read from the server's log of
arrivals: wall (first to last write let in), utilisation of the second that they share, requests refused of all, records
lost, and the longest time between two writes of one process, beside the one that taking turns gives. The exit code is 1
when a case that shares misses a threshold.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from batchpol.sandbox import Arrival
from tests.bench import machine
from tests.bench.pacing import pace, write_records, written
from tests.bench.server import served

LATENCY = 80
"""Round trip in milliseconds."""

UTILISATION, REFUSED = 0.97, 0.01
"""At least, and at most of all requests."""

COMMAND = str(Path(sys.executable).with_name("batchpol"))


@dataclass(frozen=True, slots=True)
class Row:
    """So many processes at once. Times are in seconds; ``longest`` is a factor."""

    processes: int
    how: Sequence[str]
    wall: float
    utilisation: float
    refused: float
    lost: int
    longest: float
    cpu_ms: float
    codes: tuple[int, ...]

    @property
    def misses(self) -> list[str]:
        """The thresholds that are missed; those who do not share have none to meet."""
        if "--no-share" in self.how:
            return []
        checks = {
            "utilisation": self.utilisation >= UTILISATION,
            "refused": self.refused <= REFUSED,
            "lost": self.lost == 0,
            "exit code": not any(self.codes),
        }
        return [name for name, met in checks.items() if not met]


def run(processes: int, records: int, how: Sequence[str]) -> Row:
    """So many commands with so many records each, started at once."""
    with tempfile.TemporaryDirectory(prefix="batchpol-bench-") as name:
        folder, digests, started = Path(name), dict[tuple[str, str], str](), list[subprocess.Popen[bytes]]()
        for number in range(processes):
            digests |= write_records(folder / f"p{number}.csv", records, f"p{number}")
        with served(folder / "arrivals.jsonl", latency_ms=LATENCY) as server, (folder / "output").open("w") as output:
            for number in range(processes):
                command = [COMMAND, "apply", f"p{number}.csv", "--endpoint-url", server.url, "--yes", *how]
                started.append(
                    subprocess.Popen(command, cwd=folder, env=server.environment(), stdout=output, stderr=output)
                )
            cpu = 0.0
            for process in started:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                cpu += usage.ru_utime + usage.ru_stime
            every, writes = server.arrivals(), server.arrivals("PutIdentityPolicy")
    wall, utilisation = pace(writes)
    return Row(
        processes,
        how,
        wall,
        utilisation,
        sum(not arrival.accepted for arrival in every) / len(every),
        len(digests.items() - written(writes)),
        longest(writes) / processes,
        1000 * cpu / (processes * records),
        tuple(process.returncode for process in started),
    )


def longest(writes: Sequence[Arrival]) -> float:
    """Seconds between two writes of one process at most, until the first of them is done."""
    times: dict[str, list[float]] = {}
    for arrival in writes:
        if arrival.accepted:
            times.setdefault(arrival.identity.partition("-")[0], []).append(arrival.at)
    return max(later - earlier for own in times.values() for earlier, later in pairwise([writes[0].at, *own]))


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The figures as Markdown, the thresholds beside those that must meet them."""
    yield "| processes | options | wall s | utilisation | refused | lost | longest wait | ms a record | |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        verdict = f"**missed: {', '.join(row.misses)}**" if row.misses else "met"
        yield (
            f"| {row.processes} | {' '.join(row.how)} | {row.wall:.1f} | {row.utilisation:.3f} | {row.refused:.1%} "
            f"| {row.lost} | {row.longest:.2f} | {row.cpu_ms:.0f} | {'' if '--no-share' in row.how else verdict} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--records", type=int, default=30)
    given = parser.parse_args()
    cases = [(count, given.records, how) for how in (["--blind"], []) for count in given.processes]
    cases.append((given.processes[0], given.records, ["--blind", "--no-share"]))
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda case: run(*case), cases))
    print(f"{given.records} records each, {time.monotonic() - began:.0f} s; {machine.describe()}\n")
    print("\n".join(table(rows)))
    sys.exit(any(row.misses for row in rows))


if __name__ == "__main__":
    main()
