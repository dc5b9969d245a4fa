"""Batchpol beside what people use today, on one target: ``python -m tests.bench.pacing [--case NAME …]``.

Every client gets a fresh server of its own, alike in everything (the seed of its jitter too), and the same records.
Where there is jitter it gets five, with other seeds, and the run in the middle by utilisation is the one that counts.
What is measured is read from the servers' logs of arrivals: wall (first to last request let in), utilisation
(N - 1) / wall, requests refused, records whose document never took effect. The exit code is 1 when batchpol misses a
threshold of :data:`CASES`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from batchpol.sandbox import Arrival
from tests.bench import clients, machine
from tests.bench.server import ACCOUNT, REGION, served

AT_ONCE = 5
"""Clients that run at the same time, each with its server: they sleep nearly all the time, and a machine has cores."""


@dataclass(frozen=True, slots=True)
class Case:
    """A network, and what batchpol must reach on it: utilisation at least, requests refused at most, none lost.

    Times are in milliseconds; ``jitter`` is the mean of an exponential delay before the server's bucket. With
    ``shared`` reads and writes have one bucket, each client reads every policy before it writes it, and the
    utilisation is that of the shared second.
    """

    name: str
    title: str
    latency: float
    jitter: float
    utilisation: float
    refused: int
    shared: bool = False

    @property
    def seeds(self) -> range:
        """Of the servers: a single refusal costs a second in sixty, and is a matter of luck where there is jitter."""
        return range(1, 6 if self.jitter else 2)


CASES = {
    case.name: case
    for case in (
        Case("plain", "80 ms, no jitter", 80, 0, 0.985, 0),
        Case("jitter-10", "80 ms + exponential 10 ms before the bucket", 80, 10, 0.97, 1),
        Case("jitter-100", "80 ms + exponential 100 ms before the bucket", 80, 100, 0.88, 4),
        Case("far", "300 ms", 300, 0, 0.98, 0),
        Case("very-far", "1,500 ms", 1500, 0, 0.95, 1),
        Case("shared", "80 ms, reads and writes sharing one bucket", 80, 0, 0.9, 5, shared=True),
    )
}


@dataclass(frozen=True, slots=True)
class Row:
    """One client in one case. Times are in seconds."""

    case: Case
    client: str
    wall: float
    utilisation: float
    refused: int
    lost: int
    process_wall: float
    cpu: float
    complaint: str

    @property
    def misses(self) -> list[str]:
        """The thresholds that batchpol misses; other clients have none to meet."""
        if self.client != "ours":
            return []
        checks = {
            "utilisation": self.utilisation >= self.case.utilisation,
            "refused": self.refused <= self.case.refused,
            "lost": self.lost == 0,
            "exit code": not self.complaint,
        }
        return [name for name, met in checks.items() if not met]


def write_records(path: Path, count: int) -> dict[tuple[str, str], str]:
    """A CSV of records that are valid for batchpol and SES; returns the SHA-256 of each document by its key."""
    digests = {}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["identity", "policy_name", "policy"])
        for number in range(count):
            identity = f"tenant-{number}.example.com"
            document = policy(identity, ACCOUNT)
            writer.writerow([identity, "sending", document])
            digests[identity, "sending"] = hashlib.sha256(document.encode()).hexdigest()
    return digests


def policy(identity: str, account: str) -> str:
    """A usual sending authorization policy of about 300 bytes."""
    statement = {
        "Sid": "Sending",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::444455556666:role/sender"},
        "Action": ["ses:SendEmail", "ses:SendRawEmail"],
        "Resource": f"arn:aws:ses:{REGION}:{account}:identity/{identity}",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def middle(rows: Iterable[Row]) -> Row:
    """The run in the middle by utilisation, with the losses of all."""
    ranked = sorted(rows, key=lambda row: row.utilisation)
    return replace(ranked[len(ranked) // 2], lost=sum(row.lost for row in ranked))


def run(case: Case, client: str, count: int, seed: int) -> Row:
    """One client against a fresh server, from its start to its end."""
    with tempfile.TemporaryDirectory(prefix="batchpol-bench-") as name:
        folder = Path(name)
        digests = write_records(folder / "records.csv", count)
        log = folder / "arrivals.jsonl"
        with served(log, latency_ms=case.latency, jitter_ms=case.jitter, shared=case.shared, seed=seed) as server:
            with (folder / "output").open("w") as output:
                began = time.monotonic()
                environment = server.environment()
                if client != "ours":  # a module of the tests; batchpol is the installed command
                    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
                process = subprocess.Popen(
                    _command(case, client, server.url),
                    cwd=folder,
                    env=environment,
                    stdout=output,
                    stderr=output,
                )
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                process_wall = time.monotonic() - began
            arrivals = server.arrivals(None if case.shared else "PutIdentityPolicy")
        complaint = (folder / "output").read_text().strip() if process.returncode else ""
    wall, utilisation = pace(arrivals)
    return Row(
        case=case,
        client=client,
        wall=wall,
        utilisation=utilisation,
        refused=sum(not arrival.accepted for arrival in arrivals),
        lost=len(digests.items() - written(arrivals)),
        process_wall=process_wall,
        cpu=usage.ru_utime + usage.ru_stime,
        complaint=complaint,
    )


def _command(case: Case, client: str, url: str) -> list[str]:
    if client == "ours":
        installed = str(Path(sys.executable).with_name("batchpol"))
        how = "--compare" if case.shared else "--blind"
        return [installed, "apply", "records.csv", "--endpoint-url", url, "--yes", how]
    reading = ["--read-first"] if case.shared else []
    return [sys.executable, "-m", "tests.bench.clients", client, "records.csv", *reading]


def pace(arrivals: Sequence[Arrival]) -> tuple[float, float]:
    """Seconds from the first to the last request that was let in, and the share of the quota that they used."""
    times = [arrival.at for arrival in arrivals if arrival.accepted]
    wall = times[-1] - times[0] if times else 0.0
    return wall, (len(times) - 1) / wall if wall else 0.0


def written(arrivals: Sequence[Arrival]) -> set[tuple[tuple[str, str], str]]:
    """What the server holds in the end: the digest of the last document that took effect, by its key."""
    last = {(one.identity, one.policy_name): one.sha256 for one in arrivals if one.applied}
    return set(last.items())


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The figures as Markdown, batchpol's thresholds beside its own."""
    yield "| case | client | wall s | utilisation | refused | lost | process s | processor s | |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        at_least = at_most = none = verdict = ""
        if row.client == "ours":
            at_least, at_most, none = f" (≥ {row.case.utilisation:g})", f" (≤ {row.case.refused})", " (0)"
            verdict = f"**missed: {', '.join(row.misses)}**" if row.misses else "met"
        yield (
            f"| {row.case.title} | {clients.TITLES[row.client]} | {row.wall:.1f} | {row.utilisation:.3f}{at_least} "
            f"| {row.refused}{at_most} | {row.lost}{none} | {row.process_wall:.1f} | {row.cpu:.2f} | {verdict} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--records", type=int, default=60)
    parser.add_argument("--clients", default=",".join(clients.TITLES), help="comma-separated: %(default)s")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="clients that run at the same time")
    given = parser.parse_args()
    wanted = given.clients.split(",")
    if unknown := set(wanted) - clients.TITLES.keys():
        parser.error(f"unknown client {', '.join(sorted(unknown))}")
    runs = [(CASES[name], client, seed) for name in given.case for client in wanted for seed in CASES[name].seeds]
    with ThreadPoolExecutor(given.at_once) as pool:
        done = list(pool.map(lambda each: run(each[0], each[1], given.records, each[2]), runs))
    rows = [middle(same) for _, same in groupby(done, key=lambda row: (row.case, row.client))]
    print(f"{given.records} records; {machine.describe()}\n")
    print("\n".join(table(rows)))
    for row in rows:
        if row.complaint and row.client == "ours":
            print(f"\n{row.case.name}, {row.client}:\n{row.complaint}")
    sys.exit(any(row.misses for row in rows))


if __name__ == "__main__":
    main()
