"""The way back: what a restoring record says, and when it may be carried out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpol.model import Action, Status
from batchpol.policy.comparison import ABSENT, Effect, Restore, effect, matches, meaning_digest, same_meaning, undo
from tests.policy.documents import Document, documents, respelled

A, B = '{"Id":"a"}', '{"Id":"b"}'
rngs = st.integers(0, 2**32).map(random.Random)


@pytest.mark.parametrize("status", [Status.APPLIED, Status.UNKNOWN])
@pytest.mark.parametrize(
    ("action", "document", "before", "expected"),
    [
        (Action.PUT, B, None, Restore(Action.DELETE, "", meaning_digest(B))),
        (Action.PUT, B, A, Restore(Action.PUT, A, meaning_digest(B))),
        (Action.PUT, B, '{ "Id": "b" }', None),
        (Action.DELETE, "", A, Restore(Action.PUT, A, ABSENT)),
        (Action.DELETE, "ignored", A, Restore(Action.PUT, A, ABSENT)),
        (Action.DELETE, "", None, None),
    ],
)
def test_what_takes_a_record_back(
    action: Action, document: str, before: str | None, status: Status, expected: Restore | None
) -> None:
    assert undo(action, document, before, status) == expected


@pytest.mark.parametrize("status", [status for status in Status if status not in (Status.APPLIED, Status.UNKNOWN)])
@pytest.mark.parametrize("action", Action)
def test_nothing_to_take_back(action: Action, status: Status) -> None:
    assert undo(action, B, A, status) is None


def carried_out(action: Action, document: str) -> str | None:
    return document if action is Action.PUT else None


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(Action), documents(), st.none() | documents(), rngs, st.booleans())
def test_a_record_and_its_restore_leave_what_was_there(
    action: Action, asked: Document, was: Document | None, rng: random.Random, took_effect: bool
) -> None:
    document = respelled(asked, rng) if action is Action.PUT else ""
    before = None if was is None else respelled(was, rng)
    there = carried_out(action, document) if took_effect else before
    if action is Action.PUT and there == document:
        there = respelled(asked, rng)  # SES may hand it back in another spelling
    restore = undo(action, document, before, Status.UNKNOWN)
    if restore and effect(restore.action, restore.document, there) is not Effect.UNCHANGED:
        assert matches(restore.if_match, there)
        there = carried_out(restore.action, restore.document)
    assert there is before or (there is not None and before is not None and same_meaning(there, before))


@pytest.mark.parametrize(
    ("if_match", "present", "expected"),
    [
        (ABSENT, None, True),
        (ABSENT, A, False),
        (ABSENT, "absent", False),
        (meaning_digest(A), '{"Id" : "a"}', True),
        (meaning_digest(A), B, False),
        (meaning_digest(A), None, False),
        (meaning_digest(ABSENT), None, False),
        ("", None, False),
        ("", "", False),
    ],
)
def test_a_restore_waits_for_what_it_expects(if_match: str, present: str | None, expected: bool) -> None:
    assert matches(if_match, present) is expected
