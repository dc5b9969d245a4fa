"""Many workers on one batch: ``python -m tests.bench.fleet [--only PART …] [--records N]``.

=========== ==================================================================================
``lanes``    2 x 200 targets in two processes, at a server that logs when requests arrive
``shard``    what one shard of 32 costs of an input of 20,000 targets; each step in a process
``pass``     a whole first pass over 20,000 targets, and over 100
``merge``    the report of four journals, and that of one which has the same records
``takeover`` a worker is killed -9, and started again; or another one waits for its shard
``makespan`` 20,000 targets in 32 shards, all that they send on a virtual clock
=========== ==================================================================================

The exit code is 1 when a threshold is missed. Processor time is what a busy machine changes least.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from unittest import mock

import anyio.to_thread

from batchpol.batch.batch import Batch
from batchpol.batch.intake import Intake, checking
from batchpol.batch.options import Options
from batchpol.batch.resuming import begin
from batchpol.identity.known import REGIONS
from batchpol.journal import Folder, Journal, Pins, Shards, tail
from batchpol.model import Record, Target
from batchpol.model.settings import Conduct, Connection
from batchpol.model.shard import Shard
from batchpol.report import write_report
from batchpol.sending.caller import Here
from batchpol.ses import Caller
from batchpol.source import open_source
from batchpol.testing import VirtualClockLoop
from tests.bench import machine, validate
from tests.bench.journal import write as write_journal
from tests.bench.lanes import LATENCY, account, write_records
from tests.bench.pacing import pace, policy, written
from tests.bench.server import ACCOUNT, Served, served
from tests.sending.simulated import Server, SimulatedAws, SimulatedSes
from tests.truth.runs import EPOCH, _here

PLACES = list(REGIONS["aws"])[:20]
ROLE = "arn:aws:iam::{account}:role/Bench"
COMMAND = str(Path(sys.executable).with_name("batchpol"))
SHARDS = 32


@dataclass(frozen=True)
class Row:
    """A figure, what it must be, and whether it is."""

    name: str
    figure: str
    must: str = ""
    met: bool = True

    def __str__(self) -> str:
        verdict = ("met" if self.met else "**missed**") if self.must else ""
        return f"| {self.name} | {self.figure} | {self.must} | {verdict} |"


# -- 2 x 200 targets -----------------------------------------------------------------------------------------------


def lanes(records: int) -> Iterator[Row]:
    """Two workers at once, each with the targets that fall to its shard."""
    del records
    with tempfile.TemporaryDirectory(prefix="batchpol-bench-") as name:
        folder = Path(name)
        digests = write_records(folder / "in.csv", 400, 20)
        with served(folder / "arrivals.jsonl", latency_ms=LATENCY) as server:
            began = time.monotonic()
            workers = [Worker(server, folder, f"{number}/2", "--blind") for number in (1, 2)]
            for it in workers:
                it.join()
            wall = time.monotonic() - began
            arrivals = server.arrivals("PutIdentityPolicy")
        failed = [it.said.read_text().splitlines() for it in workers if it.process.returncode]
    for said in failed:
        yield Row("a worker ended early", next((it for it in said if "early" in it), said[-1]), "none does", met=False)
    by_target: dict[str, list[object]] = {}
    for it in arrivals:
        by_target.setdefault(it.account, []).append(it)
    worst = min((pace(lane)[1] for lane in by_target.values()), default=0.0)
    lost, refused = len(digests.items() - written(arrivals)), sum(not it.accepted for it in arrivals)
    yield Row("2 x 200 targets, 2 processes: utilisation, worst lane", f"{worst:.3f}", "≥ 0.95", worst >= 0.95)
    yield Row("of which lost, refused; wall", f"{lost}, {refused}; {wall:.0f} s", "0 lost", lost == 0)
    memory, busy = max(it.peak_mb for it in workers), sum(it.cpu for it in workers) / max(1, len(arrivals)) * 1000
    yield Row("memory a worker, and processor time a request", f"{memory:.0f} MB, {busy:.2f} ms")


class Worker(threading.Thread):
    """A worker of the installed command, from its start to its end."""

    def __init__(self, server: Served, folder: Path, shard: str, *more: str, role: str = ROLE) -> None:
        super().__init__()
        line = [COMMAND, "apply", "in.csv", "--shard", shard, "--journal", "run1", "--yes", "--no-share", *more]
        line += ["--role-arn", role] if role else []
        self.said = folder / f"said-{time.monotonic_ns()}.txt"
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                line, cwd=folder, env=server.environment(), stdout=subprocess.DEVNULL, stderr=said
            )
        self.peak_mb = self.cpu = 0.0
        self.start()

    def run(self) -> None:
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.peak_mb, self.cpu = usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


# -- what reading costs; each step in a process of its own -----------------------------------------------------------


def write_input(path: Path, records: int, targets: int) -> None:
    """A CSV whose records go from target to target, as exports of all accounts do not: the worst order there is."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["identity", "policy_name", "policy", "account", "region"])
        for number in range(records):
            home, region = account(number % targets // len(PLACES)), PLACES[number % targets % len(PLACES)]
            identity = f"tenant-{number}.example.com"
            rows.writerow([identity, "sending", policy(identity, home).replace("us-east-1", region), home, region])


def run_pass(path: Path) -> None:
    """All of a first pass: read, check, write down, remember what is to be sent where."""
    here = Here(Caller(ACCOUNT, ""), "us-east-1", "")
    options = Options(connection=Connection(regions=tuple(PLACES)), conduct=Conduct(compare=False))
    with open_source(path) as source, Journal.temporary() as book:
        run = begin(book, options, here, 1.0, source.name, (), at="2026-01-01T00:00:00.000Z")
        intake = Intake(options, checking(options, here.target), book, run)
        for record in source:
            intake.take(record)
        intake.close(source.sha256)
    assert intake.to_send == intake.records, intake.first_rejected[:1]


def run_report(path: Path) -> None:
    """The CSV report of a journal, or of a run folder."""
    found = Shards(path)
    write_report(found.outcomes(), path.with_suffix(".csv"), columns=found.columns)


STEPS: dict[str, Callable[[Path], None]] = {"pass": run_pass, "report": run_report}


def measured(step: str, path: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak MB of a step."""
    command = [sys.executable, "-m", "tests.bench.fleet", "--step", step, str(path)]
    seconds, busy, peak = map(float, subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.split())
    return seconds, busy, peak


def run_step(step: str, path: Path) -> None:
    began, busy = time.perf_counter(), time.process_time()
    STEPS[step](path)
    print(time.perf_counter() - began, time.process_time() - busy, machine.peak_mb())


def shard(records: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="batchpol-bench-") as name:
        path = Path(name, "in.csv")
        write_input(path, records, 20_000)
        _, seconds, busy, peak = validate.measure("shard", path)
    at_most = 6.0 * records / 1_000_000
    yield Row(
        f"shard 1 of {SHARDS} of {records:,} rows",
        f"{seconds:.1f} s ({busy:.1f} s busy), {peak:.0f} MB",
        f"≤ {at_most:g} s, ≤ 40 MB",
        busy <= at_most and peak <= 40,
    )


def first_pass(records: int) -> Iterator[Row]:
    found = {}
    for targets in (100, 20_000):
        with tempfile.TemporaryDirectory(prefix="batchpol-bench-") as name:
            path = Path(name, "in.csv")
            write_input(path, records, targets)
            found[targets] = seconds, busy, peak = measured("pass", path)
        yield Row(
            f"first pass of {records:,} rows over {targets:,} targets",
            f"{seconds:.1f} s ({busy:.1f} s busy), {peak:.0f} MB",
        )
    ratio = found[20_000][1] / found[100][1]
    yield Row("of which 20,000 targets cost as much as 100, times", f"{ratio:.2f}", "≤ 1.1", ratio <= 1.1)


def merge(records: int) -> Iterator[Row]:
    """The reports must be the same file, too."""
    with tempfile.TemporaryDirectory(prefix="batchpol-bench-") as name:
        single, many = Path(name, "one.jsonl"), Folder(Path(name, "run1"))
        many.make()
        many.pin(Pins(4, ACCOUNT, "us-east-1", ""))
        write_journal(single, records)
        for number in range(4):
            write_journal(many.journal(Shard(number + 1, 4)), records, range(number, records, 4))
        one, merged = measured("report", single), measured("report", many.path)
        same = digest(single.with_suffix(".csv")) == digest(many.path.with_suffix(".csv"))
    ratio = merged[1] / one[1]
    for title, (seconds, busy, peak) in (("one journal", one), ("four journals", merged)):
        yield Row(f"report of {records:,} rows, {title}", f"{seconds:.1f} s ({busy:.1f} s busy), {peak:.0f} MB")
    yield Row("of which four cost as much as one, times", f"{ratio:.2f}", "≤ 1.15", ratio <= 1.15)
    yield Row("the two files are the same", "yes" if same else "no", "yes", same)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- take-over -------------------------------------------------------------------------------------------------------


def takeover(records: int) -> Iterator[Row]:
    del records
    for title, waits in (("started again at once", False), ("another one waited for its shard", True)):
        seconds = sorted(taken_over(waits=waits) for _ in range(3))
        yield Row(
            f"killed -9, {title}: seconds to the next request (median of 3)",
            f"{seconds[1]:.2f} ({seconds[0]:.2f} to {seconds[2]:.2f})",
            "≤ 2",
            seconds[1] <= 2,
        )


def taken_over(*, waits: bool) -> float:
    """Seconds from a kill to the first request of who has the shard then."""
    with tempfile.TemporaryDirectory(prefix="batchpol-bench-") as name:
        folder = Path(name)
        write_records(folder / "in.csv", 1, 60)
        with served(folder / "arrivals.jsonl", latency_ms=0) as server:
            first = Worker(server, folder, "1/1", "--blind")
            while sum(it.applied for it in server.arrivals()) < 3:
                time.sleep(0.02)
            others = [Worker(server, folder, "1/1", "--blind")] if waits else []
            time.sleep(2.0 * waits)
            first.process.kill()
            killed = time.monotonic()
            others = others or [Worker(server, folder, "1/1", "--blind")]
            while not (after := [it.at for it in server.arrivals() if it.at > killed + 0.1]):
                time.sleep(0.02)
            for it in (first, *others):
                it.process.kill()
                it.join()
        return after[0] - killed


# -- makespan --------------------------------------------------------------------------------------------------------


@dataclass
class FleetAws(SimulatedAws):
    """Roles in a thousand accounts, each with an SES of its own in each Region."""

    connection: Connection = field(default_factory=lambda: Connection(regions=tuple(PLACES), role_arn=ROLE))

    async def caller(self, region: str, account: str = "") -> Caller:
        await anyio.sleep(0.05)
        return Caller(account or ACCOUNT, "")

    async def ses(self, target: object) -> SimulatedSes:
        return SimulatedSes(Server(), seed=hash(target))


def sizes() -> dict[Target, int]:
    """How many records 20,000 targets have: most of them few, some a thousand."""
    chance = random.Random(1)
    homes = [Target(account(number // 20), PLACES[number % 20]) for number in range(20_000)]
    return {home: min(1000, int(2 * chance.paretovariate(1.3))) for home in homes}


def served_virtually(number: int) -> tuple[int, int, float]:
    """Lanes and requests of one shard, and the virtual seconds until all are through."""
    mine = {home: count for home, count in sizes().items() if Shard.of(home, SHARDS) == Shard(number, SHARDS)}
    loop = VirtualClockLoop()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="batchpol-bench-", dir=memory) as name,
        mock.patch.object(anyio.to_thread, "run_sync", _here),
        mock.patch.object(tail, "now", loop.time),
    ):
        chosen = {"journal": Path(name, "run1"), "shard": Shard(number, SHARDS), "regions": tuple(PLACES)}
        options = Options(conduct=Conduct(compare=False, staleness=0)).changed(chosen | {"role_arn": ROLE})

        async def run() -> float:
            began, wall = loop.time(), lambda: EPOCH + timedelta(seconds=loop.time())
            batch = Batch(records_of(mine), options, name="in.csv", wall=wall)
            async with options.targets(lambda _: FleetAws(Server())) as targets:  # type: ignore[arg-type,return-value]
                result = await batch.run(targets)
            assert result.exit_code == 0, result.reason
            return loop.time() - began

        seconds = loop.run_until_complete(run())
        loop.close()
    return len(mine), sum(mine.values()), seconds


def records_of(homes: dict[Target, int]) -> Iterator[Record]:
    for home, count in homes.items():
        for number in range(count):
            identity = f"tenant-{number}.example.com"
            text = policy(identity, home.account).replace("us-east-1", home.region)
            yield Record(identity, "sending", text, region=home.region, account=home.account)


def makespan(records: int) -> Iterator[Row]:
    del records
    longest = max(sizes().values())
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(served_virtually, range(1, SHARDS + 1)))
    most, requests, seconds = max(it[0] for it in found), sum(it[1] for it in found), max(it[2] for it in found)
    yield Row(
        f"20,000 targets in {SHARDS} shards (at most {most} lanes, {requests:,} requests): makespan over the longest "
        f"target's {longest:,} s",
        f"{seconds / longest:.3f}",
        "≤ 1.05",
        seconds <= 1.05 * longest,
    )


PARTS: dict[str, Callable[[int], Iterator[Row]]] = {
    "lanes": lanes,
    "shard": shard,
    "pass": first_pass,
    "merge": merge,
    "takeover": takeover,
    "makespan": makespan,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--records", type=int, default=1_000_000, help="rows of what is read and reported")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "PATH"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        run_step(given.step[0], Path(given.step[1]))
        return
    print(f"{machine.describe()}\n\n| | figure | must be | |\n| --- | --- | --- | --- |")
    missed = False
    for part in given.only:
        for row in PARTS[part](given.records):
            print(row, flush=True)
            missed = missed or not row.met
    sys.exit(missed)


if __name__ == "__main__":
    main()
