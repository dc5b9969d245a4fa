"""What belongs to the targets of a run, each once: connection, caller, clients, gates, what is known of identities."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Self
from zlib import crc32

import anyio

from batchpol.facts import read_facts
from batchpol.model import Target
from batchpol.model.errors import AccessRefused, TargetMismatch
from batchpol.model.settings import Patience
from batchpol.sending.caller import Here, find_out
from batchpol.sending.contact import Contact
from batchpol.sending.gates import Gates
from batchpol.sending.lately import Lately
from batchpol.sending.meetings import Meetings
from batchpol.sending.observer import ContactObserver
from batchpol.sending.ownership import Ownership
from batchpol.sending.reads import Reads
from batchpol.sending.sharing import Machine
from batchpol.ses import Aws, Ses

ENTER_AT_ONCE = 32
"""Targets that open their client and assume their role at the same time: the first ones send while the last ones are
still at it, and STS is not asked hundreds of times at once."""

ENTER_EVERY = 0.005
"""Seconds from one target's entering to the next one's at least. Assuming a role costs more processor time than
sending, and hundreds that enter at once leave none to the lanes that send already: the first requests of these came a
second apart from their turn. One at a time it goes slower by itself where the processor is busy, and the lanes'
requests are spread over the period."""


class Targets:
    """The one connection and all that is known of the targets behind it; open as a context manager.

    It may outlive a run, and be given to several: those that share it pass the same gates, and STS is asked once.

    Args:
        aws: makes the clients; closed with this.
        patience: whose pace all keep to.

    Raises:
        UsageError: there are no facts in the file that the connection names for them.

    Attributes:
        entering: held by each of the many that enter their target at the same time.
    """

    def __init__(self, aws: Aws, patience: Patience) -> None:
        self._aws, self.period, self._patience = aws, patience.period, patience
        self._facts = read_facts(aws.connection.facts)
        self._machine: Machine | None = None
        self.entering = anyio.Semaphore(ENTER_AT_ONCE, fast_acquire=True)
        self._here: Here | None = None
        self._asking = anyio.Lock()
        self._entered: dict[Target, Ses] = {}
        self._gates: dict[Target, Gates] = {}
        self._regions: dict[str, Gates] = {}
        self._not_before = 0.0
        self._ownership: dict[Target, Ownership] = {}
        self._lately: dict[Target, Lately] = {}

    async def __aenter__(self) -> Self:
        await self._aws.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._aws.__aexit__(*error)

    @property
    def region(self) -> str:
        """The Region of whatever names none; empty if there is none."""
        return self._aws.region()

    async def here(self) -> Here:
        """Who we are, in which Region, at which endpoint; AWS is asked once.

        Raises:
            UsageError: there is no Region, or there are no usable credentials.
            TargetMismatch: the credentials are of another account than the expected one.
            NoAnswer, Throttled: AWS is out of reach.
        """
        if self._here is None:
            async with self._asking:
                if self._here is None:
                    self._here = await find_out(self._aws)
                    # It takes turns, unless the SES is this process's own; where it cannot, a contact says so.
                    self._machine = None if self._own or not self._patience.share else Machine()
        return self._here

    @property
    def _own(self) -> bool:
        """Whether the SES is this process's own, or the loop's clock is: nobody else can be there."""
        return self._aws.connection.embedded or abs(anyio.current_time() - time.monotonic()) > 1

    async def ses(self, target: Target) -> Ses:
        """SES of a target, entered once, as soon as it is sure that the credentials are of its account.

        Raises:
            SesError: ``AccessRefused`` if they are of another one, or what STS answered.
        """
        if target not in self._entered:
            await self._check_account(target)
            self._entered[target] = await self._aws.ses(target)
        return self._entered[target]

    def check_expected(self, targets: Iterable[Target]) -> None:
        """Refuse targets of an account that is not expected, before anything is sent to any.

        Raises:
            TargetMismatch: names them.
        """
        expected = self._aws.connection.expect_account
        others = sorted({target.account for target in targets} - set(expected)) if expected else []
        if others:
            named = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
            raise TargetMismatch(
                f"there are targets of account {named}, and expected is {' or '.join(expected)}: nothing was sent",
                hint="take them out, or name their account with `expect_account` as well",
            )

    async def _check_account(self, target: Target) -> None:
        try:
            self.check_expected([target])
        except TargetMismatch as error:
            raise AccessRefused(str(error), code="WrongAccount", hint=error.hint) from error
        caller = (await self.here()).caller
        if self._aws.connection.role_arn is not None:
            caller = await self._aws.caller(target.region, target.account)
        if caller.account != target.account:
            raise AccessRefused(
                f"the credentials are of account {caller.account}, and the target is of {target.account}",
                code="WrongAccount",
                hint="use credentials of that account, or `role_arn` with {account} in it",
            )

    async def renew(self, target: Target, used: Ses) -> Ses | None:
        """SES of a target with newer credentials than those of ``used``, which expired; None if there are none."""
        renewed = await self._aws.renew(target, used)
        if renewed is not None:
            self._entered[target] = renewed
        return renewed

    def gates(self, target: Target) -> Gates:
        """What every attempt at a target passes, whoever makes it."""
        if target not in self._gates:
            like, turns = self._regions.get(target.region), None
            known = self._facts.at(target.region)
            if self._machine is not None and self._here is not None:
                turns = self._machine.turns(self._here.endpoint, target)
            self._gates[target] = self._regions[target.region] = Gates.at(
                self.period,
                shared=self._patience.shared_quota or bool(known.shared_quota),
                like=like,
                turns=turns,
                tolerance=(known.tolerance_ms or 0) / 1000,
                meetings=None if self._own else Meetings(self.period, time.time, crc32(str(target).encode()) / 1000),
            )
            self._gates[target].hold(self._not_before)
        return self._gates[target]

    def heed(self, ended: str | None, now: datetime, more: float = 0.0) -> None:
        """Let nothing leave until a period after all that an earlier run can have asked for.

        Args:
            ended: when that run ended, in ISO 8601; None if it was killed, which may have been just now.
            now: the time by the same clock.
            more: seconds for which it may go on all the same.
        """
        ago = (now - datetime.fromisoformat(ended)).total_seconds() if ended else 0.0
        self._not_before = anyio.current_time() + min(self.period - ago, self.period) + more
        for gates in self._gates.values():
            gates.hold(self._not_before)

    def ownership(self, target: Target) -> Ownership:
        """What is known of the identities of a target."""
        return self._ownership.setdefault(target, Ownership())

    def lately(self, target: Target) -> Lately:
        """What was written to a target by us, whoever of us it was."""
        return self._lately.setdefault(target, Lately())

    async def contact(
        self, target: Target, patience: Patience, observer: ContactObserver, *, only_reads: bool = False
    ) -> Contact:
        """Contact with a target, for one run or export, through the gates of all. Raises as :meth:`ses` does."""
        ses, renew = await self.ses(target), partial(self.renew, target)
        return Contact(target, ses, self.gates(target), patience, observer, renew, only_reads)

    async def reads(self, target: Target, max_attempts: int, observer: ContactObserver) -> Reads:
        """Reads of a target before its lane runs, through the same gates. Raises as :meth:`ses` does."""
        return Reads(await self.contact(target, Patience(), observer), at_most=max_attempts)
