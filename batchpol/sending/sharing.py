"""The second that all processes of one user on one machine share: for each place a small file, in which they queue.

A place is an endpoint, an account and a Region. Its file holds, for each operation's quota, when the next turn is and
from when on an attempt may leave. Whoever is near its own gate takes a turn, and claims it right before it leaves. So
processes go in order of asking, and what leaves or arrives late is heeded by all. Who dies or stops with a turn costs
the others that turn.

The file is no more than this: nothing is lost with it, and what cannot be true in it costs a period.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from struct import Struct

from batchpol.files import exchange, private_folder
from batchpol.model import Target

QUOTAS = 5
"""Operations of a place that have a quota each."""

AHEAD = 100
"""Turns that can be given out; a file that says more is wrong."""

RETRY, RETRIES = 0.001, 20
"""Seconds until a file is tried again that another process is at, and how often. It takes microseconds, so whoever is
at it for longer was stopped in the middle, and is not waited for."""

SLACK = 0.0005
"""Seconds by which an attempt may leave late without a word to the others: their margin is more than that."""

OLD = 3600.0
"""Seconds after which the file of a place that nobody asks is removed, and after which such are looked for again."""

SWEPT = "swept"
"""The file whose time says when they were looked for."""

JOINED = 10
"""Periods after which the others believe no longer that all operations have one quota, if whoever did asks no more."""

_FORM = Struct(f"<{4 * QUOTAS + 1}d")
"""The quotas, and until when they count as one."""


@dataclass(slots=True)
class Quota:
    """One operation's quota as the file has it, in seconds of :func:`clock`.

    Attributes:
        next: the next turn to be given out.
        shift: by how much all turns are later than they were, since something left late.
        free: from when on an attempt may leave.
        served: the latest turn of all that left.
    """

    next: float = 0.0
    shift: float = 0.0
    free: float = 0.0
    served: float = 0.0

    def can_be(self, latest: float) -> bool:
        """Whether it can be true; no more than a torn write, or another clock, makes it otherwise."""
        return self.next + self.shift <= latest and self.free <= latest and self.shift >= 0 and self.served <= self.next


def clock() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine sleeps where the system has one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Machine:
    """The folder of a user's places on this machine.

    On Linux it is in shared memory, which is the same for every session, service and job of a user, and never on a
    network; a run-time folder comes and goes with a login, and is not there for a cron job.

    Args:
        folder: where it is; made if need be.
        clock: the one of all processes that use it.

    Attributes:
        works: whether it can be used; otherwise everybody is alone.
    """

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = clock) -> None:
        self.folder, self.clock = folder or _folder(), clock
        self.works, self._trouble = True, ""
        self._boot = _boot()
        self.prepare()

    def prepare(self) -> None:
        """Make the folder, or see that it is this user's alone, and remove what nobody needs."""
        try:
            private_folder(self.folder)
            self._sweep()
        except OSError as error:
            self.fails(self.folder, error)

    def _sweep(self) -> None:
        """Remove places that nobody asks any more; not at each start, since there can be thousands to look at."""
        done, oldest = self.folder / SWEPT, time.time() - OLD
        with suppress(FileNotFoundError):
            if done.lstat().st_mtime > oldest:
                return
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):
                if path.lstat().st_mtime < oldest:
                    path.unlink()
        done.touch(0o600)

    def fails(self, path: Path, error: OSError) -> None:
        """It cannot be used from here on, and somebody is to be told."""
        self.works = False
        self._trouble = (
            f"other runs on this machine are not known, so that several at a time slow each other down: {path} "
            f"{error.strerror or error}; remove it, and the next run makes another one"
        )

    def trouble(self) -> str:
        """Why it does not work, in words for people, the first time that this is asked; else nothing."""
        text, self._trouble = self._trouble, ""
        return text

    def turns(self, endpoint: str, target: Target) -> Callable[[int, float], Turns]:
        """What gives the turns at a place: those of an operation, by its number and so many seconds apart."""
        words = "\0".join((self._boot, endpoint.rstrip("/"), target.account, target.region))
        path = self.folder / sha256(words.encode()).hexdigest()
        return lambda quota, step: Turns(self, path, {quota}, step)


def _folder() -> Path:
    memory = Path("/dev/shm")  # noqa: S108 - what is made there is refused unless it is ours alone
    return (memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())) / f"batchpol-{os.geteuid()}"


def _boot() -> str:
    """Which start of the machine this is: its clock begins anew. Empty where that is not told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


@dataclass(slots=True, eq=False)
class Turns:
    """What one gate's attempts have of the turns at a place. No call takes longer than some microseconds.

    Attributes:
        quotas: of the operations that its attempts count for: several where these have one, all while anybody else
            holds them to be one.
        follows: whether somebody asked for another operation less than a period before the last claim.
    """

    machine: Machine
    path: Path
    quotas: set[int]
    step: float
    follows: bool = False
    _held: dict[int, float] = field(default_factory=dict)
    _known: float = 0.0
    """Until when others know that they must wait."""
    _tries: int = 0

    def wait(self, *, claim: bool = False) -> float:
        """Seconds until the next attempt may leave, which has a turn from here on; with ``claim`` it leaves if that is
        now. Zero or less where nobody is to be waited for."""
        return self._exchange(self._claim if claim else self._turn)

    def left(self, ago: float) -> None:
        """Something left, or can have arrived at the latest, so many seconds ago (if negative, later than now)."""
        until = self.machine.clock() - ago + self.step
        if until > self._known + SLACK:
            self._known = until
            self._exchange(lambda quotas, _: self._free(quotas, until))

    def give_back(self) -> None:
        """The turn is not needed. It is another one's if none was given out after it."""
        if self._held:
            self._exchange(self._unused)
            self._held.clear()

    def _turn(self, quotas: dict[int, Quota], now: float) -> float:
        if self._held.keys() != quotas.keys():
            old = {number: self._held[number] for number in self._held.keys() & quotas.keys()}
            # A turn of fewer or more quotas stays that turn: the queues of quotas that become one are merged.
            turns = old or {number: quota.next for number, quota in quotas.items()}
            turn = max(now, *(turns[number] + quotas[number].shift for number in turns))
            self._held = {number: turn - quota.shift for number, quota in quotas.items()}
            for number, quota in quotas.items():
                quota.next = max(quota.next, self._held[number] + self.step)
        return max(max(self._held[number] + quota.shift, quota.free) for number, quota in quotas.items()) - now

    def _claim(self, quotas: dict[int, Quota], now: float) -> float:
        wait = self._turn(quotas, now)
        if wait <= 0:
            for number, quota in quotas.items():
                turn = self._held.pop(number)
                if turn > quota.served:  # else others went by while this process was stopped
                    quota.served, quota.shift = turn, max(quota.shift, now - turn)
            self._known = now + self.step
            self._free(quotas, self._known)
        return wait

    def _free(self, quotas: dict[int, Quota], until: float) -> float:
        for quota in quotas.values():
            quota.free = max(quota.free, until)
        return 0.0

    def _unused(self, quotas: dict[int, Quota], _: float) -> float:
        for number, turn in self._held.items():
            if number in quotas and quotas[number].next == turn + self.step:
                quotas[number].next = turn
        return 0.0

    def _exchange(self, act: Callable[[dict[int, Quota], float], float]) -> float:
        """What ``act`` gives for the quotas in the file, and leaves there; or how long to wait for them."""
        wait = 0.0

        def change(before: bytes) -> bytes:
            nonlocal wait
            now, new = self.machine.clock(), not before
            latest = now + AHEAD * self.step
            values = [*_FORM.unpack(before)] if (whole := len(before) == _FORM.size) else [0.0] * (4 * QUOTAS + 1)
            one = len(self.quotas) > 1 or now < values[-1] <= latest
            self.follows = any(values[4 * it + 2] > now for it in range(QUOTAS) if it not in self.quotas)
            quotas = {it: Quota(*values[4 * it : 4 * it + 4]) for it in (range(QUOTAS) if one else self.quotas)}
            for it, quota in quotas.items():
                if not (new or (whole and quota.can_be(latest))):
                    quotas[it] = Quota(next=now + self.step, free=now + self.step)
            wait = act(quotas, now)
            for it, quota in quotas.items():
                values[4 * it : 4 * it + 4] = quota.next, quota.shift, quota.free, quota.served
            if len(self.quotas) > 1:
                values[-1] = now + JOINED * self.step
            return _FORM.pack(*values)

        if not self.machine.works:
            return 0.0
        try:
            if exchange(self.path, change, alone=self._tries < RETRIES):
                self._tries = 0
        except BlockingIOError:
            self._tries += 1
            return RETRY
        except FileNotFoundError:  # somebody removed the folder: the system does at the end of a session, say
            self.machine.prepare()
            return RETRY
        except OSError as error:
            self.machine.fails(self.path, error)
            return 0.0
        return wait
