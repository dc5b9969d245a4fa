"""The questions one after the other, and nothing left behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import anyio
import msgspec

from batchpol.facts import FORMAT, FactsFile, Known, Told
from batchpol.model.errors import AccessRefused, NoAnswer, SesError, UsageError
from batchpol.probe import burst, document, identity, length, names, quota, refused, staleness, stored, tolerance
from batchpol.probe.asking import Asker, Reaction, Send
from batchpol.probe.place import PREFIX, Call, Place
from batchpol.probe.question import Question, cannot_tell
from batchpol.sending.gate import Gate
from batchpol.sending.stopping import Stoppable
from batchpol.version import __version__

QUESTIONS = {
    it.QUESTION.name: it.QUESTION
    for it in (burst, refused, quota, tolerance, length, stored, staleness, identity, names, document)
}
"""Every question by its name, in the order in which they are asked."""

MARKER = PREFIX + "running"
"""The policy that is there for as long as a probe runs: made first, removed last."""

TIDY = 120.0
"""Seconds that removing what was made may take after a probe was asked to stop."""


def chosen(only: Iterable[str]) -> list[Question]:
    """The questions of these names and those they build on, in their order; all if none is named.

    Raises:
        UsageError: there is no such question.
    """
    wanted = set(only) or set(QUESTIONS)
    if unknown := wanted - set(QUESTIONS):
        raise UsageError(f"there is no question {sorted(unknown)[0]!r}", hint=f"there are {', '.join(QUESTIONS)}")
    for it in reversed(QUESTIONS.values()):
        wanted |= set(it.needs) if it.name in wanted else set()
    return [it for it in QUESTIONS.values() if it.name in wanted]


def permissions(place: Place) -> dict[str, Any]:
    """The smallest IAM policy with which every question can be asked."""
    of_v1 = ("PutIdentityPolicy", "DeleteIdentityPolicy", "GetIdentityPolicies", "ListIdentityPolicies")
    of_v2 = ("CreateEmailIdentityPolicy", "UpdateEmailIdentityPolicy", "GetEmailIdentityPolicies")
    identities = [place.identity, *identity.others(place).values(), *filter(None, [place.unverified])]
    allowed = {
        "Effect": "Allow",
        "Action": [f"ses:{name}" for name in (*of_v1, *of_v2)],
        "Resource": [place.arn(it) for it in identities],
    }
    return {"Version": "2012-10-17", "Statement": [allowed]}


class Probe(Stoppable):
    """One probe of one place; :meth:`run` once, :meth:`stop` from anywhere on its loop.

    Args:
        send: makes one attempt.
        place: where policies are put, and nowhere else.
        gate: what everybody passes who asks for something there; one of its own unless given.
        questions: what is asked, in this order.
        asking: told of each question before it is asked, or of what else is done.
        answered: told of what came of each.

    Attributes:
        told: the answers so far, by question.
        left: policies that may be there still, once the probe is over; the next one removes them.
    """

    def __init__(
        self,
        send: Send,
        place: Place,
        questions: Sequence[Question],
        *,
        gate: Gate | None = None,
        asking: Callable[[str], None] = lambda _: None,
        answered: Callable[[Question, Told], None] = lambda _, __: None,
    ) -> None:
        super().__init__()
        self._asker, self._place, self._questions = Asker(send, place, gate or Gate()), place, questions
        self._asking, self._answered = asking, answered
        self.told: dict[str, Told] = {}

    @property
    def left(self) -> list[str]:
        return [name for _, name in self._asker.made]

    async def run(self) -> None:
        """Clean up after an earlier probe, ask, and remove what was made.

        Raises:
            UsageError: SES does not take a policy there.
            SesError: it cannot be asked any longer.
        """
        try:
            with self._stoppable(0):
                await self._begin()
                for question in self._questions:
                    self._asking(f"{question.name}: {question.asks}")
                    self.told[question.name] = told = await self._ask(question)
                    self._answered(question, told)
        finally:
            with self._stoppable(TIDY):
                self._asking("removing what was made")
                await self._tidy()

    def facts(self, today: date, *, named: bool = False) -> FactsFile:
        """What is known now; with the account and the identity where it is to be ``named``."""
        known: dict[str, Any] = {"accepted": [], "refused": []}
        for told in self.told.values():
            for name, it in told.known.items():
                known[name] = known[name] + it if isinstance(it, list) else it
        return FactsFile(
            format=FORMAT,
            region=self._place.region,
            measured=today.isoformat(),
            batchpol=__version__,
            known=msgspec.convert(known, Known),
            questions=self.told,
            account=self._place.account if named else "",
            identity=self._place.identity if named else "",
        )

    async def _begin(self) -> None:
        """See that a policy is taken at all, and that nothing is there of an earlier probe."""
        asker, place = self._asker, self._place
        await self._open()
        named = {"EmailIdentity": place.identity, "PolicyName": MARKER, "Policy": place.document()}
        alone = None
        with suppress(SesError):  # without SESv2 nobody knows
            alone = (await asker.told(Call("CreateEmailIdentityPolicy", named))).taken
        if not alone:
            self._asking("removing what an earlier probe may have left")
            for it in _all_there_may_be(place):
                with suppress(AccessRefused):  # it cannot have been made either
                    await asker.told(it)
            await asker.told(place.put(MARKER))
            await self._open()

    async def _open(self) -> None:
        """Put the policy that most questions are about."""
        opened = await self._asker.told(self._place.put(PREFIX + "01"))
        if opened.reaction is Reaction.NOTHING:
            raise NoAnswer(f"SES does not answer: {opened.text}", code=opened.code)
        if not opened.taken:
            raise UsageError(
                f"SES takes no policy for {self._place.identity}: {opened.text}",
                hint="name a verified identity of this account and Region, with room for more policies",
            )

    async def _ask(self, question: Question) -> Told:
        known = {name: it for told in self.told.values() for name, it in told.known.items()}
        requests, began = self._asker.requests, anyio.current_time()
        try:
            told = await question.ask(self._asker, known)
        except AccessRefused as error:
            if error.code not in ("AccessDenied", "AccessDeniedException"):
                raise
            told = cannot_tell(question.name, why=str(error))
        return msgspec.structs.replace(
            told,
            says=tuple(self._nameless(it) for it in told.says),
            requests=self._asker.requests - requests,
            seconds=round(anyio.current_time() - began, 1),
        )

    def _nameless(self, text: str) -> str:
        """A text without the names of the account and the identities, however they are spelled."""
        place = self._place
        for name in filter(None, (place.identity, place.unverified, place.identity.rpartition("@")[2])):
            text = re.sub(re.escape(name), "IDENTITY", text, flags=re.IGNORECASE)
        return text.replace(place.account, "ACCOUNT")

    async def _tidy(self) -> None:
        """Remove everything that may be there, the marker last."""
        marker = self._place.identity, MARKER
        self._asker.made.setdefault(marker)
        for owner, name in sorted(self._asker.made, key=lambda it: it == marker):
            try:
                reply = await self._asker.told(self._place.delete(name, owner))
            except SesError:
                continue
            if reply.passed:  # SES has no policy that it refuses to delete
                self._asker.made.pop((owner, name), None)


def _all_there_may_be(place: Place) -> Iterator[Call]:
    """The removal of everything that a probe makes."""
    for name in (*names.NUMBERED, *names.LONG, *names.ODD, *staleness.WRITES, *stored.STORED):
        yield place.delete(name)
    yield place.delete(names.NUMBERED[0], place.arn())
    for it in (*identity.others(place).values(), *filter(None, [place.unverified])):
        yield place.delete(names.NUMBERED[0], it)
