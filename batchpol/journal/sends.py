"""Every request that a journal knows of, over all its sections: where it went and when it left."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec

from batchpol.journal.chain import Chain
from batchpol.journal.entries import End, Planned, Run


class Sent(NamedTuple):
    """One attempt, as it was written down before it left; ``at`` is ISO 8601, ``attempt`` counts from 1."""

    account: str
    region: str
    at: str
    attempt: int


class _Record(msgspec.Struct, tag_field="t", tag="record", gc=False):
    n: Annotated[int, msgspec.Meta(ge=0)]
    account: str = ""
    region: str = ""


class _Intent(msgspec.Struct, tag_field="t", tag="intent", gc=False):
    n: Annotated[int, msgspec.Meta(ge=0)]
    attempt: int
    at: str


class _Outcome(msgspec.Struct, tag_field="t", tag="outcome", gc=False):
    pass


class _Before(msgspec.Struct, tag_field="t", tag="before", gc=False):
    pass


class _Note(msgspec.Struct, tag_field="t", tag="note", gc=False):
    pass


_decode_lines = msgspec.json.Decoder(Run | Planned | End | _Record | _Intent | _Outcome | _Before | _Note).decode_lines


def read_sends(chain: Chain) -> Iterator[Sent]:
    """All attempts in the order in which they were written down; four bytes a record in memory."""
    places: dict[tuple[str, str], int] = {}
    names: list[tuple[str, str]] = []
    place_of = array("I")
    for _, block in chain.blocks():
        try:
            for entry in _decode_lines(block):
                if isinstance(entry, _Record):
                    name = entry.account, entry.region
                    place = places.setdefault(name, len(names))
                    if place == len(names):
                        names.append(name)
                    place_of.append(place)
                elif isinstance(entry, _Intent):
                    yield Sent(*names[place_of[entry.n]], entry.at, entry.attempt)
                elif isinstance(entry, Run):
                    del place_of[:]
        except (msgspec.DecodeError, LookupError) as error:
            raise chain.undecodable(repr(error)) from error
