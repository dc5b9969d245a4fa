"""The index and the ledger against plain dictionaries, and what they weigh."""

from __future__ import annotations

import sys
from array import array
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batchpol.model.keyindex import KeyIndex, key_of
from batchpol.validation.ledger import Ledger, Relation, place_of

# Few distinct low bits, so that segments fill, probe and grow.
KEYS = (
    st.integers(1, 40).map(lambda n: n << 58 | 5)
    | st.integers(1, 2**64 - 1)
    | st.integers(1, 300).map(lambda n: n * 64)
)


@given(
    st.lists(st.tuples(st.sampled_from(["get", "setdefault", "set"]), KEYS, st.integers(0, 2**32 - 1)), max_size=200),
    st.sampled_from([0, 1, 3_000, 10_000]),
)
def test_an_index_is_a_dictionary(steps: list[tuple[str, int, int]], expected: int) -> None:
    index, plain = KeyIndex(expected), dict[int, int]()
    for step, key, value in steps:
        if step == "get":
            assert index.get(key) == plain.get(key)
        elif step == "setdefault":
            assert index.setdefault(key, value) == plain.setdefault(key, value)
        else:
            index.set(key, value)
            plain[key] = value
    assert len(index) == len(plain)
    assert all(index.get(key) == value for key, value in plain.items())


def test_an_entry_never_weighs_more_than_48_bytes() -> None:
    """Right after its slots were made anew, that is; 30 at a million."""
    index = KeyIndex()
    for number in range(1 << 17):
        index.setdefault(key_of("tenant", str(number)), number)
    weight = sum(map(sys.getsizeof, (index._keys, index._values, index._slots)))
    assert len(index) == 1 << 17
    assert len(index._slots) == 8 << 17
    assert weight >> 17 < 48


def test_an_index_that_was_told_what_comes_never_grows() -> None:
    index = KeyIndex(expected=10_000)
    slots = index._slots
    for number in range(10_000):
        index.setdefault(key_of("tenant", str(number)), number)
    assert index._slots is slots


def test_keys_tell_their_parts_apart() -> None:
    assert key_of("a", "bc") != key_of("ab", "c")
    assert key_of("a") == key_of("a") != 0
    assert array("Q", [key_of("a", str(n)) for n in range(100)])


PLACES = [("", ""), ("1", "2"), ("3", "4")]
CHANGES = st.tuples(
    st.sampled_from(["a.example", "b.example"]),
    st.sampled_from("xyz"),
    st.sampled_from(["1", "2"]),
    st.sampled_from(PLACES),
    st.sampled_from(PLACES),
    st.booleans(),
)


@given(st.lists(CHANGES, max_size=40))
def test_a_ledger_remembers_as_if_it_kept_everything(changes: list[Any]) -> None:
    """Against a list of all earlier changes, looked through each time."""
    ledger = Ledger()
    aliases: dict[Any, int] = {}
    for number, change in enumerate(changes):
        identity, name, document, stated, implied, is_put = change
        noted = ledger.note(number, number + 2, identity, name, document, place_of(stated, implied), is_put)
        places = [(identity, name, implied), (identity, name, stated)]
        earlier = next((aliases[place] for place in places if place in aliases), None)
        for place in places:
            aliases.setdefault(place, number if earlier is None else earlier)
        if earlier is None:
            assert noted.relation is Relation.NEW
        else:
            assert (noted.number, noted.line) == (earlier, earlier + 2)
            same = (document, is_put) == (changes[earlier][2], changes[earlier][5])
            assert noted.relation is Relation.CONFLICT or (noted.relation is Relation.DUPLICATE and same)


def test_a_lonely_identity_costs_one_entry() -> None:
    ledger = Ledger()
    for number in range(1000):
        ledger.note(number, number, f"tenant-{number}.example", "sending", "{}", place_of(("", ""), ("1", "2")), True)
    assert len(ledger._index) == 1000


def test_names_are_counted_for_each_place_and_not_beyond_the_limit() -> None:
    ledger = Ledger()
    places = [place_of((account, ""), (account, "")) for account in "12"]
    for place in places:
        fates = [ledger.note(n, n, "a", f"n{n}", "", place, True, 20).relation for n in range(22)]
        assert fates == [Relation.NEW] * 20 + [Relation.OVERFULL] * 2
    assert ledger.note(99, 99, "a", "d", "", places[0], False, 20).relation is Relation.NEW
