"""What earlier runs left: their journal opened, made or set aside, held to the same place, and gone on with or not."""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from batchpol.batch.options import Options
from batchpol.errors import JournalMismatch
from batchpol.journal import FORMAT, Journal, Run, set_aside
from batchpol.sending.caller import Here
from batchpol.sending.targets import Targets
from batchpol.version import __version__


def open_journal(options: Options, here: Here) -> Journal:
    """The journal to write, with what earlier runs left in it; a dry run reads that and leaves it alone.

    Its notes are sentences for people about what was found.

    Raises:
        JournalError: it cannot be used, or belongs to another place.
    """
    path, fresh, notes = options.keeping.journal, options.keeping.fresh, list[str]()
    if path is not None and os.path.lexists(path):
        if not fresh and (resumed := _resumed(path, options, here)) is not None:
            return resumed
        if not options.conduct.dry_run:
            gone = "the journal of an embedded SES that is gone was set aside as"
            notes.append(f"{'the earlier journal is now' if fresh else gone} {set_aside(path)}")
    journal = Journal.temporary() if path is None or options.conduct.dry_run else Journal.create(path)
    journal.notes += notes
    return journal


def _resumed(path: Path, options: Options, here: Here) -> Journal | None:
    """The journal that is there, to go on with; None if it is of an embedded SES, which is gone."""
    with ExitStack() as closed:
        journal = closed.enter_context(Journal.copied(path) if options.conduct.dry_run else Journal.resume(path))
        before = journal.history.run
        if before is not None:
            if before.sandbox:
                return None
            _check_place(before, options, here, path)
        closed.pop_all()
    return journal


def _check_place(before: Run, options: Options, here: Here, path: Path) -> None:
    place = _place(here) | {"endpoint": here.endpoint}
    there = {key: before.options.get(key, "") for key in _place(here)} | {"endpoint": before.endpoint}
    if place != there or options.sandbox:
        described = ", ".join(f"{key} {there[key] or '(none)'}" for key in place if place[key] != there[key])
        raise JournalMismatch(
            f"the journal {path} belongs to another place: {described or 'a real SES, not an embedded one'}",
            hint="name another file with `journal`, or set this one aside with `fresh`",
        )


def _place(here: Here) -> dict[str, str]:
    return {"account": here.caller.account, "region": here.region}


def remember(journal: Journal, targets: Targets) -> None:
    """Tell the targets what earlier runs of this journal wrote lately, which outweighs what is read."""
    for wrote in journal.history.lately():
        change = journal.read_record(wrote.offset).change()
        targets.lately(change.target).add(change, datetime.fromisoformat(wrote.at).timestamp(), sure=wrote.sure)


def begin(
    journal: Journal, options: Options, here: Here, period: float, name: str, columns: tuple[str, ...], *, at: str
) -> Run:
    """Write the header of a run down.

    After a run that came to its end, whatever its records came to, all is looked at anew: what is there may have
    changed since. Only a run that was cut off is gone on with; and one that looks at nothing goes on, too, since what
    was done would only be sent once more.

    Args:
        period: seconds between two requests.
        name: the input's name.
        columns: its extra columns in their order.
        at: the time in ISO 8601.
    """
    anew = journal.history.is_over and options.conduct.compare
    if anew:
        journal.history.forget()
        journal.notes.append("the last run came to its end: this one looks at every record anew")
    run = Run(
        format=FORMAT,
        run_id=uuid.uuid4().hex,
        at=at,
        version=__version__,
        pid=os.getpid(),
        host=socket.gethostname(),
        input=name,
        sandbox=options.sandbox,
        endpoint=here.endpoint,
        options=_place(here) | {"caller": here.caller.arn, "period": period, "command": options.command},
        columns=columns,
        anew=anew,
    )
    journal.append(run)
    return run
