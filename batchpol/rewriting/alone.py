"""A policy by itself, or a template of policies, as a record that can be checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from batchpol import identity
from batchpol.model import Finding, Record, Target
from batchpol.model.errors import InputError, UsageError
from batchpol.model.settings import Reading
from batchpol.policy import reader as grammar
from batchpol.policy.text import Text, strings
from batchpol.rewriting.template import OF_THE_RECORD, Template, read_text, slots_in
from batchpol.source import open_source

_EXAMPLE = Target("123456789012", "us-east-1")
"""Where a template's policy is taken to belong if nobody says it."""


@dataclass(frozen=True, slots=True)
class Alone:
    """A document as a record; of a template with something in each placeholder, and ``open`` are the pointers of what
    only a column can say."""

    record: Record
    places: tuple[Text, ...]
    text: str
    open: frozenset[str] = frozenset()

    def said(self, findings: Iterable[Finding]) -> Iterator[tuple[Record, Finding]]:
        """What is found of the document itself, each with its own line; nothing of what we made up around it."""
        for it in findings:
            is_of_it = it.where[:1] in ("/", "") or it.where in ("policy", "record")
            if is_of_it and not any(f"{it.where}/".startswith(f"{at}/") for at in self.open):
                yield replace(self.record, line=self._line(it)), it

    def _line(self, finding: Finding) -> int:
        """Where the element of a finding begins, or else the nearest one around it."""
        if fault := re.match(r"line (\d+), column", finding.message):  # as the reader says where it is no JSON
            return int(fault[1])
        where = finding.where
        while where.startswith("/"):
            if place := next((it for it in self.places if f"{it.pointer}/".startswith(f"{where}/")), None):
                return self.text.count("\n", 0, place.start) + 1
            where = where.rpartition("/")[0]
        return 1


def read_alone(path: str, run: Target) -> Alone:
    """A file with one policy, or with a template of policies; ``run`` is the account and Region, as far as known.

    A policy is held against the identity that its own ``Resource`` names.

    Raises:
        InputError: it cannot be read, or has a placeholder that is none.
    """
    text = read_text(Path(path))
    if text.lstrip().startswith("["):
        open_source(path).close()  # which says how a list of records is given
    if not grammar.parse(text).is_json:
        return Alone(Record("", "", text, line=1, file=path), (), text)
    places = tuple(strings(text))
    document, open_ = _filled(path, text, places, run) if "{{" in text else (text, frozenset())
    resource = next((it.value for it in strings(document) if it.path[-1:] == ("Resource",) and not it.is_key), "")
    named, _ = identity.read_identity(resource)
    account, region = run.account or named.account, run.region or named.region
    record = Record(named.name if named.account else "", "", document, "put", region, account, 1, path)
    return Alone(record, places, text, open_)


def _filled(path: str, text: str, places: tuple[Text, ...], run: Target) -> tuple[str, frozenset[str]]:
    """The policy that a template makes with something in each placeholder, and the pointers of what is left open."""
    columns = dict[str, str]()
    try:
        template = Template.of(Reading(policy_template=Path(path))) or Template()
        for it in places:
            is_action = bool({"Action", "NotAction"} & {*it.path})
            columns |= {name: "ses:SendEmail" if is_action else f"x{len(columns)}" for name in _left(it.value)}
    except UsageError as error:
        raise InputError(str(error), hint=error.hint) from error
    known = Target(run.account or _EXAMPLE.account, run.region or _EXAMPLE.region)
    document = template.fill(Record("example.com", "", extra=columns), known).policy or text
    filled = strings(document)
    return document, frozenset(
        it.pointer for pair in zip(places, filled, strict=True) for it in pair if _left(pair[0].value)
    )


def _left(text: str) -> list[str]:
    """The placeholders of a string that only a column can fill."""
    return [name for name in slots_in(text) if name.casefold() not in OF_THE_RECORD]
