"""The plan: what a change would do against what is there, how two documents differ, and how to go back.

Two documents have the same meaning when their canonical forms are equal. The canonical form is itself a policy of
the same meaning, in one spelling. Claiming "unchanged" wrongly leaves an unwanted grant in place; claiming "changed"
wrongly costs one write. So only what is certain counts as equal, and everything doubtful as different:

====================================================  ==========================================================
the same                                              why
====================================================  ==========================================================
whitespace, order of keys, ``\\u0041`` and ``A``       JSON; SES strips whitespace from what it stores
one statement and a list of it; one string and        IAM's grammar has both for Statement, actions, resources,
a list of it                                          principals and condition values, and for nothing else
order and repetition of actions, resources,           they are sets: any of them matches
principals of a kind, values of a condition key
order of statements (not their number)                evaluation is "any Deny, else any Allow"
account id and that account's root ARN                SES hands the one back for the other
``SES:`` and ``ses:`` before an action                both are in AWS's documentation and in use
``true`` and ``"true"`` under ``Bool`` and ``Null``,  IAM's grammar: quotes are optional there
``1`` and ``"1"`` under ``Numeric…``
====================================================  ==========================================================

Different, among others: ``"*"`` and ``{"AWS": "*"}`` as principals (some services tell them apart), the case of an
action's name, a Version and none, an empty Sid or Condition and none, ``1`` and ``1.0``, lists under elements and
operators that IAM does not know. A text that is not one plain JSON object (broken, a key twice, deeper than any
policy) has no other spelling: it is equal to itself only.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from json.encoder import encode_basestring as _quote
from typing import Any, Final, NoReturn

from batchpol.model import ACCOUNT_ID, Action, Status, visible

ABSENT: Final = "absent"
"""What ``if_match`` says where no policy must be there."""

MOST_PATHS: Final = 5
"""Changes that :func:`changed_paths` names before it only counts."""

_EXPECTED = rf"\s*(?:{ABSENT}|[0-9a-f]{{64}})\s*"
_IF_MATCH = re.compile(rf"{_EXPECTED}(?:,{_EXPECTED})*")

_DEEPEST: Final = 32
"""Levels of nesting that are compared by meaning; a policy needs six."""

_WIDEST: Final = 100
"""Characters of one value in a line of :func:`changed_paths`."""


# -- what a change would do ------------------------------------------------------------------------------------


class Effect(StrEnum):
    """What a change would do against what is there."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    """Nothing: the document there has the asked meaning, or what is to be deleted is not there."""
    DELETE = "delete"


def effect(action: Action, asked: str, present: str | None) -> Effect:
    """What ``action`` with the document ``asked`` would do where ``present`` is (None: no policy of this name)."""
    if action is Action.DELETE:
        return Effect.UNCHANGED if present is None else Effect.DELETE
    if present is None:
        return Effect.CREATE
    return Effect.UNCHANGED if same_meaning(present, asked) else Effect.UPDATE


def same_meaning(a: str, b: str) -> bool:
    """Whether two policy documents certainly mean the same (see the module's table). Never raises."""
    return a == b or _canonical(a) == _canonical(b)


def meaning_digest(text: str) -> str:
    """SHA-256, in hex, of a document's canonical form: equal for two texts just if :func:`same_meaning` holds."""
    # A text of surrogates cannot come from SES or from a file, but must not raise either.
    return hashlib.sha256(_canonical(text).encode("utf-8", "surrogatepass")).hexdigest()


# -- the way back ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Restore:
    """A record that takes a change back.

    ``document`` is empty for a delete. ``if_match`` says what must be there for the record to be carried out: a
    :func:`meaning_digest`, or :data:`ABSENT`.
    """

    action: Action
    document: str
    if_match: str


def undo(action: Action, document: str, before: str | None, status: Status) -> Restore | None:
    """The record that takes back what a record did to one policy, or None where there is nothing to take back.

    Args:
        action: what the record asked for.
        document: what it put; ignored for a delete.
        before: what was there before the first write (None: no policy of this name). Where several records of a
            journal wrote one policy this is the earliest before-image, and the other arguments are of the last
            record. Not for records whose before-image was never read.
        status: the record's fate. An ``unknown`` one may have taken effect, so it is taken back too: where it did
            not, what is there already means what is asked, which is looked at before ``if_match`` is.
    """
    if status not in (Status.APPLIED, Status.UNKNOWN):
        return None
    left = document if action is Action.PUT else None
    if before is None:
        return None if left is None else Restore(Action.DELETE, "", meaning_digest(left))
    if left is None:
        return Restore(Action.PUT, before, ABSENT)
    return None if same_meaning(before, left) else Restore(Action.PUT, before, meaning_digest(left))


def matches(if_match: str, present: str | None) -> bool:
    """Whether what is there (None: no policy of this name) is what a record's ``if_match`` expects.

    Several expectations are separated by commas, as in HTTP's header of that name; one of them is enough.
    """
    there = ABSENT if present is None else meaning_digest(present)
    return any(expected.strip() == there for expected in if_match.split(","))


def well_formed(if_match: str) -> bool:
    """Whether an ``if_match`` says what :func:`matches` could ever find."""
    return _IF_MATCH.fullmatch(if_match) is not None


# -- how two documents differ ----------------------------------------------------------------------------------


def diff(present: str, asked: str) -> list[str]:
    """A unified diff of two documents for people; empty just if they have the same meaning. Never raises.

    Where both say the same in two spellings or orders, both are shown as ``asked`` has it, so that every line
    marked is a real difference. Documents are shown with an indent of 2 and **without the commas between
    entries**, which would mark the line above an added one. What is not plain JSON is shown as it is written.
    Whatever a terminal could interpret is escaped.
    """
    if same_meaning(present, asked):
        return []
    old, new = present.split("\n"), asked.split("\n")
    both = _read_both(present, asked)
    if both:
        old = list(_lines(_DOCUMENT.aligned(*both)))
        new = list(_lines(both[1]))
    return [visible(line, json.dumps) for line in difflib.unified_diff(old, new, "present", "asked", lineterm="")]


def document_lines(text: str) -> list[str]:
    """A document over several lines, as :func:`diff` shows it. Never raises."""
    try:
        found: Iterable[str] = _lines(_read(text))
    except (ValueError, RecursionError):
        found = text.split("\n")
    return [visible(line, json.dumps) for line in found]


def changed_paths(present: str, asked: str) -> list[str]:
    """What differs, a line each, empty just if the two have the same meaning. Never raises.

    A line is a JSON pointer and what happens there: ``+`` a value that is asked for, ``-`` one that goes, or
    ``old -> new``. Statements are counted as in ``asked``. After :data:`MOST_PATHS` lines the rest is counted.
    """
    if same_meaning(present, asked):
        return []
    both = _read_both(present, asked)
    if both is None:
        return ["(document): the texts differ, and not both are plain JSON objects"]
    found = [visible(line, json.dumps) for line in _DOCUMENT.changes("", *both)]
    more = len(found) - MOST_PATHS
    return found if more <= 0 else [*found[:MOST_PATHS], f"… and {more} more"]


def _read_both(present: str, asked: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    try:
        return _read(present), _read(asked)
    except (ValueError, RecursionError):
        return None


def _lines(value: Any, key: str = "", indent: str = "") -> Iterator[str]:
    """A value over as many lines as it has entries, without commas."""
    if not value or not isinstance(value, dict | list):
        yield f"{indent}{key}{_spelled(value)}"
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield indent + key + opening
    inner = indent + "  "
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from _lines(entry, f"{_quote(name)}: ", inner)
    else:
        for entry in value:
            yield from _lines(entry, "", inner)
    yield indent + closing


def _shown(value: Any) -> str:
    text = _spelled(value, 2 * _DEEPEST)  # a place of the document may itself hold the deepest that is compared
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


# -- reading ---------------------------------------------------------------------------------------------------


class _Number(str):
    """A JSON number as it is spelled: nothing is rounded, and no length is too long."""

    __slots__ = ()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice: which one counts is for the reader to choose")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant
).decode


def _read(text: str) -> dict[str, Any]:
    """The document's value. Raises ValueError or RecursionError for what is not compared by meaning."""
    value = _decode(text)
    if type(value) is not dict:
        raise ValueError("not an object")
    _DOCUMENT.canonical(value)  # raises for what is too deep
    return value


def _canonical(text: str) -> str:
    """The one spelling of a document's meaning; a text that is not compared by meaning is its own."""
    try:
        value = _decode(text)
        return _DOCUMENT.canonical(value) if type(value) is dict else text
    except (ValueError, RecursionError):
        return text


def _spelled(value: Any, room: int = _DEEPEST) -> str:
    """A value's JSON text: keys sorted, all else as it is. Raises ValueError beyond ``room`` levels."""
    kind = type(value)
    if kind is str:
        return _quote(value)
    if kind is _Number:
        return str(value)
    if room == 0:
        raise ValueError("deeper than any policy")
    if kind is dict:
        return "{" + ",".join([f"{_quote(key)}:{_spelled(value[key], room - 1)}" for key in sorted(value)]) + "}"
    if kind is list:
        return "[" + ",".join([_spelled(entry, room - 1) for entry in value]) + "]"
    return "null" if value is None else "true" if value else "false"


# -- shapes: what each place of a document may be spelled like -------------------------------------------------


class _Exact:
    """A place that has one spelling, but for the order of keys; the other shapes fall back to it."""

    def canonical(self, value: Any) -> str:
        """JSON text of the same meaning as ``value`` at this place, the same for every spelling of it."""
        return _spelled(value)

    def aligned(self, present: Any, asked: Any) -> Any:
        """``present``, its meaning kept, spelled and ordered as ``asked`` is as far as both say the same."""
        return asked if self.canonical(present) == self.canonical(asked) else present

    def changes(self, at: str, present: Any, asked: Any) -> Iterator[str]:
        """Lines of :func:`changed_paths` for this place, whose pointer is ``at``."""
        if self.canonical(present) != self.canonical(asked):
            yield f"{at}: {_shown(present)} -> {_shown(asked)}"


class _Members(_Exact):
    """A set of scalars, written as a list or as its only member.

    ``spell`` gives a member's canonical JSON text, or an empty one for what cannot be a member.
    """

    def __init__(self, spell: Callable[[Any], str]) -> None:
        self._spell = spell

    def canonical(self, value: Any) -> str:
        if type(value) is not list:
            text = self._spell(value)
            return f"[{text}]" if text else _spelled(value)
        texts = set(map(self._spell, value))
        return _spelled(value) if "" in texts else f"[{','.join(sorted(texts))}]"

    def aligned(self, present: Any, asked: Any) -> Any:
        old, new = self._by_text(present), self._by_text(asked)
        if old is None or new is None:
            return super().aligned(present, asked)
        kept = [entry for entry in _listed(asked) if self._spell(entry) in old]
        gone = [entry for text, entry in old.items() if text not in new]
        together = kept + gone
        return together if len(together) != 1 or type(asked) is list else together[0]

    def changes(self, at: str, present: Any, asked: Any) -> Iterator[str]:
        old, new = self._by_text(present), self._by_text(asked)
        if old is None or new is None:
            yield from super().changes(at, present, asked)
            return
        gone = [_shown(entry) for text, entry in old.items() if text not in new]
        come = [_shown(entry) for text, entry in new.items() if text not in old]
        if len(gone) == len(come) == 1:
            yield f"{at}: {gone[0]} -> {come[0]}"
            return
        yield from (f"{at}: - {entry}" for entry in gone)
        yield from (f"{at}: + {entry}" for entry in come)

    def _by_text(self, value: Any) -> dict[str, Any] | None:
        """Members by canonical text, in order; None for what is not a set of them."""
        found: dict[str, Any] = {}
        for entry in _listed(value):
            text = self._spell(entry)
            if not text:
                return None
            found.setdefault(text, entry)
        return found


class _Object(_Exact):
    """An object: the shapes of the entries under the keys it knows, and of all the others."""

    def __init__(self, known: Mapping[str, _Exact], others: _Exact) -> None:
        self._known, self._others = known, others

    def canonical(self, value: Any) -> str:
        if type(value) is not dict:
            return _spelled(value)
        known, others = self._known, self._others
        entries = [f"{_quote(key)}:{known.get(key, others).canonical(value[key])}" for key in sorted(value)]
        return f"{{{','.join(entries)}}}"

    def aligned(self, present: Any, asked: Any) -> Any:
        if type(present) is not dict or type(asked) is not dict:
            return super().aligned(present, asked)
        both = {key: self._under(key).aligned(present[key], asked[key]) for key in asked if key in present}
        return both | {key: present[key] for key in present if key not in asked}

    def changes(self, at: str, present: Any, asked: Any) -> Iterator[str]:
        if type(present) is not dict or type(asked) is not dict:
            yield from super().changes(at, present, asked)
            return
        for key in asked | present:
            inner = f"{at}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in present:
                yield f"{inner}: + {_shown(asked[key])}"
            elif key not in asked:
                yield f"{inner}: - {_shown(present[key])}"
            else:
                yield from self._under(key).changes(inner, present[key], asked[key])

    def _under(self, key: str) -> _Exact:
        return self._known.get(key, self._others)


class _Statements(_Exact):
    """One statement or a list of them, in any order. How often one stands there is kept: it costs nothing."""

    def canonical(self, value: Any) -> str:
        statements = _listed(value)
        if not _all_objects(statements):
            return _spelled(value)
        return f"[{','.join(sorted(map(_STATEMENT.canonical, statements)))}]"

    def aligned(self, present: Any, asked: Any) -> Any:
        old, new = _listed(present), _listed(asked)
        if not _all_objects(old) or not _all_objects(new):
            return super().aligned(present, asked)
        partner = _partners(old, new)
        together = [_STATEMENT.aligned(old[i], new[j]) for j, i in sorted(partner.items())]
        taken = set(partner.values())
        together += [statement for i, statement in enumerate(old) if i not in taken]
        return together if len(together) != 1 or type(asked) is list else together[0]

    def changes(self, at: str, present: Any, asked: Any) -> Iterator[str]:
        old, new = _listed(present), _listed(asked)
        if not _all_objects(old) or not _all_objects(new):
            yield from super().changes(at, present, asked)
            return
        partner = _partners(old, new)
        for j, statement in enumerate(new):
            inner = f"{at}/{j}" if type(asked) is list else at
            if j in partner:
                yield from _STATEMENT.changes(inner, old[partner[j]], statement)
            else:
                yield f"{inner}: + {_shown(statement)}"
        taken = set(partner.values())
        yield from (f"{at}: - {_shown(statement)}" for i, statement in enumerate(old) if i not in taken)


def _listed(value: Any) -> list[Any]:
    return value if type(value) is list else [value]


def _all_objects(values: list[Any]) -> bool:
    return all(type(value) is dict for value in values)


def _partners(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> dict[int, int]:
    """Which old statement each new one comes from, as new index to old index.

    That is one of its meaning, else of its Sid, else the first that is left.
    """
    partner: dict[int, int] = {}
    left = list(range(len(old)))
    for key in (_STATEMENT.canonical, _sid, lambda _: "any"):
        waiting: defaultdict[str, deque[int]] = defaultdict(deque)
        for i in left:
            waiting[key(old[i])].append(i)
        for j, statement in enumerate(new):
            if j not in partner and waiting[key(statement)]:
                partner[j] = waiting[key(statement)].popleft()
        taken = set(partner.values())
        left = [i for i in left if i not in taken]
    return partner


def _sid(statement: dict[str, Any]) -> str:
    return _spelled(statement.get("Sid"))


# -- members: the canonical JSON text of one scalar, or none ---------------------------------------------------

# The partition is not compared: an account is in one, and SES refuses a root ARN of another.
_ROOT = re.compile(rf"arn:aws(?:-[a-z0-9]+)*:iam::({ACCOUNT_ID}):root")


def _string(value: Any) -> str:
    return _quote(value) if type(value) is str else ""


def _action(value: Any) -> str:
    if type(value) is not str:
        return ""
    return _quote("ses:" + value[4:] if value[:4].lower() == "ses:" else value)


def _aws_principal(value: Any) -> str:
    if type(value) is not str:
        return ""
    root = _ROOT.fullmatch(value)
    return f'"{root[1]}"' if root else _quote(value)


def _condition_value(value: Any) -> str:
    if type(value) is str:
        return _quote(value)
    return _spelled(value) if isinstance(value, _Number | bool) else ""


def _flag(value: Any) -> str:
    return f'"{_spelled(value)}"' if type(value) is bool else _condition_value(value)


def _quantity(value: Any) -> str:
    return f'"{value}"' if type(value) is _Number else _condition_value(value)


# -- the places of a policy document ---------------------------------------------------------------------------

_EXACT = _Exact()
_STRINGS = _Members(_string)
_ACTIONS = _Members(_action)
_TEXT_FIELDS = _Object({}, _Members(_condition_value))
_FLAG_FIELDS = _Object({}, _Members(_flag))
_QUANTITY_FIELDS = _Object({}, _Members(_quantity))

_COMPARISONS = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
_OPERATORS: Mapping[str, _Exact] = {
    **dict.fromkeys(("StringEquals", "StringNotEquals", "StringLike", "StringNotLike"), _TEXT_FIELDS),
    **dict.fromkeys(("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "BinaryEquals"), _TEXT_FIELDS),
    **dict.fromkeys(("ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"), _TEXT_FIELDS),
    **dict.fromkeys(("IpAddress", "NotIpAddress"), _TEXT_FIELDS),
    **{f"Date{comparison}": _TEXT_FIELDS for comparison in _COMPARISONS},
    **{f"Numeric{comparison}": _QUANTITY_FIELDS for comparison in _COMPARISONS},
    **dict.fromkeys(("Bool", "Null"), _FLAG_FIELDS),
}
_CONDITION = _Object(
    {
        f"{prefix}{operator}{suffix}": fields
        for operator, fields in _OPERATORS.items()
        for prefix in ("", "ForAllValues:", "ForAnyValue:")
        for suffix in ("", "IfExists")
    },
    _EXACT,
)
_PRINCIPAL = _Object({"AWS": _Members(_aws_principal)}, _STRINGS)
_STATEMENT = _Object(
    {
        "Action": _ACTIONS,
        "NotAction": _ACTIONS,
        "Resource": _STRINGS,
        "NotResource": _STRINGS,
        "Principal": _PRINCIPAL,
        "NotPrincipal": _PRINCIPAL,
        "Condition": _CONDITION,
    },
    _EXACT,
)
_DOCUMENT = _Object({"Statement": _Statements()}, _EXACT)
