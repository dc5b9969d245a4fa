"""What to write instead of a faulty word or account id: mends that several rooms give."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from batchpol.model import ACCOUNT_ID, is_account_id

_NOTHING = frozenset(
    ("nan", "none", "null", "nil", "nat", "na", "n/a", "#n/a", "<na>", "(null)", "undefined", "-", "--")
)
INVISIBLE = "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
"""Characters without a width: soft hyphen, zero-width ones, direction marks, byte order mark."""
BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    f"\u2028\u2029\u202f\u205f\u3000{INVISIBLE}"
)
"""What a cell without anything may consist of: all of Unicode's white space, and :data:`INVISIBLE`."""
_SEPARATED = re.compile(rf"[0-9\s{INVISIBLE}'\"‘’“”.,_-]*")
_FLOAT = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:[eE]\+?[0-9]{1,2})?")
_IN_ARN = re.compile(rf"(?<![0-9])({ACCOUNT_ID})(?![0-9])")
_SHORTEST_WITH_TWO = 6
"""Letters of a word from which on two of them may be wrong and it is still recognised."""


def is_blank(text: str) -> bool:
    """Whether there is nothing to see in a text."""
    return not text.strip(BLANKS)


def stripped(text: str) -> str:
    """``text`` without blanks of any sort around it."""
    return text.strip(BLANKS)


def is_nothing(text: str) -> bool:
    """Whether this is how a program or a spreadsheet writes an empty cell as a word (``nan``, ``None``, ``#N/A``)."""
    return text.strip().casefold() in _NOTHING


def slip_of(word: str, known: Iterable[str]) -> str:
    """The known word that is at most two letters away (one for a short word), whatever their case; else ``""``.

    A letter too many, too few, another one, or two that changed places count as one.
    """
    low, best, least = word.casefold(), "", 3 if len(word) >= _SHORTEST_WITH_TWO else 2
    for it in sorted(known):
        if abs(len(it) - len(low)) < least and (distance := _distance(low, it.casefold())) < least:
            best, least = it, distance
    return best


def _distance(a: str, b: str) -> int:
    """How many letters have to be changed, added, left out or swapped with the next to make ``a`` into ``b``."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        older, before, row = before, row, [i]
        for j, other in enumerate(b, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (one != other))
            if i > 1 and j > 1 and one == b[j - 2] and a[i - 2] == other:
                least = min(least, older[j - 2] + 1)
            row.append(least)
    return row[-1]


_WORDS = {"true": "true", "false": "false"} | dict.fromkeys(
    ("nan", "-nan", "infinity", "-infinity", "inf", "-inf", "none", "nil", "undefined", "null"), "null"
)


def mend_of_word(word: str) -> str:
    """What JSON has for a word of another language (``NaN``, ``None``, ``True``), or ``""``."""
    return _WORDS.get(word.casefold(), "")


def account_mend(text: str) -> str:
    """What to write instead of something that is no account id of 12 digits, or ``""`` where nobody knows."""
    text = stripped(text[:200])
    if is_account_id(text):
        return f"write {text}"
    number = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    if _FLOAT.fullmatch(number) and not number.isdecimal():
        exact = Decimal(number)
        has_all = len(re.sub(r"[eE].*|\.", "", number)) >= 12 and exact == exact.to_integral_value()
        if has_all and is_account_id(f"{exact:.0f}"):
            return f"write {exact:.0f}"
        return "a spreadsheet rounded it: format the column as text, and write all 12 digits"
    digits = "".join(c for c in text if c in "0123456789")
    if _SEPARATED.fullmatch(text):
        if is_account_id(digits):
            return f"write {digits}"
        if 8 <= len(digits) < 12:
            return f"was it {digits:0>12} before a spreadsheet dropped leading zeros?"
        return ""
    inside = _IN_ARN.search(text)
    return f"write {inside[1]}" if inside else ""
