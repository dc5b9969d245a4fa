"""What follows from settings: what is read, what is looked up, when failures stop a run."""

from __future__ import annotations

from dataclasses import fields

import pytest

from batchpol.model import settings
from batchpol.model.settings import Conduct, Connection, Patience

HEADINGS = [it for it in vars(settings).values() if hasattr(it, "HEADING")]


def test_a_name_means_one_thing() -> None:
    """A setting stands under one heading, but for where SES is, which some commands are told and others assume."""
    names = [it.name for heading in HEADINGS for it in fields(heading)]
    assert len(names) == len(set(names)) > 40
    assert all(it.metadata["help"].endswith(".") for heading in HEADINGS for it in fields(heading) if it.metadata)


@pytest.mark.parametrize(
    ("conduct", "reads", "only_compares", "ownership"),
    [
        (Conduct(), True, True, True),
        (Conduct(compare=False), False, False, False),
        (Conduct(compare=False, require_verified=True), False, False, True),
        (Conduct(compare=False, no_clobber=True), True, False, False),
        (Conduct(only_existing=True), True, False, True),
        (Conduct(compare=False, plan=True), True, False, True),
    ],
)
def test_what_is_read(conduct: Conduct, reads: bool, only_compares: bool, ownership: bool) -> None:
    assert (conduct.reads, conduct.only_compares, conduct.ownership) == (reads, only_compares, ownership)


@pytest.mark.parametrize(
    ("max_failures", "failed", "attempted", "over"),
    [
        (None, 99, 99, False),
        (0, 0, 99, False),
        (0, 1, 1, True),
        (2, 2, 2, False),
        (2, 3, 3, True),
        (0.05, 19, 19, False),
        (0.05, 1, 20, False),
        (0.05, 2, 20, True),
        (1.0, 99, 99, False),
    ],
)
def test_a_number_of_failures_or_a_share_of_those_attempted(
    max_failures: float | None, failed: int, attempted: int, over: bool
) -> None:
    assert Patience(max_failures=max_failures).is_over(failed, attempted) is over


def test_nothing_secret_is_shown() -> None:
    assert "hidden" not in repr(Connection(access_key="hidden", secret_key="hidden"))
