"""The policies that the manual gives to paste are what the commands need: no more, and no less."""

from __future__ import annotations

import json
import re

import pytest

from batchpol.cli.help import MANUAL
from tests.e2e.command import policy, record
from tests.place import Place

PAGE = (MANUAL / "permissions.md").read_text(encoding="utf-8")
GRANTED = {
    name: {action for statement in json.loads(document)["Statement"] for action in statement["Action"]}
    for name, document in re.findall(r"<!-- permissions: (.+?) -->\n```json\n(.*?)```", PAGE, re.DOTALL)
}
GONE = {"identity": "b.example", "policy_name": "old", "action": "delete"}
RUNS = {
    "apply": [("apply", "in.jsonl", "--prune", "--verify", "--require-verified")],
    "apply --blind": [("apply", "puts.jsonl", "--blind")],
    "export": [("export", "-o", "out.jsonl")],
    "plan": [("plan", "in.jsonl", "--prune")],
}


def test_every_policy_is_tried() -> None:
    assert GRANTED.keys() == RUNS.keys()


@pytest.mark.parametrize("name", RUNS)
def test_what_a_command_asks_ses_for_is_what_its_policy_grants(place: Place, name: str) -> None:
    place.put("a.example", "old", policy("a.example"))
    place.put("b.example", "old", policy("b.example"))
    place.save("in.jsonl", [record("a.example"), GONE])
    place.save("puts.jsonl", [record("a.example")])
    for line in RUNS[name]:
        place.run(*line)
    asked = {f"ses:{it.operation}" for it in place.sandbox.arrivals if it.operation != "GetCallerIdentity"}
    assert asked == GRANTED[name]
