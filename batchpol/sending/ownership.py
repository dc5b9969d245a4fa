"""What is known of the identities of one target: which are verified, as far as they were looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import anyio.lowlevel

from batchpol.sending.reads import Reads
from batchpol.ses import IDENTITIES_AT_ONCE

VERIFIED = "Success"
"""The verification status of an identity that is verified; all others are on the way there, or not at all."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """Somebody who needs to know of these identities, and waits within the scope."""

    names: set[str]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


@dataclass(slots=True)
class Ownership:
    """Which identities of one target are verified, as far as they were looked up.

    Those who look some up at the same time share requests: whoever has its turn at the gate asks for what the others
    wait for, too. Nobody depends on another: each goes on waiting for a turn of its own until its names are known.
    """

    _known: dict[str, bool] = field(default_factory=dict)
    _waiting: list[_Waiting] = field(default_factory=list)

    async def look_up(self, reads: Reads, names: Iterable[str]) -> None:
        """Look up those of the names that are not known yet, 100 a call. Raises SesError."""
        waiting, asked = _Waiting(set(names)), list[str]()

        def portion() -> list[str]:
            asked[:] = self._portion(waiting.names)
            return asked

        self._waiting.append(waiting)
        try:
            await anyio.lowlevel.checkpoint()  # those who come in the same moment are asked for by one
            while not waiting.names <= self._known.keys():
                with anyio.CancelScope() as waiting.scope:
                    found = await reads.verified(portion)
                if not waiting.scope.cancelled_caught:
                    self._take_in(asked, found)
        except BaseException:
            self._waiting.remove(waiting)
            self.forget(waiting.names)  # others may have asked for them, and nobody else will
            raise
        self._waiting.remove(waiting)

    def _portion(self, mine: set[str]) -> list[str]:
        """What a request is to ask for: one's own names, and those that others wait for as far as there is room."""
        portion = sorted(mine - self._known.keys() or mine)[:IDENTITIES_AT_ONCE]
        others = dict.fromkeys(name for it in self._waiting for name in sorted(it.names - self._known.keys() - mine))
        return portion + list(others)[: IDENTITIES_AT_ONCE - len(portion)]

    def _take_in(self, asked: Iterable[str], found: Mapping[str, str]) -> None:
        """What SES said of those whom somebody waits for still; whoever knows enough by now waits no more."""
        verified = {name if "@" in name else name.lower() for name, status in found.items() if status == VERIFIED}
        wanted = set[str]().union(*(it.names for it in self._waiting))
        self._known |= {name: name in verified for name in asked if name in wanted}
        for it in self._waiting:
            if it.names <= self._known.keys():
                it.scope.cancel()

    def verified(self, key_identity: str) -> bool:
        """Whether an identity that was looked up counts as verified."""
        return any(self._known.get(name) for name in owners(key_identity))

    def forget(self, names: Iterable[str]) -> None:
        """Let go of what nobody waits for any more: an input may have any number of identities."""
        for name in names:
            if not any(name in it.names for it in self._waiting):
                self._known.pop(name, None)


def owners(key_identity: str) -> set[str]:
    """The identities any of which must be verified: an address's domain counts for it (SES Developer Guide)."""
    return {key_identity, key_identity.rpartition("@")[2].lower()}
