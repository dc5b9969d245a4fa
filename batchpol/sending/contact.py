"""Contact with one target: what its SES is and how it is asked. Whoever asks, a lane or an export, asks through this.

Three things go on over many requests and belong to none of them: credentials that expire and are renewed, silence
that becomes an outage, and the pace, which others who use the same quota change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

import anyio

from batchpol.model import Target
from batchpol.model.errors import AccessRefused, NoAnswer, PolicyRefused, SesError, Throttled, Unreachable
from batchpol.model.settings import Patience
from batchpol.sending.gate import Gate, Passage
from batchpol.sending.gates import Gates
from batchpol.sending.halt import Halt
from batchpol.sending.observer import ContactObserver
from batchpol.ses import EXPIRED, Ses

STAYS_OPEN = 60.0
"""Seconds after the last request to a target for which its connections are taken to be open still: less than they may
rest (:data:`batchpol.ses.aws.KEEP_WARM`)."""

BUSY_FACTOR = 10
"""How many times longer, or more often, a lane keeps trying where SES answers that it is too fast: the server is
there, and whoever uses the quota will be done some time."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized"})
"""The caller is known, and may not do this."""

DENIED_FOR_ALL, DENIED_FROM_NOW_ON = 3, 10
"""Identities in a row that must have been denied before that is believed to be so for all: where none was allowed, and
where some were, so that a permission that is taken away in the middle of a run does not burn through the others."""


class Whose(Enum):
    """Whose failure it is that the caller may not do something."""

    RUN = auto()
    RECORD = auto()
    NOT_KNOWN = auto()


@dataclass(slots=True, eq=False)
class Contact:
    """One target as one run or export has to do with it.

    Args:
        ses: one attempt a call; another one once credentials were renewed.
        gates: what every attempt passes.
        patience: how often to try again, and when silence is an outage.
        observer: told of what asking comes to.
        renew: gives SES with fresh credentials instead of the one whose credentials expired, or None.
        only_reads: whether nothing is ever written.

    Attributes:
        halt: whether anything new is begun; called here when SES is silent for too long.
        throttled: how many attempts SES refused as too fast.
        silent: whether SES has not been reached since it last answered: nobody knows then how long it takes.
        last_answer, last_write: loop time in seconds of the last answer to anything, and to a write.
    """

    target: Target
    ses: Ses
    gates: Gates
    patience: Patience = field(default_factory=Patience)
    observer: ContactObserver = field(default_factory=ContactObserver)
    renew: Callable[[Ses], Awaitable[Ses | None]] | None = None
    only_reads: bool = False
    halt: Halt = field(default_factory=Halt)
    throttled: int = 0
    silent: bool = False
    last_answer: float = 0.0
    last_write: float = 0.0
    _allowed: set[int] = field(default_factory=set)
    _denied: dict[int, set[str]] = field(default_factory=dict)
    _widened_told: bool = False
    _revoked: Ses | None = None

    async def warm(self, connections: int) -> None:
        """Open so many connections, unless there are: an attempt for which one is opened arrives late."""
        if anyio.current_time() - max(gate.last_left for gate in self.gates.all) > STAYS_OPEN:
            async with anyio.create_task_group() as tasks:
                for _ in range(connections):
                    tasks.start_soon(self.ses.warm)
        self.last_answer = self.last_write = anyio.current_time()

    def asked_again(self) -> None:
        """Nobody asked for a while: silence counts from now on."""
        self.last_answer = anyio.current_time()

    def answered(self, gate: Gate, passage: Passage, error: SesError | None) -> None:
        """Take in how an attempt ended; the gate is told, and people if need be."""
        if error is None or isinstance(error, PolicyRefused):
            self._allowed.add(id(gate))
            self._denied.pop(id(gate), None)
        refused = isinstance(error, Throttled)
        sure, period, gates = self.gates.one_quota, gate.pace.period, self.gates
        passage.ended(answered=error is None or error.http_status > 0, refused=refused)
        pace = gate.pace  # another one than before, where gates were joined or parted for this
        if refused:
            self.throttled += 1
            self.observer.throttled(self.target)
        if (now := pace.period) != period:
            self.observer.paced(self.target, now)
        if not refused and not isinstance(error, NoAnswer):
            self.last_answer = anyio.current_time()
            if gate is gates.writes:
                self.last_write = self.last_answer
        if gates.one_quota and not sure:
            who = "all operations" if self.only_reads else "reads and writes"
            self.observer.noted(self.target, f"{who} share one quota here: they take turns from now on")
        if pace.widened and not self._widened_told:
            self._widened_told = True
            text = "somebody else uses this quota: requests leave less often until that ends"
            self.observer.noted(self.target, text)
        if (turns := pace.turns) is not None and (text := turns.machine.trouble()):
            self.observer.noted(self.target, text)
        self._tell_of_silence(error)

    def _tell_of_silence(self, error: SesError | None) -> None:
        """Say at once where no connection comes about, or no answer, what is done about it; and when it is over."""
        if isinstance(error, Unreachable) or (error is not None and error.code == "Timeout"):
            if not self.silent:
                left = self.patience.max_outage - (anyio.current_time() - self.last_answer)
                self.observer.noted(self.target, f"{error}; trying again for {max(0, left):.0f} s yet")
            self.silent = True
        elif self.silent and (error is None or error.http_status):
            self.silent = False
            self.observer.noted(self.target, "SES answers again")

    def whose(self, error: AccessRefused, gate: Gate, identity: str) -> Whose:
        """Whose failure an answer of this gate is: conditions of IAM on single identities are common.

        The first answers decide: where some are allowed, what is denied is so for itself; where none is, for all.
        """
        if error.code not in DENIED:
            return Whose.RUN
        denied, allowed = self._denied.setdefault(id(gate), set()), id(gate) in self._allowed
        denied.add(identity)
        if len(denied) >= (DENIED_FROM_NOW_ON if allowed else DENIED_FOR_ALL):
            return Whose.RUN
        return Whose.RECORD if allowed else Whose.NOT_KNOWN

    async def renewed(self, error: AccessRefused, used: Ses) -> bool:
        """Whether there are fresh credentials instead of those of ``used``; another attempt may have got them."""
        if not self._may_have_ended(error, used):
            return False
        if self.ses is used and self.renew is not None:
            newer = await self.renew(used)
            if newer is not None:
                self.ses = newer
                self.observer.renewed(self.target)
        return self.ses is not used

    def _may_have_ended(self, error: AccessRefused, used: Ses) -> bool:
        """Whether other credentials may help: these expired, or are of a role whose sessions were revoked. IAM does
        that by an explicit deny (IAM User Guide, "Revoke IAM role temporary security credentials"), which may as well
        be meant for all sessions: it is taken so once."""
        if error.code in EXPIRED:
            return True
        if used.credentials is None or error.code not in DENIED or "explicit deny" not in str(error):
            return False
        self._revoked = self._revoked or used
        return self._revoked is used or self.ses is not used

    def check_outage(self, error: SesError, since: float) -> None:
        """Begin nothing new if SES has been silent for too long; ``since`` is in loop time."""
        silent = anyio.current_time() - since
        if silent > self.patience.max_outage * _factor(error):
            text = f"SES {'gave' if self.only_reads else 'took'} nothing for {silent:.0f} s; the last answer: {error}"
            hint = error.hint or "see whether SES and the network are up, then run the same command again"
            self.halt.call(NoAnswer(text, code=error.code, hint=hint))

    def attempts(self, error: SesError) -> int:
        """Attempts that one request is worth while this is what comes back."""
        return self.patience.max_attempts * _factor(error)

    async def reads_again(self, error: SesError, tries: int, used: Ses) -> bool:
        """Whether to try a read once more after so many tries, of which the last was made with ``used``.

        As often as a write where SES is busy or fails, and in silence for as long as an outage is borne.
        """
        if isinstance(error, AccessRefused):
            return await self.renewed(error, used)
        if not isinstance(error, NoAnswer | Throttled):
            return False
        self.check_outage(error, self.last_answer)
        return not self.halt.called and (error.http_status == 0 or tries < self.attempts(error))


def _factor(error: SesError) -> int:
    return BUSY_FACTOR if isinstance(error, Throttled) else 1


@contextmanager
def needing(permission: str) -> Iterator[None]:
    """Say which permission is wanting where one is, or what can be done without it."""
    try:
        yield
    except AccessRefused as error:
        if error.code in DENIED:
            error.hint = f"give the caller {permission}"
        raise
