"""Bounds that a ``Condition`` sets for one key, and whether anything lies between them."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

from batchpol.model import Finding, Rule, Severity, pointer, rules_in, shown
from batchpol.policy.example import example
from batchpol.policy.keys import known_key
from batchpol.policy.operators import read_operator

_WARNING = Severity.WARNING

WINDOW = Rule(
    "condition-window",
    _WARNING,
    "A window that closes before it opens",
    "IAM User Guide, AWS JSON policy elements: Condition operators: all operators of a Condition must hold at once",
    "What must be greater than the one value and less than the other does not exist, so the statement never holds.",
    bad=example(
        Condition={
            "DateGreaterThan": {"aws:CurrentTime": "2030-06-01T00:00:00Z"},
            "DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"},
        }
    ),
    good=example(
        Condition={
            "DateGreaterThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"},
            "DateLessThan": {"aws:CurrentTime": "2030-06-01T00:00:00Z"},
        }
    ),
)
RULES = rules_in(vars())

_NOW = frozenset(("aws:CurrentTime", "aws:EpochTime"))


class _Bound(NamedTuple):
    """One bound, of a date in seconds since 1970: by which value, where, and whether it lies itself within."""

    number: float
    said: Any
    where: str
    is_within: bool


def check_window(condition: dict[str, Any]) -> list[Finding]:
    """Whether there is something between the bounds that the operators set for each key."""
    lower: defaultdict[str, list[_Bound]] = defaultdict(list)
    upper: defaultdict[str, list[_Bound]] = defaultdict(list)
    for name, keys in condition.items():
        base = read_operator(name).name
        sides = lower if "GreaterThan" in base else upper if "LessThan" in base else None
        if sides is None or type(keys) is not dict:
            continue
        for key, values in keys.items():
            right = known_key(key) or key
            # One of the values is enough, so the widest counts.
            widest = min if sides is lower else max
            bounds = [_read(it, pointer(name, key), base) for it in (values if type(values) is list else [values])]
            known = [it for it in bounds if it is not None]
            if known and len(known) == len(bounds):
                sides["" if right in _NOW else right].append(widest(known, key=_number))
    found = []
    for key in [key for key in lower if key in upper]:
        # All operators must hold, so the narrowest counts.
        least, most = max(lower[key], key=_number), min(upper[key], key=_number)
        if most.number < least.number or (most.number == least.number and not (least.is_within and most.is_within)):
            message = f"Nothing is greater than {shown(least.said)} and less than {shown(most.said)}"
            found.append(WINDOW.at(most.where, message))
    return found


def _number(bound: _Bound) -> float:
    return bound.number


def _read(value: Any, where: str, operator: str) -> _Bound | None:
    """A bound; None if it cannot be read as a number, or a date."""
    is_date = operator.startswith("Date") and type(value) is str
    if is_date and value.isdecimal() and len(value) <= 8:
        return None  # a date without hyphens, or seconds
    try:
        return _Bound(float(value), value, where, operator.endswith("Equals"))
    except (TypeError, ValueError, OverflowError):
        if not is_date:
            return None
    try:
        moment = datetime.fromisoformat(value.upper().replace("Z", "+00:00"))
        number = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return _Bound(number, value, where, operator.endswith("Equals"))
