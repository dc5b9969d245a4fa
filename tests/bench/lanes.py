"""Many targets in one process: ``python -m tests.bench.lanes [--targets 1,30,100,300,600,1000]``.

The installed command applies one file, sorted by target, to that many accounts (a role in each), against a server in
a process of its own. Client and server are pinned to one processor core each. What the server saw is read from its
log of arrivals; processor time of the client while it ran is read from the system, ten times a second. The exit code
is 1 when a threshold is missed. ``--profile`` shows where the client's time goes instead (times are inflated then);
``--without-uvloop`` runs the client on asyncio's own event loop.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchpol.sandbox import Arrival
from tests.bench import machine
from tests.bench.pacing import pace, policy, written
from tests.bench.server import REGION, served

LATENCY = 80.0
"""Round trip in milliseconds."""

THRESHOLDS = {300: (0.97, 0.01), 600: (0.93, 0.02), 1000: (0.95, 0.02)}
"""By number of targets: the utilisation that every lane must reach, and the share of refused requests allowed."""

HELP_WITHIN, FIRST_REQUEST_WITHIN = 0.3, 2.0
"""Seconds in which ``batchpol --help`` must be over, and the first request on the wire after the command's start."""

WITHOUT_UVLOOP = "import sys; sys.modules['uvloop'] = None; from batchpol.cli import main; main()"
"""The command on a machine where uvloop is not installed."""

SAMPLE = 0.1
"""Seconds between two readings of the client's processor time."""


@dataclass(frozen=True, slots=True)
class Row:
    """One number of targets. Times are in seconds."""

    targets: int
    utilisations: list[float]
    refused: float
    lost: int
    requests: int
    cpu: float
    steady_cpu: float | None
    """Processor seconds a request while all lanes were under way; None if they never were."""
    peak_mb: float
    first: float
    all_under_way: float
    wall: float
    complaint: str

    @property
    def misses(self) -> list[str]:
        utilisation, refused = THRESHOLDS.get(self.targets, (0.0, 1.0))
        checks = {
            "utilisation": min(self.utilisations) >= utilisation,
            "refused": self.refused <= refused,
            "lost": self.lost == 0,
            "first request": self.first <= FIRST_REQUEST_WITHIN,
            "exit code": not self.complaint,
        }
        return [name for name, met in checks.items() if not met]


def account(number: int) -> str:
    return f"{100_000_000_000 + number}"


def write_records(path: Path, targets: int, records: int) -> dict[tuple[str, str], str]:
    """A CSV sorted by target; returns the SHA-256 of each document by identity and name."""
    digests = {}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["identity", "policy_name", "policy", "account"])
        for target in range(targets):
            for number in range(records):
                identity = f"tenant-{number}.customer-{target}.example.com"
                document = policy(identity, account(target))
                writer.writerow([identity, "sending", document, account(target)])
                digests[identity, "sending"] = hashlib.sha256(document.encode()).hexdigest()
    return digests


def run(targets: int, records: int, profile: Path | None = None, *, uvloop: bool = True) -> Row:
    """The command on that many targets, from its start to its end; ``profile`` gets cProfile's data."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="batchpol-bench-") as name:
        folder = Path(name)
        digests = write_records(folder / "records.csv", targets, records)
        with served(folder / "arrivals.jsonl", latency_ms=LATENCY, core=cores[-1]) as server:
            with (folder / "output").open("w") as output:
                began = time.monotonic()
                process = subprocess.Popen(
                    _command(server.url, profile, uvloop=uvloop),
                    cwd=folder,
                    env=server.environment(),
                    stdout=output,
                    stderr=output,
                )
                if len(cores) > 1:
                    os.sched_setaffinity(process.pid, {cores[0]})
                times, used, usage = _watch(process)
                wall = time.monotonic() - began
            arrivals = server.arrivals("PutIdentityPolicy")
        complaint = (folder / "output").read_text().strip() if process.returncode else ""
    lanes = _by_lane(arrivals)
    under_way = _window(lanes) if len(lanes) == targets else None
    cpu = usage.ru_utime + usage.ru_stime
    return Row(
        targets=targets,
        utilisations=[pace(lane)[1] for lane in lanes] or [0.0],
        refused=sum(not one.accepted for one in arrivals) / max(1, len(arrivals)),
        lost=len(digests.items() - written(arrivals)),
        requests=len(arrivals),
        cpu=cpu,
        steady_cpu=_cost(arrivals, under_way, times, used) if under_way else None,
        peak_mb=usage.ru_maxrss / 1024,
        first=arrivals[0].at - began if arrivals else wall,
        all_under_way=max((lane[0].at for lane in lanes), default=began) - began,
        wall=wall,
        complaint=complaint,
    )


def _command(url: str, profile: Path | None, *, uvloop: bool) -> list[str]:
    command = [str(Path(sys.executable).with_name("batchpol"))]
    if profile:
        command = [sys.executable, "-m", "cProfile", "-o", str(profile), *command]
    elif not uvloop:
        command = [sys.executable, "-c", WITHOUT_UVLOOP]
    return [
        *command,
        *("apply", "records.csv", "--endpoint-url", url, "--region", REGION),
        *("--role-arn", "arn:aws:iam::{account}:role/Bench", "--yes", "--blind"),
    ]


def _watch(process: subprocess.Popen[bytes]) -> tuple[list[float], list[float], object]:
    """Wait for a process; returns times, the processor seconds it had used at them, and its usage in the end."""
    ticks, times, used = os.sysconf("SC_CLK_TCK"), [], []
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            return times, used, usage
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        times.append(time.monotonic())
        used.append((int(fields[11]) + int(fields[12])) / ticks)
        time.sleep(SAMPLE)


def _by_lane(arrivals: Sequence[Arrival]) -> list[list[Arrival]]:
    lanes: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        lanes[arrival.account].append(arrival)
    return list(lanes.values())


def _window(lanes: Sequence[Sequence[Arrival]]) -> tuple[float, float] | None:
    """From when on, and until when, all lanes were under way."""
    begin, end = max(lane[0].at for lane in lanes), min(lane[-1].at for lane in lanes)
    return (begin, end) if end - begin > 10 * SAMPLE else None


def _cost(
    arrivals: Sequence[Arrival], window: tuple[float, float], times: Sequence[float], used: Sequence[float]
) -> float | None:
    """Processor seconds a request between two readings inside the window."""
    begin, end = bisect_left(times, window[0]), bisect_left(times, window[1]) - 1
    if end <= begin:
        return None
    count = sum(times[begin] <= one.at < times[end] for one in arrivals)
    return (used[end] - used[begin]) / count if count else None


def help_seconds(times: int = 5) -> float:
    """The median wall time of ``batchpol --help``, in seconds."""
    command = [str(Path(sys.executable).with_name("batchpol")), "--help"]
    seen = []
    for _ in range(times):
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seen.append(time.monotonic() - began)
    return statistics.median(seen)


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The figures as Markdown, the thresholds beside them."""
    yield (
        "| targets | requests | utilisation, worst lane | median | refused | lost | first request s | all lanes s "
        "| wall s | processor ms a request | in full run | peak MB | |"
    )
    yield "|" + "---|" * 13
    for row in rows:
        at_least = at_most = ""
        if row.targets in THRESHOLDS:
            utilisation, refused = THRESHOLDS[row.targets]
            at_least, at_most = f" (≥ {utilisation:g})", f" (≤ {refused:.0%})"
        steady = f"{row.steady_cpu * 1000:.2f}" if row.steady_cpu is not None else ""
        yield (
            f"| {row.targets} | {row.requests:,} | {min(row.utilisations):.3f}{at_least} "
            f"| {statistics.median(row.utilisations):.3f} | {row.refused:.2%}{at_most} | {row.lost} (0) "
            f"| {row.first:.2f} (≤ {FIRST_REQUEST_WITHIN:g}) | {row.all_under_way:.1f} | {row.wall:.1f} "
            f"| {row.cpu / max(1, row.requests) * 1000:.2f} | {steady} | {row.peak_mb:.0f} "
            f"| {'**missed: ' + ', '.join(row.misses) + '**' if row.misses else 'met'} |"
        )


def show_profile(targets: int, records: int) -> None:
    """Where the client's time goes: the functions with the most time of their own, and with those they call."""
    with tempfile.TemporaryDirectory(prefix="batchpol-bench-") as folder:
        data = Path(folder, "profile")
        row = run(targets, records, data)
        for order in ("tottime", "cumtime"):
            text = io.StringIO()
            pstats.Stats(str(data), stream=text).strip_dirs().sort_stats(order).print_stats(45)
            print(text.getvalue())
    print(row.complaint or f"{row.requests:,} requests, {row.cpu:.1f} processor seconds under the profiler")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default="1,30,100,300,600,1000", help="comma-separated: %(default)s")
    parser.add_argument("--records", type=int, default=20, help="of each target")
    parser.add_argument("--profile", action="store_true", help="profile the client instead")
    parser.add_argument("--without-uvloop", action="store_true", help="run the client on asyncio's own event loop")
    given = parser.parse_args()
    counts = [int(text) for text in given.targets.split(",")]
    if given.profile:
        for count in counts:
            show_profile(count, given.records)
        return
    began = help_seconds()
    rows = [run(count, given.records, uvloop=not given.without_uvloop) for count in counts]
    loop = "asyncio's own event loop; " if given.without_uvloop else ""
    print(f"{given.records} records a target, {LATENCY:g} ms; {loop}{machine.describe()}\n")
    print("\n".join(table(rows)))
    late = began > HELP_WITHIN
    print(f"\n`batchpol --help`: {began:.2f} s (≤ {HELP_WITHIN:g}): {'**missed**' if late else 'met'}")
    for row in rows:
        if row.complaint:
            print(f"\n{row.targets} targets:\n{row.complaint}")
    sys.exit(late or any(row.misses for row in rows))


if __name__ == "__main__":
    main()
