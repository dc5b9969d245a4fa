"""Random histories: an input, runs that end or are killed, what others write, waits, edits and undos."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from batchpol.model import Record
from batchpol.policy.comparison import ABSENT, meaning_digest
from batchpol.rewriting.undo import Undone, undo_records
from tests.truth.runs import Place, Ran
from tests.truth.truth import Truth, nothing_left, restored
from tests.truth.world import ACCOUNT, Fault, Key, World, region_of

IDENTITIES, NAMES, VERSIONS = ("a.example", "b.example", "far.example"), ("sending", "support", "digest"), (1, 2, 3)
FULL = "full.example"
"""An identity that has as many policies as it can have."""


def document(key: Key, version: int) -> str:
    """A policy that passes validation; each version in one spelling."""
    statement = {
        "Sid": f"v{version}-{key[1]}",
        "Effect": "Allow",
        "Principal": {"AWS": "444455556666"},
        "Action": "ses:SendEmail",
        "Resource": f"arn:aws:ses:{region_of(key[0])}:{ACCOUNT}:identity/{key[0]}",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


@dataclass(frozen=True)
class Wish:
    """One record of an input: a version to put, or None to delete; what it expects to be there, if anything."""

    key: Key
    version: int | None
    expects: int | str | None = ""
    """A version, None for nothing, or an empty text for whatever."""
    broken: bool = False

    def record(self, line: int) -> Record:
        extra = {}
        if self.expects != "":
            there = None if self.expects is None else document(self.key, int(self.expects))
            extra["if_match"] = ABSENT if there is None else meaning_digest(there)
        text = "" if self.version is None else document(self.key, self.version)
        action = "delete" if self.version is None else "put"
        text = "{" if self.broken and text else text
        region = region_of(self.key[0])
        return Record(*self.key, text, action=action, region=region, line=line, extra=extra)


@dataclass(frozen=True)
class Move:
    """One thing that happens: ``run`` (with its options, killed after ``lives`` passes, slept through after ``nap``,
    ``beside`` a run of another input), ``wait``, ``other``, ``edit`` or ``undo``."""

    what: str
    options: dict[str, Any] = field(default_factory=dict)
    lives: int | None = None
    nap: tuple[int, float] | None = None
    beside: bool = False
    seconds: float = 0.0
    key: Key = ("", "")
    version: int | None = None
    last: bool = False


@dataclass(frozen=True)
class History:
    """All that happens in one place, in its order."""

    stale: float
    seed: int
    there: dict[Key, int]
    full: int
    """Policies that :data:`FULL` has at the start."""
    wishes: tuple[Wish, ...]
    beside: tuple[Wish, ...]
    """Of another input, which is applied at the same time now and then."""
    moves: tuple[Move, ...]
    faults: dict[int, Fault]
    never: frozenset[str]


def play(history: History) -> None:
    """Play a history through and hold the truth against each of its runs."""
    world = World(stale=history.stale, seed=history.seed, faults=dict(history.faults), never=history.never)
    world.policies = {key: document(key, version) for key, version in history.there.items()}
    world.policies |= {(FULL, f"old-{number}"): document((FULL, f"old-{number}"), 1) for number in range(history.full)}
    with tempfile.TemporaryDirectory(prefix="batchpol-model-") as folder:
        place, beside = (Place(world, Path(folder) / f"{name}.journal.jsonl") for name in ("model", "beside"))
        wishes, others = list(history.wishes), _records(list(history.beside))
        for move in history.moves:
            _move(place, wishes, move, beside, others)
        _in_clear_air(place, wishes)


def _records(wishes: list[Wish]) -> list[Record]:
    return [wish.record(line) for line, wish in enumerate(wishes, 2)]


def _move(place: Place, wishes: list[Wish], move: Move, beside: Place, others: list[Record]) -> None:
    match move.what:
        case "run":
            records = _records(wishes)
            if move.options.get("prune") and any(record.policy == "{" for record in (*records, *others)):
                return  # refused: what the input does not have is not certain then
            second = (beside, others) if move.beside else None
            ran = place.run(records, lives=move.lives, nap=move.nap, beside=second, **move.options)
            Truth(place, records, ran).check()
            if move.beside:
                Truth(beside, others, beside.ran[-1]).check()
        case "wait":
            place.wait(move.seconds)
        case "other":
            text = None if move.version is None else document(move.key, move.version)
            place.world.others.append((place.time + move.seconds, move.key, text))
        case "edit":
            for at, wish in enumerate(wishes):
                if wish.key == move.key:
                    wishes[at] = Wish(wish.key, move.version, wish.expects)
        case "undo":
            _undo(place, last=move.last)


def _undo(place: Place, *, last: bool) -> None:
    """Take back what the journal's runs did, at once; a run that was cut off is gone on with first by its user."""
    if not place.ran or place.ran[-1].result is None or place.ran[-1].result.exit_code > 1:
        return
    tally = Undone()
    lines = list(undo_records(place.journal, tally, last=last))
    records = [_undo_record(line, number) for number, line in enumerate(lines, 1)]
    other = Place(place.world, place.journal.with_name(f"undo-{len(place.ran)}-{place.time:.0f}.jsonl"), place.time)
    ran = other.run(records)
    Truth(other, records, ran).check()
    if not last and not tally.without_image:
        restored(place, other)
    place.time = other.time


def _undo_record(line: dict[str, Any], number: int) -> Record:
    return Record(
        line["identity"],
        line["policy_name"],
        line.get("policy", ""),
        action=line["action"],
        account=line["account"],
        region=line["region"],
        line=number,
        extra={name: value for name, value in line.items() if name in ("if_match", "origin")},
    )


def _in_clear_air(place: Place, wishes: list[Wish]) -> None:
    """Long after everything, two plain runs: what they call done holds."""
    world = place.world
    world.faults, world.others = {}, []
    place.wait(600)
    ran: Ran | None = None
    records = _records(wishes)
    for _ in range(2):
        ran = place.run(records)
        Truth(place, records, ran).check()
        place.wait(300)
    assert ran is not None
    nothing_left(place, records, ran)


# -- how they are drawn ----------------------------------------------------------------------------------------

_keys = st.tuples(st.sampled_from(IDENTITIES), st.sampled_from(NAMES))
_versions = st.one_of(st.none(), st.sampled_from(VERSIONS))


@st.composite
def _wishes(draw: st.DrawFn) -> tuple[Wish, ...]:
    keys = draw(st.lists(_keys, min_size=1, max_size=5, unique=True))
    if draw(st.booleans()):
        keys += [(FULL, "sending")]
    return tuple(
        Wish(
            key,
            draw(_versions) if key[0] != FULL else 1,
            draw(st.one_of(st.just(""), st.just(""), st.none(), st.sampled_from(VERSIONS))),
            draw(st.sampled_from((False,) * 9 + (True,))),
        )
        for key in keys
    )


@st.composite
def _options(draw: st.DrawFn) -> dict[str, Any]:
    compare = draw(st.sampled_from((True, True, True, False)))
    options: dict[str, Any] = {
        "compare": compare,
        "no_clobber": compare and draw(st.sampled_from((False, False, False, True))),
        "verify": draw(st.booleans()),
    }
    if draw(st.sampled_from((False, False, False, True))):
        options["limit"] = draw(st.integers(0, 3))
    if compare and draw(st.sampled_from((False, False, True))):
        options["prune"] = True
    return options


@st.composite
def _moves(draw: st.DrawFn) -> Move:
    what = draw(st.sampled_from(("run", "run", "run", "wait", "other", "edit", "undo")))
    match what:
        case "run":
            lives = draw(st.one_of(st.none(), st.integers(1, 400)))
            nap = draw(st.one_of(st.none(), st.none(), st.tuples(st.integers(1, 200), st.sampled_from((60.0, 900.0)))))
            return Move("run", draw(_options()), lives, nap, draw(st.sampled_from((False, False, True))))
        case "wait":
            return Move("wait", seconds=draw(st.sampled_from((1.0, 20.0, 130.0))))
        case "other":
            when = draw(st.one_of(st.floats(0, 20), st.floats(0, 20), st.floats(20, 900)))
            return Move("other", seconds=when, key=draw(_keys), version=draw(_versions))
        case "edit":
            return Move("edit", key=draw(_keys), version=draw(_versions))
    return Move("undo", last=draw(st.booleans()))


_faults = st.dictionaries(
    st.integers(1, 20),
    st.sampled_from(("lost before", "lost after", "error before", "error after", "refused", "not seen", "throttled")),
    max_size=4,
)

histories = st.builds(
    History,
    stale=st.sampled_from((0.0, 0.0, 20.0, 90.0)),
    seed=st.integers(0, 1000),
    there=st.dictionaries(_keys, st.sampled_from(VERSIONS), max_size=5),
    full=st.sampled_from((0, 19, 20)),
    wishes=_wishes(),
    beside=_wishes(),
    moves=st.lists(_moves(), min_size=1, max_size=5).map(tuple),
    faults=_faults,
    never=st.sets(st.sampled_from(NAMES), max_size=1).map(frozenset),
)
