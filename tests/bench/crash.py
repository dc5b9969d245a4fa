"""The kill test: signals at random instants, resume until done, undo, and the server's log to judge every start by.

``python -m tests.bench.crash --runs 100`` (a short form runs in CI). Each run draws a batch of puts and deletes, some
of them under a condition, for one target, two Regions or two accounts by a role; an embedded SES in a process of its
own, which answers some requests with faults, shows the past for a while and logs every arrival; and what happens:
kill -9, SIGTERM, SIGINT, SIGHUP (under nohup, too), SIGSTOP and SIGCONT, and edits of the input between two starts.
:mod:`tests.bench.witness` says after each start what is not as it must be.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from batchpol.model import Status
from batchpol.policy.comparison import ABSENT, meaning_digest
from tests.bench.witness import DONE, NOTHING, WRITES, Batch, Book, Key, Seen, digest

RATE = 20
STALE, STALENESS = 0.7, 2
"""By how many seconds the server's reads may lag, and what the command is told of it."""
FAULTS = {"server_error": 1, "error_after": 1, "reset_before": 1, "reset_after": 1, "throttle": 1, "malformed": 1}
"""In percent."""
ROLE = "arn:aws:iam::{account}:role/Tenant"
MINE, THEIRS = "123456789012", "111122223333"
PLACES = {
    "one target": [(MINE, "us-east-1")],
    "two Regions": [(MINE, "us-east-1"), (MINE, "eu-west-1")],
    "two accounts": [(MINE, "us-east-1"), (THEIRS, "us-east-1")],
}
COMMAND = [sys.executable, "-m", "batchpol"]
MOVES = ("kill", "kill", "kill", "terminate", "interrupt", "hang up", "stop", "stop and kill", "terminate and kill")
ENDS = {"kill": {-9}, "terminate": {143}, "interrupt": {130}, "hang up": {143}, "stop": set[int]()}
STAYS = {"Changed", "PruneWithheld", "InvalidParameterValue"}
"""Why a record may stay undone, however often it is tried: a condition, a prune held back, an identity that is full."""


@dataclass
class Figures:
    """What one run, or all of them, came to."""

    records: int = 0
    starts: int = 0
    requests: int = 0
    resends: int = 0
    unknown: int = 0
    moves: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        for name in ("records", "starts", "requests", "resends", "unknown"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.moves += other.moves
        self.violations += other.violations


@dataclass
class Wish:
    """One record: the version of its document to put, 0 to delete, and the versions (0: nothing) it may replace."""

    key: Key
    version: int
    allowed: tuple[int, ...] | None = None


class Scene:
    """One run's folder, server, input and chance."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance, self.folder, self.figures, self.seed = random.Random(seed), folder, Figures(), seed
        self.kind = self.chance.choice(list(PLACES))
        self.homes = {f"tenant-{n}.example": self.chance.choice(PLACES[self.kind]) for n in range(9)}
        self.stale = self.chance.choice((0.0, STALE))
        self.blind = self.chance.random() < 0.15
        self.prunes = not self.blind and self.chance.random() < 0.4
        self.there: dict[Key, int] = {}
        self.wishes: list[Wish] = []
        for identity in self.homes:
            self._draw(identity, full=self.chance.random() < 0.1)
        self.chance.shuffle(self.wishes)
        self.log = folder / "arrivals.jsonl"

    def _draw(self, identity: str, *, full: bool) -> None:
        """What an identity has and is to have."""
        chance = self.chance
        for name in ("sending", "support", "digest"):
            there = 0 if full else chance.choice((0, 1, 2))
            if there:
                self.there[identity, name] = there
            if chance.random() < 0.85:
                allowed = None
                if not self.blind and chance.random() < 0.2:
                    allowed = (there,) if chance.random() < 0.8 else (chance.choice((0, 1, 2, 3)),)
                self.wishes.append(Wish((identity, name), chance.choice((0, 1, 2, 3, 3)), allowed))
        for number in range(20 if full else chance.choice((0, 0, 2))):
            self.there[identity, f"old-{number}"] = 1

    def document(self, key: Key, version: int) -> str:
        account, region = self.homes[key[0]]
        statement = {
            "Sid": f"v{version}-{key[1]}",
            "Effect": "Allow",
            "Principal": {"AWS": "444455556666"},
            "Action": "ses:SendEmail",
            "Resource": f"arn:aws:ses:{region}:{account}:identity/{key[0]}",
        }
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))

    def digest(self, key: Key, version: int) -> str:
        return digest(self.document(key, version)) if version else NOTHING

    def write(self, path: Path, wishes: Iterable[Wish]) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(("identity", "policy_name", "policy", "action", "account", "region", "if_match"))
            for it in wishes:
                expected = ",".join(
                    meaning_digest(self.document(it.key, version)) if version else ABSENT
                    for version in it.allowed or ()
                )
                document = self.document(it.key, it.version) if it.version else ""
                action = "put" if it.version else "delete"
                rows.writerow((*it.key, document, action, *self.homes[it.key[0]], expected))

    def batch(self) -> Batch:
        return self._batch("in.csv", {it.key: self.digest(it.key, it.version) for it in self.wishes})

    def _batch(self, name: str, asked: dict[Key, str]) -> Batch:
        began = len(self.seen().arrivals)
        path = self.folder / name
        lines = list(range(2, len(asked) + 2)) if name.endswith(".csv") else list(range(1, len(asked) + 1))
        return Batch(path, asked, {}, self.homes, lines, 1 / RATE, self.stale, began=began, since=began)

    def edit(self, batch: Batch) -> None:
        """Ask for something else here and there."""
        for it in self.wishes:
            if self.chance.random() < 0.2:
                it.version = self.chance.choice((0, 1, 2, 3))
        self.save(batch)

    def save(self, batch: Batch) -> None:
        """The input as it is to be now, and what the judge must know of it."""
        self.write(batch.input, self.wishes)
        batch.prunes = self.prunes
        for it in self.wishes:
            asked = self.digest(it.key, it.version)
            if batch.asked[it.key] != asked:
                batch.done.discard(it.key)
            batch.asked[it.key] = asked
            if it.allowed is not None:
                batch.allowed[it.key] = {self.digest(it.key, version) for version in it.allowed}

    def undo(self, batch: Batch) -> Batch:
        """The way back, as the command writes it."""
        path = self.folder / "undo.jsonl"
        subprocess.run(
            [*COMMAND, "undo", batch.journal.name, "-o", path.name],
            cwd=self.folder, env=environment(self.folder), check=True, capture_output=True,
        )  # fmt: skip
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        asked = {(it["identity"], it["policy_name"]): digest(it["policy"]) if "policy" in it else "" for it in lines}
        return self._batch(path.name, asked)

    def seen(self) -> Seen:
        return Seen(self.log)


def environment(folder: Path) -> dict[str, str]:
    keys = {"AWS_ACCESS_KEY_ID": "crash", "AWS_SECRET_ACCESS_KEY": "-", "AWS_REGION": "us-east-1"}
    return {"PATH": os.environ["PATH"], "HOME": str(folder), **keys}


def serve(scene: Scene) -> tuple[subprocess.Popen[str], str]:
    faults = [part for name, percent in FAULTS.items() for part in ("--fault", f"{name}={percent / 100}")]
    options = ["--rate", "0", "--seed", str(scene.seed), "--log", str(scene.log), "--stale", str(scene.stale)]
    latency = ["--latency", str(scene.chance.choice((0, 10)))]
    server = subprocess.Popen(
        [*COMMAND, "sandbox", *options, *latency, *faults],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    return server, server.stdout.readline().split()[-1]


def run_once(seed: int, keep: Path | None = None) -> Figures:
    """One input, started and disturbed until it is through, and taken back the same way."""
    with tempfile.TemporaryDirectory(prefix="crash-") as name:
        scene = Scene(seed, Path(name))
        server, url = serve(scene)
        try:
            set_up(scene, url)
            batch = scene.batch()
            scene.save(batch)
            flags = chosen(scene)
            bring_through(scene, batch, url, flags, edits=not scene.blind)
            if not scene.blind:
                back = scene.undo(batch)
                bring_through(scene, back, url, [it for it in flags if it != "--prune"], edits=False)
                scene.figures.violations += batch.restored(scene.seen(), back)
        finally:
            server.kill()
            server.communicate()
        if keep is not None and scene.figures.violations:
            shutil.copytree(scene.folder, keep / f"seed-{seed}", dirs_exist_ok=True)
            (keep / f"seed-{seed}" / "violations.txt").write_text("\n".join(scene.figures.violations))
    scene.figures.records += len(scene.wishes)
    scene.figures.violations = [f"seed {seed}: {text}" for text in scene.figures.violations]
    return scene.figures


def set_up(scene: Scene, url: str) -> None:
    """What is there before, and has been for longer than any read is stale."""
    scene.write(scene.folder / "before.csv", [Wish(key, version) for key, version in scene.there.items()])
    fast = ["--rate", "500", "--blind", *places(scene)]
    for _ in range(5):
        if start(scene, "before.csv", url, fast).wait() == 0:
            break
    time.sleep(scene.stale)


def places(scene: Scene) -> list[str]:
    regions = [part for _, region in PLACES[scene.kind] for part in ("--region", region)]
    return {"two Regions": regions, "two accounts": ["--role-arn", ROLE]}.get(scene.kind, [])


def chosen(scene: Scene) -> list[str]:
    """The flags of all starts of one run."""
    flags = ["--rate", str(RATE), "--staleness", str(STALENESS), *places(scene)]
    flags += ["--verify"] * (scene.chance.random() < 0.3)
    return flags + ["--prune"] * scene.prunes + ["--blind"] * scene.blind


def start(scene: Scene, name: str, url: str, flags: Sequence[str], *, nohup: bool = False) -> subprocess.Popen[str]:
    always = ["--endpoint-url", url, "--yes", "--quiet", "--i-have-a-higher-quota"]
    return subprocess.Popen(
        [*(["nohup"] if nohup else []), *COMMAND, "apply", name, *always, *flags],
        cwd=scene.folder, env=environment(scene.folder),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def bring_through(scene: Scene, batch: Batch, url: str, flags: Sequence[str], *, edits: bool) -> None:
    """Start the command until nothing is left to do, disturb it at first, and judge each start."""
    disturbed = scene.chance.randint(1, 4)
    for count in range(12):
        seen = scene.seen()
        batch.start = len(seen.arrivals)
        if edits and 0 < count <= disturbed and scene.chance.random() < 0.3:
            scene.edit(batch)
        code, errors, allowed = one_start(scene, batch, url, flags, disturbed=count < disturbed)
        time.sleep(0.1)  # what was under way at a kill arrives
        if code not in allowed:
            scene.figures.violations.append(f"exit code {code}: {errors.strip()[-400:]}")
            return
        seen, ended = scene.seen(), code in (0, 1)
        scene.figures.violations += batch.judge(seen, ended=code >= 0)
        rows = batch.rows()
        scene.figures.unknown += sum(row.status is Status.UNKNOWN for row in rows)
        sent = Counter((it.identity, it.policy_name) for it in seen.arrivals[batch.start :] if it.operation in WRITES)
        scene.figures.requests += sent.total()
        batch.done = {key for row in rows if row.status in DONE and (key := batch.asked_by(row)) is not None}
        if Book.of(batch.journal).finished:
            batch.since = len(seen.arrivals)
        if ended and count >= disturbed and all(row.status in DONE or row.error_code in STAYS for row in rows):
            check_report(scene, batch)
            return
    left = {(row.identity, row.policy_name, row.status.value, row.error_code) for row in rows if row.status not in DONE}
    scene.figures.violations.append(f"not all is done after {count + 1} starts: {sorted(left)[:5]}")


def check_report(scene: Scene, batch: Batch) -> None:
    """The report in the file is the one in the journal."""
    with batch.input.with_suffix(".report.csv").open(newline="", encoding="utf-8") as file:
        written = [(row["line"], row["status"]) for row in csv.DictReader(file)]
    if written != [(str(row.line or ""), row.status.value) for row in batch.rows()]:
        scene.figures.violations.append("the report is not what the journal says")


def one_start(
    scene: Scene, batch: Batch, url: str, flags: Sequence[str], *, disturbed: bool
) -> tuple[int, str, set[int]]:
    """Start the command and disturb it; its exit code, what it wrote, and the codes with which it may have ended."""
    chance, figures = scene.chance, scene.figures
    nohup = chance.random() < 0.3
    size = batch.journal.stat().st_size if batch.journal.exists() else 0
    process = start(scene, batch.input.name, url, flags, nohup=nohup)
    figures.starts += 1
    move, allowed = (chance.choice(MOVES) if disturbed else ""), {0, 1}
    early = chance.random() < 0.1  # while it starts
    while disturbed and not early and process.poll() is None:
        if batch.journal.exists() and batch.journal.stat().st_size > size:
            break
        time.sleep(0.005)
    try:
        _, errors = process.communicate(timeout=chance.uniform(0, 1.5) if disturbed else 120)
    except subprocess.TimeoutExpired:
        if not disturbed:
            process.kill()
            return -9, "it does not end", allowed
        figures.moves[move + (" under nohup" if nohup and move == "hang up" else "")] += 1
        allowed |= disturb(process, move, chance, nohup=nohup, early=early)
        _, errors = process.communicate(timeout=120)
    return process.returncode, errors, allowed


def disturb(process: subprocess.Popen[str], move: str, chance: random.Random, *, nohup: bool, early: bool) -> set[int]:
    """Do to a process what the move says; the exit codes that may come of it."""
    signals = {"terminate": signal.SIGTERM, "interrupt": signal.SIGINT, "hang up": signal.SIGHUP}
    first, _, second = move.partition(" and ")
    codes = set[int]()
    if first in signals:
        process.send_signal(signals[first])
        heard = not (nohup and first == "hang up")
        codes |= ENDS[first] if heard else set()
        codes |= {-signals[first]} if heard else set()  # while it starts, or when all is done
    elif first == "stop":
        process.send_signal(signal.SIGSTOP)
        time.sleep(chance.uniform(0.02, 0.6))
    if second or first == "kill":
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        codes.add(-signal.SIGKILL)
    elif first == "stop":
        process.send_signal(signal.SIGCONT)
    return codes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="folder for what runs with violations left")
    chosen = parser.parse_args()
    total, started = Figures(), time.monotonic()
    with ThreadPoolExecutor(chosen.at_once) as pool:
        for figures in pool.map(partial(run_once, keep=chosen.keep), range(chosen.seed, chosen.seed + chosen.runs)):
            total.add(figures)
            for violation in figures.violations:
                print(f"VIOLATION {violation}", flush=True)
    print("| runs | records | starts | disturbed | requests | unknown | violations | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print(
        f"| {chosen.runs} | {total.records:,} | {total.starts:,} | {total.moves.total()} | {total.requests:,} "
        f"| {total.unknown} | {len(total.violations)} | {time.monotonic() - started:.0f} |"
    )
    print(", ".join(f"{move} {count}" for move, count in total.moves.most_common()))
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
