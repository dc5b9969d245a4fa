"""What people see of a plan: progress while it is made, then the same changes together, and what they come to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import anyio.to_thread

from batchpol.batch.observer import Preview, Result
from batchpol.batch.options import Options
from batchpol.cli.screen import commands, log
from batchpol.cli.screen.commands import NextStep
from batchpol.cli.screen.live import Screen
from batchpol.cli.screen.streams import settle
from batchpol.cli.screen.terminal import duration, said, tell, write
from batchpol.cli.spelling import spelled
from batchpol.journal import FINISHED, Journal
from batchpol.model import Outcome, Status, visible
from batchpol.report import Plan, Summary
from batchpol.report.planned import UNCHANGED, Group, Member
from batchpol.report.summary import causes_json
from batchpol.rewriting.saved import steps

PLACES = 5
"""Records that a group names; a group of few more names them all."""

FEW = 12


class Comparisons(Screen):
    """Shows progress on standard error, and what a plan comes to on standard output.

    Args:
        diff: show how documents differ, not only where.
        everything: name every record.
        quiet: the summary only.
        as_json: the summary as one object.
    """

    def __init__(self, options: Options, *, diff: bool, everything: bool, quiet: bool, as_json: bool) -> None:
        super().__init__(quiet=quiet, progress=True, confirm=None, reported=bool(options.keeping.reports))
        self._options, self._diff, self._everything, self._as_json = options, diff, everything, as_json
        self.plans = True
        self._unverified: set[str] = set()
        self._bad = Summary()
        self.plan = Plan()

    def lines_of(self, preview: Preview) -> list[str]:
        """Before anything is compared."""
        return [it.replace("time: about", "time: at most", 1) for it in super().lines_of(preview)]

    def settled(self, outcome: Outcome) -> None:
        self.row_of(outcome).add(outcome, planned=True)
        if outcome.findings and outcome.identity not in self._unverified:
            self._unverified.add(outcome.identity)
            self.say(f"not verified: {visible(outcome.identity)}")

    async def ended(self, journal: Journal) -> None:
        """Read back what was compared: in the order of the input, the same changes together."""
        plan = Plan(None if self._everything else FEW)
        read = plan.take(steps(journal.compared(), diffs=self._diff))
        self._bad = await anyio.to_thread.run_sync(Summary.of, read)
        self.plan = plan

    def next_steps(self, result: Result) -> Sequence[tuple[str, str]]:
        return [self._step(result).as_typed()] if Status.NOT_ATTEMPTED in result.summary.counts else []

    def _step(self, result: Result) -> NextStep:
        """How it is carried out."""
        saved = self._saved(result)
        if saved is None:
            return NextStep("to carry that out", commands.applied(self.run))
        return NextStep(f"saved as {visible(str(saved))}; to carry that out", commands.carry_out(str(saved), self.run))

    def _saved(self, result: Result) -> Path | None:
        return self._options.save if result.reason == FINISHED else None

    def end(self, result: Result) -> None:
        """What is said once it is over."""
        saved, step = self._saved(result), self._step(result)
        settle()
        if self._as_json:
            more = {"plan": str(saved) if saved else None, "next": [step.as_json()] if self.plan.to_do else []}
            write(spelled(json.dumps(self._json(result) | more)))
        else:
            for line in () if self._quiet else (*chain(*map(self._lines, self.plan.groups)), *self._obstacles()):
                write(line)
            write(self._summary(result))
        settle()
        if result.reason != FINISHED:
            tell(f"the plan ended early: {said(result.reason)}" + ("; it is not saved" if self._options.save else ""))
        elif self.plan.to_do and not log.is_wanted():
            self.say(str(step))

    def _lines(self, group: Group) -> Iterator[str]:
        """One effect on one record or many; what is unchanged only where everything is asked for."""
        if group.effect == UNCHANGED and not self._everything:
            return
        first = group.places[0]
        if group.count == 1:
            yield f"{_where(first)}: {group.effect} {_name(first)}"
        else:
            yield f"{group.effect} {group.count:,}" + (", the same change to each:" if group.lines else ":")
        yield from (f"    {line}" for line in group.lines)
        if group.count > 1:
            shown = group.places if group.count <= FEW or self._everything else group.places[:PLACES]
            yield from (f"  {_where(place)}: {_name(place)}" for place in shown)
            if group.count > len(shown):
                yield f"  ... and {group.count - len(shown):,} more; --all names them"

    def _obstacles(self) -> Iterator[str]:
        """Why records would fail, or could not be compared, by cause."""
        for cause in self._bad.causes:
            if cause.status is Status.FAILED:
                for it in cause.examples:
                    what = f"{it.identity} {it.policy_name}: {it.message} [{cause.error_code}]"
                    yield said(
                        f"line {it.line}: {'would fail' if cause.error_code in _OURS else 'not compared'}: {what}"
                    )
                if cause.count > len(cause.examples):
                    yield f"  ... and {cause.count - len(cause.examples):,} more"

    def _summary(self, result: Result) -> str:
        found = [f"{count:,} {name}" for name, count in self.plan.effects.items()]
        found += [f"{count:,} {name}" for name, count in self.plan.others.items()]
        times = f"compared in {result.summary.seconds or 0:.1f} s"
        if self.plan.to_do:
            times += f", apply would take about {duration(self._seconds)}"
        return f"{', '.join(found)}; {times}"

    @property
    def _seconds(self) -> float:
        return max(self.plan.writes.values(), default=0) * self._options.patience.period

    def _json(self, result: Result) -> dict[str, object]:
        others = {name.replace(" ", "_"): count for name, count in self.plan.others.items()}
        groups = [
            {
                "effect": it.effect,
                "count": it.count,
                "changes": it.lines,
                "records": [place._asdict() for place in it.places],
            }
            for it in self.plan.groups
            if it.effect != UNCHANGED or self._everything
        ]
        return {
            "records": result.summary.records,
            "effects": self.plan.effects,
            "others": others,
            "groups": groups,
            "causes": causes_json(self._bad.causes),
            "seconds": result.summary.seconds,
            "apply_seconds": self._seconds,
            "exit_code": result.exit_code,
            "reason": result.reason,
            "reports": [str(path) for path in result.reports],
        }


_OURS = ("Changed", "BadIfMatch", "TooManyPolicies", "Exists", "Absent")
"""Codes of what would stand in the way of a write; any other says why something was not compared."""


def _where(place: Member) -> str:
    return f"line {place.line}" if place.line else "prune"


def _name(place: Member) -> str:
    return visible(f"{place.identity} {place.policy_name}")
