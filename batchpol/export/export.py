"""One export: who we are, its targets at once, the rows in order, stop. It prints nothing and handles no signals."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread

from batchpol.errors import BatchpolError, JournalError, SesError, UsageError
from batchpol.export.partial import Header, Partial
from batchpol.export.target import TargetReader, Watch
from batchpol.files import Replacement, check_place
from batchpol.identity import Identity, read_identity, require_account
from batchpol.journal import FINISHED
from batchpol.model import Severity, Target
from batchpol.sending.caller import Here
from batchpol.sending.conduct import Patience
from batchpol.sending.contact import Contact
from batchpol.sending.gate import PERIOD
from batchpol.sending.targets import Targets
from batchpol.ses import Aws, Connection
from batchpol.stopping import Stoppable, task_group

DRAIN = 10.0
"""Seconds that identities begun are given to be read after an export was asked to stop."""

SYNC_EVERY = 10.0
"""Seconds of reading that a power cut may cost."""

PARTIAL = ".partial"
"""How the name ends of what is kept beside an output until it is complete."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What to export: of which accounts and Regions (none given: the caller's, the run's own), and which policies.

    ``identities`` are names or ARNs; without any, all that SES lists and that ``match`` fits. ``match_name`` is for
    names of policies. Both are patterns with ``*``, ``?`` and ``[…]``.
    """

    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    match: str = "*"
    match_name: str = "*"


@dataclass(frozen=True, slots=True)
class Options:
    """Every choice of one export. Times are in seconds.

    ``output`` None keeps what is read in an unnamed temporary file, for whoever has the rows delivered.
    """

    connection: Connection = field(default_factory=Connection)
    scope: Scope = field(default_factory=Scope)
    output: Path | None = None
    fresh: bool = False
    expect_account: str | None = None
    period: float = PERIOD
    shared_quota: bool = False
    patience: Patience = field(default_factory=Patience)
    drain: float = DRAIN

    def targets(self, aws: Callable[[Connection], Aws] = Aws) -> Targets:
        """The targets of an export by itself; ``aws`` makes their connection. Raises UsageError as that does."""
        return Targets(
            aws(self.connection),
            regions=self.scope.regions,
            expect_account=self.expect_account,
            period=self.period,
            shared_quota=self.shared_quota,
        )


@dataclass(slots=True)
class Result:
    """How an export ended. ``reason`` is ``finished`` or why it stopped early.

    ``identities`` were read, by this run or an earlier one; ``without`` of them have no policies that were asked for.
    ``kept`` is the file from which the same command goes on, if there is one.
    """

    identities: int = 0
    without: int = 0
    policies: int = 0
    unreadable: list[tuple[Target, str]] = field(default_factory=list)
    exit_code: int = 0
    reason: str = FINISHED
    kept: Path | None = None
    seconds: float = 0.0


class Observer(Watch):
    """What somebody may want to know of an export as a whole, too."""

    def begun(self, here: Here, targets: list[Target], partial: Partial) -> None:
        """It is known who we are, what to read, and what an earlier run has read."""

    def stopped(self, target: Target, text: str) -> None:
        """A target can be read no further, and why."""


class Export(Stoppable):
    """One export; :meth:`run` once, :meth:`stop` from anywhere on its loop.

    Args:
        options: every choice.
        observer: who wants to know.
        deliver: given the rows of one identity after the other, each with its line end, those of the first target
            first; ``None`` where only the file counts.

    Raises:
        UsageError: what is to be exported cannot be.
    """

    def __init__(
        self,
        options: Options,
        *,
        observer: Observer | None = None,
        deliver: Callable[[list[bytes]], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__()
        self.options, self._observer, self._deliver = options, observer or Observer(), deliver
        for account in options.scope.accounts:
            require_account(account)
        self._identities = [_named(text) for text in options.scope.identities]
        self._lanes: dict[Target, _Lane] = {}
        self._synced = time.monotonic()
        self._delivered = deliver is None
        self._result = Result()

    async def run(self, targets: Targets) -> Result:
        """Export from targets that are open, and stay so.

        Raises:
            UsageError: configuration or output unusable; nothing was read.
            JournalError: what is read cannot be kept, or what was kept cannot be used.
        """
        begun = time.monotonic()
        if self.options.output is not None:
            check_place(self.options.output, "output")
        here = None
        with self._stoppable(0):
            here = await targets.here()
        if here is not None:
            wanted = self._wanted(here.target)
            with self._open_partial(wanted, here.endpoint) as partial:
                self._observer.begun(here, wanted, partial)
                self._lanes = {target: _Lane() for target in wanted}
                with self._stoppable(self.options.drain, self._halt_all):
                    await self._read(targets, partial)
                await anyio.to_thread.run_sync(self._finish, partial)
        else:
            self._result.reason, self._result.exit_code = self.stopped or ("stopped", 3)
        self._result.seconds = time.monotonic() - begun
        return self._result

    # -- what to read ------------------------------------------------------------------------------------------

    def _wanted(self, here: Target) -> list[Target]:
        scope, role = self.options.scope, self.options.connection.role_arn
        accounts = set(scope.accounts) or {here.account}
        if role is None and accounts != {here.account}:
            raise UsageError(
                f"the credentials are of account {here.account}, and others are to be exported",
                hint="add `role_arn='arn:aws:iam::{account}:role/NAME'`, which is assumed in each of them",
            )
        if role is not None and len(accounts) > 1 and "{account}" not in role:
            raise UsageError("one role cannot be of several accounts", hint="write {account} where its account stands")
        targets = sorted(Target(account, it) for account in accounts for it in set(scope.regions) or {here.region})
        for identity in self._identities:
            if identity.account and Target(identity.account, identity.region) not in targets:
                raise UsageError(
                    f"{identity.text} is of another account or Region than those to be exported",
                    hint="name them with `accounts` and `regions`",
                )
        return targets

    def _named_in(self, target: Target) -> list[str] | None:
        """The identities asked for in this target, each once; None for all that there are."""
        if not self._identities:
            return None
        there = (it.name for it in self._identities if Target(it.account, it.region) in (target, Target("", "")))
        return list(dict.fromkeys(there))

    def _open_partial(self, targets: list[Target], endpoint: str) -> Partial:
        scope, output = self.options.scope, self.options.output
        header = Header(
            begun=datetime.now(UTC).isoformat(timespec="seconds"),
            endpoint=endpoint,
            targets=tuple(map(str, targets)),
            identities=tuple(sorted({it.text for it in self._identities})),
            match=scope.match,
            match_name=scope.match_name,
        )
        if output is None:
            return Partial.temporary(header)
        return Partial.at(output.with_name(output.name + PARTIAL), header, fresh=self.options.fresh)

    # -- reading -----------------------------------------------------------------------------------------------

    async def _read(self, targets: Targets, partial: Partial) -> None:
        """All targets at once, each stopping alone; a partial that cannot be written stops them all."""
        async with task_group(JournalError) as tasks:
            for target, lane in self._lanes.items():
                tasks.start_soon(self._read_target, targets, partial, target, lane)
            if self._deliver is not None:
                tasks.start_soon(self._hand_over, partial, self._deliver)

    def _halt_all(self) -> None:
        for lane in self._lanes.values():
            if lane.reader is not None:
                lane.reader.halt()

    async def _read_target(self, targets: Targets, partial: Partial, target: Target, lane: _Lane) -> None:
        try:
            async with targets.entering:
                if self.stopped is not None:
                    return
                contact = await targets.contact(target, self.options.patience, self._observer, only_reads=True)
            lane.reader = self._reader(contact, partial, lane)
            if self.stopped is None:
                await lane.reader.run()
            if lane.reader.stopped is not None:
                self._target_stopped(target, lane.reader.stopped)
        except SesError as error:
            self._target_stopped(target, error)
        finally:
            lane.end()

    def _reader(self, contact: Contact, partial: Partial, lane: _Lane) -> TargetReader:
        target = contact.target

        async def keep(identity: str, rows: list[bytes]) -> None:
            partial.add(target, identity, rows)
            lane.tell(identity)
            await self._sync(partial)

        return TargetReader(
            contact,
            self._observer,
            known=lambda identity: partial.has(target, identity),
            keep=keep,
            named=self._named_in(target),
            match=self.options.scope.match,
            match_name=self.options.scope.match_name,
        )

    def _target_stopped(self, target: Target, error: SesError) -> None:
        text = f"stopped: {error.in_full}"
        self._observer.stopped(target, text)
        self.ended_alone(f"{target} {text}")

    async def _sync(self, partial: Partial) -> None:
        if partial.path is not None and time.monotonic() - self._synced > SYNC_EVERY:
            self._synced = time.monotonic()
            await anyio.to_thread.run_sync(partial.sync)

    async def _hand_over(self, partial: Partial, deliver: Callable[[list[bytes]], Awaitable[None]]) -> None:
        """Deliver what is read, as it is read, one target after the other."""
        for target, lane in self._lanes.items():
            async for identity in lane:
                if rows := partial.rows(target, identity):
                    await deliver(rows)
        self._delivered = True

    # -- the end -----------------------------------------------------------------------------------------------

    def _finish(self, partial: Partial) -> None:
        """Count, and put the output in its place if nothing is missing but what cannot be read."""
        result, complete = self._result, self._delivered
        for target, lane in self._lanes.items():
            complete = complete and lane.reader is not None and lane.reader.complete
            if lane.reader is not None:
                counts = [partial.count(target, it) for it in lane.reader.identities if partial.has(target, it)]
                result.identities += len(counts)
                result.without += counts.count(0)
                result.policies += sum(counts)
                result.unreadable += [(target, it) for it in lane.reader.unreadable]
        if complete:
            result.reason, result.exit_code = FINISHED, 1 if result.unreadable else 0
            complete = self._written(partial)
        else:
            result.reason, result.exit_code = self.early or (FINISHED, 0)
        if complete or not len(partial):
            partial.remove()
        else:
            result.kept = partial.path

    def _written(self, partial: Partial) -> bool:
        """Write the output: by target, then in the order of the listing."""
        output = self.options.output
        if output is None:
            return True
        try:
            with Replacement(output) as place:
                for target, lane in self._lanes.items():
                    for identity in lane.reader.identities if lane.reader else ():
                        place.file.writelines(partial.rows(target, identity))
        except BatchpolError as error:
            self._result.reason, self._result.exit_code = str(error), 3
            return False
        return True


class _Lane:
    """A target being read, and what is ready to be delivered: an asynchronous iterator, once through.

    Identities come in the order of the listing; those that SES did not answer for at first come last.
    """

    def __init__(self) -> None:
        self.reader: TargetReader | None = None
        self._read: set[str] = set()
        self._over = False
        self._news = anyio.Event()

    def tell(self, identity: str) -> None:
        """An identity was read."""
        self._read.add(identity)
        self._news.set()

    def end(self) -> None:
        """No other will be."""
        self._over = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[str]:
        number, late, over = 0, list[str](), False
        while not over:
            over = self._over
            while self.reader is not None and number < len(self.reader.identities):
                identity = self.reader.identities[number]
                if identity in self._read:
                    yield identity
                elif over or identity in self.reader.postponed:
                    late.append(identity)
                else:
                    break
                number += 1
            if not over:
                await self._news.wait()
                self._news = anyio.Event()
        for identity in late:
            if identity in self._read:
                yield identity


def _named(text: str) -> Identity:
    """An identity to export. Raises UsageError if it cannot be one."""
    identity, findings = read_identity(text)
    for finding in findings:
        if finding.severity is Severity.ERROR:
            raise UsageError(f"`identities`: {finding.message}", hint=finding.hint)
    return identity
