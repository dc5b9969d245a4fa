"""A load balancer between us and SES that closes connections nobody uses, and one in the middle of a request."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from batchpol.model.settings import Connection
from batchpol.testing import Sandbox
from tests.faults.credentials import keys_file
from tests.runs import BLIND, COMPARE, REGION, apply, check_truth, report, row, sandbox, statuses, write_input, writes

__all__ = ["sandbox"]

RECORDS = 6


@dataclass
class Balancer:
    """Passes bytes on; ``idle`` is in seconds. What was idle is closed, or (``silent``) forgotten: whoever uses it
    then gets a reset. The requests of these numbers are ``cut`` off before they are passed on, or ``kept`` from their
    answer."""

    sandbox: Sandbox
    idle: float
    silent: bool = False
    cut: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    requests: int = 0
    idled: int = 0
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        behind_reader, behind = await asyncio.open_connection("127.0.0.1", urlsplit(self.sandbox.url).port)
        try:
            while request := await self._asked(reader, writer.get_extra_info("socket")):
                self.requests += request.startswith(b"POST")
                posted = self.requests if request.startswith(b"POST") else 0
                if posted in self.cut:
                    break
                behind.write(request)
                answer = await _message(behind_reader, head_only=not posted)
                if posted in self.kept:
                    break
                writer.write(answer)
        finally:
            behind.close()
            writer.close()

    async def _asked(self, reader: asyncio.StreamReader, raw: socket.socket) -> bytes:
        """The next request; nothing where the connection is to be closed instead."""
        waiting = asyncio.ensure_future(_message(reader))
        await asyncio.wait([waiting], timeout=self.idle)
        if waiting.done():
            return await waiting
        self.idled += 1
        if self.silent:
            await waiting
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        waiting.cancel()
        return b""


async def _message(reader: asyncio.StreamReader, *, head_only: bool = False) -> bytes:
    """One request or answer; nothing at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        return head + (b"" if head_only else await reader.readexactly(int(fields.get(b"content-length", 0))))
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


PERIOD = 0.25
IDLE = {"closed": (0.05, False), "forgotten": (0.05, True), "closed as it leaves": (PERIOD, False)}
"""After how many seconds, and whether silently: long before the next request, or about when it leaves."""


@pytest.mark.parametrize("conduct", [BLIND, COMPARE], ids=["blind", "compare"])
@pytest.mark.parametrize("how", IDLE)
async def test_a_balancer_that_closes_idle_connections_and_breaks_two_off(
    how: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conduct: object
) -> None:
    idle, silent = IDLE[how]
    rows = [row(number) for number in range(RECORDS)]
    source = write_input(tmp_path / "in.jsonl", rows)
    balancer = Balancer(sandbox, idle, silent, cut=(3,), kept=(5,))
    async with balancer.open() as url:
        keys_file(monkeypatch, tmp_path, sandbox, AWS_ENDPOINT_URL_SES=url)
        choices: dict[str, Any] = {"connection": Connection(regions=(REGION,)), "own_session": True, "conduct": conduct}
        result = await apply(sandbox, source, patience={"period": PERIOD}, **choices)
    assert (result.exit_code, statuses(tmp_path)) == (0, ["applied"] * RECORDS)
    assert balancer.idled >= (1 if how == "closed as it leaves" else RECORDS - 2)
    attempts = sum(line["attempts"] for line in report(tmp_path))
    if how == "closed":
        assert attempts <= RECORDS + 2, "a connection that was closed meanwhile costs nothing"
    assert len(writes(sandbox)) <= min(attempts, RECORDS + 1), "nothing was sent twice but what nobody answered"
    check_truth(sandbox, tmp_path, rows, period=PERIOD)
