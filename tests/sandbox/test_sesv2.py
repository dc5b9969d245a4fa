"""SESv2's identity policies on the same store, by boto3."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from batchpol.sandbox import FAULTS, SESV2_OPERATIONS, Owner, SandboxOptions
from batchpol.sandbox.service import Service
from batchpol.sandbox.wire import Request
from batchpol.testing import Sandbox
from tests.sandbox.documents import ACCOUNT, REGION, arn_of, policy_for
from tests.sandbox.test_service import model_of, signed

DOCUMENT = policy_for("example.com")
POLICY = {"EmailIdentity": "example.com", "PolicyName": "send", "Policy": DOCUMENT}
NAMED = {"EmailIdentity": "example.com", "PolicyName": "send"}


@pytest.fixture
def sesv2(connect: Callable[..., Any]) -> Any:
    return connect("sesv2")


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    assert response["ResponseMetadata"]["RequestId"]
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


def test_what_one_api_writes_the_other_reads(ses: Any, sesv2: Any) -> None:
    ses.put_identity_policy(Identity="example.com", PolicyName="by-v1", Policy=DOCUMENT)
    sesv2.create_email_identity_policy(**POLICY)
    found = sesv2.get_email_identity_policies(EmailIdentity="example.com")["Policies"]
    assert {name: json.loads(document) for name, document in found.items()} == dict.fromkeys(
        ("by-v1", "send"), json.loads(DOCUMENT)
    )
    assert ses.list_identity_policies(Identity="example.com")["PolicyNames"] == ["by-v1", "send"]
    changed = policy_for("example.com", Action="ses:SendRawEmail")
    sesv2.update_email_identity_policy(**NAMED, Policy=changed)
    read = ses.get_identity_policies(Identity="example.com", PolicyNames=["send"])["Policies"]["send"]
    assert json.loads(read) == json.loads(changed)
    sesv2.delete_email_identity_policy(**NAMED)
    assert ses.list_identity_policies(Identity="example.com")["PolicyNames"] == ["by-v1"]
    assert sesv2.get_email_identity(EmailIdentity="example.com")["Policies"].keys() == {"by-v1"}


@pytest.mark.parametrize("identity", ["jo+tag/x@example.com", arn_of("example.com"), "Example.com"])
def test_identities_survive_the_path(ses: Any, sesv2: Any, identity: str) -> None:
    canonical = identity if "@" in identity else "example.com"
    sesv2.create_email_identity_policy(EmailIdentity=identity, PolicyName="a", Policy=policy_for(canonical))
    assert ses.list_identity_policies(Identity=canonical)["PolicyNames"] == ["a"]


def test_identities_come_page_by_page_with_their_status(ses: Any, sesv2: Any) -> None:
    for domain in ("a.example", "b.example", "c.invalid"):
        ses.verify_domain_identity(Domain=domain)
    ses.verify_email_identity(EmailAddress="jo@a.example")
    first = sesv2.list_email_identities(PageSize=3)
    second = sesv2.list_email_identities(PageSize=3, NextToken=first["NextToken"])
    assert "NextToken" not in second
    listed = {it["IdentityName"]: it for it in first["EmailIdentities"] + second["EmailIdentities"]}
    assert {name: (it["IdentityType"], it["VerificationStatus"]) for name, it in listed.items()} == {
        "a.example": ("DOMAIN", "SUCCESS"),
        "b.example": ("DOMAIN", "SUCCESS"),
        "c.invalid": ("DOMAIN", "PENDING"),
        "jo@a.example": ("EMAIL_ADDRESS", "SUCCESS"),
    }
    assert sesv2.get_email_identity(EmailIdentity="c.invalid")["VerifiedForSendingStatus"] is False


def test_identities_can_be_asked_for_by_filter(ses: Any, sesv2: Any) -> None:
    for domain in ("a.example", "b.example", "c.invalid"):
        ses.verify_domain_identity(Domain=domain)
    ses.verify_email_identity(EmailAddress="jo@a.example")
    for filtered, names in (
        ({"IDENTITY_TYPE": "DOMAIN"}, ["a.example", "b.example", "c.invalid"]),
        ({"IDENTITY_NAME_CONTAINS": "a.ex"}, ["a.example", "jo@a.example"]),
        ({"VERIFICATION_STATUS": "PENDING"}, ["c.invalid"]),
        ({"IDENTITY_TYPE": "EMAIL_ADDRESS", "VERIFICATION_STATUS": "PENDING"}, []),
    ):
        listed = sesv2.list_email_identities(Filter=filtered)["EmailIdentities"]
        assert [it["IdentityName"] for it in listed] == names


def test_what_is_refused_and_in_which_words(sesv2: Any, ses_sandbox: Sandbox) -> None:
    create, update, delete = (
        getattr(sesv2, f"{verb}_email_identity_policy") for verb in ("create", "update", "delete")
    )
    assert refusal(update, **POLICY) == ("NotFoundException", 404, "Policy <send> does not exist")
    assert refusal(delete, **NAMED) == ("NotFoundException", 404, "Policy <send> does not exist")
    create(**POLICY)
    assert refusal(create, **POLICY) == ("AlreadyExistsException", 400, "Policy <send> already exists")
    code, status, message = refusal(create, **POLICY | {"PolicyName": "a b"})
    assert (code, status) == ("BadRequestException", 400)
    assert message.startswith("PolicyName is invalid.")
    assert refusal(create, **POLICY | {"PolicyName": "bad", "Policy": "{}"})[:2] == ("BadRequestException", 400)
    for number in range(19):
        create(**POLICY | {"PolicyName": f"p{number}"})
    full = "Number of policies for <example.com> exceeds max allowed number of policies per resource"
    assert refusal(create, **POLICY | {"PolicyName": "p19"}) == ("LimitExceededException", 400, full)
    assert refusal(sesv2.list_email_identities, PageSize=1001)[0] == "BadRequestException"
    ses_sandbox.change(strict_identities=True)
    unknown = ("NotFoundException", 404, "Email identity <example.org> does not exist.")
    for call in (sesv2.get_email_identity, sesv2.get_email_identity_policies):
        assert refusal(call, EmailIdentity="example.org") == unknown
    assert refusal(create, **POLICY | {"EmailIdentity": "example.org"}) == unknown


def test_operations_that_are_not_there_are_not_found(sesv2: Any, ses_sandbox: Sandbox) -> None:
    assert refusal(sesv2.get_account)[:2] == ("UnknownOperationException", 404)
    assert refusal(sesv2.create_email_identity, EmailIdentity="example.com")[:2] == ("UnknownOperationException", 404)
    assert {arrival.error_code for arrival in ses_sandbox.arrivals} == {"UnknownOperationException"}


def test_its_limits_are_its_own_unless_shared(ses: Any, sesv2: Any, ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(rate=0.001)
    ses.put_identity_policy(Identity="example.com", PolicyName="a", Policy=DOCUMENT)
    sesv2.create_email_identity_policy(**POLICY)
    throttled = ("TooManyRequestsException", 429, "Rate exceeded")
    assert refusal(sesv2.create_email_identity_policy, **POLICY) == throttled
    ses_sandbox.change(v2_shares_quota=True)
    assert refusal(sesv2.update_email_identity_policy, **POLICY) == throttled
    ses_sandbox.change(v2_shares_quota=False, shared_quota=True)
    ses.list_identities()
    sesv2.list_email_identities()
    assert refusal(sesv2.get_email_identity, EmailIdentity="example.com") == throttled


@pytest.mark.parametrize("fault", [name for name, it in FAULTS.items() if it.code])
def test_faults_speak_its_language(sesv2: Any, ses_sandbox: Sandbox, fault: str) -> None:
    ses_sandbox.change(faults={fault: 1.0})
    code, status, _ = refusal(sesv2.create_email_identity_policy, **POLICY)
    assert status == {"Throttling": 429}.get(FAULTS[fault].code, FAULTS[fault].status)
    assert code.endswith("Exception")
    assert bool(ses_sandbox.store.policies) == FAULTS[fault].applied


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{}", "BadRequestException"), (b'{"Policy":1}', "SerializationException"), (b"\xff", "SerializationException")],
)
def test_bodies_that_are_none_of_its_own(body: bytes, code: str) -> None:
    service = Service(SandboxOptions(rate=0))
    path = "/v2/email/identities/example.com/policies/send"
    answer = service.answer(Request(body, {"authorization": signed()}, "POST", path))
    assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (400, code)
    assert service.arrivals[0].operation == "CreateEmailIdentityPolicy"


def test_answers_hold_what_botocores_model_knows_and_nothing_else() -> None:
    model, service = model_of("sesv2", "2019-09-27"), Service(SandboxOptions(rate=0))
    service.store.registered.add(Owner(ACCOUNT, REGION, "other.example"))
    for operation in (
        "CreateEmailIdentityPolicy",
        "UpdateEmailIdentityPolicy",
        "GetEmailIdentityPolicies",
        "GetEmailIdentity",
        "ListEmailIdentities",
        "DeleteEmailIdentityPolicy",
    ):
        known = model["operations"][operation]
        path = known["http"]["requestUri"].format(EmailIdentity="example.com", PolicyName="send")
        body = json.dumps({"Policy": DOCUMENT}).encode()
        answer = service.answer(Request(body, {"authorization": signed()}, known["http"]["method"], path))
        assert answer.status == 200, answer.body
        assert json.loads(answer.body).keys() <= model["shapes"][known["output"]["shape"]]["members"].keys()
    older = service.answer(Request(b"", {"authorization": signed()}, "GET", "/v2/email/identities", "PageSize=1"))
    assert [it["IdentityName"] for it in json.loads(older.body)["EmailIdentities"]] == ["other.example"]
    assert {arrival.operation for arrival in service.arrivals} == SESV2_OPERATIONS
