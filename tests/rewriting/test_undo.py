"""What undo reads off a journal: one run and several, answers that never came, and any history at all."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpol.journal import Before, Entry
from batchpol.model import Action, Status
from batchpol.policy.comparison import ABSENT, Effect, effect, matches, meaning_digest
from batchpol.rewriting.undo import Undone, undo_records
from tests.journal.books import end, intent, outcome, planned, record, rejected, run, write

A, B, C, D = (f'{{"Id":"{letter}"}}' for letter in "abcd")


def undone(entries: Sequence[Entry], tmp_path: Path, *, last: bool = False) -> tuple[dict[str, Any], Undone]:
    """What an undo has for each identity, without what every record has, and its tally."""
    tally = Undone()
    found = list(undo_records(write(tmp_path / "a.journal.jsonl", entries), tally, last=last))
    assert len({it["identity"] for it in found}) == len(found) == tally.restores
    named = ("action", "policy", "if_match")
    return {it["identity"]: tuple(it[name] for name in named if name in it) for it in found}, tally


def applied(n: int, before: str | None, **more: object) -> list[Entry]:
    return [Before(n=n, policy=before), intent(n, n), outcome(n, **more)]


def one_run(
    document: str, before: str | None, status: Status | None = Status.APPLIED, name: str = "one"
) -> list[Entry]:
    """A run of one record, read before it was written; without a status it was killed then."""
    sent: list[Entry] = [Before(n=0, policy=before), intent(0)]
    done: list[Entry] = [] if status is None else [outcome(0, status), end()]
    return [run(name), record(0, document=document), planned(1, 1), *sent, *done]


def test_creates_are_deleted_updates_put_back_deletes_put_again(tmp_path: Path) -> None:
    entries = [
        run(),
        record(0, document=B),
        record(1, document=B),
        record(2, document="", action="delete"),
        record(3, document=B),
        record(4, document=B),
        rejected(5),
        planned(6, 5),
        *applied(0, None),
        *applied(1, A),
        *applied(2, A),
        outcome(3, Status.UNCHANGED),
        *applied(4, A, status=Status.FAILED),
        end(),
    ]
    found, tally = undone(entries, tmp_path)
    assert found == {
        "tenant-0.example": ("delete", meaning_digest(B)),
        "tenant-1.example": ("put", A, meaning_digest(B)),
        "tenant-2.example": ("put", A, ABSENT),
    }
    assert (tally.restores, tally.without_image) == (3, 0)


@pytest.mark.parametrize("pruned", [0, 1])
def test_the_opposite_order_leaves_an_identity_no_fuller_than_it_was(pruned: int, tmp_path: Path) -> None:
    """On an identity with 20 policies, one was deleted and then another put: the way back begins with the delete.

    Also where the one that went first was written down last.
    """
    records = [("", "delete", "old"), (B, "put", "new")]
    records = records if pruned == 0 else records[::-1]
    entries = [
        run(),
        *(record(n, "a.example", document=it, action=do, policy_name=name) for n, (it, do, name) in enumerate(records)),
        planned(2, 2),
        *applied(pruned, A),
        *applied(1 - pruned, None),
    ]
    path = write(tmp_path / "a.journal.jsonl", entries)
    assert [it["policy_name"] for it in undo_records(path, Undone())] == ["new", "old"]


@pytest.mark.parametrize("status", [Status.UNKNOWN, None], ids=["unknown", "killed"])
def test_what_got_no_answer_is_restored_whether_or_not_it_took_effect(tmp_path: Path, status: Status | None) -> None:
    found, _ = undone(one_run(B, A, status), tmp_path)
    assert found == {"tenant-0.example": ("put", A, meaning_digest(B))}


def test_attempts_of_one_record_share_the_image_of_the_first(tmp_path: Path) -> None:
    entries = one_run(B, A, None)
    found, _ = undone([*entries, intent(0, 1, 2), intent(0, 2, 3), outcome(0, attempts=3)], tmp_path)
    assert found == {"tenant-0.example": ("put", A, meaning_digest(B))}


def test_what_was_read_again_before_a_later_attempt_is_the_image(tmp_path: Path) -> None:
    """A record that waited for its principal is compared again: what somebody put meanwhile is what it replaces."""
    entries = [*one_run(B, A, None), Before(n=0, policy=C), intent(0, 2, 2), outcome(0, attempts=2)]
    found, _ = undone(entries, tmp_path)
    assert found == {"tenant-0.example": ("put", C, meaning_digest(B))}


def test_of_several_runs_the_earliest_image_and_the_last_document_count(tmp_path: Path) -> None:
    entries = [*one_run(B, A), *one_run(C, B, name="two"), *one_run(D, C, name="three")]
    found, _ = undone(entries, tmp_path)
    assert found == {"tenant-0.example": ("put", A, meaning_digest(D))}


def test_there_and_back_again_is_nothing_to_undo(tmp_path: Path) -> None:
    found, tally = undone([*one_run(B, A), *one_run(A, B, name="two")], tmp_path)
    assert found == {}
    assert tally == Undone()


@pytest.mark.parametrize("status", [Status.UNKNOWN, None], ids=["unknown", "killed"])
def test_the_way_back_that_got_no_answer_may_still_have_to_be_gone(tmp_path: Path, status: Status | None) -> None:
    found, _ = undone([*one_run(B, A), *one_run(A, B, status, name="two")], tmp_path)
    assert found == {"tenant-0.example": ("put", A, meaning_digest(B))}


def test_after_an_unknown_write_what_an_earlier_one_left_may_be_there_too(tmp_path: Path) -> None:
    """B was put; whether C came after it nobody knows: both are the doing of this journal's runs."""
    entries = [*one_run(B, A), *one_run(C, B, Status.UNKNOWN, name="two"), *one_run(D, C, None, name="three")]
    found, _ = undone(entries, tmp_path)
    action, document, expected = found["tenant-0.example"]
    assert (action, document) == ("put", A)
    assert {text for text in (A, B, C, D) if matches(expected, text)} == {B, C, D}
    assert not matches(expected, None)


def test_a_certain_write_ends_the_doubts_before_it(tmp_path: Path) -> None:
    entries = [*one_run(B, A, Status.UNKNOWN), *one_run(C, A, Status.UNKNOWN, name="two"), *one_run(D, C, name="three")]
    found, _ = undone(entries, tmp_path)
    assert found == {"tenant-0.example": ("put", A, meaning_digest(D))}


@pytest.mark.parametrize("status", [Status.FAILED, Status.NOT_ATTEMPTED, Status.UNCHANGED])
def test_a_later_run_that_wrote_nothing_takes_nothing_away(tmp_path: Path, status: Status) -> None:
    sent = [Before(n=0, policy=B), intent(0)] if status is Status.FAILED else []
    later = [run("two"), record(0, document=C), planned(1, 1), *sent, outcome(0, status), end()]
    found, _ = undone([*one_run(B, A), *later], tmp_path)
    assert found == {"tenant-0.example": ("put", A, meaning_digest(B))}


def test_an_outcome_that_was_carried_over_is_no_write(tmp_path: Path) -> None:
    later = [run("two"), record(0, document=B), outcome(0, carried=True, attempts=1), planned(1, 0), end()]
    found, _ = undone([*one_run(B, A), *later], tmp_path)
    assert found == {"tenant-0.example": ("put", A, meaning_digest(B))}


def test_a_record_deleted_after_it_was_created_leaves_nothing_to_do(tmp_path: Path) -> None:
    gone = [run("two"), record(0, document="", action="delete"), planned(1, 1), *applied(0, B), end()]
    assert undone([*one_run(B, None), *gone], tmp_path)[0] == {}


def test_an_unknown_delete_of_what_was_created_may_still_have_to_be_done(tmp_path: Path) -> None:
    gone = [run("two"), record(0, document="", action="delete"), planned(1, 1), Before(n=0, policy=B), intent(0)]
    found, _ = undone([*one_run(B, None), *gone], tmp_path)
    assert found == {"tenant-0.example": ("delete", meaning_digest(B))}


def test_blind_writes_are_counted_and_left_out(tmp_path: Path) -> None:
    blind = [run(), record(0, document=B), record(1, document=B), planned(2, 2)]
    sent = [intent(0), outcome(0), *applied(1, A), end()]
    # What is read before a later write is what the blind one left, not what was there before it.
    found, tally = undone([*blind, *sent, *one_run(C, B, name="two")], tmp_path)
    assert found == {"tenant-1.example": ("put", A, meaning_digest(B))}
    assert (tally.restores, tally.without_image) == (1, 1)


def test_the_last_run_alone_can_be_taken_back(tmp_path: Path) -> None:
    nothing = [run("three"), record(0, document=C), outcome(0, carried=True, attempts=1), planned(1, 0), end()]
    entries = [*one_run(B, A), *one_run(C, B, name="two"), *nothing]
    found, _ = undone(entries, tmp_path, last=True)
    assert found == {"tenant-0.example": ("put", B, meaning_digest(C))}


@pytest.mark.parametrize("last", [False, True])
def test_journals_in_which_nothing_was_written(tmp_path: Path, last: bool) -> None:
    assert undone([run(), record(0), planned(1, 1), end("dry run")], tmp_path, last=last) == ({}, Undone())


# -- any history at all ----------------------------------------------------------------------------------------

FATES = ("applied", "failed", "unknown took effect", "unknown did not", "killed took effect", "killed did not", "")
NAMES = ("x", "y", "z")


class History:
    """Runs against an SES that this test holds, and the journal that they leave."""

    def __init__(self, present: dict[str, str | None]) -> None:
        self.present = dict(present)
        self.entries: list[Entry] = []

    def run(self, number: int, asked: dict[str, tuple[str | None, str]]) -> None:
        """One run: by name a document (None: a delete) and what becomes of it (nothing: its turn never came)."""
        self.entries.append(run(f"run-{number}"))
        for n, (name, (document, _)) in enumerate(asked.items()):
            action = Action.DELETE if document is None else Action.PUT
            self.entries.append(record(n, name, document=document or "", action=action.value))
        self.entries.append(planned(len(asked), len(asked)))
        for n, (name, (document, fate)) in enumerate(asked.items()):
            if fate:
                self._write(n, name, document, fate)

    def _write(self, n: int, name: str, document: str | None, fate: str) -> None:
        before = self.present[name]
        action = Action.DELETE if document is None else Action.PUT
        if effect(action, document or "", before) is Effect.UNCHANGED:
            self.entries.append(outcome(n, Status.UNCHANGED))
            return
        self.entries += [Before(n=n, policy=before), intent(n)]
        if fate == "applied" or fate.endswith("took effect"):
            self.present[name] = document
        if not fate.startswith("killed"):
            self.entries.append(outcome(n, Status(fate.partition(" ")[0])))

    def undo(self, folder: str) -> None:
        """Carry out what the journal's undo says, as a lane does."""
        path = write(Path(folder) / "a.journal.jsonl", self.entries)
        for it in undo_records(path, Undone()):
            there, action, document = self.present[it["identity"]], Action(it["action"]), it.get("policy", "")
            if effect(action, document, there) is not Effect.UNCHANGED and matches(it["if_match"], there):
                self.present[it["identity"]] = document if action is Action.PUT else None


states = st.fixed_dictionaries({name: st.sampled_from([None, A, B]) for name in NAMES})
asks = st.tuples(st.sampled_from([None, A, B, C]), st.sampled_from(FATES))
runs = st.lists(st.dictionaries(st.sampled_from(NAMES), asks, min_size=1), max_size=5)


@settings(max_examples=150, deadline=None)
@given(states, runs)
def test_whatever_the_runs_did_the_way_back_leads_to_where_they_began(start: dict, asked: list[dict]) -> None:
    history = History(start)
    for number, changes in enumerate(asked):
        history.run(number, changes)
    with TemporaryDirectory() as folder:
        history.undo(folder)
    assert history.present == start


@settings(max_examples=80, deadline=None)
@given(states, runs, st.integers(0, 2**32))
def test_whatever_somebody_put_since_stays(start: dict, asked: list[dict], seed: int) -> None:
    """D is no document of any run, so it is somebody's."""
    history, rng = History(start), random.Random(seed)
    for number, changes in enumerate(asked):
        history.run(number, changes)
    theirs = {name for name in NAMES if rng.random() < 0.5}
    history.present |= dict.fromkeys(theirs, D)
    with TemporaryDirectory() as folder:
        history.undo(folder)
    assert history.present == start | dict.fromkeys(theirs, D)
