"""Documents that the rules cannot tell apart, so that one examination serves them all.

The policies of a batch mostly differ in names and account ids only. The *shape* of a text is a regular expression:
the text itself, with such strings replaced by the class they belong to. A class holds strings of which every rule
of this package thinks the same wherever it finds them right at all. So when nothing is wrong with one document,
nothing is with any other of its shape. tests/policy/test_shape.py compares both ways on generated documents.

Only texts without backslashes have shapes: there, every quotation mark begins or ends a string.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from batchpol.model import ACCOUNT_ID, Finding, Severity, is_account_id
from batchpol.policy.keys import TYPES, known_key
from batchpol.policy.operators import OPERATORS
from batchpol.policy.principal import KINDS, arn_pattern
from batchpol.policy.statement import ELEMENTS, TOP
from batchpol.policy.values import ACCOUNTS, ADDRESSES, FORMS

# No quotation mark, so that a class never reaches beyond its string; no $, which may begin a variable.
_ARN = arn_pattern(r"[!#%-)+-.0->@-\[\]-~]")

# What a string is taken for, and what may stand in its place.
_CLASSES = {
    # The ARN of the identity that the policy belongs to; the caller checks it.
    "\0own": r'(?P<own>[^"\\$*?\x00-\x1f]+)',
    # Plain text is right only where any text is.
    "\0free": r"[A-Za-z0-9_@+ .-]*",
    # Text with an asterisk is right only where any pattern is.
    "\0pattern": r"[A-Za-z0-9_@+ .*-]*",
    "\0account": ACCOUNT_ID,
    "\0principal": _ARN,
    # The same in a Condition, where nothing may be a placeholder or a regular expression, or have a blank at its edges;
    # with an @ it is an address.
    "\0text": r"(?![ .])[A-Za-z0-9+ .-]*(?<! )",
    "\0like": r"(?![ .])[A-Za-z0-9+ .-]*\*[A-Za-z0-9+ .*-]*(?<! )",
    "\0address": r"(?!\.)[A-Za-z0-9+.-]*@[A-Za-z0-9+.-]+",
    "\0addresses": r"(?!\.)[A-Za-z0-9+.*-]*@[A-Za-z0-9+.*-]+",
}
_AGAIN = "(?P=own)"

_FREE = re.compile(r"[A-Za-z](?:[A-Za-z0-9_@+ -]|\.(?!amazonaws))*")
_PATTERN = re.compile(r"[A-Za-z0-9_@+ .*-]{2,}")
_PRINCIPAL = re.compile(_ARN)
_IN_CONDITION = [(name, re.compile(_CLASSES[name])) for name in ("\0text", "\0like", "\0address", "\0addresses")]
_WORDS = TOP | ELEMENTS | OPERATORS.keys() | set(KINDS.values()) | {"Allow", "Deny"}
_LITERAL = {key for key in TYPES if (key in FORMS and key not in ADDRESSES) or TYPES[key] in ("ARN", "Date", "Numeric")}
"""Condition keys whose values are looked at one by one, so that none stands for others (but accounts for accounts)."""
_OF_KEYS = ("risk-", "condition-key-", "condition-set-", "condition-address-operator", "action-unlisted")
"""Warnings that depend on nothing but what stands in a shape to the letter: keys, operators, actions."""
_NOT_FREE = re.compile(r".*IfExists|true|false", re.IGNORECASE)

_MAX_TEXT = 4096
_MAX_SHAPES = 16
_MAX_COUNTED = 256
_MAX_STRIDE = 64
_WORTH_LEARNING = 8


Alike = tuple[str, tuple[Finding, ...]]
"""The ARN that a document takes for its identity's own, and what was found in others of its shape."""


class Shapes:
    """The commonest shapes in which nothing was wrong, with what was merely doubtful about them."""

    def __init__(self) -> None:
        self._shapes: list[tuple[Callable[[str], re.Match[str] | None], tuple[Finding, ...]]] = []
        self._counts: dict[str, int] = {}
        self._heard = 0
        self._stride = 1

    def match(self, text: str) -> Alike | None:
        """What is known of a document by its shape.

        None if no known shape fits. Otherwise nothing is wrong with the document if that ARN is right.
        """
        for shape in self._shapes:
            if found := shape[0](text):
                if shape is not self._shapes[0]:
                    self._shapes.remove(shape)
                    self._shapes.insert(0, shape)
                return found[1], shape[1]
        return None

    def learn(self, text: str, own_arn: str, findings: list[Finding]) -> None:
        """Hear of a document's ``findings``; remember its shape if it is common and they cannot depend on it."""
        if len(self._shapes) == _MAX_SHAPES or len(text) > _MAX_TEXT or "\\" in text or "\0" in text:
            return
        if not own_arn or not all(map(is_of_shape, findings)):
            return
        self._heard += 1
        if self._heard % self._stride:
            return
        texts = text.replace(f'"{own_arn}"', '"\0own"').split('"')
        pieces = _classes_of(texts)
        sids = [place for place, piece in enumerate(pieces) if piece == "Sid"]
        if len(sids) > 1:
            # Whether two Sids are equal matters, so they stay as they are.
            for place in sids:
                pieces[place + 2 : place + 3] = texts[place + 2 : place + 3]
        # Base64 is what free text may happen to be.
        if "\0own" not in pieces or any("Binary" in piece for piece in pieces):
            return
        key = '"'.join(pieces)
        if len(self._counts) >= _MAX_COUNTED:
            # Of so many none was common: listen to fewer.
            self._counts.clear()
            self._stride = min(2 * self._stride, _MAX_STRIDE)
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if count == _WORTH_LEARNING:
            self._shapes.append((_compiled(pieces).fullmatch, tuple(findings)))
            self._stride = 1


def is_of_shape(it: Finding) -> bool:
    """Whether a finding is a warning that every document of the shape has."""
    return it.severity is Severity.WARNING and it.code.startswith(_OF_KEYS)


def _classes_of(texts: list[str]) -> list[str]:
    """What stands in a shape for the pieces between quotation marks, of which every other is a string."""
    pieces = list(texts)
    is_literal = is_account = in_condition = False
    for place in range(1, len(texts) - 1, 2):
        text = texts[place]
        if texts[place + 1].lstrip()[:1] == ":":
            in_condition = ":" in text
            right = known_key(text) if in_condition else ""
            is_literal, is_account = right in _LITERAL, right in ACCOUNTS
        found = _class_of(text, in_condition)
        if not is_literal or (is_account and found == "\0account"):
            pieces[place] = found
    return pieces


@lru_cache(maxsize=1024)
def _class_of(piece: str, in_condition: bool) -> str:
    """The class of a string, or the string itself where it stands for no others."""
    is_free = _FREE.fullmatch(piece) is not None
    if is_free and (piece in _WORDS or _NOT_FREE.fullmatch(piece)):
        return piece
    if is_account_id(piece):
        return "\0account"
    if in_condition:
        return next((name for name, pattern in _IN_CONDITION if len(piece) > 1 and pattern.fullmatch(piece)), piece)
    if is_free:
        return "\0free"
    if _PRINCIPAL.fullmatch(piece):
        return "\0principal"
    return "\0pattern" if "*" in piece and _PATTERN.fullmatch(piece) else piece


def _compiled(pieces: list[str]) -> re.Pattern[str]:
    parts = [_CLASSES.get(piece) or re.escape(piece) for piece in pieces]
    first = pieces.index("\0own")
    parts[first + 1 :] = [_AGAIN if part == _CLASSES["\0own"] else part for part in parts[first + 1 :]]
    return re.compile('"'.join(parts))
