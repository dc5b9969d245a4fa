"""What is found out before anything is sent: accounts not expected, identities not verified, names to prune."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from batchpol.batch.intake import Backlog, Intake
from batchpol.batch.observer import Preview
from batchpol.journal import End, Journal
from batchpol.model import MAX_POLICIES, Action, Target
from batchpol.model.errors import SesError, TargetMismatch, UsageError
from batchpol.sending.observer import ContactObserver
from batchpol.sending.ownership import owners
from batchpol.sending.targets import Targets

MOST_LOOKED_UP = 1000
"""Identities of one target that are looked up before the question: ten calls. The lanes look up the rest."""


def check_accounts(targets: Targets, wanted: Iterable[Target], journal: Journal, *, at: str) -> None:
    """Refuse a run that would send to an account that is not expected, and write down that it ended so.

    Raises:
        TargetMismatch: names the accounts.
    """
    try:
        targets.check_expected(wanted)
    except TargetMismatch as error:
        journal.append(End(at=at, reason=str(error), exit_code=2))
        journal.sync()
        raise


async def prune(
    intake: Intake,
    targets: Targets,
    prefix: str,
    max_attempts: int,
    observer: ContactObserver,
    fence: Callable[[], None],
) -> None:
    """Have deleted what the input's identities have and the input has not, of names that begin with ``prefix``.

    Args:
        observer: told of what asking comes to.
        fence: asked before each read leaves.

    Raises:
        UsageError: a record was rejected, so that it is not certain what the input has; or the names cannot be listed.
    """
    if (unclear := intake.unclear) is not None:
        raise UsageError(
            f"line {unclear.line} is rejected, and what the file does not have cannot be told from it",
            hint="mend the rejected records (batchpol validate lists them), then run with `prune` again",
        )
    for target, identities in intake.names.items():
        try:
            reads = await targets.reads(target, max_attempts, observer)
            with reads.contact.gates.fenced(fence):
                there = {identity: set(await reads.names(identity)) for identity in identities}
        except SesError as error:
            raise UsageError(f"what to prune could not be listed: {error}", hint=error.hint) from error
        for identity, asked in identities.items():
            wanting = _wanting(there[identity], asked)
            gone = [name for name in sorted(there[identity] - asked.keys()) if name.startswith(prefix)]
            for place, name in enumerate(gone):
                intake.prune(target, identity, name, makes_room=place < wanting)


def _wanting(there: set[str], asked: Mapping[str, Action]) -> int:
    """How many policies must go before their time, since what the input asks for finds the identity full."""
    held, wanting = len(there), 0
    for name, action in asked.items():
        if action is Action.DELETE:
            held -= name in there
        elif name not in there and held < MAX_POLICIES:
            held += 1
        elif name not in there:
            wanting += 1
    return wanting


async def look_up(
    preview: Preview,
    backlogs: Mapping[Target, Backlog],
    journal: Journal,
    targets: Targets,
    max_attempts: int,
    observer: ContactObserver,
    fence: Callable[[], None],
) -> None:
    """Tell a preview which identities are not verified, and of which targets that is not known.

    What is found out stays in the targets' ownership.
    """
    for target, backlog in backlogs.items():
        wanted, ownership = dict[str, None](), targets.ownership(target)
        for change in backlog.changes(journal):
            wanted[change.key_identity] = None
            if len(wanted) == MOST_LOOKED_UP:
                break
        try:
            reads = await targets.reads(target, max_attempts, observer)
            with reads.contact.gates.fenced(fence):
                await ownership.look_up(reads, set().union(*map(owners, wanted)))
        except SesError as error:
            preview.notes.append(f"{target}: whether the identities are verified is not known: {error}")
        else:
            preview.unverified += [identity for identity in wanted if not ownership.verified(identity)]
