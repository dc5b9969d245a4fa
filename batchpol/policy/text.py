"""Strings of a JSON text where they stand, to change some of them and leave every other byte as it is.

A document that is parsed and written anew is another document: order, spelling and blanks are its author's. Whoever
fills a template or moves a policy to another account replaces spans of its text instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from batchpol.model import pointer


class Text(NamedTuple):
    """One string of a JSON text: its span with the quotation marks, what it says, and where it stands.

    ``path`` are the keys and indices that lead to it; those of a key end with the key itself.
    """

    start: int
    end: int
    value: str
    path: tuple[str | int, ...]
    is_key: bool

    @property
    def pointer(self) -> str:
        """Its place as a JSON pointer."""
        return pointer(*self.path)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|-?[0-9][0-9.eE+-]*', re.DOTALL)


def strings(text: str, *, numbers: bool = False) -> Iterator[Text]:
    """Every string of ``text``, keys and values, in their order, and ``numbers``, if asked, as they are written.

    ``text`` must be JSON.
    """
    path: list[str | int | None] = []  # the member being read of each open object (None: before its key) and list
    is_key = False
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark == "{":
            path.append(None)
            is_key = True
        elif mark == "[":
            path.append(0)
            is_key = False
        elif mark in "}]":
            path.pop()
        elif mark == ":":
            is_key = False
        elif mark == ",":
            last = path[-1]
            is_key = not isinstance(last, int)
            path[-1] = last + 1 if isinstance(last, int) else None
        elif mark[0] != '"':
            if numbers:
                yield Text(token.start(), token.end(), mark, tuple(it for it in path if it is not None), False)
        else:
            value = json.loads(mark, strict=False)
            if is_key:
                path[-1] = value
            yield Text(token.start(), token.end(), value, tuple(it for it in path if it is not None), is_key)


def quoted(text: str) -> str:
    """``text`` as a JSON string, whatever is in it."""
    return json.dumps(text, ensure_ascii=False)


def replaced(text: str, changes: Iterable[tuple[Text, str]]) -> str:
    """``text`` with the value of some strings changed; ``changes`` in the order in which the strings stand."""
    parts, at = [], 0
    for old, new in changes:
        parts += [text[at : old.start], quoted(new)]
        at = old.end
    return "".join([*parts, text[at:]])
