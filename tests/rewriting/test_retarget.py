"""A record on its way to another account, Region or identity: what changes, what never does, what cannot be placed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchpol.model import Record, Severity
from batchpol.model.errors import UsageError
from batchpol.rewriting.retarget import Move, Moved
from batchpol.validation import Checker, Verdict

OLD, NEW, OTHER = "111122223333", "444455556666", "999988887777"
ARN = f"arn:aws:ses:us-east-1:{OLD}:identity/mail.example"
MOVED = f"arn:aws:ses:eu-west-1:{NEW}:identity/mail.example"
MOVE = Move.of(NEW, "eu-west-1", ())


def policy(resource: object = ARN, **elements: Any) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": OLD}, "Action": "ses:SendEmail", "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | elements]})


def record(document: str = "", identity: str = "mail.example", **more: Any) -> Record:
    return Record(identity, "p", document or policy(), **{"account": OLD, "region": "us-east-1"} | more)


def statement_of(moved: Record) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(moved.policy)["Statement"][0]
    return found


def test_resource_account_and_region_move_and_the_text_around_stays() -> None:
    document = policy().replace('"Resource": ', '"Resource"  :\t').replace("mail", "\\u006dail")
    moved, changes = MOVE.record(record(document))
    assert (moved.account, moved.region, moved.identity) == (NEW, "eu-west-1", "mail.example")
    assert moved.policy == document.replace(ARN.replace("mail", "\\u006dail"), MOVED)
    assert Moved("/Statement/0/Resource", ARN, MOVED) in changes
    assert Moved("account", OLD, NEW) in changes and Moved("region", "us-east-1", "eu-west-1") in changes


def test_the_result_is_valid_by_construction() -> None:
    moved, _ = MOVE.record(record())
    assert Checker().check(moved).status is Verdict.VALID


@pytest.mark.parametrize(
    ("more", "document"),
    [({}, ""), ({"account": None, "region": None}, ""), ({"identity": ARN, "account": None, "region": None}, "")],
)
def test_the_old_place_is_the_record_s_its_arn_s_or_its_document_s(more: dict[str, Any], document: str) -> None:
    moved, _ = MOVE.record(record(document, **more))
    assert statement_of(moved)["Resource"] == MOVED
    assert moved.identity == (MOVED if more.get("identity") else "mail.example")


def test_a_single_statement_and_a_list_of_resources() -> None:
    document = json.dumps({"Statement": {"Effect": "Allow", "Resource": [ARN, ARN.replace("mail", "MAIL")]}})
    moved, _ = MOVE.record(record(document))
    assert json.loads(moved.policy)["Statement"]["Resource"] == [MOVED, MOVED.replace("mail", "MAIL")]


def test_only_the_region_or_only_the_account() -> None:
    moved, _ = Move.of("", "eu-west-1", ()).record(record())
    assert statement_of(moved)["Resource"] == f"arn:aws:ses:eu-west-1:{OLD}:identity/mail.example"
    moved, _ = Move.of(NEW, "", ()).record(record())
    assert statement_of(moved)["Resource"] == f"arn:aws:ses:us-east-1:{NEW}:identity/mail.example"


def test_another_partition() -> None:
    moved, _ = Move.of(NEW, "cn-north-1", ()).record(record())
    assert statement_of(moved)["Resource"] == f"arn:aws-cn:ses:cn-north-1:{NEW}:identity/mail.example"


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
def test_what_stays_behind_in_the_old_partition_is_said(region: str) -> None:
    principal = {"AWS": f"arn:aws:iam::{OTHER}:role/x", "Service": "cognito-idp.amazonaws.com"}
    before = record(policy(Principal=principal))
    for principals in (False, True):
        moved, changes = Move.of(NEW, region, (), principals=principals).record(before)
        assert statement_of(moved)["Principal"] == principal
        assert [(it.old, it.new) for it in changes if not it.asked] == [(it, "") for it in principal.values()]
    _, changes = MOVE.record(before)
    assert [change for change in changes if not change.asked] == []


def test_maps_of_accounts_regions_and_identities() -> None:
    pairs = (f"{OLD}={OTHER}", "us-east-1=eu-central-1", "Mail.Example=post.example")
    moved, _ = Move.of(NEW, "eu-west-1", pairs).record(record())
    assert (moved.account, moved.region, moved.identity) == (OTHER, "eu-central-1", "post.example")
    assert statement_of(moved)["Resource"] == f"arn:aws:ses:eu-central-1:{OTHER}:identity/post.example"
    address = record(policy(ARN.replace("mail", "Bob@mail")), "Bob@mail.example")
    moved, _ = Move.of("", "", pairs).record(address)
    assert moved.identity == "Bob@post.example"
    assert statement_of(moved)["Resource"].endswith("identity/Bob@post.example")


ELSEWHERE: dict[str, Any] = {
    "Principal": {
        "AWS": [OLD, f"arn:aws:iam::{OLD}:role/Sender", f"arn:aws:iam::{OTHER}:root"],
        "Service": "x.amazonaws.com",
    },
    "Condition": {
        "StringEquals": {"aws:SourceAccount": OLD, "aws:RequestedRegion": ["us-east-1", "us-west-2"]},
        "ArnLike": {"aws:SourceArn": [ARN, f"arn:aws:ses:us-east-1:{OLD}:*"]},
        "StringLike": {"ses:FromAddress": "*@mail.example"},
    },
}


def test_principals_and_conditions_stay_and_it_is_said_what_names_the_old_place() -> None:
    moved, changes = MOVE.record(record(policy(**ELSEWHERE)))
    assert {name: statement_of(moved)[name] for name in ELSEWHERE} == ELSEWHERE
    left = [change for change in changes if not change.asked]
    assert [change.where for change in left] == [
        "/Statement/0/Principal/AWS/0",
        "/Statement/0/Principal/AWS/1",
        "/Statement/0/Condition/StringEquals/aws:SourceAccount",
        "/Statement/0/Condition/StringEquals/aws:RequestedRegion/0",
        "/Statement/0/Condition/ArnLike/aws:SourceArn/0",
        "/Statement/0/Condition/ArnLike/aws:SourceArn/1",
    ]
    assert left[0].new == NEW


def test_principals_and_conditions_move_where_asked() -> None:
    move = Move.of(NEW, "cn-north-1", ["mail.example=post.example"], principals=True, conditions=True)
    statement = statement_of(move.record(record(policy(**ELSEWHERE)))[0])
    assert statement["Principal"] == {
        "AWS": [NEW, f"arn:aws-cn:iam::{NEW}:role/Sender", f"arn:aws:iam::{OTHER}:root"],
        "Service": "x.amazonaws.com",
    }
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": NEW, "aws:RequestedRegion": ["cn-north-1", "us-west-2"]},
        "ArnLike": {
            "aws:SourceArn": [
                f"arn:aws-cn:ses:cn-north-1:{NEW}:identity/post.example",
                f"arn:aws-cn:ses:cn-north-1:{NEW}:*",
            ]
        },
        "StringLike": {"ses:FromAddress": "*@post.example"},
    }


@pytest.mark.parametrize(
    ("resource", "wrong"),
    [
        ("*", "no ARN"),
        (ARN.replace("mail.example", "*"), "no ARN"),
        (ARN.replace("mail", "other"), "another identity"),
        (ARN.replace(OLD, OTHER), "another account"),
        (ARN.replace("us-east-1", "us-west-2"), "another Region"),
        ([ARN, ARN.replace("us-east-1", "us-west-2")], "another Region"),
    ],
)
def test_what_cannot_be_placed_is_refused(resource: object, wrong: str) -> None:
    moved, _ = MOVE.record(record(policy(resource)))
    (problem,) = moved.problems
    assert (problem.code, problem.severity) == ("retarget-place", Severity.ERROR)
    assert wrong in problem.message
    assert Checker().check(moved).status is Verdict.REJECTED


@pytest.mark.parametrize("broken", [record("{"), record(identity="no identity"), record("[]"), record('"x"')])
def test_what_is_invalid_anyway_is_left_for_validation(broken: Record) -> None:
    moved, _ = MOVE.record(broken)
    assert moved.policy == broken.policy
    assert Checker().check(moved).status is Verdict.REJECTED


def test_a_delete_moves_too() -> None:
    moved, _ = MOVE.record(Record("mail.example", "p", action="delete", account=OLD, region="us-east-1"))
    assert (moved.account, moved.region, moved.policy) == (NEW, "eu-west-1", "")


@pytest.mark.parametrize(
    ("account", "region", "pairs", "complaint"),
    [
        ("", "", [], "nothing says where"),
        ("4444", "", [], "12 digits"),
        ("", "europe", [], "no Region"),
        ("", "", ["a"], "old=new"),
        ("", "", [f"{OLD}=us-east-1"], "old=new"),
        ("", "", ["old.example="], "old=new"),
        ("", "", ["=new.example"], "old=new"),
        ("", "", ["not an identity=new.example"], "old=new"),
        ("", "", ["old.example=a.example", "OLD.example=b.example"], "two things"),
    ],
)
def test_moves_that_are_none(account: str, region: str, pairs: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Move.of(account, region, pairs)


def test_an_account_id_that_is_a_number_moves_as_one_that_is_text() -> None:
    """Overlooked, the old account would keep its grant without a word of it."""
    number, condition = int(OLD), {"StringEquals": {"aws:SourceAccount": [int(OLD), 5]}}
    document = policy(Principal={"AWS": number}, Condition=condition)
    kept, changes = MOVE.record(record(document))
    assert Moved("/Statement/0/Principal/AWS", OLD, NEW, asked=False, places=(OLD,)) in changes
    assert statement_of(kept)["Principal"] == {"AWS": number}
    moved, _ = Move.of(NEW, "", (), principals=True, conditions=True).record(record(document))
    assert statement_of(moved)["Principal"] == {"AWS": NEW}
    assert statement_of(moved)["Condition"] == {"StringEquals": {"aws:SourceAccount": [NEW, 5]}}


@pytest.mark.parametrize("columns", [{"account": OTHER}, {"region": "eu-west-3"}])
def test_a_record_that_contradicts_itself_is_rejected_as_before(columns: dict[str, str]) -> None:
    """Moved, its columns and its ARN would agree, and nobody would be told."""
    moved, changes = MOVE.record(record("", ARN, **columns))
    assert (moved, changes) == (record("", ARN, **columns), [])
    checked = Checker().check(moved)
    assert checked.status is Verdict.REJECTED and "target-conflict" in {found.code for found in checked.findings}


@pytest.mark.parametrize(("expected", "code"), [("0" * 64, "retarget-if-match"), ("absent", None)])
def test_what_expects_something_in_the_old_place_cannot_be_moved(expected: str, code: str | None) -> None:
    moved, _ = MOVE.record(record(extra={"if_match": expected}))
    assert [problem.code for problem in moved.problems] == ([code] if code else [])
