"""One short run of what ``python -m tests.fleet.runs`` does fifty times."""

from __future__ import annotations

from tests.fleet.runs import run_once


def test_workers_that_are_killed_and_doubled_bring_a_batch_through() -> None:
    figures = run_once(2, quick=True)
    assert figures.violations == []
    assert figures.moves.total() == 2 and figures.hand_overs and figures.requests
