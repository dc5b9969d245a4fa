"""Records that come from a program, not from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from numbers import Integral
from typing import Any

from msgspec.structs import replace

from batchpol.model import Finding, Record, is_account_id, shown
from batchpol.model.mends import account_mend
from batchpol.source.fields import OURS, Names, missing_fields
from batchpol.source.policyfile import PREFIX, named_file
from batchpol.source.rules import FIELD, POLICY_FILE, REPEATED

_FIELDS = ("identity", "policy_name", "policy", "action", "region", "account")


def as_record(
    item: Record | Mapping[str, Any], number: int, *, names: Names = OURS, name_required: bool = True
) -> Record:
    """A record from a :class:`Record` or a mapping with our keys or boto3's.

    A policy given as a mapping is written as compact JSON in its own order; given as text, it stays as it is. What
    is wrong with the item becomes the record's problems, so that one bad item does not end the others; a Record whose
    fields are not what they are declared to be counts as a mapping.

    Args:
        item: the record.
        number: its 0-based place among the others; ``number + 1`` stands for its line.
        names: which keys stand for which fields.
        name_required: whether it needs a policy name (it does not if a template makes one).

    Raises:
        TypeError: ``item`` is neither a Record nor a mapping.
    """
    if isinstance(item, Record):
        if _is_typed(item):
            return item if item.line else replace(item, line=number + 1)
        more = item.extra if isinstance(item.extra, Mapping) else {}
        return as_record({**more, **{it: getattr(item, it) for it in _FIELDS}}, number)
    if not isinstance(item, Mapping):
        raise TypeError(f"a record is a batchpol.Record or a mapping, not {type(item).__name__}")
    problems: list[Finding] = []
    keys = [key for key in item if isinstance(key, str)]
    if (pair := names.repeated(keys)) is not None:
        message = f"{shown(pair[0])} and {shown(pair[1])} are both given"
        problems.append(REPEATED.at(names.field_of(pair[0]) or "record", message, "keep one"))
    found, extra = _parted(item, names)
    needed = ("identity", "policy_name") if name_required else ("identity",)
    problems += missing_fields(found, extra, needed)
    problems += [
        FIELD.at(known, f"there is no key {names.column_of(known)}", "`columns` names it; without a value it is None")
        for known in names.absent(keys)
        if known not in needed or known in found
    ]
    texts = {known: _text_of(known, value, problems) for known, value in found.items()}
    return Record(
        texts.get("identity", ""),
        texts.get("policy_name", ""),
        texts.get("policy", ""),
        texts.get("action") or "put",
        texts.get("region") or None,
        texts.get("account") or None,
        number + 1,
        "",
        extra,
        tuple(problems),
    )


def _parted(item: Mapping[Any, Any], names: Names) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of our fields, as they were given, and the others as text."""
    found: dict[str, Any] = {}
    extra: dict[str, str] = {}
    for key, value in item.items():
        known = names.field_of(key) if isinstance(key, str) else None
        if known is None:
            extra[str(key)] = "" if _is_missing(value) else _as_text(value)
        elif not _is_missing(value):
            found.setdefault(known, value)
    return found, extra


def _is_typed(record: Record) -> bool:
    """Whether the fields of a record that a program made are what they are declared to be."""
    texts = record.identity, record.policy_name, record.policy, record.action
    places = record.region, record.account
    return (
        all(isinstance(it, str) for it in texts)
        and all(it is None or isinstance(it, str) for it in places)
        and isinstance(record.extra, Mapping)
        and isinstance(record.line, int)
    )


def _text_of(known: str, value: Any, problems: list[Finding]) -> str:
    if isinstance(value, str):
        # A str subclass (an enum, say) counts as its text.
        text = str.__str__(value)
        if known == "policy" and (text.startswith(PREFIX) or named_file(text) is not None):
            hint = "give the document itself; file:// is for input files"
            problems.append(POLICY_FILE.at("policy", f"{shown(text)} has no folder to be looked up in", hint))
        return text
    if known == "policy" and isinstance(value, Mapping | list):
        try:
            return _compact(value)
        except (TypeError, ValueError, RecursionError) as error:
            problems.append(FIELD.at("policy", f"policy cannot be written as JSON: {error}"))
            return ""
    hint = ""
    if known == "account" and isinstance(value, int | float | Integral) and not isinstance(value, bool):
        # As the file reader takes a number; one that a column with gaps made a float has lost nothing.
        text = f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
        if is_account_id(text):
            return text
        hint = account_mend(text) or 'write it as text of 12 digits ("012345678901"): a number loses its leading zeros'
    wanted = "a mapping, or text" if known == "policy" else "text"
    problems.append(FIELD.at(known, f"{known} is {_kind(value)}; it must be {wanted}", hint))
    return ""


def _is_missing(value: Any) -> bool:
    """Whether this is no value: None, or what libraries of tables put into an empty cell (NaN, NaT, NA)."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | Decimal) and value != value


def _kind(value: Any) -> str:
    return f"of type {type(value).__name__}"


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if value is None:
        return ""
    try:
        return _compact(value)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_mapping)


def _mapping(value: Any) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__}")
