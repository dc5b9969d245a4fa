"""What people see of a plan: each comparison as it is made, and what they come to."""

from __future__ import annotations

from collections import Counter

from batchpol.batch.observer import Observer, Preview, Result
from batchpol.cli.screen.terminal import duration, place_lines, said, tell, write
from batchpol.journal import Journal
from batchpol.model import Change, Outcome, Severity, Status, Target, visible
from batchpol.policy.comparison import Effect, changed_paths
from batchpol.policy.comparison import diff as difference

SHOWN = 20
"""Rejected records shown; the report has them all."""


class Comparisons(Observer):
    """Shows comparisons on standard output, and counts the effects.

    Args:
        diff: show how documents differ, not only where.
    """

    def __init__(self, *, diff: bool) -> None:
        self._differences = difference if diff else changed_paths
        self._effects: Counter[str] = Counter()
        self._writes: Counter[Target] = Counter()
        self._would_fail = 0
        self._unverified: set[str] = set()

    @property
    def to_do(self) -> bool:
        """Whether there is something to do."""
        return self._effects.total() > self._effects["unchanged"]

    async def planned(self, preview: Preview, journal: Journal) -> bool:
        for note in preview.notes:
            tell(f"note: {said(note)}")
        for line in place_lines(preview):
            tell(line)
        tell(f"{preview.to_send:,} changes to compare, {preview.rejected:,} records rejected")
        for checked in preview.first_rejected[:SHOWN]:
            first = next(it for it in checked.findings if it.severity is Severity.ERROR)
            tell(f"  line {checked.record.line}: rejected: {said(first.text)} [{first.code}]")
        if preview.rejected > SHOWN:
            tell(f"  ... and {preview.rejected - SHOWN:,} more; a --report has them all")
        return True

    def compared(self, change: Change, effect: Effect, present: str | None) -> None:
        self._effects[effect.value] += 1
        write(visible(f"{_place(change)}: {effect.value} {change.identity} {change.policy_name}"))
        if effect is Effect.UPDATE and present is not None:
            for line in self._differences(present, change.document):
                write(f"    {line}")

    def settled(self, outcome: Outcome) -> None:
        if outcome.status is Status.FAILED:
            self._would_fail += bool(outcome.effect)
            word = "would fail" if outcome.effect else "not compared"
            what = f"{outcome.identity} {outcome.policy_name}: {outcome.message} [{outcome.error_code}]"
            write(said(f"{_place(outcome)}: {word}: {what}"))
        elif outcome.status is Status.NOT_ATTEMPTED:
            self._writes[Target(outcome.account, outcome.region)] += 1
        if outcome.findings and outcome.identity not in self._unverified:
            self._unverified.add(outcome.identity)
            tell(f"not verified: {visible(outcome.identity)}")

    def noted(self, target: Target, text: str) -> None:
        tell(f"{target}: {said(text)}")

    def end(self, result: Result, period: float) -> None:
        """The last line: counts and times."""
        effects, counts = self._effects, result.summary.counts
        changes = effects.total() - effects["unchanged"] - self._would_fail
        others = {
            "would fail": self._would_fail,
            "rejected": counts.get(Status.REJECTED, 0),
            "duplicate": counts.get(Status.DUPLICATE, 0),
            "not compared": counts.get(Status.FAILED, 0)
            - self._would_fail
            + max(0, counts.get(Status.NOT_ATTEMPTED, 0) - changes),
        }
        found = [f"{effects[name]:,} {name}" for name in ("create", "update", "unchanged", "delete")]
        found += [f"{count:,} {name}" for name, count in others.items() if count]
        times = f"compared in {result.summary.seconds or 0:.1f} s"
        if self._writes:
            times += f", apply would take about {duration(max(self._writes.values()) * period)}"
        write(f"{', '.join(found)}; {times}")
        if result.reason != "finished":
            tell(f"the plan ended early: {said(result.reason)}")


def _place(of: Change | Outcome) -> str:
    return f"line {of.line}" if of.line else "prune"
