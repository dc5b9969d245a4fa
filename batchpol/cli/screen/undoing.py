"""What people see of an undo: whose doing it takes back, and what it leaves."""

from __future__ import annotations

from collections import Counter

from batchpol.cli.screen.terminal import moment
from batchpol.journal import Run
from batchpol.model import Action
from batchpol.rewriting.undo import Undone

SHOWN = 10
"""Runs that are told of; the others are counted."""


def lines(tally: Undone) -> list[str]:
    """What the input that was written does, in all and for each run that it takes back; deletions are said first."""
    runs = list(tally.runs.values())
    found = [f"{_what(tally.counts)}, as it was before {_before(runs)}"] if runs else ["nothing is to be taken back"]
    if len(runs) > 1:
        found += [f"  {_what(counts)}: the run of {_named(run)}" for run, counts in runs[-SHOWN:]]
        found += [f"  ... and {len(runs) - SHOWN:,} runs before them"] if len(runs) > SHOWN else []
        found.append("  only one of them: --last, or --run ID")
    if tally.others:
        found.append(f"what {tally.others:,} other runs of the journal wrote stays as it is")
    if tally.without_image:
        found.append(f"{tally.without_image:,} writes cannot be taken back: nothing was read before them (--blind)")
    return found


def _before(runs: list[tuple[Run, Counter[Action]]]) -> str:
    return f"the run of {_named(runs[0][0])}" if len(runs) == 1 else f"{len(runs):,} runs"


def _named(run: Run) -> str:
    return f"{moment(run.at)} ({run.run_id[:8]})"


def _what(counts: Counter[Action]) -> str:
    deletes, puts = counts[Action.DELETE], counts[Action.PUT]
    said = [f"{deletes:,} to delete"] if deletes else []
    said += [f"{puts:,} to put back"] if puts else []
    return ", ".join(said)
