"""Workers of one run folder, disturbed at random: ``python -m tests.fleet.runs --runs 50`` (a short form runs in CI).

Each run draws a batch for four to eight shards of two or three targets each, an embedded SES in a process of its own
that answers some requests with faults, and an engine like those that people have: it starts the installed command for
a shard on some node, again where it was killed or says so, and promises nothing. What happens to it is drawn, too
(:data:`MOVES`); on some volumes locks do nothing. No worker knows of the others what processes of one machine know of
each other. Each process has an access key of its own, so that the server's log tells who sent what, and it is the
judge, as in :mod:`tests.bench.crash`, whose witness looks at every row. The merged report is held against the one that
a single process writes that nobody disturbs.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from batchpol.identity.known import REGIONS
from batchpol.journal import outcomes
from batchpol.model import Outcome, Status, Target
from batchpol.model.shard import Shard
from batchpol.sandbox import SES_OPERATIONS, Arrival
from tests.bench import crash
from tests.bench.crash import Scene, Wish, serve
from tests.bench.witness import DONE, Batch, Key
from tests.e2e.command import ACCOUNT, kill, lines, run, start

MOVES = ("kill", "kill", "stand still", "thought lost", "twice", "lose a node", "stop all", "look")
"""What happens to the workers:

================ =====================================================================================
``kill``          one is killed -9, and started again
``stand still``   one gets SIGSTOP, and SIGCONT after :data:`STILL` seconds
``thought lost``  the same, and the engine starts its shard elsewhere meanwhile
``twice``         the engine starts a second copy of a shard that runs, or two at once of one that does not
``lose a node``   all processes of a node are killed, and their shards are started elsewhere
``stop all``      ``batchpol stop``, and when all have ended, ``--withdraw`` and all again
``look``          somebody asks for the status and a report in the middle of it
================ =====================================================================================
"""
QUICK = ("kill", "twice")
STILL = 20.0
"""Seconds."""
AGAIN = {3, 130, 137, 143, -9, -15}
"""Exit codes that ask for another start; 0 and 1 are over."""
PASSING = ("started_at", "duration_ms", "request_id", "attempts", "message", "plan")
"""What differs from one run to the next."""
LATE = 0.05
"""Seconds by which the server may see a request late, on a machine under load."""
UNLOCKED = "import fcntl\nfcntl.flock = lambda fd, operation: None\n"
"""A volume whose locks do nothing, as a ``sitecustomize`` of the workers."""
LIMIT = 240.0
"""Seconds after which a run counts as hung."""


@dataclass
class Figures(crash.Figures):
    """What one run, or all of them, came to; ``hand_over`` is the shortest, in seconds."""

    lost: int = 0
    doubled: int = 0
    differing: int = 0
    hand_overs: int = 0
    hand_over: float = float("inf")

    def add(self, other: Figures) -> None:
        super().add(other)
        for name in ("lost", "doubled", "differing", "hand_overs"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.hand_over = min(self.hand_over, other.hand_over)


class Fleet(Scene):
    """One run's folder, server, input, shards and chance; ``quick`` ones take no longer than they must."""

    def __init__(self, seed: int, folder: Path, *, quick: bool = False) -> None:
        self.chance, self.folder, self.figures, self.seed = random.Random(seed), folder, Figures(), seed
        chance = self.chance
        self.quick, self.stale, self.log = quick, 0.0, folder / "arrivals.jsonl"
        self.count, self.slots = (2, 2) if quick else (chance.randint(4, 8), chance.randint(2, 4))
        self.period = 0.3 if quick else 1.0
        self.unlocked = not quick and chance.random() < 0.25
        self.blind = chance.random() < 0.15
        self.prunes = not self.blind and chance.random() < 0.3
        self.regions = [
            region for number in range(self.count) for region in self._regions(Shard(number + 1, self.count))
        ]
        self.homes = {
            f"t{n}.{home}.example": (ACCOUNT, home) for home in self.regions for n in range(1 if quick else 2)
        }
        self.there: dict[Key, int] = {}
        self.wishes: list[Wish] = []
        for identity in self.homes:
            self._draw(identity, full=False)
        chance.shuffle(self.wishes)
        if quick:
            self.there.clear()

    def _regions(self, shard: Shard) -> list[str]:
        """The targets that a shard has here: two or three, if so many fall to it."""
        all_of_it = [it for it in REGIONS["aws"] if Shard.of(Target(ACCOUNT, it), self.count) == shard]
        return self.chance.sample(all_of_it, min(len(all_of_it), 2 if self.quick else self.chance.randint(2, 3)))

    def batch(self) -> Shared:
        """Write the input, with rows that are rejected or said twice, and what the judge must know of it."""
        path, began = self.folder / "in.csv", len(self.seen().arrivals)
        self.write(path, self.wishes)
        more = [] if self.prunes else ["no identity,sending,,delete,,,", "a.example,sending,,delete,,nowhere,"]
        rows = path.read_text().splitlines()
        path.write_text("\n".join([*rows, *more, rows[1]]) + "\n")
        asked = {it.key: self.digest(it.key, it.version) for it in self.wishes}
        numbers = list(range(2, len(rows) + len(more) + 2))
        batch = Shared(path, asked, {}, self.homes, numbers, self.period, 0.0, self.prunes, began, began, began)
        for it in self.wishes:
            if it.allowed is not None:
                batch.allowed[it.key] = {self.digest(it.key, version) for version in it.allowed}
        return batch

    def flags(self) -> list[str]:
        """Those of every worker, and of the single process."""
        regions = [part for region in self.regions for part in ("--region", region)]
        return ["--yes", *regions, *["--prune"] * self.prunes, *["--blind"] * self.blind]

    def paced(self, period: float) -> list[str]:
        return ["--rate", f"{1 / period:g}", "--i-have-a-higher-quota", "--no-share"] if period < 1 else ["--no-share"]

    def set_up(self, url: str) -> None:
        """What is there before, if anything is."""
        if not self.there:
            return
        self.write(self.folder / "before.csv", [Wish(key, version) for key, version in self.there.items()])
        regions = [part for region in self.regions for part in ("--region", region)]
        for _ in range(5):
            if crash.start(self, "before.csv", url, ["--rate", "500", "--blind", "--fresh", *regions]).wait() == 0:
                return
        raise RuntimeError(f"seed {self.seed}: what is to be there before cannot be written")


class Shared(Batch):
    """A batch whose journals are in a run folder."""

    @property
    def journals(self) -> list[Path]:
        return sorted(self.input.with_name("run1").glob("shard-*.jsonl"))

    def rows(self) -> list[Outcome]:
        return [row for it in self.journals if it.stat().st_size for row in outcomes(it)]


@dataclass
class Worker:
    """A process that serves a shard on a node, known by its access key; ``still_until`` while it stands still."""

    shard: int
    node: int
    key: str
    process: subprocess.Popen[bytes]
    still_until: float = 0.0


class Engine:
    """Starts shards, and promises nothing; :meth:`step` as often as may be."""

    def __init__(self, fleet: Fleet, batch: Shared, url: str) -> None:
        self.fleet, self.batch, self.url = fleet, batch, url
        self.todo, self.running = deque(range(1, fleet.count + 1)), list[Worker]()
        self.codes: dict[int, set[int]] = defaultdict(set)
        self.starts, self.held = 0, False
        self.known: dict[Key, int] = {}
        self.violations: list[str] = []
        self.deadline = time.monotonic() + LIMIT
        self.seen = fleet.seen()

    @property
    def through(self) -> bool:
        return not self.todo and not self.running

    def start(self, shard: int, node: int | None = None) -> Worker:
        """Start a shard, wherever there is room."""
        fleet = self.fleet
        self.starts += 1
        key = f"AKIA{self.starts:016}"
        keys = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": "-", "AWS_REGION": "us-east-1"}
        keys |= {"PYTHONPATH": str(fleet.folder / "unlocked")} if fleet.unlocked else {}
        place = ["--shard", f"{shard}/{fleet.count}", "--journal", "run1", "--endpoint-url", self.url]
        line = ["apply", self.batch.input.name, *place, *fleet.flags(), *fleet.paced(fleet.period)]
        node = self.starts % fleet.slots if node is None else node
        worker = Worker(shard, node, key, start(*line, cwd=fleet.folder, env=keys))
        self.running.append(worker)
        return worker

    def step(self) -> None:
        """Look who ended, who is to go on, and what can be started."""
        now = time.monotonic()
        if now > self.deadline:
            raise TimeoutError(f"it does not end: {[it.shard for it in self.running]} run, {list(self.todo)} are left")
        for worker in list(self.running):
            if worker.still_until and now > worker.still_until:
                worker.still_until = 0.0
                worker.process.send_signal(signal.SIGCONT)
            if worker.process.poll() is not None:
                self.running.remove(worker)
                self._ended(worker)
        while self.todo and not self.held and sum(not it.still_until for it in self.running) < self.fleet.slots:
            self.start(self.todo.popleft())

    def _ended(self, worker: Worker) -> None:
        out, errors = worker.process.communicate()
        code, others = worker.process.returncode, any(it.shard == worker.shard for it in self.running)
        if code in (0, 1):
            self.codes[worker.shard].add(code)
        elif code not in AGAIN or b"Traceback" in errors:
            self.violations.append(f"shard {worker.shard} ended with {code}: {errors.decode().strip()[-600:]}")
        elif worker.shard not in self.codes and not others and worker.shard not in self.todo:
            self.todo.append(worker.shard)
        with (self.fleet.folder / "told.txt").open("ab") as file:
            file.write(f"-- shard {worker.shard}, {code}: {worker.process.args}\n".encode() + out + errors)

    def go_on(self, seconds: float = LIMIT) -> None:
        """Until it is through, or for some seconds."""
        until = time.monotonic() + seconds
        while not self.through and time.monotonic() < until:
            self.step()
            time.sleep(0.03)

    def end(self) -> None:
        for worker in self.running:
            worker.process.send_signal(signal.SIGCONT)
            kill(worker.process)

    # What happens to it

    def disturb(self, move: str) -> None:
        """Do what a move says, once there is somebody to do it to."""
        awake = [it for it in self.running if not it.still_until]
        if not awake:
            return
        self.fleet.figures.moves[move] += 1
        sent = {it.access_key for it in self.fleet.seen().arrivals if it.operation in SES_OPERATIONS}
        sending = [it for it in awake if it.key in sent]
        one = self.fleet.chance.choice(sending if sending and self.fleet.chance.random() < 0.8 else awake)
        if move == "kill":
            one.process.kill()
        elif move in ("stand still", "thought lost"):
            one.process.send_signal(signal.SIGSTOP)
            one.still_until = time.monotonic() + STILL
            if move == "thought lost":
                self.start(one.shard)
        elif move == "twice":
            shard = self.todo.popleft() if self.todo else one.shard
            self.start(shard)
            self.start(shard)
        elif move == "lose a node":
            for it in [it for it in self.running if it.node == one.node]:
                it.process.kill()
        elif move == "stop all":
            self._stop()
        else:
            self._look()
        self._remember()

    def _stop(self) -> None:
        """Ask all workers to stop, and let them go on when they have."""
        if not (self.fleet.folder / "run1").exists():
            return
        self._told("stop", "run1")
        self.held, until = True, time.monotonic() + 20
        while any(not it.still_until for it in self.running) and time.monotonic() < until:
            self.step()
            time.sleep(0.03)
        if left := [it.shard for it in self.running if not it.still_until]:
            self.violations.append(f"asked to stop, and shards {left} go on after 20 s")
        self._told("stop", "run1", "--withdraw")
        self.held = False

    def _look(self) -> None:
        if (self.fleet.folder / "run1" / "run.json").exists():
            self._told("status", "run1")
            self._told("report", "run1", "--report", "now.csv")

    def _told(self, *line: str) -> str:
        """Run a command that is to succeed; what it says."""
        ended = run(*line, cwd=self.fleet.folder)
        if ended.code:
            self.violations.append(f"batchpol {' '.join(line)}: exit code {ended.code}: {ended.err.strip()[-400:]}")
        return ended.out

    def _remember(self) -> None:
        """What is done by now, which nobody may send again."""
        done = [row for row in self.batch.rows() if row.status is Status.APPLIED]
        place = len(self.fleet.seen().arrivals)
        for row in done:
            if (key := self.batch.asked_by(row)) is not None:
                self.known.setdefault(key, place)


def judge(fleet: Fleet, batch: Shared, engine: Engine) -> Iterator[str]:
    """All that is not as it must be, now that the shards are through, by the server's log."""
    seen = fleet.seen()
    yield from batch.judge(seen, ended=True)
    for seconds, wrong in handed_over(seen.arrivals[batch.began :], fleet.period):
        fleet.figures.hand_overs += 1
        fleet.figures.hand_over = min(fleet.figures.hand_over, seconds)
        if wrong:
            fleet.figures.doubled += 1
            yield wrong
    for place, it in enumerate(seen.arrivals):
        key = it.identity, it.policy_name
        if it.operation == "PutIdentityPolicy" and place >= engine.known.get(key, place + 1):
            yield f"{key} was done and sent again"
    for shard, codes in engine.codes.items():
        if len(codes) > 1:
            yield f"shard {shard} ended with {sorted(codes)}"
    if fleet.quick:
        return
    again = engine.start(fleet.chance.randint(1, fleet.count))
    engine.go_on()
    if len(fleet.seen().arrivals) > len(seen.arrivals) + 1 or len(engine.codes[again.shard]) > 1:  # STS is asked
        yield f"shard {again.shard} was through, and something was sent, or its exit code is another one"
    status = json.loads(engine._told("status", "run1", "--output", "json") or "{}")
    if status.get("left"):
        yield f"{status['left']} records are left"


def handed_over(arrivals: Iterable[Arrival], period: float) -> Iterator[tuple[float, str]]:
    """Each target has one process after the other, with a period between them: the seconds of each hand-over, and
    what is wrong with it, if anything is."""
    by_target = defaultdict[str, list[tuple[float, str]]](list)
    for it in arrivals:
        if it.operation in SES_OPERATIONS:
            by_target[f"{it.account} {it.region}"].append((it.at, it.access_key))
    for target, times in by_target.items():
        gone = set[str]()
        for (before, one), (after, other) in pairwise(sorted(times)):
            if one == other:
                continue
            gone.add(one)
            wrong = ""
            if after - before < period - LATE:
                wrong = f"{target} was served by {one} and {other} within {after - before:.2f} s"
            elif other in gone:
                wrong = f"{target} was served by {other} again after {one}"
            yield after - before, wrong


def compare(fleet: Fleet, engine: Engine, url: str) -> Iterator[str]:
    """The merged report is that of one process which nobody disturbs, but for which attempt or start did it."""
    engine._told("report", "run1", "--report", "all.jsonl")
    keys = {"AWS_ACCESS_KEY_ID": "SINGLE", "AWS_SECRET_ACCESS_KEY": "-", "AWS_REGION": "us-east-1"}
    line = ["apply", engine.batch.input.name, "--endpoint-url", url, *fleet.flags(), *fleet.paced(0.002)]
    run(*line, "--report", "one.jsonl", cwd=fleet.folder, env=keys)
    if not all((fleet.folder / name).exists() for name in ("all.jsonl", "one.jsonl")):
        yield "a report is missing"
        return
    many, one = (list(map(comparable, lines(fleet.folder / name))) for name in ("all.jsonl", "one.jsonl"))
    holds = engine.seen.holds
    gone = [row for row in one if row["line"] is None and not holds.get((row["identity"], row["policy_name"]))]
    one = [row for row in one if row not in gone or row in many]  # pruned before the last start, which found nothing
    fleet.figures.lost += sum(row["status"] == "done" for row in one) - sum(row["status"] == "done" for row in many)
    if many != one:
        fleet.figures.differing += 1
        where = next((pair for pair in zip(many, one, strict=False) if pair[0] != pair[1]), (len(many), len(one)))
        yield f"the merged report is not that of one process: {where}"


def comparable(row: dict[str, object]) -> dict[str, object]:
    """A row without what an attempt more changes: what was sent before a kill may be found there."""
    status = "done" if row["status"] in {str(it) for it in DONE} else row["status"]
    return {name: value for name, value in row.items() if name not in (*PASSING, "message", "plan")} | {
        "status": status
    }


@contextmanager
def served(fleet: Fleet) -> Iterator[str]:
    server, url = serve(fleet)
    try:
        yield url
    finally:
        server.kill()
        server.communicate()


def run_once(seed: int, keep: Path | None = None, *, quick: bool = False) -> Figures:
    """One batch, brought through by an engine whatever happens, and judged."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        fleet = Fleet(seed, Path(name), quick=quick)
        if fleet.unlocked:
            fleet.figures.moves["locks do nothing"] += 1
            (fleet.folder / "unlocked").mkdir()
            (fleet.folder / "unlocked" / "sitecustomize.py").write_text(UNLOCKED)
        figures = fleet.figures
        figures.violations += play(fleet)
        if keep is not None and figures.violations:
            shutil.copytree(fleet.folder, keep / f"seed-{seed}", dirs_exist_ok=True)
            (keep / f"seed-{seed}" / "violations.txt").write_text("\n".join(figures.violations))
    figures.violations = [f"seed {seed}: {text}" for text in figures.violations]
    return figures


def play(fleet: Fleet) -> list[str]:
    """The run itself; what was not as it must be."""
    figures, chance = fleet.figures, fleet.chance
    with served(fleet) as url:
        fleet.set_up(url)
        batch = fleet.batch()
        engine = Engine(fleet, batch, url)
        try:
            moves = list(QUICK) if fleet.quick else chance.choices(MOVES, k=chance.randint(3, 6))
            for move in moves:
                engine.go_on(chance.uniform(1, 6) if not fleet.quick else 0.0)
                while fleet.quick and not any(it.applied for it in fleet.seen().arrivals) and not engine.through:
                    engine.go_on(0.05)
                engine.disturb(move)
            engine.go_on()
            engine.violations += judge(fleet, batch, engine)
        except TimeoutError as error:
            engine.violations.append(str(error))
        finally:
            engine.end()
    engine.seen = fleet.seen()
    figures.records, figures.starts = len(batch.lines), engine.starts
    figures.requests = sum(it.operation in SES_OPERATIONS for it in engine.seen.arrivals[batch.began :])
    fleet.log = fleet.folder / "single.jsonl"
    with served(fleet) as url:
        fleet.set_up(url)
        engine.violations += compare(fleet, engine, url)
    return engine.violations


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=8, help="most of the time they wait")
    parser.add_argument("--quick", action="store_true", help="two shards at three a second, and two moves")
    parser.add_argument("--keep", type=Path, help="folder for what runs with violations left")
    chosen = parser.parse_args()
    total, started = Figures(), time.monotonic()
    with ThreadPoolExecutor(chosen.at_once) as pool:
        once = partial(run_once, keep=chosen.keep, quick=chosen.quick)
        for figures in pool.map(once, range(chosen.seed, chosen.seed + chosen.runs)):
            total.add(figures)
            for violation in figures.violations:
                print(f"VIOLATION {violation}", flush=True)
    print("| runs | records | starts | moves | requests | lost | hand-overs | shortest, s | served by two | ", end="")
    print("other reports | violations | seconds |")
    print("| --- " * 12 + "|")
    print(f"| {chosen.runs} | {total.records:,} | {total.starts} | {total.moves.total()} | {total.requests:,} ", end="")
    print(f"| {total.lost} | {total.hand_overs} | {total.hand_over:.2f} | {total.doubled} | {total.differing} ", end="")
    print(f"| {len(total.violations)} | {time.monotonic() - started:.0f} |")
    print(", ".join(f"{move} {count}" for move, count in total.moves.most_common()))
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
