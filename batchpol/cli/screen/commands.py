"""The command to type next: made here and nowhere else, as a list of arguments."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from batchpol.cli.spelling import flag
from batchpol.journal import Run
from batchpol.model import Status, visible

ONCE = frozenset(map(flag, ("fresh", "retry_failed", "dry_run")))
"""Options that a command to type next does not take over: they were meant for that one time."""

MEND = "mend.csv"


def typed(command: Sequence[str]) -> str:
    """A command as it is typed; nothing in it moves a terminal."""
    return visible(shlex.join(command))


def again(run: Run, journal: Path | None) -> list[str]:
    """The run's own command, or as much of one as its journal knows; empty where a program had the records."""
    given = run.options.get("command")
    if isinstance(given, list | tuple) and given:
        return [str(word) for word in given if word not in ONCE]
    if run.input and journal is not None:
        return ["batchpol", "apply", run.input, flag("journal"), str(journal)]
    return []


def unlimited(command: list[str]) -> list[str]:
    """The same command for all of its input."""
    kept, limit = list[str](), flag("limit")
    for before, word in zip(("", *command), command, strict=False):
        if limit not in (word, before) and not word.startswith(f"{limit}="):
            kept.append(word)
    return kept


def retry(run: Run, journal: Path | None) -> list[str]:
    """The run's command, which sends again what SES refused."""
    command = again(run, journal)
    return [*command, flag("retry_failed")] if command else []


def mend(journal: Path, statuses: Iterable[Status]) -> list[str]:
    """What writes the records that have one of these statuses, to be mended and applied."""
    only = [status.value for status in (Status.REJECTED, Status.FAILED) if status in set(statuses)]
    return ["batchpol", "report", str(journal), flag("only"), ",".join(only), flag("reports"), MEND]


def how_to_mend(run: Run, journal: Path, statuses: Iterable[Status]) -> str:
    """What follows "to mend them": a list whose policies a template makes is mended itself, not what was made of it."""
    if run.options.get("template") and run.input:
        return f", mend {visible(run.input)} and run the same command again: {typed(again(run, journal))}"
    return f", and then apply {MEND}: {typed(mend(journal, statuses))}"


def report(journal: Path) -> list[str]:
    return ["batchpol", "report", str(journal), flag("reports"), "report.csv"]


def status(journal: Path) -> list[str]:
    return ["batchpol", "status", str(journal)]


def undo(journal: Path) -> list[str]:
    """What writes an input that restores what was there before the last run."""
    return ["batchpol", "undo", str(journal), flag("last"), "-o", "undo.jsonl"]


def carry_out(path: str) -> list[str]:
    """What applies an input that another command wrote."""
    return ["batchpol", "apply", path]


def only(identities: Iterable[str]) -> list[str]:
    """Options that name these identities."""
    return [word for name in identities for word in (flag("identities"), name)]
