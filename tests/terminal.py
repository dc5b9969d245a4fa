"""The command on a terminal, with somebody who reads and answers."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

from tests.e2e.command import COMMAND, PATIENCE, STARTED, environment

TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Makes standard input the terminal that Ctrl-C comes from, and becomes the command."""


class Terminal:
    """A command with a terminal of its own for standard input, output and error output."""

    def __init__(
        self, *arguments: str, cwd: Path, env: dict[str, str], columns: int = 80, command: str = str(COMMAND)
    ) -> None:
        self._screen, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, command, *arguments],
            cwd=cwd,
            env=environment(cwd, **{"TERM": "xterm"} | env),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        STARTED.append(self.process)
        self.shown = ""

    def read_until(self, *texts: str) -> None:
        """Read what is shown until one of ``texts`` is; an empty text stands for the end."""
        deadline = time.monotonic() + PATIENCE
        while not any(text and text in self.shown for text in texts):
            ready, _, _ = select.select([self._screen], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{texts!r} never came:\n{self.shown}"
            try:
                part = os.read(self._screen, 4096)
            except OSError:  # Linux's way of saying that the other side is closed
                part = b""
            if not part:
                assert "" in texts, f"it ended without {texts!r}:\n{self.shown}"
                return
            self.shown += part.decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def hang_up(self) -> int:
        """Close the terminal as if its window were; returns the exit code."""
        os.close(self._screen)
        return self.process.wait(PATIENCE)

    def end(self) -> int:
        """Wait for the end; returns the exit code."""
        self.read_until("")
        os.close(self._screen)
        assert "Traceback" not in self.shown
        return self.process.wait(PATIENCE)
