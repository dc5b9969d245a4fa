"""The process of a command: imports that take long, and its end."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from batchpol.cli.screen.streams import Streams, drain_error, drain_output, output_lost
from batchpol.cli.screen.terminal import tell

GRACE = 0.2
"""Seconds that a thread is given to end before the process ends without it."""

GARBAGE = 20_000
"""Objects made, and not yet gone, until garbage in cycles is looked for; Python's own 700 are few for a thousand lanes.
What these have under way for a second is taken for old then, and looked through once a second, for 0.1 s and more in
which all lanes wait (Python 3.11). Of 3,000 requests 1,400 objects were left that need it at all."""


@contextmanager
def importing() -> Iterator[None]:
    """Import without looking for garbage, and look for it less often from then on.

    AWS's libraries leave next to none: so they take 320 ms of processor time instead of 370, and each full collection
    later 45 ms less (Python 3.11 on a Xeon at 2.5 GHz, five runs of each).
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(GARBAGE, *gc.get_threshold()[1:])
        gc.enable()


def leave(code: int) -> NoReturn:
    """End the process, even while a thread waits for a terminal or a pipe that says nothing."""
    try:
        done = drain_output(code)
        lost = output_lost()
        if lost is not None and not lost.is_closed and not Streams.rows:  # of rows it was told
            tell(str(lost))
        done = drain_error() and done
        others = [it for it in threading.enumerate() if it is not threading.main_thread() and not it.daemon]
        for thread in others:
            thread.join(GRACE)
    except KeyboardInterrupt:
        os._exit(130)
    if not done or any(thread.is_alive() for thread in others):
        os._exit(code)
    sys.exit(code)
