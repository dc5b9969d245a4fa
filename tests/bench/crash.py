"""The kill test: ``kill -9`` at random instants, resume until done, then ask the server what really happened.

``python -m tests.bench.crash --runs 100`` (a short form runs in CI). Each run: 40 records at a high rate against an
embedded SES in a process of its own, which answers 5 % of requests with faults and logs every arrival.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from batchpol.errors import JournalError
from batchpol.journal import outcomes
from batchpol.model import Status
from batchpol.sandbox.arrivals import read_arrivals

RECORDS = 40
RATE = 40
FAULTS = {"server_error": 0.01, "reset_before": 0.01, "reset_after": 0.01, "throttle": 0.01, "malformed": 0.01}
DONE = {Status.APPLIED, Status.UNCHANGED}
COMMAND = [sys.executable, "-m", "batchpol"]


@dataclass
class Figures:
    """What one run, or all of them, came to."""

    kills: int = 0
    resumes: int = 0
    unknown_at_kill: int = 0
    records: int = 0
    requests: int = 0
    resends: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        for name in ("kills", "resumes", "unknown_at_kill", "records", "requests", "resends"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.violations += other.violations


def write_input(path: Path) -> dict[str, str]:
    """The records; returns the SHA-256 of the document asked for, by identity."""
    asked = {}
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("identity", "policy_name", "policy"))
        for number in range(RECORDS):
            identity = f"tenant-{number}.example"
            statement = {
                "Effect": "Allow",
                "Principal": {"AWS": f"{number:012d}"},
                "Action": "ses:SendEmail",
                "Resource": f"arn:aws:ses:us-east-1:123456789012:identity/{identity}",
            }
            document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            asked[identity] = hashlib.sha256(document.encode()).hexdigest()
            rows.writerow((identity, "sending", document))
    return asked


def serve(folder: Path, seed: int) -> tuple[subprocess.Popen[str], str]:
    faults = [part for name, share in FAULTS.items() for part in ("--fault", f"{name}={share}")]
    options = ["--rate", "0", "--seed", str(seed), "--log", str(folder / "arrivals.jsonl"), *faults]
    server = subprocess.Popen(
        [*COMMAND, "sandbox", *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    return server, server.stdout.readline().split()[-1]


def run_once(seed: int) -> Figures:
    """One input, killed at random instants and resumed until it is through."""
    chance, figures = random.Random(seed), Figures(records=RECORDS)
    with tempfile.TemporaryDirectory(prefix="crash-") as name:
        folder = Path(name)
        asked = write_input(folder / "in.csv")
        server, url = serve(folder, seed)
        try:
            done: set[str] = set()
            for start in range(50):
                seen = len(arrivals(folder))
                if not apply(folder, url, chance if start < 4 else None, figures):
                    break
                check_no_resend(folder, seen, done, figures, seed)
                done = look_at_journal(folder, asked, figures, seed)
            check_no_resend(folder, seen, done, figures, seed)
            check_end(folder, asked, figures, seed)
        finally:
            server.kill()
            server.communicate()
    return figures


def apply(folder: Path, url: str, chance: random.Random | None, figures: Figures) -> bool:
    """Start the command, and kill it if there is a ``chance``; true if it has to be run again."""
    environment = {
        "PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": "crash", "AWS_SECRET_ACCESS_KEY": "-",
        "AWS_REGION": "us-east-1", "HOME": str(folder),
    }  # fmt: skip
    options = ["--endpoint-url", url, "--yes", "--quiet", "--rate", str(RATE), "--i-have-a-higher-quota"]
    journal = folder / "in.journal.jsonl"
    size = journal.stat().st_size if journal.exists() else 0
    figures.resumes += size > 0
    process = subprocess.Popen(
        [*COMMAND, "apply", "in.csv", *options],
        cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if chance is not None and chance.random() < 0.9:  # the others die while they start
        while process.poll() is None and (journal.stat().st_size if journal.exists() else 0) <= size:
            time.sleep(0.005)
    try:
        _, errors = process.communicate(timeout=chance.uniform(0, 1.3) if chance else 120)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        figures.kills += 1
        return True
    if process.returncode not in (0, 1):
        figures.violations.append(f"exit code {process.returncode}: {errors.strip()[-300:]}")
        return False
    return process.returncode == 1


def arrivals(folder: Path) -> list[object]:
    path = folder / "arrivals.jsonl"
    return list(read_arrivals(path)) if path.exists() else []


def puts(folder: Path, since: int = 0) -> list[object]:
    found = arrivals(folder)[since:]
    return [arrival for arrival in found if arrival.operation == "PutIdentityPolicy"]  # type: ignore[attr-defined]


def look_at_journal(folder: Path, asked: dict[str, str], figures: Figures, seed: int) -> set[str]:
    """What the journal says after a kill: who is done; nobody may be whose document the server never took."""
    journal = folder / "in.journal.jsonl"
    if not journal.exists() or not journal.stat().st_size:
        return set()
    try:
        found = list(outcomes(journal))
    except JournalError as error:
        figures.violations.append(f"seed {seed}: the journal cannot be read after a kill: {error}")
        return set()
    taken = {(it.identity, it.sha256) for it in puts(folder) if it.applied}  # type: ignore[attr-defined]
    done = {outcome.identity for outcome in found if outcome.status in DONE}
    figures.unknown_at_kill += sum(outcome.status is Status.UNKNOWN for outcome in found)
    figures.violations += [
        f"seed {seed}: {identity} is reported applied, and the server never took it"
        for identity in done
        if (identity, asked[identity]) not in taken
    ]
    return done


def check_no_resend(folder: Path, since: int, done: set[str], figures: Figures, seed: int) -> None:
    """What was done at the last kill must not have been sent again since."""
    again = [it.identity for it in puts(folder, since) if it.identity in done]  # type: ignore[attr-defined]
    figures.violations += [f"seed {seed}: {identity} was done and sent again" for identity in again]


def check_end(folder: Path, asked: dict[str, str], figures: Figures, seed: int) -> None:
    """The server holds what was asked for, and the report has every line once, applied."""
    last: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for arrival in puts(folder):
        counts[arrival.identity] += 1  # type: ignore[attr-defined]
        if arrival.applied:  # type: ignore[attr-defined]
            last[arrival.identity] = arrival.sha256  # type: ignore[attr-defined]
    figures.requests += counts.total()
    figures.resends += counts.total() - len(counts)
    figures.violations += [
        f"seed {seed}: {name} holds another document" for name in asked if last.get(name) != asked[name]
    ]
    with (folder / "in.report.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if [row["line"] for row in rows] != [str(number + 2) for number in range(RECORDS)]:
        figures.violations.append(f"seed {seed}: the report has not every line once")
    if any(row["status"] not in DONE for row in rows):
        figures.violations.append(f"seed {seed}: not every row is applied or unchanged in the end")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=2)
    chosen = parser.parse_args()
    total, started = Figures(), time.monotonic()
    with ThreadPoolExecutor(chosen.at_once) as pool:
        for figures in pool.map(run_once, range(chosen.seed, chosen.seed + chosen.runs)):
            total.add(figures)
    print("| runs | records | kills | resumes | requests | sent again | unknown at a kill | violations | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    print(
        f"| {chosen.runs} | {total.records:,} | {total.kills} | {total.resumes} | {total.requests:,} | {total.resends} "
        f"| {total.unknown_at_kill} | {len(total.violations)} | {time.monotonic() - started:.0f} |"
    )
    for violation in total.violations[:20]:
        print(f"VIOLATION {violation}")
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
