"""The probe finds out which SES it is talking to, and leaves nothing behind; on a virtual clock.

``python -m tests.bench.probe`` is the long form.
"""

from __future__ import annotations

import pytest

from batchpol.errors import UsageError
from batchpol.model import Record, Target
from batchpol.probe import chosen
from batchpol.probe.document import doubtful
from batchpol.probe.odds import Odds
from batchpol.testing import DOUBTS
from batchpol.validation import RULES, Checker
from tests.bench.probe import PLACE, RIGHT, WRONG, set_up


@pytest.mark.parametrize("seed", range(7, 17))
def test_of_ten_possible_sess_none_is_taken_for_another(seed: int) -> None:
    outcome = set_up(seed)
    assert [it for it in outcome.verdicts if it.verdict == WRONG] == []
    assert sum(it.verdict != RIGHT for it in outcome.verdicts) <= 0.05 * len(outcome.verdicts)
    assert outcome.left == 0


def test_every_doubt_that_a_document_can_raise_is_asked_for() -> None:
    asked = {doubt for doubt, _ in doubtful(PLACE)}
    assert {doubt for doubt in DOUBTS if not doubt.startswith(("identity-", "name-"))} == asked


def test_what_is_asked_about_a_doubt_has_the_finding_that_its_answer_is_for() -> None:
    target = Target(PLACE.account, PLACE.region)
    for doubt, document in [*doubtful(PLACE), ("", PLACE.document())]:
        checked = Checker(target=target).check(Record(PLACE.identity, "probe", document))
        codes = {it.code for it in checked.findings}
        assert (doubt in codes) is (doubt in RULES), (doubt, codes)


def test_an_answer_takes_more_than_one_observation_and_outlives_one_that_is_wrong() -> None:
    odds = Odds(["apart", "shared"])
    odds.saw(["shared"])
    assert odds.answer is None
    odds.saw(["shared"])
    assert odds.answer == "apart"
    odds.saw(["apart"])
    assert odds.answer is None
    odds.saw(["shared"])
    assert odds.answer == "apart"


def test_where_nothing_fits_there_is_no_answer() -> None:
    odds = Odds([1, 2, 3])
    for _ in range(5):
        odds.saw([1, 2, 3])
    odds.saw([1, 2])
    odds.saw([1, 2])
    assert odds.nothing_fits
    assert odds.answer is None


def test_a_question_brings_those_that_it_builds_on() -> None:
    assert [it.name for it in chosen(["tolerance"])] == ["burst", "refused", "tolerance"]
    with pytest.raises(UsageError, match="'speed'"):
        chosen(["speed"])
