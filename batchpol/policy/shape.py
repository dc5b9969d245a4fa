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

from batchpol.model import ACCOUNT_ID, Finding, is_account_id
from batchpol.policy.keys import TYPES, known_key
from batchpol.policy.operators import OPERATORS
from batchpol.policy.principal import KINDS, arn_pattern
from batchpol.policy.statement import ELEMENTS, TOP
from batchpol.policy.values import ACCOUNTS, ADDRESSES, FORMS

# No quotation mark, so that a class never reaches beyond its string; no $, which may begin a variable.
_ARN = arn_pattern(r"[!#%-)+-.0->@-\[\]-~]")

# What a string is taken for, and what may stand in its place: nothing that policy.values takes for a placeholder or a
# regular expression, and no blank at its edges.
_PLAIN = r"(?![ .])(?![^\"]*(?:__|[A-Z]_))"
_END = "(?<! )"
_CLASSES = {
    # The ARN of the identity that the policy belongs to; the caller checks it.
    "\0own": r'(?P<own>[^"\\$*?\x00-\x1f]+)',
    # Plain text is right only where any text is.
    "\0free": rf"{_PLAIN}[A-Za-z0-9_+ .-]*{_END}",
    # With an @ it is an address, as the sender's and the recipients' are.
    "\0address": rf"{_PLAIN}[A-Za-z0-9_+.-]*@[A-Za-z0-9_+.-]+",
    # Text with an asterisk is right only where any pattern is.
    "\0pattern": rf"{_PLAIN}(?=[^\"]*[A-Za-z0-9])[A-Za-z0-9_+ .-]*\*[A-Za-z0-9_+ .*-]*{_END}",
    "\0addresses": rf"{_PLAIN}(?=[^\"]*\*)[A-Za-z0-9_+.*-]*@[A-Za-z0-9_+.*-]+",
    "\0account": ACCOUNT_ID,
    "\0principal": _ARN,
}
_AGAIN = "(?P=own)"

_FREE = re.compile(r"[A-Za-z](?:[A-Za-z0-9_+ -]|\.(?!amazonaws))*")
_MEMBER = {name: re.compile(pattern) for name, pattern in _CLASSES.items() if name != "\0own"}
_WORDS = TOP | ELEMENTS | OPERATORS.keys() | set(KINDS.values()) | {"Allow", "Deny"}
_LITERAL = {key for key in TYPES if (key in FORMS and key not in ADDRESSES) or TYPES[key] in ("ARN", "Date", "Numeric")}
"""Condition keys whose values are looked at one by one, so that none stands for others (but accounts for accounts)."""
_NOT_FREE = re.compile(r".*IfExists|true|false", re.IGNORECASE)

_MAX_TEXT = 4096
_MAX_SHAPES = 16
_MAX_COUNTED = 256
_MAX_STRIDE = 64
_WORTH_LEARNING = 8


Alike = tuple[str, tuple[Finding, ...]]
"""The ARN that a document takes for its identity's own, and what was found in others of its shape."""


class Shapes:
    """The commonest shapes in which nothing was wrong, with what was merely risky about them."""

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
        if not own_arn or any(not it.code.startswith("risk-") for it in findings):
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


def _classes_of(texts: list[str]) -> list[str]:
    """What stands in a shape for the pieces between quotation marks, of which every other is a string."""
    pieces = list(texts)
    key = ""
    for place in range(1, len(texts) - 1, 2):
        text = texts[place]
        if texts[place + 1].lstrip().startswith(":"):
            key = known_key(text) or text
        found = _class_of(text)
        # In a Condition an ARN is looked at more closely than in a Principal.
        if (key not in _LITERAL and not (found == "\0principal" and ":" in key)) or (
            key in ACCOUNTS and found == "\0account"
        ):
            pieces[place] = found
    return pieces


def _class_of(piece: str) -> str:
    """The class of a string, or the string itself where it stands for no others."""
    if _FREE.fullmatch(piece):
        if piece in _WORDS or _NOT_FREE.fullmatch(piece) or not _MEMBER["\0free"].fullmatch(piece):
            return piece
        return "\0free"
    if is_account_id(piece):
        return "\0account"
    if len(piece) < 2:
        return piece
    found = (
        name for name in ("\0principal", "\0address", "\0addresses", "\0pattern") if _MEMBER[name].fullmatch(piece)
    )
    return next(found, piece)


def _compiled(pieces: list[str]) -> re.Pattern[str]:
    parts = [_CLASSES.get(piece) or re.escape(piece) for piece in pieces]
    first = pieces.index("\0own")
    parts[first + 1 :] = [_AGAIN if part == _CLASSES["\0own"] else part for part in parts[first + 1 :]]
    return re.compile('"'.join(parts))
