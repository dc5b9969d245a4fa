"""Every request that a journal knows of, over all its sections: where it went and when it left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from batchpol.journal.chain import Chain
from batchpol.journal.entries import Intent, Planned, Run, Same
from batchpol.journal.peek import RecordChange, decode_changes
from batchpol.journal.repeats import Numbered


class Sent(NamedTuple):
    """One attempt, as it was written down before it left; ``at`` is ISO 8601, ``attempt`` counts from 1."""

    account: str
    region: str
    at: str
    attempt: int


def read_sends(chain: Chain) -> Iterator[Sent]:
    """All attempts in the order in which they were written down; four bytes a record in memory."""
    places: dict[tuple[str, str], int] = {}
    names: list[tuple[str, str]] = []
    numbered = Numbered("I")
    (place_of,) = numbered.now
    for _, block in chain.blocks():
        try:
            for entry in decode_changes(block):
                if type(entry) is RecordChange:  # quicker than isinstance()
                    place = places.get((entry.account, entry.region))
                    if place is None:
                        place = places[entry.account, entry.region] = len(names)
                        names.append((entry.account, entry.region))
                    place_of.append(place)
                elif type(entry) is Intent:
                    yield Sent(*names[place_of[entry.n]], entry.at, entry.attempt)
                elif isinstance(entry, Run | Same | Planned):
                    numbered.take(entry)
                    (place_of,) = numbered.now
        except (msgspec.DecodeError, LookupError, ValueError) as error:
            raise chain.undecodable(repr(error)) from error
