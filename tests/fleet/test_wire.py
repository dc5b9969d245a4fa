"""Dask's wire cut: a worker that the scheduler thinks lost has its shard still, and the one that gets it waits."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from batchpol.testing import Sandbox
from tests.e2e.command import await_that, finish
from tests.fleet.runs import handed_over
from tests.fleet.test_dask import Cluster, cluster, dask, rows, scheduler

__all__ = ["cluster", "scheduler"]
CUT_OFF, OTHER = "AKIACUTOFFCUTOFFCUTO", "AKIAOTHEROTHEROTHERO"


class Wire:
    """A way to an address, which can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._to, self._ends = (host, port), list[socket.socket]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._ends.append(near)
                try:
                    far = socket.create_connection(self._to)
                except OSError:  # nobody is there yet
                    near.close()
                    continue
                self._ends.append(far)
                for here, there in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(here, there), daemon=True).start()

    @staticmethod
    def _carry(here: socket.socket, there: socket.socket) -> None:
        with suppress(OSError):
            while data := here.recv(1 << 16):
                there.sendall(data)
        with suppress(OSError):
            there.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """From here on nothing comes through, and nobody can connect."""
        self._listener.close()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def wire(cluster: Cluster) -> Iterator[Wire]:
    host, _, port = cluster.address.removeprefix("tcp://").rpartition(":")
    made = Wire(host, int(port))
    yield made
    made.cut()


@dask
@pytest.mark.long
def test_a_worker_whose_wire_to_the_scheduler_is_cut_serves_no_target_beside_another_one(
    cluster: Cluster, wire: Wire, ses_sandbox: Sandbox
) -> None:
    straight, cluster.address = cluster.address, wire.address
    cluster.worker(AWS_ACCESS_KEY_ID=CUT_OFF)
    cluster.address = straight
    cluster.worker(AWS_ACCESS_KEY_ID=OTHER)
    await_that(lambda: cluster.log.count("Registered to") == 2, cluster.processes[0])
    driver = cluster.apply("--rate", "1")

    def sent() -> set[str]:
        return {it.access_key for it in list(ses_sandbox.arrivals) if it.applied}

    await_that(lambda: {CUT_OFF, OTHER} <= sent(), driver)
    wire.cut()
    ended = finish(driver)
    assert ended.code == 1, ended.err + cluster.log
    assert "was lost with shard" in ended.err
    found = list(handed_over(list(ses_sandbox.arrivals), 1.0))
    print("hand-overs, in seconds:", [f"{seconds:.1f}" for seconds, _ in found])
    assert [wrong for _, wrong in found if wrong] == []
    done = rows(cluster.folder / "all.jsonl")
    assert [it["line"] for it in done] == list(range(1, 31))
    assert sum(it["status"] in ("applied", "unchanged") for it in done) == 25
