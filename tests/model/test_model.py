"""The words that every room uses: text as people may see it."""

from __future__ import annotations

import json

import pytest

from batchpol.model import excerpt, is_account_id, shown, visible


@pytest.mark.parametrize(
    "text, seen",
    [
        ("plain ü€\U0001f600 text", "plain ü€\U0001f600 text"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b", r"\x9b"),
        ("a\u202eb\u200bc", r"a\u202eb\u200bc"),
        ("\ud800", r"\ud800"),
        ("one\ntwo", r"one\ntwo"),
    ],
)
def test_nothing_that_a_terminal_obeys_is_left(text: str, seen: str) -> None:
    assert visible(text) == seen
    assert visible(text).isprintable()


def test_it_may_be_spelled_as_json_spells_it() -> None:
    assert visible('"\x9b\u00a0\U000e0001"', json.dumps) == r'"\u009b\u00a0\udb40\udc01"'


def test_an_excerpt_is_cut_before_it_is_spelled_out() -> None:
    assert excerpt("\x1b" * 3, 3) == r"\x1b" * 3
    assert excerpt("\x1b" * 4, 3) == r"\x1b" * 3 + "…"
    assert shown("\x1b" * 4, 3) == '"' + r"\x1b" * 3 + '…"'


@pytest.mark.parametrize(
    "text", ["", "11112222333", "1111222233334", "11112222333a", "1111 2222 3333", "١" * 12, "1" * 12 + "\n"]
)
def test_what_is_no_account_id(text: str) -> None:
    assert not is_account_id(text)
    assert is_account_id("012345678901")
