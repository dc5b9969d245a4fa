"""The command on a terminal, with somebody who reads and answers."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.command import COMMAND, environment

PATIENCE = 30.0


class Terminal:
    """A terminal that a command writes to and reads from."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master, self._process = master, process
        self.shown = ""

    def wait_for(self, text: str) -> str:
        """What was shown so far, once this text is there."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, f"never shown: {text}\n{self.shown}"
            assert self._read(), f"the command ended without {text!r}:\n{self.shown}"
        return self.shown

    def answer(self, text: str) -> None:
        os.write(self._master, text.encode() + b"\n")

    def end(self) -> int:
        """The exit code, once the command has ended."""
        while self._read():
            pass
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        """Take in a little; False once the command is gone."""
        if not select.select([self._master], [], [], PATIENCE)[0]:
            raise AssertionError(f"silence for {PATIENCE:.0f} s:\n{self.shown}")
        try:
            found = os.read(self._master, 4096)
        except OSError:  # as Linux says that the other side is closed
            return False
        self.shown += found.decode().replace("\r\n", "\n")
        return bool(found)


@contextmanager
def on_terminal(*arguments: str | Path, cwd: Path, env: Mapping[str, str]) -> Iterator[Terminal]:
    """Run the command on a terminal for as long as the block lasts."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [str(COMMAND), *map(str, arguments)],
        cwd=cwd,
        env=environment(cwd, TERM="dumb", **env),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
