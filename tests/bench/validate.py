"""What validation costs: ``python -m tests.bench.validate [--records N] [--profile]``.

Writes N records with policies of some 450 bytes (identities, Resources, role and account ids all distinct) as CSV and
as JSON Lines, and reads them in a fresh process for each line of the table: with the csv module alone, with parsing
on top, with batchpol's reader, and with the whole validation. Last, documents that cost more: pretty-printed, with a
warning each, no two of one shape. Peak memory is the process's own; "per CPU s" is what a busy machine changes least.
"""

from __future__ import annotations

import argparse
import cProfile
import csv
import json
import os
import platform
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import machine

FULL = 1_000_000


def document(number: int, style: str) -> str:
    """The policy of tenant ``number``; ``style`` makes it clean, pretty, risky, or of a shape of its own."""
    domain = f"tenant-{number}.example.com"
    account = f"{100_000_000_000 + number * 7919 % 899_999_999_999:012d}"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": f"AllowTenant{number}",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:role/mail/tenant-{number}-sender"},
                "Action": ["ses:SendEmail", "ses:DeleteEmailIdentity" if style == "risky" else "ses:SendRawEmail"],
                "Resource": f"arn:aws:ses:us-east-1:111122223333:identity/{domain}",
                "Condition": {
                    "StringLike": {"ses:FromAddress": f"*@{domain}"},
                    "Bool": {"aws:SecureTransport": "true"},
                },
            }
        ],
    }
    if style == "shapes":
        policy["Statement"][0]["Condition"]["NumericLessThan"] = {"aws:EpochTime": 1_900_000_000 + number}  # type: ignore[index]
    return json.dumps(policy, indent=2 if style == "pretty" else None)


def write(path: Path, records: int, style: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".csv":
            rows = csv.writer(file)
            rows.writerow(["identity", "policy_name", "policy"])
            rows.writerows([f"tenant-{n}.example.com", f"sending-{n}", document(n, style)] for n in range(records))
        else:
            for n in range(records):
                file.write(f'{{"identity": "tenant-{n}.example.com", "policy_name": "sending-{n}", ')
                file.write(f'"policy": {document(n, style)}}}\n')


def read_csv(path: Path) -> Iterator[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        yield from rows


def run_csv(path: Path) -> int:
    return sum(1 for _ in read_csv(path))


def run_json(path: Path) -> int:
    return sum(1 for row in read_csv(path) if json.loads(row[2]))


def run_msgspec(path: Path) -> int:
    import msgspec

    decode = msgspec.json.Decoder().decode
    return sum(1 for row in read_csv(path) if decode(row[2]))


def run_source(path: Path) -> int:
    from batchpol.source import open_source

    with open_source(path, digest=False) as source:
        return sum(1 for _ in source)


def run_validate(path: Path) -> int:
    from batchpol.source import open_source
    from batchpol.validation import Checker, Verdict

    check = Checker(changes=False).check
    with open_source(path, digest=False) as source:
        return sum(1 for record in source if check(record).status is Verdict.VALID)


def run_shard(path: Path) -> int:
    """Tell the records of the first shard of 32 from all others, and check them; with its digest, as workers do."""
    from batchpol.model import Target
    from batchpol.model.shard import Shard
    from batchpol.source import open_source
    from batchpol.validation import Checker, Sharding, Verdict

    target = Target("123456789012", "")
    has, check = Sharding([Shard(1, 32)], target).has, Checker(target=target, changes=False).check
    with open_source(path) as source:
        return sum(1 for record in source if has(record) and check(record).status is Verdict.VALID)


RUNS: dict[str, Callable[[Path], int]] = {
    "csv": run_csv,
    "json": run_json,
    "msgspec": run_msgspec,
    "source": run_source,
    "validate": run_validate,
    "shard": run_shard,
}


def measure(run: str, path: Path) -> tuple[int, float, float, float]:
    """Records, seconds, processor seconds and peak MB of one run in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.validate", "--run", run, str(path)]
    count, *figures = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    seconds, busy, peak = map(float, figures)
    return int(count), seconds, busy, peak


def run_one(run: str, path: Path) -> None:
    # Importing is not what is measured.
    if run in ("source", "validate", "shard"):
        import batchpol.source
        import batchpol.validation  # noqa: F401
    begun, begun_busy = time.perf_counter(), time.process_time()
    count = RUNS[run](path)
    seconds, busy = time.perf_counter() - begun, time.process_time() - begun_busy
    print(count, seconds, busy, machine.peak_mb())


def line(label: str, run: str, path: Path, repeat: int) -> None:
    results = [measure(run, path) for _ in range(repeat)]
    count = results[0][0]
    rate, busy_rate = count / min(it[1] for it in results), count / min(it[2] for it in results)
    peak = max(it[3] for it in results)
    print(f"| {label:<53} | {count:>9,} | {rate:>8,.0f} | {busy_rate:>9,.0f} | {peak:>4.0f} |", flush=True)


def table(folder: Path, records: int, repeat: int) -> None:
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs"
    )
    title = f"one process, best of {repeat}"
    print(f"| {title:<53} | {'records':>9} | {'rows/s':>8} | {'per CPU s':>9} | {'MB':>4} |")
    print(f"|{'-' * 55}|{'-' * 10}:|{'-' * 9}:|{'-' * 10}:|{'-' * 5}:|")
    table_csv, table_jsonl = folder / "policies.csv", folder / "policies.jsonl"
    write(table_csv, records, "clean")
    write(table_jsonl, records, "clean")
    line("csv module alone", "csv", table_csv, repeat)
    line("csv module, document parsed with json", "json", table_csv, repeat)
    line("csv module, document parsed with msgspec", "msgspec", table_csv, repeat)
    line("batchpol reads CSV", "source", table_csv, repeat)
    line("batchpol validates CSV", "validate", table_csv, repeat)
    line("batchpol reads JSON Lines", "source", table_jsonl, repeat)
    line("batchpol validates JSON Lines", "validate", table_jsonl, repeat)
    for style, label in (("pretty", "pretty-printed"), ("risky", "with a warning each"), ("shapes", "no two alike")):
        path = folder / f"{style}.csv"
        write(path, max(records // 10, 1), style)
        line(f"batchpol validates CSV, documents {label}", "validate", path, repeat)
        path.unlink()


def profile(path: Path, records: int) -> None:
    write(path, records, "clean")
    profiler = cProfile.Profile()
    profiler.runcall(run_validate, path)
    pstats.Stats(profiler).strip_dirs().sort_stats("tottime").print_stats(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=FULL)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="print where the time of validating CSV goes")
    parser.add_argument("--run", nargs=2, metavar=("RUN", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_one(options.run[0], Path(options.run[1]))
        return
    with tempfile.TemporaryDirectory(prefix="batchpol-bench-") as folder:
        if options.profile:
            profile(Path(folder) / "policies.csv", min(options.records, 100_000))
        else:
            table(Path(folder), options.records, options.repeat)


if __name__ == "__main__":
    main()
