"""Reading of one target: what is there, through the gates, tried again as often as a write would be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from batchpol.model.errors import NoAnswer, SesError, Throttled
from batchpol.sending.contact import Contact
from batchpol.sending.gate import Gate
from batchpol.ses import Attempt, Ses

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Reads:
    """The reads of one target; every method raises :class:`~batchpol.model.errors.SesError`.

    Args:
        at_most: tries of one read, whatever comes back; None for as many as the contact has patience for.
    """

    contact: Contact
    at_most: int | None = None

    async def policies(
        self, identity: str, names: Sequence[str], departed: Callable[[], None] = lambda: None
    ) -> dict[str, str]:
        """Documents by name, of up to ``MAX_POLICIES`` names of one identity; names without a policy are left out.

        ``departed`` is called when the request leaves: what is read may be as old as that.
        """
        return await self._through(
            self.contact.gates.reads, lambda ses, attempt: ses.policies(identity, names, attempt.telling(departed))
        )

    async def names(self, identity: str) -> list[str]:
        """The names of all policies of one identity."""
        return await self._through(self.contact.gates.lists, lambda ses, attempt: ses.policy_names(identity, attempt))

    async def verified(self, identities: Callable[[], Sequence[str]]) -> dict[str, str]:
        """Verification status by identity, of up to 100; identities that SES does not know are left out.

        ``identities`` says of which, once it is an attempt's turn.
        """
        return await self._through(
            self.contact.gates.look_ups, lambda ses, attempt: ses.verified(identities(), attempt)
        )

    async def identities(self, token: str = "") -> tuple[list[str], str]:
        """A page of the identities of this target, and the token of the next page; empty after the last."""
        return await self._through(self.contact.gates.identities, lambda ses, attempt: ses.identities(token, attempt))

    async def _through(self, gate: Gate, call: Callable[[Ses, Attempt], Awaitable[Answer]]) -> Answer:
        tries = 0
        while True:
            tries += 1
            passage = await gate.approach()
            ses = self.contact.ses
            try:
                found = await call(ses, Attempt(passage.admit, passage.departed))
            except SesError as error:
                self.contact.answered(gate, passage, error)
                if not await self._again(error, tries, ses):
                    raise
            else:
                self.contact.answered(gate, passage, None)
                return found
            finally:
                passage.ended(answered=False)

    async def _again(self, error: SesError, tries: int, used: Ses) -> bool:
        if self.at_most is None or not isinstance(error, Throttled | NoAnswer):
            return await self.contact.reads_again(error, tries, used)
        return tries < self.at_most
