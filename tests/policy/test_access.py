"""Whom an Allow lets in: everyone, every customer of a service, or those whom its Condition names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchpol.cli.help import MANUAL
from tests.bench.judges import GRANTS, Grant, is_public, said
from tests.validation.checks import codes, example, of_text

ANYBODY = ["*", {"AWS": "*"}, {"AWS": ["444455556666", "*"]}, {"Federated": "*"}, {"Service": "*"}]
FENCES = [
    ("StringEquals", "aws:SourceAccount", "444455556666"),
    ("StringEqualsIgnoreCase", "aws:PrincipalOrgID", "o-a1b2c3d4e5"),
    ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-a1b2c3d4e5/r-ab12/*"),
    ("StringLike", "aws:PrincipalAccount", "44445555*"),
    ("ArnLike", "aws:SourceArn", "arn:aws:cognito-idp:*:444455556666:userpool/*"),
    ("ArnLike", "aws:SourceArn", "arn:aws:s3:::bucket-of-ours"),
    ("StringLike", "aws:SourceArn", "arn:aws:cognito-idp:us-east-1:444455556666:*"),
    ("StringLike", "aws:PrincipalArn", "arn:aws:iam::444455556666:*"),
    ("StringEquals", "aws:SourceVpc", "vpc-0123456789abcdef0"),
    ("StringEquals", "aws:SourceVpce", ["vpce-0123456789abcdef0"]),
    ("StringEquals", "aws:SourceOrgID", "o-a1b2c3d4e5"),
    ("ForAnyValue:StringLike", "aws:SourceOrgPaths", "o-a1b2c3d4e5/*"),
    ("IpAddress", "aws:SourceIp", ["203.0.113.0/24", "2001:db8::/32"]),
    ("StringEquals", "aws:PrincipalOrgID", "${aws:ResourceOrgID}"),
    ("StringEquals", "aws:sourceaccount", "444455556666"),
]
OPEN = [
    ("StringLike", "aws:SourceAccount", ["444455556666", "*"]),
    ("StringLike", "aws:SourceAccount", "????????????"),
    ("StringLike", "aws:SourceAccount", "**"),
    ("StringEquals", "aws:SourceAccount", "${aws:PrincipalAccount}"),
    ("StringLike", "aws:PrincipalOrgID", "o-*"),
    ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "*/r-ab12/*"),
    ("StringLike", "aws:SourceVpc", "vpc-*"),
    ("ArnLike", "aws:SourceArn", "arn:aws:sns:*:*:topic-444455556666"),
    ("ArnLike", "aws:SourceArn", "arn:aws:s3:::*"),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::444455556666:role/a", "arn:aws:iam::*:role/a"]),
    ("StringLike", "aws:SourceArn", "arn:aws:cognito-idp:*"),
    ("IpAddress", "aws:SourceIp", ["203.0.113.0/24", "::/0"]),
    ("IpAddress", "aws:SourceIp", ["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/2"]),
    ("StringEquals", "aws:SourceAccount", []),
    ("StringEquals", "aws:PrincipalTag/team", "mail"),
    ("Bool", "aws:PrincipalIsAWSService", "true"),
    ("NumericLessThan", "aws:SourceAccount", "5"),
]


def found(principal: Any, condition: Any, **more: Any) -> set[str]:
    return {
        code for code in codes(of_text(example(Principal=principal, Condition=condition, **more))) if "risk" in code
    }


@pytest.mark.parametrize("grant", GRANTS, ids=lambda it: json.dumps(it.condition))
def test_the_grants_that_others_judge_too(grant: Grant) -> None:
    assert is_public(grant) == grant.is_public


def test_the_manual_s_table_is_of_these_grants() -> None:
    page = (MANUAL / "validate.md").read_text(encoding="utf-8")
    for grant in GRANTS:
        assert f"\n{said(grant)} {'public ' if grant.is_public else ''}| " in page


@pytest.mark.parametrize("principal", ANYBODY, ids=json.dumps)
def test_everyone_under_a_condition(principal: Any) -> None:
    assert "risk-public" in found(principal, None)
    for operator, key, value in FENCES:
        assert "risk-public" not in found(principal, {operator: {key: value}}), key
        for other in ("StringEqualsIfExists", "ForAllValues:StringLike", "StringNotEquals", "Null"):
            assert "risk-public" in found(principal, {other: {key: value}}), (other, key)
    for operator, key, value in OPEN:
        assert "risk-public" in found(principal, {operator: {key: value}}), (key, value)


def test_one_fence_is_enough_and_a_denial_lets_nobody_in() -> None:
    fence = {"StringEquals": {"aws:SourceAccount": "444455556666"}}
    assert found("*", {"StringLike": {"ses:FromAddress": "*@example.com", "aws:SourceVpc": "vpc-*"}} | fence) == set()
    assert found("*", None, Effect="Deny") == set()


def test_all_but_those_named_are_everyone() -> None:
    assert found(None, None, NotPrincipal={"AWS": "444455556666"}) == {"risk-public"}
    assert found(None, {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, NotPrincipal={"AWS": "444455556666"}) == set()


@pytest.mark.parametrize(
    "service", ["cognito-idp.amazonaws.com", ["ses.amazonaws.com", "workmail.us-east-1.amazonaws.com"]]
)
def test_every_customer_of_a_service(service: Any) -> None:
    principal = {"Service": service}
    assert found(principal, None) == {"risk-service"}
    assert found(principal, {"StringEquals": {"ses:FromAddress": "a@example.com"}}) == {"risk-service"}
    assert found(principal, {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}) == {"risk-service"}
    assert found(principal, {"StringEqualsIfExists": {"aws:SourceAccount": "444455556666"}}) == {"risk-service"}
    assert found(principal, {"ArnLike": {"aws:SourceArn": "arn:aws:cognito-idp:*:*:userpool/*"}}) == {"risk-service"}
    for operator, key, value in FENCES:
        expected = (
            set() if "aws:Source" in key and key not in ("aws:SourceVpc", "aws:SourceVpce", "aws:SourceIp") else None
        )
        if expected is not None:
            assert found(principal, {operator: {key: value}}) == expected
    assert found(principal, None, Effect="Deny") == set()


def test_nothing_is_concluded_from_a_placeholder() -> None:
    condition = {"StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"}}
    assert codes(of_text(example(Principal={"Service": "ses.amazonaws.com"}, Condition=condition))) == {
        "condition-placeholder"
    }
