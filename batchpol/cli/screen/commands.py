"""The command to type next: made here and nowhere else, as a list of arguments."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

from batchpol.cli.spelling import flag
from batchpol.journal import Run
from batchpol.model import Status, visible
from batchpol.model.settings import Connection

ONCE = frozenset(map(flag, ("fresh", "retry_failed", "dry_run")))
"""Options that a command to type next does not take over: they were meant for that one time."""

FINDINGS = "findings.jsonl"


class NextStep(NamedTuple):
    """What to do next: for what, and the command."""

    purpose: str
    command: list[str]

    def __str__(self) -> str:
        return f"{self.purpose}: {typed(self.command)}" if self.command else self.purpose

    def as_json(self) -> dict[str, Any]:
        """Plain values; the command as a list of its arguments."""
        return {"to": self.purpose.removeprefix("to "), "command": self.command}

    def as_typed(self) -> tuple[str, str]:
        """For a page: for what, and the command as it is typed; empty where there is none."""
        return self.purpose, typed(self.command)


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
    return _without(command, flag("limit"))


def _without(command: list[str], *options: str) -> list[str]:
    """The same without these options and their values."""
    kept = list[str]()
    for before, word in zip(("", *command), command, strict=False):
        if before not in options and word.partition("=")[0] not in options:
            kept.append(word)
    return kept


def retry(run: Run, journal: Path | None) -> list[str]:
    """The run's command, which sends again what SES refused."""
    command = again(run, journal)
    return [*command, flag("retry_failed")] if command else []


def free(name: str) -> str:
    """This name, or one like it that no file here has: none that may be an input is replaced."""
    numbered = (f"-{number}".join(os.path.splitext(name)) for number in count(2))  # noqa: PTH122
    return next(it for it in chain((name,), numbered) if not os.path.lexists(it))


def mend(what: str, journal: Path, statuses: Iterable[Status]) -> NextStep:
    """What writes the records that have one of these statuses, to be mended and applied."""
    only = [status.value for status in (Status.REJECTED, Status.FAILED) if status in set(statuses)]
    name = free("mend.csv")
    command = ["batchpol", "report", str(journal), flag("only"), ",".join(only), flag("reports"), name]
    return NextStep(f"to mend {what}, and then apply {name}", command)


def how_to_mend(what: str, run: Run, journal: Path, statuses: Iterable[Status]) -> NextStep:
    """How ``what`` is mended: a list whose policies a template makes is mended itself, not what was made of it."""
    if run.options.get("template") and run.input:
        purpose = f"to mend {what}, mend {visible(run.input)} and run the same command again"
        return NextStep(purpose, again(run, journal))
    return mend(what, journal, statuses)


def report(journal: Path) -> list[str]:
    return ["batchpol", "report", str(journal), flag("reports"), "report.csv"]


def status(journal: Path) -> list[str]:
    return ["batchpol", "status", str(journal)]


def withdraw(folder: Path) -> list[str]:
    return ["batchpol", "stop", str(folder), flag("withdraw")]


def follow(journal: Path) -> list[str]:
    return [*status(journal), flag("follow")]


def undo(journal: Path) -> list[str]:
    """What writes an input that restores what was there before the last run."""
    return ["batchpol", "undo", str(journal), flag("last"), "-o", free("undo.jsonl")]


def checked(paths: Sequence[str], rejected: int, given: Iterable[Any]) -> list[NextStep]:
    """What follows a validation that was ``given`` these settings."""
    words = [word for it in given for word in _options(it)]
    if rejected:
        command = ["batchpol", "validate", *paths, *words, flag("report"), FINDINGS]
        return [NextStep("to see what is wrong, record by record", command)]
    words = _without(words, flag("account"))  # that is whose credentials ask
    lists = [it for it in paths if not it.casefold().endswith(".json")]
    return [NextStep("to see what it would change", ["batchpol", "plan", it, *words]) for it in lists]


def _options(settings: Any) -> Iterator[str]:
    """The options of settings that are not as they would be without any."""
    for it in fields(settings):
        value = getattr(settings, it.name)
        if value == it.default or value is None:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            yield from [flag(it.name)] if one is True else [flag(it.name), str(one)]


def applied(run: Run | None) -> list[str]:
    """What carries out a plan that was not saved: its own command, without what only a plan has."""
    command = again(run, None) if run else []
    alone = {"--diff", "--all", "--detailed-exitcode"}
    return [*command[:1], "apply", *(word for word in _without(command[2:], "--report", "--out") if word not in alone)]


def carry_out(path: str, run: Run | None) -> list[str]:
    """What applies a saved plan, or an undo: in the place, and at the pace, of the run that it was made by or is of."""
    wanted = {*map(flag, (*(it.name for it in fields(Connection)), "rate", "higher_quota"))}
    kept, words = list[str](), again(run, None) if run else []
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        if word.partition("=")[0] in wanted:
            kept += [word] if "=" in word or following.startswith("-") else [word, following]
    return ["batchpol", "apply", path, *kept]


def only(identities: Iterable[str]) -> list[str]:
    """Options that name these identities."""
    return [word for name in identities for word in (flag("identities"), name)]
