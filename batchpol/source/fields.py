"""The names of a record's fields, in our spelling and boto3's, and what a header makes of its columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, Self
from unicodedata import normalize

from batchpol.model import Finding, did_you_mean, shown
from batchpol.model.errors import InputError, UsageError
from batchpol.source.rules import FIELD

SPELLINGS: Final = {
    "identity": "identity",
    "policy_name": "policy_name",
    "policyname": "policy_name",
    "name": "policy_name",
    "policy": "policy",
    "region": "region",
    "account": "account",
    "action": "action",
}
"""Every spelling of a field, in lower case, and the field it stands for."""

_HOMEMADE: Final = {
    "identity": (
        *("emailidentity", "email_identity", "domain", "email", "address", "identity_arn", "sender", "domain_name"),
    ),
    "policy_name": ("policyid", "policy_id", "policy name", "policy-name"),
    "policy": ("policy_document", "policydocument", "document", "policy document", "policy_json"),
}
"""Names that people give the columns and that are offered, never taken, for the field."""

_DATA: Final = re.compile(r"[@{]|^\s*arn:|^\s*[\w-]+(\.[\w-]+)*\.[a-z]{2,}\s*$", re.IGNORECASE)


_TEMPLATE: Final = "template"
"""Instead of ``policy``: a column whose documents, or files of them, are to be filled in."""


def folded(name: str) -> str:
    """A name as it is compared: headers differ in case, blanks, line breaks and how an umlaut is put together."""
    return " ".join(normalize("NFC", name).split()).casefold()


@dataclass(frozen=True, slots=True)
class Names:
    """Which column or key stands for which field: by its own spelling, or as ``given`` says, by field.

    ``templates`` says that policies are to be filled in, and that their files may be named without ``file://``.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    templates: bool = False

    @classmethod
    def of(cls, pairs: Iterable[str]) -> Self:
        """The names that each ``field=column`` gives.

        Raises:
            UsageError: there is no such field, or a field or a column is there twice.
        """
        given: dict[str, str] = {}
        templates = False
        for pair in pairs:
            said, equals, column = (part.strip() for part in pair.partition("="))
            is_template = said.casefold() == _TEMPLATE
            known = "policy" if is_template else SPELLINGS.get(said.casefold())
            if known is None or not column:
                fields = (*dict.fromkeys(SPELLINGS.values()), _TEMPLATE)
                swapped = SPELLINGS.get(column.casefold()) if equals else None
                hint = f"did you mean `columns='{swapped}={said}'`?" if swapped else did_you_mean(said, fields)
                raise UsageError(
                    f"`columns` takes FIELD=COLUMN, not {shown(pair)}; the fields are {', '.join(fields)}",
                    hint=hint or "for instance `columns='identity=Domain'`",
                )
            if known in given or folded(column) in map(folded, given.values()):
                raise UsageError(f"`columns` says two things of {known} or of the column {shown(column)}")
            given[known] = column
            templates = templates or is_template
        return cls(given, templates)

    def field_of(self, name: str) -> str | None:
        """The field that a column or key called ``name`` stands for; None for any other."""
        return self.field_said(name) or SPELLINGS.get(name.strip().casefold())

    def field_said(self, name: str) -> str | None:
        """The field of which somebody said that a column or key called ``name`` holds it."""
        if not self.given:
            return None
        return next((known for known, column in self.given.items() if folded(column) == folded(name)), None)

    def column_of(self, known: str) -> str:
        """How the column of a field is to be called, for messages."""
        return shown(self.given[known]) if known in self.given else known

    def repeated(self, names: Iterable[str]) -> tuple[str, str] | None:
        """The first two names that stand for the same field, if there are any."""
        seen: dict[str, str] = {}
        for name in names:
            if (known := self.field_of(name)) is None:
                continue
            if known in seen:
                return seen[known], name
            seen[known] = name
        return None

    def absent(self, names: Iterable[str]) -> list[str]:
        """The fields whose columns somebody named, and which are not among these."""
        found = set(map(self.field_said, names))
        return [known for known in self.given if known not in found]


OURS: Final = Names()
"""Nobody said anything: the spellings alone."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each field stands in a row, by position; made once from the header.

    A field without a column has position -1: the reader puts one empty cell behind every row.
    """

    width: int
    identity: int
    policy_name: int
    policy: int
    region: int
    account: int
    action: int
    extra: tuple[tuple[str, int], ...]
    spelled: Mapping[str, str]
    """How the header writes the name of each field that it has."""
    names: Names

    @classmethod
    def of(cls, header: Sequence[str], names: Names = OURS) -> Layout:
        """The layout that ``header`` gives; which columns are required is not looked at."""
        at: dict[str, int] = {}
        extra: dict[str, int] = {}
        spelled: dict[str, str] = {}
        for place, cell in enumerate(header):
            if (known := names.field_of(cell)) is not None:
                at.setdefault(known, place)
                spelled.setdefault(known, cell.strip())
            else:
                extra[_free_name(cell.strip() or f"column {place + 1}", extra)] = place
        places = {known: at.get(known, -1) for known in SPELLINGS.values()}
        return cls(width=len(header), extra=tuple(extra.items()), spelled=spelled, names=names, **places)

    def missing(self, *, policy_required: bool, name_required: bool) -> list[str]:
        """Required fields that no column gives, and those whose columns somebody named. A file of deletes (it has an
        ``action``) needs no policies."""
        absent = ["identity"] if self.identity < 0 else []
        if name_required and self.policy_name < 0:
            absent.append("policy_name")
        if policy_required and self.policy < 0 and (self.action < 0 or self._near("policy")):
            absent.append("policy")
        return list(dict.fromkeys((*absent, *self.names.absent(self.spelled.values()))))

    def _near(self, known: str) -> str | None:
        return meant_as(known, (name for name, _ in self.extra))

    def doubts(self) -> list[str]:
        """A note for each extra column that looks like a misspelt optional one."""
        return [
            f"the column {shown(near)} is carried to the report as it is; if it is meant as {known}, rename it"
            for known in ("region", "account", "action")
            if getattr(self, known) < 0 and (near := self._near(known))
        ]

    def refuse(self, where: str, header: Sequence[str], missing: Sequence[str]) -> InputError:
        """The error for a header without its required columns: what was found, and the mend."""
        found = _listed(header)
        wanted = " and ".join(map(self.names.column_of, missing))
        if len(missing) > 1 and any(_DATA.search(cell) for cell in header):
            return _no_header(where, header, found)
        given = self.names.given
        near = {known: self._near(known) for known in missing if known not in given}
        mends = [did_you_mean(given[known], header) for known in missing if known in given]
        mends += [_renamed(name, known) for known, name in near.items() if name is not None]
        return InputError(
            f"{where}: the header has no column {wanted}; its columns are {found}",
            hint="; ".join(filter(None, [*mends, _made([known for known, name in near.items() if name is None])]))
            if any(mends)
            else _mend([*near]),
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shown(it.strip(), 40) for it in names[:20]) + (", …" if len(names) > 20 else "")


def _renamed(name: str, known: str) -> str:
    """The mend for a column or key that is called otherwise than we call it."""
    said = f"{known}={name}"
    return f"rename {shown(name)} to {known}" + (f", or give `columns={said!r}`" if "`" not in said else "")


def check_first(where: str, keys: Sequence[str], names: Names) -> None:
    """Refuse named keys that the first record has not: they are misspelt, or a value that is missing is not null.

    Raises:
        InputError: names the keys there are.
    """
    if absent := names.absent(keys):
        wanted = " and ".join(map(names.column_of, absent))
        near = filter(None, (did_you_mean(names.given[known], keys) for known in absent))
        raise InputError(
            f"{where}: the first record has no key {wanted}; its keys are {_listed(keys)}",
            hint="; ".join(near) or "`columns` names keys as the records have them; what has no value is null",
        )


def meant_as(known: str, others: Iterable[str]) -> str | None:
    """Which of these names was probably meant as the field ``known``: one that resembles it, or another's for it."""
    names = {name.casefold(): name for name in others}
    close = get_close_matches(known, names, n=1, cutoff=0.75)
    return next((names[it] for it in (*close, *_HOMEMADE.get(known, ())) if it in names), None)


_ANSWER: Final = re.compile(rb'\s*\{\s*"(?:Policies|PolicyNames|IdentityType|Identities|EmailIdentities)"\s*:')
_OF_ANSWERS: Final = frozenset(("policies", "policynames", "identities", "emailidentities"))
EXPORT: Final = "batchpol export `identities='NAME'` writes whole records"


def is_answer(text: bytes) -> bool:
    """Whether this begins as what SES answers when it is asked for policies: the output of the AWS CLI."""
    return _ANSWER.match(text) is not None


def missing_fields(found: Iterable[str], others: Iterable[str], needed: Iterable[str]) -> list[Finding]:
    """A finding for each field that a record needs and has not, with the name that was probably meant as it."""
    others = list(others)
    missing = [known for known in needed if known not in found]
    if "identity" in missing and {name.casefold() for name in others} & _OF_ANSWERS:
        message = "the field identity is missing: this is an answer of SES, which names none"
        return [FIELD.at("identity", message, EXPORT)]
    return [
        FIELD.at(known, f"the field {known} is missing", _renamed(near, known) if near else "")
        for known in missing
        for near in (meant_as(known, others),)
    ]


def _made(missing: Sequence[str]) -> str:
    """What makes these fields where no column has them; empty for those that must have one."""
    options = {"policy": "`policy_template=FILE`", "policy_name": "`policy_name=NAME`"}
    made = [f"the {known} from {options[known]}" for known in missing if known in options]
    return f"take {' and '.join(made)}" if made else ""


def _mend(missing: Sequence[str]) -> str:
    if not missing:
        return "`columns` names columns as the header has them"
    made = _made(missing)
    other = f"; `columns={missing[0]}=COLUMN` is for one that is called otherwise"
    if made and "identity" not in missing:
        other = f", or {made}"
    return f"the first line must name the columns: identity,policy_name,policy{other}"


def _no_header(where: str, header: Sequence[str], found: str) -> InputError:
    if header[0].lstrip().startswith("{"):
        return InputError(
            f"{where}: no header: the first line looks like JSON",
            hint="read it as JSON Lines: name it .jsonl, or give `format=jsonl`",
        )
    return InputError(
        f"{where}: no header: the first line looks like a record ({found})",
        hint="put a line on top that names the columns, such as identity,policy_name,policy",
    )


def _free_name(name: str, taken: Iterable[str]) -> str:
    """``name``, or ``name (2)`` and so on where another column is called that already."""
    used, count, free = set(taken), 1, name
    while free in used:
        count += 1
        free = f"{name} ({count})"
    return free


def check_repeated(where: str, header: Sequence[str], names: Names) -> None:
    """Refuse a header in which two columns stand for one field.

    Raises:
        InputError: names both columns.
    """
    if (pair := names.repeated(header)) is not None:
        first, second = (shown(cell.strip()) for cell in pair)
        raise InputError(
            f"{where}: the columns {first} and {second} both stand for {names.field_of(pair[0])}",
            hint="rename or remove one of them; a column with any other name is carried to the report",
        )
