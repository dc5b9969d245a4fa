"""What a journal of a million records costs: ``python -m tests.bench.journal [--records N]``.

Each step runs in a process of its own, so that its peak memory is its own. The file is read from the page cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from batchpol import journal
from batchpol.model import Status
from batchpol.report import write_report

POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AllowTenant",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::444455556666:role/sender"},
                "Action": ["ses:SendEmail", "ses:SendRawEmail"],
                "Resource": "arn:aws:ses:us-east-1:111122223333:identity/tenant-%07d.example.com",
                "Condition": {"StringLike": {"ses:FromAddress": "*@tenant-%07d.example.com"}},
            }
        ],
    }
)


def write(path: Path, records: int, shard: range | None = None) -> str:
    """The first pass, some records read back, then an intent and an outcome for each; of a shard these numbers."""
    with journal.Journal.create(path) as book:
        book.append(journal.Run(format=journal.FORMAT, run_id="bench", at="2026-01-01T00:00:00Z", columns=("tenant",)))
        began = time.perf_counter()
        spent_outside = 0.0
        places = array("Q")
        for n, whole in enumerate(shard or range(records)):
            here = time.perf_counter()
            identity = f"tenant-{whole:07d}.example.com"
            policy = POLICY % (whole, whole)
            digest = hashlib.sha256(policy.encode()).hexdigest()
            spent_outside += time.perf_counter() - here
            place = book.append(
                journal.RecordEntry(
                    n=n,
                    line=whole + 2,
                    identity=identity,
                    policy_name="sending",
                    key=identity,
                    account="111122223333",
                    region="us-east-1",
                    policy=policy,
                    sha256=digest,
                    extra={"tenant": str(whole)},
                    whole=whole if shard else None,
                )
            )
            if n % 10 == 0:
                places.append(place)
        an_append = (time.perf_counter() - began - spent_outside) / records * 1e6
        records = len(shard or range(records))
        book.append(journal.Planned(records=records))
        book.sync()
        random.Random(1).shuffle(places)
        began = time.perf_counter()
        for place in places:
            book.read_record(place)
        a_read = (time.perf_counter() - began) / len(places) * 1e6
        for n in range(records):
            book.append(
                journal.Intent(n=n, attempt=1, at="2026-01-01T00:00:00.000Z"),
                journal.OutcomeEntry(
                    n=n,
                    status=Status.APPLIED,
                    attempts=1,
                    request_id="7c191b81-11ab-4d8e-8ac5-000000000000",
                    started_at="2026-01-01T00:00:00.000Z",
                    duration_ms=81.25,
                ),
            )
    return f"{an_append:.1f} µs to append a record, {a_read:.1f} µs to read one back"


def resume(path: Path, records: int) -> str:
    """Lock, verify, and gather the latest fate of every change; then ask for each."""
    began, imported = time.perf_counter(), time.process_time()
    with journal.Journal.resume(path) as book:
        opened, busy = time.perf_counter() - began, time.process_time() - imported
        fates = 0
        for n in range(records):
            key = f"tenant-{n:07d}.example.com"
            digest = hashlib.sha256((POLICY % (n, n)).encode()).hexdigest()
            fates += book.history.fate("111122223333", "us-east-1", key, "sending", "put", digest) is not None
        assert fates == records
        return f"{opened:.1f} s ({busy:.1f} s busy) to open, the rest to ask for each change"


def scan(path: Path, records: int) -> str:
    """What ``batchpol status`` needs."""
    section = journal.scan(path)
    assert section is not None
    assert section.counts() == {Status.APPLIED: records}
    return ""


def outcomes(path: Path, records: int) -> str:
    """Every row of the report, without its file."""
    assert sum(1 for _ in journal.outcomes(path)) == records
    return "scan included"


def report(path: Path, records: int) -> str:
    """The CSV report."""
    write_report(journal.outcomes(path), path.with_name("bench.report.csv"), columns=("tenant",))
    return "scan included"


STEPS: dict[str, Callable[[Path, int], str]] = {
    "write": write,
    "scan": scan,
    "resume": resume,
    "outcomes": outcomes,
    "report": report,
}


def step(name: str, path: Path, records: int) -> None:
    """One step, in this process; prints a line of the table."""
    began = time.perf_counter()
    said = STEPS[name](path, records)
    seconds, busy = time.perf_counter() - began, time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:10}{seconds:8.1f} s{busy:8.1f} s busy{peak:8.0f} MB peak   {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--path", type=Path)
    given = parser.parse_args()
    if given.step:
        step(given.step, given.path, given.records)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.journal.jsonl")
        for name in STEPS:
            command = [sys.executable, "-m", "tests.bench.journal", "--records", str(given.records)]
            subprocess.run([*command, "--step", name, "--path", str(path)], check=True)
        lines = 3 * given.records
        print(f"{given.records:,} records, {lines:,} lines, {path.stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
