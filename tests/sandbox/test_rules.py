"""What SES refuses, and in which words: a row for each rule, seen by boto3."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from botocore.exceptions import ClientError

from batchpol.testing import Sandbox
from tests.sandbox.documents import arn_of, policy_for, statement_for

GOOD = policy_for("example.com")


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["Error"]["Type"] == "Sender"
    assert response["ResponseMetadata"]["RequestId"]
    return response["Error"]["Code"], response["Error"]["Message"]


@pytest.mark.parametrize(
    ("identity", "name", "code", "message"),
    [
        ("example.com", "a b", "InvalidParameterValue", "must only include alpha-numeric characters, dashes"),
        ("example.com", "naïve", "InvalidParameterValue", "PolicyName is invalid"),
        ("example.com", "a" * 65, "ValidationError", "length less than or equal to 64"),
        ("example..com", "a", "InvalidParameterValue", "Invalid domain name example..com."),
        ("-example.com", "a", "InvalidParameterValue", "Invalid domain name"),
        ("bücher.example", "a", "InvalidParameterValue", "Invalid domain name"),
        ("a" * 64 + ".example", "a", "InvalidParameterValue", "Invalid domain name"),
        ("@example.com", "a", "InvalidParameterValue", "Invalid email address<@example.com>."),
        ("jo smith@example.com", "a", "InvalidParameterValue", "Invalid email address"),
        (arn_of("example.com", "999988887777"), "a", "InvalidParameterValue", "does not belong to the caller"),
        (arn_of("example.com", region="eu-west-1"), "a", "InvalidParameterValue", "does not belong to the caller"),
        ("arn:aws:s3:::bucket", "a", "InvalidParameterValue", "does not belong to the caller"),
        ("", "a", "InvalidParameterValue", "Identity is required."),
    ],
)
def test_names_and_identities(ses: Any, identity: str, name: str, code: str, message: str) -> None:
    refused = refusal(ses.put_identity_policy, Identity=identity, PolicyName=name, Policy=GOOD)
    assert refused[0] == code
    assert message in refused[1]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("not JSON", "not valid JSON"),
        ("\ufeff" + GOOD, "not valid JSON"),
        (GOOD[:-1] + ",}", "not valid JSON"),
        ('{"Statement":[{"a":NaN}]}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "must be a JSON object"),
        ('{"noSuchAttribute": 2}', "at least one Statement"),
        ('{"Statement": []}', "at least one Statement"),
        ('{"Statement": ["x"]}', "must be a JSON object"),
        (policy_for("example.com", Effect=None), "required element Effect"),
        (policy_for("example.com", Effect="ALLOW"), "Effect must be Allow or Deny"),
        (policy_for("example.com", Principal=None), "required element Principal"),
        (policy_for("example.com", Principal="111122223333"), "Principal must be"),
        (policy_for("example.com", Action=None), "required element Action"),
        (policy_for("example.com", Resource=None), "required element Resource"),
        (
            policy_for("example.com", Resource="*"),
            f"Expected the resource to be '{arn_of('example.com')}' but was '*'.",
        ),
        (policy_for("example.com", Resource=arn_of("example.org")), "Expected the resource"),
        (policy_for("example.com", Resource=[arn_of("example.com"), "*"]), "Expected the resource"),
        (policy_for("example.com", Resource=[]), "Expected the resource"),
        (policy_for("example.com", Condition=[]), "Condition must be an object"),
        (
            policy_for("example.com", Condition={"StringEquals": {"AWS:SourceAccount": "1"}}),
            "Unknown or unapplicable condition field 'AWS:SourceAccount'.",
        ),
    ],
)
def test_documents(ses: Any, document: str, message: str) -> None:
    code, said = refusal(ses.put_identity_policy, Identity="example.com", PolicyName="a", Policy=document)
    assert code == "InvalidPolicy"
    assert message in said


@pytest.mark.parametrize(
    "document",
    [
        json.dumps({"Statement": statement_for("example.com")}),
        policy_for("example.com", Principal="*"),
        policy_for("example.com", Resource=[arn_of("example.com")]),
        policy_for("example.com", Resource=arn_of("Example.com")),
        policy_for("example.com", Action=None, NotAction="ses:SendEmail"),
        policy_for("example.com", Condition={}),
        policy_for("example.com", Condition={"StringEquals": {"aws:SourceAccount": "1"}}),
        policy_for("example.com", Sid="spaces and ünïcode"),
    ],
)
def test_documents_that_nobody_says_are_refused(ses: Any, document: str) -> None:
    ses.put_identity_policy(Identity="example.com", PolicyName="a", Policy=document)
    assert ses.list_identity_policies(Identity="example.com")["PolicyNames"] == ["a"]


def sized(size: int, character: str = "x") -> str:
    """A compact good document of ``size`` bytes."""
    empty = json.dumps(json.loads(policy_for("example.com", Sid="")), separators=(",", ":"))
    characters, rest = divmod(size - len(empty), len(character.encode()))
    return empty.replace('"Sid":""', f'"Sid":"{character * characters}{"x" * rest}"')


@pytest.mark.parametrize("character", ["x", "é"])
def test_the_size_limit_counts_bytes_of_the_compacted_document(ses: Any, character: str) -> None:
    largest = sized(4096, character)
    ses.put_identity_policy(Identity="example.com", PolicyName="a", Policy=largest)
    spacious = json.dumps(json.loads(largest), indent=8, ensure_ascii=False)
    ses.put_identity_policy(Identity="example.com", PolicyName="a", Policy=spacious)
    too_large = sized(4097, character)
    code, message = refusal(ses.put_identity_policy, Identity="example.com", PolicyName="a", Policy=too_large)
    assert (code, message) == ("InvalidPolicy", "Policy exceeds the maximum size of 4 KB.")


def test_the_twenty_first_policy_of_an_identity(ses: Any, ses_sandbox: Sandbox) -> None:
    for number in range(20):
        ses.put_identity_policy(Identity="example.com", PolicyName=f"p{number}", Policy=GOOD)
    code, message = refusal(ses.put_identity_policy, Identity="example.com", PolicyName="p20", Policy=GOOD)
    assert code == "InvalidParameterValue"
    assert message == "Number of policies for <example.com> exceeds max allowed number of policies per resource"
    ses.put_identity_policy(Identity="example.com", PolicyName="p0", Policy=GOOD)
    ses.delete_identity_policy(Identity="example.com", PolicyName="p7")
    ses.put_identity_policy(Identity="example.com", PolicyName="p20", Policy=GOOD)
    ses_sandbox.change(max_policies=21)
    ses.put_identity_policy(Identity="example.com", PolicyName="p7", Policy=GOOD)


@pytest.mark.parametrize("identity", ["tenant.invalid", "Tenant.INVALID", "jo@tenant.invalid"])
def test_identities_that_are_not_verified(ses: Any, ses_sandbox: Sandbox, identity: str) -> None:
    arguments = {"Identity": identity, "PolicyName": "a", "Policy": policy_for(identity)}
    code, message = refusal(ses.put_identity_policy, **arguments)
    assert code == "InvalidParameterValue"
    assert "is not verified" in message
    ses_sandbox.change(require_verified=False)
    ses.put_identity_policy(**arguments)


def test_a_principal_that_is_not_there_yet(ses: Any, ses_sandbox: Sandbox) -> None:
    late = "arn:aws:iam::111122223333:role/new"
    ses_sandbox.change(late_principals={late: 2})
    arguments = {
        "Identity": "example.com",
        "PolicyName": "a",
        "Policy": policy_for("example.com", Principal={"AWS": ["444455556666", late]}),
    }
    for _ in range(2):
        code, message = refusal(ses.put_identity_policy, **arguments)
        assert code == "InvalidPolicy"
        assert "invalid principal" in message
    ses.put_identity_policy(**arguments)


def test_a_principal_that_never_comes(ses: Any, ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(late_principals={"*": math.inf})
    document = policy_for("example.com", Principal="*")
    for _ in range(3):
        code, _ = refusal(ses.put_identity_policy, Identity="example.com", PolicyName="a", Policy=document)
        assert code == "InvalidPolicy"


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("get_identity_policies", {"Identity": "example.com", "PolicyNames": ["a"] * 21}, "ValidationError"),
        ("get_identity_verification_attributes", {"Identities": ["example.com"] * 101}, "ValidationError"),
        ("list_identities", {"MaxItems": 1001}, "InvalidParameterValue"),
        ("list_identities", {"MaxItems": 0}, "InvalidParameterValue"),
        ("list_identities", {"NextToken": "é"}, "InvalidParameterValue"),
        ("list_identities", {"IdentityType": "Phone"}, "InvalidParameterValue"),
        ("delete_identity_policy", {"Identity": "example.com", "PolicyName": "a b"}, "InvalidParameterValue"),
        ("verify_domain_identity", {"Domain": "a b"}, "InvalidParameterValue"),
        ("verify_email_identity", {"EmailAddress": "example.com"}, "InvalidParameterValue"),
        (
            "send_email",
            {"Source": "a@b.c", "Destination": {}, "Message": {"Subject": {"Data": ""}, "Body": {}}},
            "InvalidAction",
        ),
    ],
)
def test_other_operations(ses: Any, operation: str, arguments: dict[str, Any], code: str) -> None:
    assert refusal(getattr(ses, operation), **arguments)[0] == code


def test_what_is_refused_changes_nothing(ses: Any, ses_sandbox: Sandbox) -> None:
    ses.put_identity_policy(Identity="example.com", PolicyName="a", Policy=GOOD)
    before = {owner: dict(policies) for owner, policies in ses_sandbox.store.policies.items()}
    refusal(ses.put_identity_policy, Identity="example.com", PolicyName="a", Policy="{}")
    assert ses_sandbox.store.policies == before
    assert [arrival.applied for arrival in ses_sandbox.arrivals] == [True, False]
