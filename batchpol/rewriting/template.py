"""Policies and names made from the columns of a record: ``{{column}}`` in a template.

Placeholders are replaced inside the strings of the parsed template, so no value can break out of its string; all
other text of the template stays as it is, policy variables such as ``${aws:username}`` among it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from batchpol import identity
from batchpol.model import Finding, Record, Severity, Target, did_you_mean, excerpt, shown
from batchpol.model.errors import InputError, UsageError
from batchpol.model.settings import Reading
from batchpol.policy import reader as grammar
from batchpol.policy.text import quoted, strings
from batchpol.source import Source, open_source
from batchpol.source.fields import OURS, Layout, Names, folded
from batchpol.source.rules import MAX_LINE, TEMPLATE_EMPTY, TEMPLATE_NAME, TEMPLATE_UNKNOWN

OF_THE_RECORD = ("identity", "identity_arn", "domain", "account", "region", "partition", "policy_name")
"""Names that every record has, besides its columns. ``identity`` is the bare domain or address, ``domain`` what
stands behind its ``@``; account and Region are the record's, else the run's."""

SEPARATOR = ";"
"""Between the items of a cell that becomes a list by ``{{column[]}}``."""


class _Slot(NamedTuple):
    """A placeholder: whose value stands there, and whether as a list."""

    name: str
    is_list: bool


_Pieces = tuple[str | _Slot, ...]
_SLOT = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def _pieces(text: str) -> _Pieces:
    """Text and placeholders in turn; raises ValueError for one that is not closed or names nothing."""
    found: list[str | _Slot] = []
    for place, part in enumerate(_SLOT.split(text)):
        if place % 2:
            name = part.strip()
            is_list = name.endswith("[]")
            name = name[:-2].strip() if is_list else name
            if not name:
                raise ValueError("a placeholder without a name")
            found.append(_Slot(name, is_list))
        elif "{{" in part:
            raise ValueError("a placeholder that is not closed by }}")
        elif part:
            found.append(part)
    return tuple(found)


def slots_in(text: str) -> list[str]:
    """The names of a text's placeholders. Raises ValueError for one that is none."""
    return [slot.name for slot in _slots(_pieces(text))]


def _slots(pieces: Iterable[str | _Slot]) -> Iterable[_Slot]:
    return (piece for piece in pieces if isinstance(piece, _Slot))


@dataclass(frozen=True, slots=True)
class Template:
    """What makes the policy, the policy's name, or both, of records that do not have their own.

    ``names`` are those of the input's columns, and ``variables`` have one value for all records. With
    ``names.templates`` a record's own policy is filled in, too.
    """

    document: tuple[str | _Pieces, ...] | None = None
    """The template's text between its strings with placeholders, and these."""
    name: _Pieces | None = None
    file: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    names: Names = OURS

    @classmethod
    def of(cls, reading: Reading) -> Template | None:
        """A template from a file (or, of a program, its parsed document) and from a pattern for names; None of none.

        Raises:
            InputError: the file cannot be read, or is no JSON object.
            UsageError: a placeholder is none, or there is nothing that a variable could be for.
        """
        policy, policy_name, names = reading.policy_template, reading.policy_name, Names.of(reading.columns)
        document, file, variables = None, "", _variables(reading.variables)
        if isinstance(policy, Mapping):
            document, file = _compiled(json.dumps(policy, ensure_ascii=False), "the template"), "the template"
        elif policy is not None:
            file = os.fsdecode(policy)
            document = _compiled(_read(Path(file)), file)
        name = None
        if policy_name is not None:
            try:
                name = _pieces(policy_name)
            except ValueError as error:
                raise UsageError(f"`policy_name` {shown(policy_name)}: {error}") from error
            if any(slot.is_list for slot in _slots(name)):
                raise UsageError(f"`policy_name` {shown(policy_name)}: a name is no list", hint="leave the [] out")
        if document or name or names.templates:
            return cls(document, name, file, variables, names)
        if variables:
            hint = "give `policy_template`, `policy_name` or `columns='template=COLUMN'`, or leave it out"
            raise UsageError("`variables` fills templates in, and there is none", hint=hint)
        return None

    @property
    def placeholders(self) -> set[str]:
        """Every name that a placeholder has."""
        parts = [part for part in self.document or () if isinstance(part, tuple)]
        return {slot.name for part in (*parts, self.name or ()) for slot in _slots(part)}

    def check(self, columns: Iterable[str]) -> None:
        """Find out from a table's header that no placeholder can be filled.

        Raises:
            InputError: names the columns there are.
        """
        said = [column for field, column in self.names.given.items() if field in OF_THE_RECORD]
        known = [*columns, *said, *OF_THE_RECORD, *self.variables]
        if twice := next((it for it in columns if folded(it) in self.variables), None):
            raise InputError(_twice(twice), hint=_RENAME)
        if unknown := sorted(name for name in self.placeholders if folded(name) not in map(folded, known)):
            what = ", ".join(f"{{{{{excerpt(name)}}}}}" for name in unknown)
            raise InputError(
                f"{self.file or '`policy_name`'}: {what} is no column of the input, which has {_listed(known)}",
                hint=did_you_mean(unknown[0], known) or f"rename it, or say what it is: `variables={unknown[0]}=VALUE`",
            )

    def doubts(self, table: Layout) -> list[str]:
        """A note where a table has a column of its own for what the template makes, or is taken to mean."""
        made = {"policy": self.document is not None, "policy_name": self.name is not None}
        meant = {name.casefold() for name in self.placeholders} & set(OF_THE_RECORD)
        hidden = [name for name, _ in table.extra if name.casefold() in meant]
        return [
            f"the column {shown(table.spelled[known])} is taken for the {known.replace('_', ' ')}: where it is filled "
            "it comes first, before what the template makes; to have that everywhere, rename the column"
            for known, is_made in made.items()
            if is_made and known in table.spelled
        ] + [
            f"{{{{{name}}}}} is the record's own, not what the column {name} says; to mean that, rename the column"
            for name in hidden
        ]

    def filler(self, run: Target) -> Callable[[Record], Record]:
        """What gives a record its policy and name; ``run`` is the target of records that name none."""
        return lambda record: self.fill(record, run)

    def fill(self, record: Record, run: Target) -> Record:
        """The record with its policy and its name made; what it has of its own stays, and a delete needs no policy.

        What cannot be filled becomes a problem of the record.
        """
        if any(problem.severity is Severity.ERROR for problem in record.problems):
            return record
        is_put = record.action.strip().lower() in ("put", "")
        makes_name = self.name is not None and not record.policy_name
        document = self.document if is_put and not record.policy.strip() else None
        if is_put and document is None and self.names.templates:
            try:
                document = _own(record.policy)
            except UsageError as error:
                problem = TEMPLATE_NAME.at("policy", str(error), error.hint)
                return replace(record, problems=(*record.problems, problem))
        if not makes_name and document is None:
            return record
        values, name = _Values(record, run, self), record.policy_name
        if makes_name:
            name = values.name = values.joined(self.name or (), "policy_name")
        policy = record.policy if document is None else values.filled(document)
        return replace(record, policy_name=name, policy=policy, problems=(*record.problems, *values.problems))


def open_input(
    path: str | os.PathLike[str], reading: Reading, template: Template | None = None, *, digest: bool = True
) -> Source:
    """Open an input of which a template (that of ``reading``) makes the policies or names that its records do not have.

    The template is only checked against a table's header here; whoever knows the run's target fills it. Errors are
    those of :func:`batchpol.source.open_source` and :meth:`Names.of`.
    """
    template = template or Template(names=Names.of(reading.columns))
    source = open_source(
        path,
        format=reading.format,
        names=template.names,
        policy_required=template.document is None,
        name_required=template.name is None,
        digest=digest,
    )
    if source.layout is not None:
        try:
            template.check(source.columns)
        except BaseException:
            source.close()
            raise
        source.notes += template.doubts(source.layout)
    return source


def read_text(path: Path) -> str:
    """The text of a file that has one document. Raises InputError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LINE + 1)
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error
    except OSError as error:
        hint = "check the path; a relative one starts at the working directory"
        raise InputError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    if len(content) > MAX_LINE:
        raise InputError(f"{path} is longer than 1 MiB", hint="SES takes a document of 4 KB")
    return text.removeprefix("\ufeff")


def _read(path: Path) -> str:
    text = read_text(path)
    parsed = grammar.parse(text)
    if not parsed.is_json or not isinstance(parsed.value, dict):
        first = next((it for it in parsed.findings if it.severity is Severity.ERROR), None)
        raise InputError(
            f"{path} is no template of a policy: {first.message if first else 'it is no JSON object'}",
            hint=(first.hint if first else "") or 'placeholders stand inside strings: "{{column}}"',
        )
    return grammar.minify(text)


def _variables(pairs: Iterable[str]) -> dict[str, str]:
    """Values by name, of ``name=value``."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = folded(name)
        if not name or not equals or re.search(r"[{}\[\]]", name):
            raise UsageError(
                f"`variables` takes NAME=VALUE, not {shown(pair)}", hint="for instance `variables=env=prod`"
            )
        if name in OF_THE_RECORD:
            hint = "give the variable another name, in the template too"
            raise UsageError(f"{{{{{name}}}}} is each record's own, and no variable", hint=hint)
        if found.setdefault(name, value) != value:
            raise UsageError(f"`variables` says two things of {name}: {shown(found[name])} and {shown(value)}")
    return found


_RENAME = "rename one of them: a placeholder has one meaning"


def _twice(name: str) -> str:
    return f"{{{{{excerpt(name)}}}}} is a column of the input, and a variable too"


@lru_cache(64)
def _own(text: str) -> tuple[str | _Pieces, ...] | None:
    """A record's own policy as a template; None if it has no placeholder, or is no JSON, which its check will say."""
    if "{{" not in text:
        return None
    parsed = grammar.parse(text)
    return _compiled(grammar.minify(text), "policy") if parsed.is_json and isinstance(parsed.value, dict) else None


def _compiled(text: str, file: str) -> tuple[str | _Pieces, ...]:
    parts: list[str | _Pieces] = []
    at = 0
    for string in strings(text):
        try:
            pieces = _pieces(string.value)
        except ValueError as error:
            raise UsageError(f"{file}: {shown(string.value)} has {error}", hint="write {{column}}") from error
        slots = list(_slots(pieces))
        if not slots:
            continue
        if any(slot.is_list for slot in slots) and (string.is_key or len(pieces) > 1):
            raise UsageError(
                f"{file}: {shown(string.value)} mixes a list with other text",
                hint='a string that becomes a list is exactly "{{column[]}}"',
            )
        parts += [text[at : string.start], pieces]
        at = string.end
    return (*parts, text[at:])


def _items(cell: str) -> list[str]:
    """The items of a cell: a JSON list of texts (JSON Lines has them), or what stands between separators."""
    if cell.startswith("["):
        try:
            return msgspec.json.decode(cell, type=list[str])
        except msgspec.DecodeError:
            pass
    return [item.strip() for item in cell.split(SEPARATOR) if item.strip()]


def _listed(names: list[str]) -> str:
    return ", ".join(excerpt(name) for name in names[:40]) + (", ..." if len(names) > 40 else "")


_NEEDS = {
    "account": ("account",),
    "region": ("Region",),
    "partition": ("Region",),
    "identity_arn": ("account", "Region"),
}
"""What must be known of a record's target for these names."""


class _Values:
    """What the placeholders of one record stand for, and what was wrong with them."""

    def __init__(self, record: Record, run: Target, template: Template) -> None:
        self._record, self._template, self.name = record, template, record.policy_name
        self._identity, _ = identity.read_identity(record.identity)
        self._account = self._identity.account or (record.account or "").strip() or run.account
        self._region = self._identity.region or (record.region or "").strip() or run.region
        self._columns: dict[str, str] | None = None
        self.problems: list[Finding] = []

    def filled(self, document: tuple[str | _Pieces, ...]) -> str:
        """The document's text."""
        return "".join(part if isinstance(part, str) else self._string(part) for part in document)

    def _string(self, pieces: _Pieces) -> str:
        first = pieces[0]
        if isinstance(first, _Slot) and first.is_list:
            return "[" + ",".join(map(quoted, _items(self.value(first.name, "policy")))) + "]"
        return quoted(self.joined(pieces, "policy"))

    def joined(self, pieces: _Pieces, where: str) -> str:
        """Text with its placeholders filled."""
        return "".join(it if isinstance(it, str) else self.value(it.name, where) for it in pieces)

    def value(self, name: str, where: str) -> str:
        """The value of one placeholder; what has none is noted, and is empty."""
        said = self._template.names.field_said(name)
        name = said if said in OF_THE_RECORD else name
        try:
            found = self._of_the_record(name.casefold())
        except LookupError:
            found = None
        if found is None:
            found, common = self._column(name), self._template.variables.get(folded(name))
            if found is not None and common is not None:
                self._note(TEMPLATE_NAME.at(where, _twice(name), _RENAME))
            found = common if found is None else found
        if found is None:
            known = [*self._record.extra, *OF_THE_RECORD, *self._template.variables]
            message = f"{{{{{excerpt(name)}}}}} is no column of this record, which has {_listed(known)}"
            self._note(TEMPLATE_NAME.at(where, message, did_you_mean(name, known)))
            return ""
        faults = self._faults(name.casefold())
        for fault in faults:
            self._note(fault)
        if not faults and not found.strip():
            if name.casefold() in _NEEDS:
                missing = self._missing(name.casefold())
                message = f"The template needs the {missing}, and neither the record nor the run says it"
                hint = "say it with `account` and `region`, or in columns account and region"
                self._note(TEMPLATE_UNKNOWN.at(where, message, hint))
            elif self._identity.name or name.casefold() not in ("identity", "domain"):
                self._note(TEMPLATE_EMPTY.at(where, f"{{{{{excerpt(name)}}}}} is empty in this record"))
        return found

    def _faults(self, name: str) -> list[Finding]:
        """What is wrong with the columns that a name is made of: said instead of what follows from it."""
        cells = {
            "account": ("account", "" if self._identity.account else self._record.account),
            "Region": ("region", "" if self._identity.region else self._record.region),
        }
        found = [fault for need in _NEEDS.get(name, ()) for fault in identity.check_cell(*cells[need])]
        return [fault for fault in found if fault.severity is Severity.ERROR]

    def _note(self, finding: Finding) -> None:
        if finding not in self.problems:
            self.problems.append(finding)

    def _missing(self, name: str) -> str:
        """What it takes to know the value of this name: the account, the Region, or both."""
        have = {"account": self._account, "Region": self._region}
        return " and the ".join(word for word in _NEEDS[name] if not have[word]) or "Region (this one has no partition)"

    def _of_the_record(self, name: str) -> str | None:
        bare = self._identity.name
        partition = self._identity.partition or identity.partition_of(self._region)
        match name:
            case "identity":
                return bare
            case "domain":
                return bare.rpartition("@")[2].lower()
            case "account":
                return self._account
            case "region":
                return self._region
            case "partition":
                return partition
            case "policy_name":
                return self.name
            case "identity_arn" if self._account and self._region and partition:
                return identity.arn_of(partition, self._region, self._account, bare)
            case "identity_arn":
                return ""
        return None

    def _column(self, name: str) -> str | None:
        extra = self._record.extra
        if name in extra:
            return extra[name]
        if self._columns is None:
            self._columns = {folded(key): value for key, value in extra.items()}
        return self._columns.get(folded(name))
