"""Reading of one target: what is there, through the gates, tried again as often as a write would be (floor 3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio

from batchpol.errors import AccessRefused, NoAnswer, SesError, Throttled
from batchpol.gate import Gate, Gates, Passage
from batchpol.ses import Attempt, Ses

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Reads:
    """The reads of one target.

    Args:
        ses: gives SES as it is now (credentials may have been renewed since).
        gates: of the target.
        again: says whether a read that was throttled or not answered, after so many tries, is tried again.
        answered: told of every attempt's end: its gate, its passage, the error or None, and when it left.
        renewed: says whether there are fresh credentials, now that those of this SES were refused.

    Every method raises :class:`~batchpol.errors.SesError`.
    """

    ses: Callable[[], Ses]
    gates: Gates
    again: Callable[[SesError, int], bool]
    answered: Callable[[Gate, Passage, SesError | None, float], None]
    renewed: Callable[[AccessRefused, Ses], Awaitable[bool]] | None = None

    async def policies(self, identity: str, names: Sequence[str]) -> dict[str, str]:
        """Documents by name, of up to 20 names of one identity; names without a policy are left out."""
        return await self._through(self.gates.reads, lambda ses, attempt: ses.policies(identity, names, attempt))

    async def names(self, identity: str) -> list[str]:
        """The names of all policies of one identity."""
        return await self._through(self.gates.lists, lambda ses, attempt: ses.policy_names(identity, attempt))

    async def verified(self, identities: Sequence[str]) -> dict[str, str]:
        """Verification status by identity, of up to 100; identities that SES does not know are left out."""
        return await self._through(self.gates.look_ups, lambda ses, attempt: ses.verified(identities, attempt))

    async def _through(self, gate: Gate, call: Callable[[Ses, Attempt], Awaitable[Answer]]) -> Answer:
        tries = 0
        while True:
            tries += 1
            passage = await gate.approach()
            left, ses = anyio.current_time(), self.ses()
            try:
                found = await call(ses, Attempt(passage.admit, passage.departed))
            except AccessRefused as error:
                self.answered(gate, passage, error, left)
                if self.renewed is None or not await self.renewed(error, ses):
                    raise
            except SesError as error:
                self.answered(gate, passage, error, left)
                if not isinstance(error, Throttled | NoAnswer) or not self.again(error, tries):
                    raise
            else:
                self.answered(gate, passage, None, left)
                return found
            finally:
                passage.ended(answered=False)


def tell_gate(_: Gate, passage: Passage, error: SesError | None, left: float) -> None:
    """Tell the gate what came back; the ``answered`` of reads that belong to no lane."""
    passage.ended(answered=error is None or error.http_status > 0, refused=isinstance(error, Throttled))


def owners(key_identity: str) -> set[str]:
    """The identities any of which must be verified: an address's domain counts for it (SES Developer Guide)."""
    return {key_identity, key_identity.rpartition("@")[2]}
