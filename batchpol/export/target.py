"""One target of an export: its identities listed, then the names and documents of each, all through its gates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import TypeVar

import anyio
import msgspec

from batchpol.errors import AccessRefused, NoAnswer, PolicyRefused, SesError, Throttled
from batchpol.model import MAX_POLICIES, Target
from batchpol.rewriting.lines import embedded
from batchpol.sending.conduct import Patience
from batchpol.sending.gate import Gate, Gates, Passage
from batchpol.sending.lane import DENIED
from batchpol.sending.reads import Reads, tell_gate
from batchpol.ses import EXPIRED, Ses

Answer = TypeVar("Answer")


class Watch:
    """What somebody may want to know while an export runs; this one wants nothing."""

    def listed(self, reader: TargetReader) -> None:
        """The identities of a target are known, and what reading them costs; reading begins now."""

    def read(self, target: Target, identity: str, policies: int) -> None:
        """An identity was read and kept."""

    def unreadable(self, target: Target, identity: str, error: SesError) -> None:
        """An identity could not be read, and is left out."""

    def noted(self, target: Target, text: str) -> None:
        """Something a person should know, said once."""


@dataclass(slots=True)
class TargetReader:
    """Reads every identity policy of one target.

    Args:
        ses: SES of the target.
        named: the identities to read; None for all that there are.
        match, match_name: patterns (``*``, ``?``, ``[…]``) for the names of identities listed, and of policies.
        known: whether an identity was read by an earlier run.
        keep: told of each identity read, with its rows; durable when it returns.
        renew: gives SES with newer credentials, or None when there are none.
    """

    target: Target
    ses: Ses
    gates: Gates
    watch: Watch
    known: Callable[[str], bool]
    keep: Callable[[str, list[bytes]], Awaitable[None]]
    named: Sequence[str] | None = None
    match: str = "*"
    match_name: str = "*"
    renew: Callable[[Ses], Awaitable[Ses | None]] | None = None
    patience: Patience = field(default_factory=Patience)
    present: int = 0
    """How many identities there are, whether they match or not."""
    identities: list[str] = field(default_factory=list)
    """Those to export, in the order of the listing."""
    left: int = 0
    """How many of them are not read yet."""
    postponed: list[str] = field(default_factory=list)
    """Those that SES did not answer for, to be read after the others."""
    unreadable: list[str] = field(default_factory=list)
    """Those that SES did not let us read."""
    complete: bool = False
    """Whether every one of them was read, or found unreadable."""
    stopped: SesError | None = None
    """Why reading ended before that, if nobody asked for it."""
    _reads: Reads = field(init=False)
    _scope: anyio.CancelScope = field(init=False, default_factory=anyio.CancelScope)
    _beginnings: set[anyio.CancelScope] = field(init=False, default_factory=set)
    _halted: bool = field(init=False, default=False)
    _last_answer: float = field(init=False, default=0.0)
    _widened_told: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._reads = Reads(lambda: self.ses, self.gates, self._answered, self._again)

    @property
    def seconds(self) -> float:
        """About how long what is left takes: names and documents are read at once unless they share one quota."""
        names, documents = self.gates.lists.period, self.gates.reads.period
        return self.left * (names + documents if self.gates.joined else max(names, documents))

    async def run(self) -> None:
        """Read until everything is read or known to be unreadable, or reading has to stop."""
        with self._scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.ses.warm)
                await self.ses.warm()
            self._last_answer = anyio.current_time()
            try:
                found = await self._list() if self.named is None else list(self.named)
            except SesError as error:
                self.stop(error)
                return
            if self._halted:
                return
            self.present = len(found)
            self.identities = [name for name in found if self.named is not None or fnmatchcase(name, self.match)]
            wanted = [name for name in self.identities if not self.known(name)]
            self.left = len(wanted)
            self.watch.listed(self)
            await self._read_all(wanted, self.postponed)
            await self._read_all(self.postponed, None)
            self.complete = not self._halted

    def halt(self) -> None:
        """Begin with no other identity; those begun are finished."""
        self._halted = True
        for scope in self._beginnings:
            scope.cancel()

    def stop(self, reason: SesError) -> None:
        """End now, for this reason."""
        self.stopped = self.stopped or reason
        self._halted = True
        self._scope.cancel()

    async def _list(self) -> list[str]:
        """All identities, in SES's order."""
        found: dict[str, None] = {}
        token, first = "", True
        with _needing("ses:ListIdentities, or name the identities with --identity"):
            while token or first:
                page = await self._unless_halted(partial(self._reads.identities, token))
                if page is None:
                    break
                found |= dict.fromkeys(page[0])
                token, first = page[1], False
        return list(found)

    async def _read_all(self, identities: list[str], postponed: list[str] | None) -> None:
        """Read identities, in order, some at a time: where an answer takes long, the next does not wait for it."""
        pending = iter(identities)
        async with anyio.create_task_group() as tasks:
            for _ in range(min(self.patience.in_flight, len(identities))):
                tasks.start_soon(self._read_on, pending, postponed)

    async def _read_on(self, pending: Iterator[str], postponed: list[str] | None) -> None:
        """Read what is pending; what SES does not answer for now is postponed, or left out if it cannot be."""
        for identity in pending:
            try:
                rows = await self._rows(identity)
            except SesError as error:
                if isinstance(error, AccessRefused):
                    self.stop(error)
                elif postponed is not None and not isinstance(error, PolicyRefused):
                    postponed.append(identity)
                elif not self._halted:
                    self.left -= 1
                    self.unreadable.append(identity)
                    self.watch.unreadable(self.target, identity, error)
                continue
            if rows is None:
                return
            await self.keep(identity, rows)
            self.left -= 1
            self.watch.read(self.target, identity, len(rows))

    async def _rows(self, identity: str) -> list[bytes] | None:
        """The rows of an identity, by policy name; None if it was not begun, since nothing is to be begun any more."""
        with _needing("ses:ListIdentityPolicies"):
            names = await self._unless_halted(partial(self._reads.names, identity))
        if names is None:
            return None
        wanted = sorted(name for name in names if fnmatchcase(name, self.match_name))
        found: dict[str, str] = {}
        with _needing("ses:GetIdentityPolicies"):
            for start in range(0, len(wanted), MAX_POLICIES):
                found |= await self._reads.policies(identity, wanted[start : start + MAX_POLICIES])
        return [row(self.target, identity, name, found[name]) for name in wanted if name in found]

    async def _unless_halted(self, reading: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """What is read; None if nothing is to be begun any more."""
        with anyio.CancelScope() as scope:
            self._beginnings.add(scope)
            try:
                return None if self._halted else await reading()
            finally:
                self._beginnings.discard(scope)
        return None

    # -- what comes back ---------------------------------------------------------------------------------------

    def _answered(self, gate: Gate, passage: Passage, error: SesError | None, left: float) -> None:
        """Tell the gate what came back, and people what that did to the pace."""
        refused = isinstance(error, Throttled)
        tell_gate(gate, passage, error, left)
        if not refused and not isinstance(error, NoAnswer):
            self._last_answer = anyio.current_time()
        if refused and self.gates.refused(gate, left):
            self.watch.noted(self.target, "all operations share one quota here: they take turns from now on")
        if gate.widened and not self._widened_told:
            self._widened_told = True
            self.watch.noted(self.target, "somebody else uses this quota: requests leave less often until that ends")

    async def _again(self, error: SesError, tries: int, used: Ses) -> bool:
        """Whether to try once more: with fresh credentials, or while SES is busy or silent, within bounds."""
        if isinstance(error, AccessRefused):
            if error.code in EXPIRED and self.ses is used and self.renew is not None:
                self.ses = await self.renew(used) or self.ses
            return error.code in EXPIRED and self.ses is not used
        if not isinstance(error, NoAnswer | Throttled):
            return False
        silent = anyio.current_time() - self._last_answer
        if silent > self.patience.outage(error):
            self.stop(
                NoAnswer(
                    f"SES gave nothing for {silent:.0f} s; the last answer: {error}",
                    code=error.code,
                    hint="see whether SES and the network are up, then run the same command again",
                )
            )
        return not self._halted and (error.http_status == 0 or tries < self.patience.attempts(error))


def row(target: Target, identity: str, name: str, document: str) -> bytes:
    """One policy as a line of JSON Lines, without its end: an input of ``apply`` from which the same bytes are read.

    The document stands there as SES gave it, as an object; one that could not (it breaks lines, say) as a string.
    """
    fields = {"identity": identity, "policy_name": name, "policy": _as_it_is(document)}
    return msgspec.json.encode(fields | {"account": target.account, "region": target.region})


def _as_it_is(document: str) -> msgspec.Raw | str:
    if document[:1] != "{" or document[-1:] != "}" or "\n" in document or "\r" in document:
        return document
    return embedded(document)


@contextmanager
def _needing(permission: str) -> Iterator[None]:
    """Say which permission is wanting where one is."""
    try:
        yield
    except AccessRefused as error:
        if error.code in DENIED:
            error.hint = f"give the caller {permission}"
        raise
