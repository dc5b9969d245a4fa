"""The probe's questions asked of AWS itself: never in CI, only where somebody says so and has an account.

``BATCHPOL_LIVE=1 BATCHPOL_LIVE_IDENTITY=probe.example.com python -m pytest tests/live -s``, with the Region and the
credentials where AWS's tools look for them; ``BATCHPOL_LIVE_UNVERIFIED`` names an identity that is not verified,
``BATCHPOL_LIVE_DELETED`` a role that was deleted after a policy of the identity named it.
"""

from __future__ import annotations

import os

import pytest

from batchpol.model.settings import Connection
from batchpol.probe import QUESTIONS, Probe, chosen, reached

pytestmark = pytest.mark.skipif(os.environ.get("BATCHPOL_LIVE") != "1", reason="asks AWS: only with BATCHPOL_LIVE=1")


@pytest.mark.parametrize("name", QUESTIONS)
async def test_a_question_has_an_answer_and_leaves_nothing_behind(name: str) -> None:
    given = {it: os.environ.get(f"BATCHPOL_LIVE_{it.upper()}", "") for it in ("identity", "unverified", "deleted")}
    async with reached(Connection(), **given) as (place, gate, send):
        probe = Probe(send, place, chosen([name]), gate=gate, asking=print)
        await probe.run()
        print(*probe.told[name].says, sep="\n")
        assert probe.told[name].open == ()
        assert probe.left == []
