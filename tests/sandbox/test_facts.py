"""The possible SESs: each fact that nobody outside AWS knows, set either way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from batchpol.sandbox import DOUBTS, LAGS, Facts, Owner, SandboxOptions, Store
from batchpol.sandbox.limits import Limits
from batchpol.testing import Sandbox
from tests.sandbox.documents import ACCOUNT, REGION, arn_of, policy_for, statement_for

KEY = (ACCOUNT, REGION, "PutIdentityPolicy")
OWNER = Owner(ACCOUNT, REGION, "example.com")


def put(ses: Any, document: str, identity: str = "example.com", name: str = "p") -> str:
    """The code of the refusal, ``""`` if there is none."""
    try:
        ses.put_identity_policy(Identity=identity, PolicyName=name, Policy=document)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"tolerance_ms": -1},
        {"stale_seconds": -1},
        {"stale_by": {"get": 1}},
        {"stale_by": {"get-after-put": -1}},
        {"length_unit": "words"},
        {"refused": {"effect-cas"}},
    ],
)
def test_facts_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"negative|unknown lag|bytes or characters|did you mean effect-case"):
        SandboxOptions(**wrong)


# --- the limit


def admitted(facts: Facts, *times: float) -> list[bool]:
    limits = Limits()
    return [limits.admit(KEY, at, facts) for at in times]


def test_a_tolerance_lets_in_early_and_does_not_raise_the_rate() -> None:
    facts = Facts(tolerance_ms=100)
    assert admitted(facts, 0, 0.89) == [True, False]
    assert admitted(facts, 0, 0.91, 1.91, 2.91) == [True] * 4
    # Whoever always comes early is refused once the tolerance is used up.
    assert admitted(facts, 0, 0.94, 1.88, 2.82) == [True, True, False, True]


def test_throttled_requests_can_take_from_the_limit() -> None:
    assert admitted(Facts(), 0, 0.9, 1.0) == [True, False, True]
    assert admitted(Facts(throttled_count=True), 0, 0.9, 1.0, 1.9, 2.9) == [True, False, False, False, True]
    # Only as much as there is: a flood is forgotten after a full bucket's time.
    assert admitted(Facts(throttled_count=True, burst=2), *[0] * 50, 2.0, 2.0) == [
        True,
        True,
        *[False] * 48,
        True,
        True,
    ]


@pytest.mark.parametrize("counts", [True, False])
def test_refused_requests_may_or_may_not_take_from_the_limit(ses: Any, ses_sandbox: Sandbox, counts: bool) -> None:
    ses_sandbox.change(rate=0.001, refused_count=counts)
    assert put(ses, "{}") == "InvalidPolicy"
    assert put(ses, policy_for("example.com")) == ("Throttling" if counts else "")
    assert put(ses, policy_for("example.com")) == "Throttling"


# --- reads that lag


def test_each_read_lags_by_its_own_time_after_each_write(ses: Any, ses_sandbox: Sandbox) -> None:
    def seen() -> tuple[bool, bool]:
        got = ses.get_identity_policies(Identity="example.com", PolicyNames=["p"])["Policies"]
        return "p" in got, "p" in ses.list_identity_policies(Identity="example.com")["PolicyNames"]

    put(ses, policy_for("example.com"))
    for lagging, expected in {
        "get-after-put": (False, True),
        "list-after-put": (True, False),
        "get-after-delete": (True, True),
    }.items():
        ses_sandbox.change(stale_by={lagging: 3600})
        assert seen() == expected, lagging
    ses_sandbox.change(stale_by={"list-after-delete": 3600})
    ses.delete_identity_policy(Identity="example.com", PolicyName="p")
    assert seen() == (False, True)
    ses_sandbox.change(stale_by={}, stale_seconds=3600)
    assert seen() == (False, False)


def test_who_sees_a_write_sees_nothing_older() -> None:
    store = Store()
    store.put(OWNER, "p", "first", 0)
    store.put(OWNER, "p", "second", 10)
    store.delete(OWNER, "p", 11)
    # The Delete can be seen at once; that the second Put before it cannot yet brings nothing back.
    assert store.seen(OWNER, 12, {"put": 60, "delete": 0}) == {}
    assert store.seen(OWNER, 12, {"put": 0, "delete": 60}) == {"p": "second"}
    assert store.seen(OWNER, 12, {"put": 60, "delete": 60}) == {}


def test_lags_at_random_are_between_none_and_all() -> None:
    store, lags = Store(seed=1), {"put": 100.0, "delete": 100.0}
    for number in range(200):
        store.put(OWNER, f"p{number}", "x", 0)
    seen = [len(store.seen(OWNER, now, lags, at_random=True)) for now in (0, 25, 50, 75, 100)]
    assert seen[0] == 0
    assert seen[-1] == 200
    assert seen == sorted(seen)
    assert 60 < seen[2] < 140


def test_a_deleted_identity_does_not_come_back_by_a_lag(ses: Any, ses_sandbox: Sandbox) -> None:
    for action in ("ses:SendEmail", "ses:SendRawEmail"):
        put(ses, policy_for("example.com", Action=action))
    ses.delete_identity(Identity="example.com")
    ses_sandbox.change(stale_by={"get-after-put": 3600})
    assert ses.get_identity_policies(Identity="example.com", PolicyNames=["p"])["Policies"] == {}


def test_reading_stays_quick_after_many_writes() -> None:
    store = Store()
    for number in range(50_000):
        store.put(Owner(ACCOUNT, REGION, f"i{number}.example"), "p", "x", number / 1000)
    began = time.perf_counter()
    for _ in range(200):
        store.seen(OWNER, 50.0, {"put": 0.1, "delete": 0.1})
    assert time.perf_counter() - began < 1


# --- length and what comes back


@pytest.mark.parametrize(
    ("facts", "lengths"),
    [
        ({}, (True, True, False)),
        ({"length_with_blanks": True}, (True, False, False)),
        ({"length_unit": "characters"}, (True, True, True)),
        ({"max_length": 4000}, (False, False, False)),
    ],
)
def test_what_of_a_policy_is_counted(ses: Any, ses_sandbox: Sandbox, facts: Any, lengths: tuple[bool, ...]) -> None:
    empty = len(json.dumps(json.loads(policy_for("example.com", Sid="")), separators=(",", ":")))
    full = json.loads(policy_for("example.com", Sid="x" * (4096 - empty)))
    wide = json.loads(policy_for("example.com", Sid="é" * (4096 - empty)))
    ses_sandbox.change(**facts)
    compact, spacious = json.dumps(full, separators=(",", ":")), json.dumps(full, indent=4)
    texts = compact, spacious, json.dumps(wide, ensure_ascii=False, separators=(",", ":"))
    assert tuple(put(ses, text) == "" for text in texts) == lengths


@pytest.mark.parametrize(
    ("facts", "change"),
    [
        ({"keeps_blanks": True}, lambda text: text),
        ({"sorts_keys": True}, lambda text: json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))),
        (
            {"accounts_as_roots": True},
            lambda text: text.replace(" ", "").replace('"111122223333"', '"arn:aws:iam::111122223333:root"'),
        ),
        (
            {"principals_as_ids": True},
            lambda text: text.replace(" ", "").replace("arn:aws:iam::111122223333:role/r", "AROATW3UMMB73YDV37AWX"),
        ),
    ],
)
def test_what_comes_back(ses: Any, ses_sandbox: Sandbox, facts: Any, change: Callable[[str], str]) -> None:
    ses_sandbox.change(**facts)
    document = policy_for("example.com", Principal={"AWS": ["111122223333", "arn:aws:iam::111122223333:role/r"]})
    assert put(ses, document) == ""
    read = ses.get_identity_policies(Identity="example.com", PolicyNames=["p"])["Policies"]["p"]
    assert read == change(document)


@pytest.mark.parametrize("as_ids, strict", [(True, False), (False, True)])
def test_a_principal_that_is_deleted(ses: Any, ses_sandbox: Sandbox, as_ids: bool, strict: bool) -> None:
    user = f"arn:aws:iam::{ACCOUNT}:user/u"
    conditions = {"ArnLike": {"aws:PrincipalArn": user}}
    document = policy_for("example.com", Principal={"AWS": [user]}, Condition=conditions)
    assert put(ses, document) == ""
    ses_sandbox.change(deleted={user}, deleted_as_ids=as_ids, strict_principals=strict)
    read = json.loads(ses.get_identity_policies(Identity="example.com", PolicyNames=["p"])["Policies"]["p"])
    (named,) = read["Statement"][0]["Principal"]["AWS"]
    assert (named[:4], read["Statement"][0]["Condition"]) == ("AIDA" if as_ids else "arn:", conditions)
    assert put(ses, document) == ("InvalidPolicy" if strict else "")


# --- identities


@pytest.mark.parametrize(
    ("strict", "verified", "taken"),
    [
        (False, True, {"known.example", "unknown.example"}),
        (False, False, {"known.example", "unknown.example", "known.invalid", "unknown.invalid"}),
        (True, True, {"known.example"}),
        (True, False, {"known.example", "known.invalid"}),
    ],
)
def test_unknown_and_unverified_identities(
    ses: Any, ses_sandbox: Sandbox, strict: bool, verified: bool, taken: set[str]
) -> None:
    ses_sandbox.change(strict_identities=strict, require_verified=verified)
    identities = [f"{known}.{domain}" for known in ("known", "unknown") for domain in ("example", "invalid")]
    for identity in identities[:2]:
        ses.verify_domain_identity(Domain=identity)
    assert {identity for identity in identities if not put(ses, policy_for(identity), identity)} == taken
    answered = ses.get_identity_verification_attributes(Identities=identities)["VerificationAttributes"]
    assert {name for name, it in answered.items() if it["VerificationStatus"] == "Success"} == taken
    assert ("unknown.example" in answered) == (not strict)


# --- what may or may not be refused


def with_condition(operator: str, key: str, value: Any) -> str:
    return policy_for("example.com", Condition={operator: {key: value}})


def raw(**changes: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement_for("example.com")]} | changes)


DOUBTFUL: dict[str, str | tuple[str, str, str]] = {
    "identity-arn": (policy_for("example.com"), arn_of("example.com"), "p"),
    "identity-trailing-dot": (policy_for("example.com."), "example.com.", "p"),
    "identity-underscore": (policy_for("a_b.example.com"), "a_b.example.com", "p"),
    "identity-unusual": (policy_for("localhost"), "localhost", "p"),
    "name-long": (policy_for("example.com"), "example.com", "p" * 65),
    "name-characters": (policy_for("example.com"), "example.com", "a b"),
    "json-duplicate-key": raw()[:-1] + ',"Version":"2012-10-17"}',
    "policy-element": raw(Comment="x"),
    "policy-version": raw(Version="2012-10-18"),
    "statement-element": policy_for("example.com", Comment="x"),
    "statement-sid": raw(Statement=[statement_for("example.com", Sid="a"), statement_for("example.com", Sid="a")]),
    "statement-both": policy_for("example.com", NotResource=arn_of("example.org")),
    "statement-not-action": policy_for("example.com", Action=None, NotAction="ses:SendEmail"),
    "statement-not-principal": policy_for("example.com", Principal=None, NotPrincipal={"AWS": "111122223333"}),
    "effect-case": policy_for("example.com", Effect="ALLOW"),
    "principal-key": policy_for("example.com", Principal={"Aws": "111122223333"}),
    "principal-key-unlisted": policy_for("example.com", Principal={"Federated": "accounts.google.com"}),
    "principal-empty": policy_for("example.com", Principal={"AWS": []}),
    "principal-number": policy_for("example.com", Principal={"AWS": 111122223333}),
    "principal-wildcard": policy_for("example.com", Principal={"AWS": "arn:aws:iam::111122223333:role/*"}),
    "principal-arn": policy_for("example.com", Principal={"AWS": "somebody"}),
    "principal-service": policy_for("example.com", Principal={"Service": "https://cognito-idp.amazonaws.com"}),
    "action-case": policy_for("example.com", Action="SES:sendEmail"),
    "action-unlisted": policy_for("example.com", Action="ses:SendBounce"),
    "action-unknown": policy_for("example.com", Action="ses:SendSomething"),
    "resource-list": policy_for("example.com", Resource=[arn_of("example.com")]),
    "resource-repeated": policy_for("example.com", Resource=[arn_of("example.com")] * 2),
    "resource-case": policy_for("example.com", Resource=arn_of("Example.com")),
    "resource-wildcard": policy_for("example.com", Resource="*"),
    "resource-mismatch": policy_for("example.com", Resource=arn_of("example.org")),
    "condition-empty": policy_for("example.com", Condition={"StringEquals": {}}),
    "condition-operator": with_condition("StringMatches", "aws:SourceAccount", "1"),
    "condition-operator-case": with_condition("stringEquals", "aws:SourceAccount", "1"),
    "condition-key": with_condition("StringEquals", "lambda:SourceFunctionArn", "1"),
    "condition-key-case": with_condition("StringEquals", "aws:sourceaccount", "1"),
    "condition-key-prefix": with_condition("StringEquals", "AWS:SourceAccount", "1"),
    "condition-key-unlisted": with_condition("StringEquals", "aws:PrincipalArn", "1"),
    "condition-boolean": with_condition("Bool", "aws:SecureTransport", "yes"),
    "condition-number": with_condition("NumericLessThan", "aws:EpochTime", "many"),
    "condition-date": with_condition("DateLessThan", "aws:CurrentTime", "tomorrow"),
    "condition-cidr": with_condition("NotIpAddressIfExists", "aws:SourceIp", ["10.0.0.0/8", "10.0.0.0/33"]),
    "condition-arn": with_condition("ArnLike", "aws:SourceArn", "123456789012"),
    "condition-binary": with_condition("BinaryEquals", "aws:UserAgent", "é"),
    "condition-variable": raw(
        Version="2008-10-17",
        Statement=[statement_for("example.com", Condition={"StringLike": {"ses:FromAddress": "${aws:username}@a.b"}})],
    ),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_each_doubtful_thing_can_be_refused_and_taken(ses: Any, ses_sandbox: Sandbox, name: str) -> None:
    case = DOUBTFUL[name]
    arguments = (case,) if isinstance(case, str) else case
    assert bool(put(ses, *arguments)) == DOUBTS[name].refused
    for refused, expected in ({name}, True), (DOUBTS.keys() - {name}, False), (set(), False):
        ses_sandbox.change(refused=refused)
        assert bool(put(ses, *arguments)) == expected, refused


def test_what_nothing_is_wrong_with_is_taken_by_the_strictest(ses: Any, ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(refused=frozenset(DOUBTS))
    fine = {
        "StringEquals": {"aws:SourceAccount": "111122223333"},
        "ForAllValues:StringLike": {"ses:Recipients": ["*@example.com"]},
        "DateGreaterThan": {"aws:CurrentTime": "2021-08-31T12:00Z"},
        "Bool": {"aws:SecureTransport": True},
    }
    principal = {"AWS": ["111122223333", "arn:aws:iam::111122223333:role/r"], "Service": "cognito-idp.amazonaws.com"}
    assert put(ses, policy_for("example.com", Condition=fine, Principal=principal, Action="ses:Send*")) == ""
    assert put(ses, policy_for("jo@example.com", Action="*", Principal="*"), "jo@example.com") == ""


def test_every_lag_is_one_of_a_read_after_a_write() -> None:
    assert [Facts(stale_by={lag: 7}).lag(*lag.split("-after-")) for lag in LAGS] == [7.0] * 4  # type: ignore[arg-type]
