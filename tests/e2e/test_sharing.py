"""Two commands at once on one target: they take turns, and neither's death or sleep costs the other more than one."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from subprocess import Popen

import pytest

from batchpol.sandbox import Arrival
from batchpol.testing import Sandbox, SandboxOptions, running_sandbox
from tests.e2e.command import await_that, finish, record, rows, save_table, start

RECORDS = 8

PERIOD = 0.5
"""Seconds between two requests: the account has twice the usual quota, so that this takes half the time."""

TWICE = ("--yes", "--rate", "2", "--i-have-a-higher-quota")


@dataclass
class Pair:
    """Two commands at once, ``a`` and ``b``, against an SES of their own."""

    folder: Path
    sandbox: Sandbox
    a: Popen[bytes]
    b: Popen[bytes]

    def writes(self, taken: bool = True) -> list[Arrival]:
        every = [it for it in list(self.sandbox.arrivals) if it.operation == "PutIdentityPolicy"]
        return [it for it in every if it.accepted or not taken]

    def reach(self, each: int) -> None:
        """Wait until both have written so many."""
        await_that(lambda: all(self.order().count(name) >= each for name in "ab"), self.b)

    def order(self) -> str:
        return "".join(it.identity[0] for it in self.writes())

    def gaps(self) -> list[float]:
        return [later.at - earlier.at for earlier, later in pairwise(self.writes())]

    def statuses(self, name: str) -> set[str]:
        return {row["status"] for row in rows(self.folder / f"{name}.report.csv")}


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[dict[str, Pair]]:
    """Several at once, since they wait most of the time."""
    with ExitStack() as stack:
        made = {}
        for case in ("both", "killed", "stopped"):
            (folder := tmp_path / case).mkdir()
            sandbox = stack.enter_context(running_sandbox(SandboxOptions(latency_ms=80, rate=1 / PERIOD)))
            started = []
            for name in "ab":
                table = save_table(folder / f"{name}.csv", [record(f"{name}{it}.example") for it in range(RECORDS)])
                started.append(start("apply", table, *TWICE, cwd=folder, env=sandbox.environment()))
            made[case] = Pair(folder, sandbox, *started)
        yield made


def test_two_commands_on_one_target(pairs: dict[str, Pair]) -> None:
    pairs["killed"].reach(3)
    pairs["killed"].a.kill()
    pairs["stopped"].reach(3)
    pairs["stopped"].a.send_signal(signal.SIGSTOP)
    time.sleep(3 * PERIOD)
    pairs["stopped"].a.send_signal(signal.SIGCONT)
    for case, pair in pairs.items():
        codes = [finish(process).code for process in (pair.a, pair.b)]
        assert codes == [-9 if case == "killed" else 0, 0], case

    both = pairs["both"]
    wall = both.writes()[-1].at - both.writes()[0].at
    assert (2 * RECORDS - 1) * PERIOD / wall >= 0.97
    second = next(at for at, name in enumerate(both.order()) if name != both.order()[0])
    both_under_way = both.writes(taken=False)[-(2 * RECORDS - second) :]
    assert all(it.accepted for it in both_under_way), "none was refused, but where the second one was just starting"
    assert "abababab" in both.order() or "babababa" in both.order(), "none was starved"

    killed, stopped = pairs["killed"], pairs["stopped"]
    assert max(killed.gaps()) < 2.1 * PERIOD, "it lost one turn at most"
    assert killed.order().count("b") == RECORDS
    assert max(stopped.gaps()) < 2.1 * PERIOD
    assert sorted(stopped.order()) == sorted("ab" * RECORDS)
    assert stopped.statuses("a") == stopped.statuses("b") == {"applied"}
    assert all(len(it.writes(taken=False)) - len(it.writes()) <= 1 for it in (killed, stopped))
