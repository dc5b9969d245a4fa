"""A saved plan: the journal of a ``plan``, and from it an input that does exactly what it said, and nothing else.

Each record expects (``if_match``) what was there when the plan was made, so that one whose policy somebody changed
since fails with ``Changed``. What was unchanged, rejected or would have failed is not in it. Its records were checked
when it was made, and the journal's checksums say that nobody edited them since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from batchpol.journal import Compared, Run, compared, scan
from batchpol.model import Change, Outcome, Record
from batchpol.model.errors import InputError, JournalDamaged
from batchpol.policy.comparison import ABSENT, diff, document_lines, meaning_digest

SUFFIX = ".plan"
"""How the name of a saved plan ends."""

_IF_MATCH = "if_match"


class Approved(Record, kw_only=True):
    """A record of a saved plan, with the change that it was made into and checked as."""

    change: Change


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A saved plan as an input. ``run`` is its header: the account, Region and endpoint that it was made for."""

    name: str
    run: Run
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: str) -> SavedPlan:
        """Read as much of it as shows that it is one.

        Raises:
            InputError: it is not, or was not written to its end.
            JournalError: it cannot be read.
        """
        try:
            section = scan(path) if Path(path).stat().st_size else None
        except JournalDamaged as error:
            raise InputError(f"the plan was altered: {error}", hint="make the plan again") from error
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}", hint="check the path") from error
        if section is None or not section.run.options.get("plan"):
            raise InputError(f"{path} is no saved plan", hint="batchpol plan writes one with `out`")
        if section.end is None:
            raise InputError(f"{path} is not whole: its end is missing", hint="make the plan again, or copy all of it")
        columns = (*(it for it in section.columns if it.strip().casefold() != _IF_MATCH), _IF_MATCH)
        return cls(path, section.run, columns)

    @property
    def sheet(self) -> str:
        """How a report is to be written so that the program opens it that wrote the plan's input."""
        return self.run.sheet

    @property
    def sha256(self) -> str:
        """SHA-256 of its bytes, in hex."""
        with Path(self.name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def __iter__(self) -> Iterator[Record]:
        for number, it in enumerate(it for it in compared(self.name) if it.would):
            yield _approved(it, number)


def _approved(it: Compared, number: int) -> Approved:
    record, change = it.record, it.record.change()
    expected = ABSENT if it.present is None else meaning_digest(it.present)
    extra = {name: cell for name, cell in record.extra.items() if name.strip().casefold() != _IF_MATCH}
    return Approved(
        identity=record.identity,
        policy_name=record.policy_name,
        policy=record.policy,
        action=record.action,
        region=record.region,
        account=record.account,
        line=record.line,
        extra=extra | {_IF_MATCH: expected},
        problems=record.findings,
        change=replace(change, number=number, if_match=expected),
    )


def steps(found: Iterable[Compared], *, diffs: bool) -> Iterator[tuple[Outcome, list[str]]]:
    """What a plan has, each record with what it changes: the places that differ, or all lines."""
    for it in found:
        said = it.outcome.message.split("\n") if it.would and it.outcome.message else []
        yield it.outcome, _diff(it) if diffs and it.would else said


def _diff(it: Compared) -> list[str]:
    if it.would == "update":
        return diff(it.present or "", it.record.policy)
    sign, text = ("-", it.present or "") if it.would == "delete" else ("+", it.record.policy)
    return [sign + line for line in document_lines(text)]
