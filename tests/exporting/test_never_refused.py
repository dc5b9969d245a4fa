"""What SES had is never refused: not by plan, export, retarget or undo, whatever our rules say of it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from batchpol.sandbox.store import Owner
from tests.e2e.command import ACCOUNT, REGION, policy
from tests.place import Place

AWAY = ("--to-account", "444455556666", "--to-region", "eu-west-1", "--conditions", "--principals")

UNKNOWN: dict[str, Any] = {
    "new-key": {"Condition": {"Bool": {"aws:ViaAWSMCPServices": "true"}}},
    "near-key": {"Condition": {"StringEquals": {"aws:SourceVpcId": "vpc-12345678"}}},
    "near-action": {"Action": "ses:SendEmailz"},
    "only-other-actions": {"Action": "mailmanager:Send"},
    "new-operator": {"Condition": {"StringStarts": {"ses:FromAddress": "a"}}},
    "not-a-date": {"Condition": {"DateLessThan": {"aws:CurrentTime": "soon"}}},
    "session": {"Principal": {"AWS": "arn:aws:iam::111122223333:saml-provider/x"}},
    "new-kind": {"Principal": {"AWS": "111122223333", "Newest": "x"}},
    "every-resource": {"Resource": "*"},
    "other-resource": {"Resource": "arn:aws:ses:us-east-1:999999999999:identity/other.example"},
    "lower-effect": {"Effect": "allow"},
}
"""Elements that a statement has, each an error by our rules."""


def fill(place: Place) -> None:
    for name, elements in UNKNOWN.items():
        place.put("tenant.example.com", name, policy("tenant.example.com", **elements))
    broken = json.dumps(policy("b.example"))[:-1] + ', "Version": "2012-10-17"}'
    place.sandbox.store.put(Owner(ACCOUNT, REGION, "b.example"), "twice", broken)
    place.sandbox.store.put(
        Owner(ACCOUNT, REGION, "b.example"), "long", json.dumps(policy("b.example", Sid="s" * 4096))
    )


def findings(place: Place, name: str) -> list[dict[str, Any]]:
    return [it for row in place.report(name) for it in row.get("findings") or []]


def test_an_export_is_taken_back_as_it_is(place: Place) -> None:
    fill(place)
    place.run("export", "-o", "there.jsonl")
    place.run("validate", "there.jsonl", "--report", "found.jsonl")
    found = findings(place, "found.jsonl")
    assert {it["severity"] for it in found} == {"warning"}
    assert {"condition-key", "action-useless", "resource-wildcard", "json-duplicate-key", "policy-too-long"} <= {
        it["code"] for it in found
    }
    planned = place.run("plan", "there.jsonl", "--report", "plan.jsonl")
    assert "0 delete, 0 create, 0 update, 13 unchanged" in planned.out
    assert not [row for row in place.report("plan.jsonl") if row["status"]]
    place.forget_arrivals()
    place.run("apply", "there.jsonl", "--report", "applied.jsonl")
    assert place.statuses("applied.jsonl") == Counter(unchanged=13)
    assert not place.writes


def test_a_move_is_not_refused_either(place: Place) -> None:
    fill(place)
    place.run("export", "-o", "there.jsonl")
    ended = place.run("retarget", "there.jsonl", *AWAY, "-o", "moved.jsonl")
    assert "13 records written" in ended.err
    assert 'Resource "*" is no ARN' in ended.err
    place.run("validate", "moved.jsonl", "--report", "found.jsonl")
    assert {it["severity"] for it in findings(place, "found.jsonl")} == {"warning"}
    back = ("--to-account", ACCOUNT, "--to-region", REGION, "--conditions", "--principals")
    place.run("retarget", "moved.jsonl", *back, "-o", "back.jsonl")
    was, now = ({row["policy_name"]: row for row in place.report(name)} for name in ("there.jsonl", "back.jsonl"))
    assert {name: (row["policy"], row["stored"]) for name, row in now.items()} == {
        name: (row["policy"], row["stored"]) for name, row in was.items()
    }


def test_what_was_replaced_or_pruned_can_be_put_back(place: Place) -> None:
    fill(place)
    there = place.there
    wanted = [
        {"identity": "tenant.example.com", "policy_name": name, "policy": policy("tenant.example.com")}
        for name in ("new-key", "near-key", "only-other-actions")
    ]
    place.save("wanted.jsonl", wanted)
    place.run("apply", "wanted.jsonl", "--prune")
    assert len(place.there) == 3 + 2
    place.run("undo", "wanted.journal.jsonl", "-o", "undo.jsonl")
    place.run("validate", "undo.jsonl", "--report", "found.jsonl")
    assert {it["severity"] for it in findings(place, "found.jsonl")} == {"warning"}
    place.run("apply", "undo.jsonl", "--report", "undone.jsonl", code=None)
    refused = {row["policy_name"] for row in place.report("undone.jsonl") if row["status"] == "failed"}
    assert "rejected" not in place.statuses("undone.jsonl")
    assert {key: text for key, text in there.items() if key[1] not in refused} == {
        key: text for key, text in place.there.items() if key[1] not in refused
    }


@pytest.mark.parametrize(
    "field, value",
    [
        ("policy", json.dumps(policy("tenant.example.com", Action="ses:SendEmailx"))),
        ("policy_name", "another"),
        ("identity", "tenant.example.org"),
        ("region", "eu-west-1"),
        ("account", "444455556666"),
        ("stored", "0" * 64),
        ("stored", ""),
    ],
)
def test_a_row_that_was_edited_is_a_row_like_any_other(place: Place, field: str, value: str) -> None:
    place.put("tenant.example.com", "near-action", policy("tenant.example.com", Action="ses:SendEmailz"))
    place.run("export", "-o", "there.jsonl")
    (row,) = place.report("there.jsonl")
    place.run("validate", place.save("same.jsonl", [json.loads(json.dumps(row, indent=4))]))
    place.run("validate", place.save("edited.jsonl", [row | {field: value}]), code=1)


def test_warnings_that_are_asked_to_be_errors_are(place: Place) -> None:
    fill(place)
    place.run("export", "-o", "there.jsonl")
    place.run("validate", "there.jsonl", "--warnings-as-errors", code=1)
    place.run("validate", "there.jsonl", "--warnings-as-errors", "--ignore", "condition", "--select", "condition")
