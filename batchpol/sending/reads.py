"""Reading of one target: what is there, through the gates, tried again as often as a write would be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from batchpol.errors import NoAnswer, SesError, Throttled
from batchpol.sending.gate import Gate, Gates, Passage
from batchpol.ses import IDENTITIES_AT_ONCE, Attempt, Ses

Answer = TypeVar("Answer")

VERIFIED = "Success"
"""The verification status of an identity that is verified; all others are on the way there, or not at all."""


@dataclass(slots=True)
class Reads:
    """The reads of one target.

    Args:
        ses: gives SES as it is now (credentials may have been renewed since).
        gates: of the target.
        answered: told of every attempt's end: its gate, its passage, the error or None, and when it left.
        again: says whether to try again after this error of so many attempts; the last one was made with this SES.

    Every method raises :class:`~batchpol.errors.SesError`.
    """

    ses: Callable[[], Ses]
    gates: Gates
    answered: Callable[[Gate, Passage, SesError | None, float], None]
    again: Callable[[SesError, int, Ses], Awaitable[bool]]

    async def policies(self, identity: str, names: Sequence[str]) -> dict[str, str]:
        """Documents by name, of up to 20 names of one identity; names without a policy are left out."""
        return await self._through(self.gates.reads, lambda ses, attempt: ses.policies(identity, names, attempt))

    async def names(self, identity: str) -> list[str]:
        """The names of all policies of one identity."""
        return await self._through(self.gates.lists, lambda ses, attempt: ses.policy_names(identity, attempt))

    async def verified(self, identities: Sequence[str]) -> dict[str, str]:
        """Verification status by identity, of up to 100; identities that SES does not know are left out."""
        return await self._through(self.gates.look_ups, lambda ses, attempt: ses.verified(identities, attempt))

    async def identities(self, token: str = "") -> tuple[list[str], str]:
        """A page of the identities of this target, and the token of the next page; empty after the last."""
        return await self._through(self.gates.identities, lambda ses, attempt: ses.identities(token, attempt))

    async def _through(self, gate: Gate, call: Callable[[Ses, Attempt], Awaitable[Answer]]) -> Answer:
        tries = 0
        while True:
            tries += 1
            passage = await gate.approach()
            left, ses = anyio.current_time(), self.ses()
            try:
                found = await call(ses, Attempt(passage.admit, passage.departed))
            except SesError as error:
                self.answered(gate, passage, error, left)
                if not await self.again(error, tries, ses):
                    raise
            else:
                self.answered(gate, passage, None, left)
                return found
            finally:
                passage.ended(answered=False)


def patient(max_attempts: int) -> Callable[[SesError, int, Ses], Awaitable[bool]]:
    """Try again what was throttled or not answered; the ``again`` of reads that belong to no lane."""

    async def again(error: SesError, tries: int, used: Ses) -> bool:
        return isinstance(error, Throttled | NoAnswer) and tries < max_attempts

    return again


def tell_gate(_: Gate, passage: Passage, error: SesError | None, left: float) -> None:
    """Tell the gate what came back; the ``answered`` of reads that belong to no lane."""
    passage.ended(answered=error is None or error.http_status > 0, refused=isinstance(error, Throttled))


@dataclass(slots=True)
class Ownership:
    """Which identities of one target are verified, as far as they were looked up."""

    _known: dict[str, bool] = field(default_factory=dict)

    async def look_up(self, reads: Reads, names: Iterable[str]) -> None:
        """Look up those of the names that are not known yet, 100 a call. Raises SesError."""
        unknown = sorted(set(names) - self._known.keys())
        for start in range(0, len(unknown), IDENTITIES_AT_ONCE):
            portion = unknown[start : start + IDENTITIES_AT_ONCE]
            found = (await reads.verified(portion)).items()
            verified = {name if "@" in name else name.lower() for name, status in found if status == VERIFIED}
            self._known |= {name: name in verified for name in portion}

    def verified(self, key_identity: str) -> bool:
        """Whether an identity that was looked up counts as verified."""
        return any(self._known.get(name) for name in owners(key_identity))

    def forget(self, names: Iterable[str]) -> None:
        """Let go of what is not needed any more: an input may have any number of identities."""
        for name in names:
            self._known.pop(name, None)


def owners(key_identity: str) -> set[str]:
    """The identities any of which must be verified: an address's domain counts for it (SES Developer Guide)."""
    return {key_identity, key_identity.rpartition("@")[2].lower()}
