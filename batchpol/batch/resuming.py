"""What earlier runs left: their journal opened, made or set aside, held to the same place, and gone on with or not."""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from batchpol.batch.options import Options
from batchpol.journal import FORMAT, End, Journal, Planned, RecordEntry, Run, set_aside
from batchpol.model import UNDONE, Status
from batchpol.model.errors import JournalMismatch, PolicyRefused
from batchpol.outputs import check_run
from batchpol.sending.caller import Here
from batchpol.sending.targets import Targets
from batchpol.version import __version__

RECALLED = PolicyRefused("taken back by its caller before it was sent", code="Recalled")
"""Why a change that was asked for was never sent, where nobody wants it any more."""

_ANOTHER = "name another file with `journal`, or set this one aside with `fresh`"


def open_journal(options: Options, here: Here, name: str) -> Journal:
    """The journal to write, with what earlier runs left in it; a dry run reads that and leaves it alone.

    Its notes are sentences for people about what was found.

    Args:
        name: the input's name.

    Raises:
        JournalError: it cannot be used, or belongs to another place or another input.
    """
    path, fresh, notes = options.keeping.journal, options.keeping.fresh, list[str]()
    if path is not None and os.path.lexists(path):
        if not fresh and (resumed := _resumed(path, options, here, name)) is not None:
            return resumed
        if not options.conduct.dry_run:
            gone = "the journal of an embedded SES that is gone was set aside as"
            notes.append(f"{'the earlier journal is now' if fresh else gone} {set_aside(path)}")
    journal = Journal.temporary() if path is None or options.conduct.dry_run else Journal.create(path)
    journal.notes += notes
    return journal


def _resumed(path: Path, options: Options, here: Here, name: str) -> Journal | None:
    """The journal that is there, to go on with; None if it is of an embedded SES, which is gone."""
    with ExitStack() as closed:
        journal = closed.enter_context(Journal.copied(path) if options.conduct.dry_run else Journal.resume(path))
        before = journal.history.run
        if before is not None:
            if before.options.get("plan"):
                raise JournalMismatch(f"{path} is a saved plan, and no journal of a run", hint=_ANOTHER)
            if before.sandbox:
                return None
            _check_place(before, options, here, f"the journal {path}", _ANOTHER)
            _check_input(journal, before, name, path)
        closed.pop_all()
    return journal


def check_plan(options: Options, here: Here, name: str) -> None:
    """Refuse to carry a saved plan out in another place than it was made for. Raises JournalMismatch."""
    if options.saved is not None:
        hint = "name that place as when the plan was made, or make a plan for this one"
        _check_place(options.saved, options, here, f"the plan {name}", hint)


def _check_place(before: Run, options: Options, here: Here, what: str, hint: str) -> None:
    place = _place(here) | {"endpoint": here.endpoint}
    there = {key: before.options.get(key, "") for key in _place(here)} | {"endpoint": before.endpoint}
    if place != there or options.sandbox:
        described = ", ".join(f"{key} {there[key] or '(none)'}" for key in place if place[key] != there[key])
        raise JournalMismatch(
            f"{what} belongs to another place: {described or 'a real SES, not an embedded one'}",
            hint=hint,
        )


def _check_input(journal: Journal, before: Run, name: str, path: Path) -> None:
    """Two inputs of one name would share a journal, a report and an undo: only the same file may, or a copy of it."""
    there, ours = before.input_path, _input_path(name, path)
    if there and ours and there != ours and not _is_copy(journal, name):
        raise JournalMismatch(
            f"the journal {path} belongs to another input, {os.path.normpath(path.parent / there)}: this one is {name}",
            hint=_ANOTHER,
        )


def _is_copy(journal: Journal, name: str) -> bool:
    with open(name, "rb") as file:  # noqa: PTH123 - as it was opened before
        return hashlib.file_digest(file, "sha256").hexdigest() == _read_before(journal)


def check_content(journal: Journal, sha256: str, *, at: str) -> None:
    """Refuse to go on in a journal that is called after standard input where other bytes came from there this time.

    Raises:
        JournalMismatch: they differ; it is written down that the run ended so.
    """
    before = _read_before(journal)
    if before and before != sha256:
        text = (
            f"the journal {journal.path} belongs to another input: what came from standard input then had SHA-256 "
            f"{before[:12]}…, and now {sha256[:12]}…"
        )
        journal.append(End(at=at, reason=text, exit_code=2))
        journal.sync()
        raise JournalMismatch(text, hint=_ANOTHER)


def _read_before(journal: Journal) -> str:
    """The SHA-256 of the last input that was read to its end, and planned."""
    section = journal.section()
    return section.planned.input_sha256 if section is not None and section.planned is not None else ""


def _input_path(name: str, journal: Path | None) -> str:
    """The way from the journal's folder to the input, so that both can be moved together; empty if it is no file."""
    if journal is None or not Path(name).is_file():
        return ""
    return os.path.relpath(os.path.realpath(name), os.path.realpath(journal.parent))


def _place(here: Here) -> dict[str, str]:
    return {"account": here.caller.account, "region": here.region}


def remember(journal: Journal, targets: Targets) -> None:
    """Tell the targets what earlier runs of this journal wrote lately, which outweighs what is read."""
    for wrote in journal.history.lately():
        change = journal.read_record(wrote.offset).change()
        targets.lately(change.target).add(change, datetime.fromisoformat(wrote.at).timestamp(), sure=wrote.sure)


def begin(
    journal: Journal,
    options: Options,
    here: Here,
    period: float,
    name: str,
    columns: tuple[str, ...],
    *,
    sheet: str = "",
    at: str,
) -> Run:
    """Write the header of a run down.

    After a run that came to its end, whatever its records came to, all is looked at anew: what is there may have
    changed since. Only a run that was cut off is gone on with; and one that looks at nothing goes on, too, since what
    was done would only be sent once more.

    Args:
        period: seconds between two requests.
        name: the input's name.
        columns: its extra columns in their order.
        sheet: how a report is to be written so that the program opens it that wrote the input.
        at: the time in ISO 8601.
    """
    anew = journal.history.is_over and options.conduct.compare
    if anew:
        journal.history.forget()
        journal.notes.append("the last run came to its end: this one looks at every record anew")
    run = Run(
        format=journal.history.run.format if journal.history.run else FORMAT,
        run_id=uuid.uuid4().hex,
        at=at,
        version=__version__,
        pid=os.getpid(),
        host=socket.gethostname(),
        input=name,
        sandbox=options.sandbox,
        endpoint=here.endpoint,
        options=_place(here)
        | {"caller": here.caller.arn, "period": period, "command": options.command}
        | ({"plan": True} if options.conduct.plan else {})
        | {"template": options.template is not None, "compare": options.conduct.reads},
        columns=columns,
        anew=anew,
        input_path=_input_path(name, options.keeping.journal),
        shard=(shard.number, shard.count) if (shard := options.keeping.shard) else None,
        sheet=sheet,
    )
    journal.append(run)
    return run


def take_up(options: Options, here: Here, period: float, *, at: str) -> tuple[Journal, list[RecordEntry]]:
    """The journal of a desk, with a new section that begins with what the last one left undone; and that.

    Args:
        period: seconds between two requests.
        at: the time in ISO 8601.

    Raises:
        UsageError, JournalError: the journal cannot be used.
    """
    check_run({}, options.keeping.journal, ())
    with ExitStack() as closed:
        journal = closed.enter_context(open_journal(options, here, ""))
        undone = _undone(journal)
        begin(journal, options, here, period, "", (), at=at)
        for number, entry in enumerate(undone):
            entry.n, entry.line = number, number + 1
        journal.append(*undone, Planned(records=len(undone)))
        journal.sync()
        closed.pop_all()
    return journal, undone


def _undone(journal: Journal) -> list[RecordEntry]:
    """What the last section has of each policy last, where that came to no end and nobody took it back."""
    section = journal.section()
    if section is None or section.planned is None:
        return []
    statuses = section.statuses()
    first = next((number for number, status in enumerate(statuses) if status in UNDONE), len(statuses))
    found: dict[tuple[str, ...], RecordEntry] = {}
    for number in range(first, len(statuses)):
        entry = journal.read_record(section.record_at[number])
        if entry.verdict or not entry.line:
            continue
        policy = entry.account, entry.region, entry.key, entry.policy_name
        found.pop(policy, None)
        fate_at = section.fate_at[number] if statuses[number] is Status.NOT_ATTEMPTED else 0
        if statuses[number] in UNDONE and not (fate_at and journal.read_outcome(fate_at).error_code == RECALLED.code):
            found[policy] = entry
    return list(found.values())
