"""One target of an export: its identities listed, then the names and documents of each, all through its gates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import anyio
import msgspec

from batchpol.identity import canonical_name
from batchpol.model import MAX_POLICIES, Target
from batchpol.model.errors import AccessRefused, PolicyRefused, SesError
from batchpol.rewriting.lines import embedded, marked
from batchpol.sending.contact import Contact, needing
from batchpol.sending.halt import Halt, Halted
from batchpol.sending.observer import ContactObserver
from batchpol.sending.reads import Reads

MOST_LISTINGS = 3
"""How often a listing is begun again whose token ended on the way."""


class Watch(ContactObserver):
    """What somebody may want to know while an export runs; this one wants nothing."""

    def listed(self, reader: TargetReader) -> None:
        """The identities of a target are known, and what reading them costs; reading begins now."""

    def read(self, target: Target, identity: str, policies: int) -> None:
        """An identity was read and kept."""

    def unreadable(self, target: Target, identity: str, error: SesError) -> None:
        """An identity could not be read, and is left out."""


@dataclass(slots=True)
class TargetReader:
    """Reads every identity policy of one target.

    Args:
        named: the identities to read; None for all that there are.
        match, match_name: patterns (``*``, ``?``, ``[…]``) for the names of identities listed, and of policies.
        known: whether an identity was read by an earlier run.
        keep: told of each identity read, with its rows; durable when it returns.
    """

    contact: Contact
    watch: Watch
    known: Callable[[str], bool]
    keep: Callable[[str, list[bytes]], Awaitable[None]]
    named: Sequence[str] | None = None
    match: str = "*"
    match_name: str = "*"
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
    _reads: Reads = field(init=False)
    _halt: Halt = field(init=False)
    _scope: anyio.CancelScope = field(init=False, default_factory=anyio.CancelScope)

    def __post_init__(self) -> None:
        self._reads, self._halt = Reads(self.contact), self.contact.halt
        self._halt.tell(self._halted)

    @property
    def target(self) -> Target:
        return self.contact.target

    @property
    def stopped(self) -> SesError | None:
        """Why reading ended before everything was read, if nobody just asked for it."""
        return self._halt.reason

    @property
    def seconds(self) -> float:
        """About how long what is left takes: names and documents are read at once unless they share one quota."""
        gates = self.contact.gates
        names, documents = gates.lists.period, gates.reads.period
        return self.left * (names + documents if gates.joined else max(names, documents))

    async def run(self) -> None:
        """Read until everything is read or known to be unreadable, or reading has to stop."""
        with self._scope:
            await self.contact.warm(2)
            try:
                found = await self._list() if self.named is None else list(self.named)
            except Halted:
                pass
            except SesError as error:
                self._halt.call(error)
            if self._halt.called:
                return
            self.present = len(found)
            self.identities += [name for name in found if self.named is not None or fnmatchcase(name, self.match)]
            wanted = [name for name in self.identities if not self.known(name)]
            self.left = len(wanted)
            self.watch.listed(self)
            await self._read_all(wanted, self.postponed)
            await self._read_all(self.postponed, None)
            self.complete = not self._halt.called

    def halt(self) -> None:
        """Begin with no other identity; those begun are finished."""
        self._halt.call()

    def _halted(self) -> None:
        """Finish not even those begun where there is a reason: SES lets us read nothing, or says nothing."""
        if self._halt.reason is not None:
            self._scope.cancel()

    async def _list(self) -> list[str]:
        """All identities, in SES's order; from the beginning again where SES no longer knows how far we were."""
        found: dict[str, None] = {}
        token, first, again = "", True, 0
        with needing("ses:ListIdentities, or name the identities with `identities`"):
            while token or first:
                try:
                    page, token = await self._halt.unless(self._reads.identities(token))
                except PolicyRefused as error:  # a token of the next page holds for a while only
                    if not token or "token" not in str(error).lower() or again == MOST_LISTINGS:
                        raise
                    token, first, again = "", True, again + 1
                    continue
                found |= dict.fromkeys(page)
                first = False
        return list(found)

    async def _read_all(self, identities: list[str], postponed: list[str] | None) -> None:
        """Read identities, in order, some at a time: where an answer takes long, the next does not wait for it."""
        pending = iter(identities)
        async with anyio.create_task_group() as tasks:
            for _ in range(min(self.contact.patience.in_flight, len(identities))):
                tasks.start_soon(self._read_on, pending, postponed)

    async def _read_on(self, pending: Iterator[str], postponed: list[str] | None) -> None:
        """Read what is pending; what SES does not answer for now is postponed, or left out if it cannot be."""
        for identity in pending:
            try:
                rows = await self._rows(identity)
            except Halted:
                return
            except SesError as error:
                if isinstance(error, AccessRefused):
                    self._halt.call(error)
                elif postponed is not None and not isinstance(error, PolicyRefused):
                    postponed.append(identity)
                elif not self._halt.called:
                    self.left -= 1
                    self.unreadable.append(identity)
                    self.watch.unreadable(self.target, identity, error)
                continue
            await self.keep(identity, rows)
            self.left -= 1
            self.watch.read(self.target, identity, len(rows))

    async def _rows(self, identity: str) -> list[bytes]:
        """The rows of an identity, by policy name. Raises SesError, Halted if it was not begun."""
        with needing("ses:ListIdentityPolicies"):
            names = await self._halt.unless(self._reads.names(identity))
        wanted = sorted(name for name in names if fnmatchcase(name, self.match_name))
        found: dict[str, str] = {}
        with needing("ses:GetIdentityPolicies"):
            for start in range(0, len(wanted), MAX_POLICIES):
                found |= await self._reads.policies(identity, wanted[start : start + MAX_POLICIES])
        return [row(self.target, identity, name, found[name]) for name in wanted if name in found]


def row(target: Target, identity: str, name: str, document: str) -> bytes:
    """One policy as a line of JSON Lines, without its end: an input of ``apply`` from which the same bytes are read.

    The document stands there as SES gave it, as an object; one that could not (it breaks lines, say) as a string. The
    mark behind it keeps it from being refused.
    """
    fields = {"identity": identity, "policy_name": name, "policy": _as_it_is(document)}
    place = {"account": target.account, "region": target.region}
    return msgspec.json.encode(fields | place | marked(target, canonical_name(identity), name, document))


def _as_it_is(document: str) -> msgspec.Raw | str:
    if document[:1] != "{" or document[-1:] != "}" or "\n" in document or "\r" in document:
        return document
    return embedded(document)
