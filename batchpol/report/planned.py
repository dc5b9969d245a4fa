"""What ``batchpol plan`` reports: what each record would do, one JSON line a record; and the same changes together."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from batchpol.files import Replacement
from batchpol.model import EFFECTS, Outcome, Status, Target
from batchpol.report.rows import ASKED, COLUMNS, finding_object, json_line, values

MOST_GROUPS = 500
"""Changes told apart; what comes later is counted with others of its kind."""

UNCHANGED = "unchanged"


class Member(NamedTuple):
    """One record of a group."""

    line: int
    identity: str
    policy_name: str


@dataclass(slots=True)
class Group:
    """Records that a plan does the same to: the same effect, and but for their own names the same lines."""

    effect: str
    lines: tuple[str, ...]
    count: int = 0
    places: list[Member] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """What a plan comes to; holds some places of each group, and no more than :data:`MOST_GROUPS` of these.

    ``counts`` has the effects that nothing stands in the way of, ``others`` why the other records have none
    (``would fail``, ``rejected``, ``duplicate``, ``not compared``), ``writes`` the changes of each target. A group
    names ``most_places`` of its records; None is all.
    """

    most_places: int | None = 20
    counts: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    writes: Counter[Target] = field(default_factory=Counter)
    _groups: dict[tuple[str, tuple[str, ...]], Group] = field(default_factory=dict)

    def take(self, steps: Iterable[tuple[Outcome, list[str]]]) -> Iterator[Outcome]:
        """Count records, each with the lines that say what it changes; gives those that have no effect."""
        for outcome, lines in steps:
            if outcome.would_be_sent:
                self._add(outcome, lines)
            else:
                self.others[_obstacle(outcome)] += 1
                yield outcome

    def _add(self, outcome: Outcome, lines: list[str]) -> None:
        self.counts[outcome.effect] += 1
        if outcome.effect != UNCHANGED:
            self.writes[Target(outcome.account, outcome.region)] += 1
        key = outcome.effect, tuple(_without_names(outcome, lines))
        if key not in self._groups and len(self._groups) >= MOST_GROUPS:
            key = outcome.effect, ("(changes unlike those above)",)
        group = self._groups.setdefault(key, Group(*key))
        group.count += 1
        if self.most_places is None or len(group.places) < self.most_places:
            group.places.append(Member(outcome.line, outcome.identity, outcome.policy_name))

    @property
    def groups(self) -> list[Group]:
        """Deletions first, and of each effect what strikes most records; what is unchanged is not among them."""
        order = [*EFFECTS, UNCHANGED]
        return sorted(self._groups.values(), key=lambda group: (order.index(group.effect), -group.count))

    @property
    def to_do(self) -> int:
        """How many changes there are."""
        return self.counts.total() - self.counts[UNCHANGED]

    @property
    def effects(self) -> dict[str, int]:
        """How many of each effect, deletions first."""
        return {name: self.counts[name] for name in ("delete", "create", "update", UNCHANGED)}


def _obstacle(outcome: Outcome) -> str:
    if outcome.status is Status.FAILED:
        return "would fail" if outcome.effect else "not compared"
    return "not compared" if outcome.status is Status.NOT_ATTEMPTED else outcome.status.words


def _without_names(outcome: Outcome, lines: Iterable[str]) -> Iterator[str]:
    """The lines with a record's own identity and name as what they are, so that those of others can equal them."""
    own = outcome.identity.rpartition("identity/")[2]
    for line in lines:
        yield line.replace(f"identity/{own}", "identity/{identity}").replace(f'"{own}"', '"{identity}"')


def write_plan(outcomes: Iterable[Outcome], path: str | os.PathLike[str]) -> None:
    """Write a plan: ``effect`` is create, update, unchanged, delete, or null where the record was not compared;
    ``changes`` says what an update changes. ``status`` is null where nothing stands in the way of that effect; else
    it is the fate that the record has already or would have, and ``error_code`` and ``message`` say why.

    Raises:
        UsageError: its place is no plain file.
        BatchpolError: it cannot be written.
    """
    with Replacement(Path(path)) as target:
        for outcome in outcomes:
            target.file.write(json_line(_row(outcome)))


_OF_SENDING = ("attempts", "request_id", "started_at", "duration_ms")
"""Columns of a report that a plan has not: nothing is sent."""


def _row(outcome: Outcome) -> dict[str, Any]:
    free = bool(outcome.effect) and outcome.status in (Status.NOT_ATTEMPTED, Status.UNCHANGED)
    row: dict[str, Any] = dict.fromkeys((*ASKED, "effect", "changes")) | dict(
        zip(COLUMNS, values(outcome), strict=True)
    )
    for column in _OF_SENDING:
        del row[column]
    # A line each; whatever breaks lines inside of one is escaped there.
    row |= {"effect": outcome.effect or None, "changes": row["message"].split("\n") if free and row["message"] else []}
    if free:
        row["status"] = row["message"] = None
    return row | {"findings": [finding_object(finding) for finding in outcome.findings]}
