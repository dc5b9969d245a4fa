"""What a client does with SES, done by boto3 and aiobotocore, neither of which knows of the sandbox."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore
import pytest
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from batchpol.sandbox import Owner
from batchpol.sandbox.wire import partition_of
from batchpol.testing import Sandbox
from tests.sandbox.documents import ACCOUNT, REGION, arn_of, policy_for


def read(client: Any, identity: str, *names: str) -> dict[str, str]:
    found: dict[str, str] = client.get_identity_policies(Identity=identity, PolicyNames=list(names))["Policies"]
    return found


def test_a_policy_is_put_read_back_listed_and_deleted(ses: Any) -> None:
    document = policy_for("example.com")
    put = ses.put_identity_policy(Identity="example.com", PolicyName="send", Policy=document)
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert put["ResponseMetadata"]["RequestId"]
    found = read(ses, "example.com", "send", "unknown")
    assert found.keys() == {"send"}
    assert json.loads(found["send"]) == json.loads(document)
    assert ses.list_identity_policies(Identity="example.com")["PolicyNames"] == ["send"]
    ses.delete_identity_policy(Identity="example.com", PolicyName="send")
    assert ses.list_identity_policies(Identity="example.com")["PolicyNames"] == []


def test_a_put_overwrites_silently_and_deleting_nothing_succeeds(ses: Any) -> None:
    for action in ("ses:SendEmail", "ses:SendRawEmail"):
        ses.put_identity_policy(
            Identity="example.com", PolicyName="send", Policy=policy_for("example.com", Action=action)
        )
    assert json.loads(read(ses, "example.com", "send")["send"])["Statement"][0]["Action"] == "ses:SendRawEmail"
    ses.delete_identity_policy(Identity="nobody.example", PolicyName="never")


def test_a_document_is_kept_without_insignificant_whitespace_and_otherwise_as_written(ses: Any) -> None:
    arn = arn_of("example.com")
    written = (
        '{\n "Statement" : [ {"Resource":"' + arn + '" , "Effect":"Allow",\t"Principal":"*","Action" :"ses:*",\r\n'
        ' "Sid":"a \\" \\u00e9 é {  } <&>", "Condition":{"NumericEquals":{"ses:x":[1.50e+3, -0]}} } ],\n'
        ' "Version":"2012-10-17"}\n'
    )
    kept = (
        '{"Statement":[{"Resource":"' + arn + '","Effect":"Allow","Principal":"*","Action":"ses:*",'
        '"Sid":"a \\" \\u00e9 é {  } <&>","Condition":{"NumericEquals":{"ses:x":[1.50e+3,-0]}}}],'
        '"Version":"2012-10-17"}'
    )
    ses.put_identity_policy(Identity="example.com", PolicyName="send", Policy=written)
    assert read(ses, "example.com", "send") == {"send": kept}


@pytest.mark.parametrize(
    ("put_as", "read_as", "kept_as"),
    [
        ("example.com", arn_of("example.com"), "example.com"),
        (arn_of("example.com"), "example.com", "example.com"),
        ("Example.COM", "example.com", "example.com"),
        ("Jo@Example.com", "Jo@Example.com", "Jo@Example.com"),
        (arn_of("Jo@Example.com"), "Jo@Example.com", "Jo@Example.com"),
    ],
)
def test_name_and_arn_are_one_identity_and_domains_have_no_case(
    ses: Any, ses_sandbox: Sandbox, put_as: str, read_as: str, kept_as: str
) -> None:
    ses.put_identity_policy(Identity=put_as, PolicyName="send", Policy=policy_for(kept_as))
    assert read(ses, read_as, "send").keys() == {"send"}
    assert ses_sandbox.store.policies.keys() == {Owner(ACCOUNT, REGION, kept_as)}


def test_addresses_have_case(ses: Any) -> None:
    ses.put_identity_policy(Identity="Jo@example.com", PolicyName="send", Policy=policy_for("Jo@example.com"))
    assert read(ses, "jo@example.com", "send") == {}


def test_regions_and_accounts_are_apart(connect: Callable[..., Any], ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(accounts={"AKIAOTHER": "999988887777"})
    ireland = connect(region_name="eu-west-1")
    other = connect(aws_access_key_id="AKIAOTHER", aws_secret_access_key="x")
    gov = connect(region_name="us-gov-west-1")
    ireland.put_identity_policy(
        Identity="example.com",
        PolicyName="eu",
        Policy=policy_for("example.com", Resource=arn_of("example.com", region="eu-west-1")),
    )
    other.put_identity_policy(
        Identity="example.com",
        PolicyName="other",
        Policy=policy_for("example.com", Resource=arn_of("example.com", "999988887777")),
    )
    gov.put_identity_policy(
        Identity="example.com",
        PolicyName="gov",
        Policy=policy_for(
            "example.com", Resource=arn_of("example.com", region="us-gov-west-1", partition="aws-us-gov")
        ),
    )
    assert {owner[:2]: set(policies) for owner, policies in ses_sandbox.store.policies.items()} == {
        (ACCOUNT, "eu-west-1"): {"eu"},
        ("999988887777", REGION): {"other"},
        (ACCOUNT, "us-gov-west-1"): {"gov"},
    }


def test_identities_come_page_by_page(ses: Any) -> None:
    for number in range(7):
        ses.verify_domain_identity(Domain=f"tenant-{number}.example")
        ses.verify_email_identity(EmailAddress=f"jo@tenant-{number}.example")
    ses.put_identity_policy(Identity="unregistered.example", PolicyName="a", Policy=policy_for("unregistered.example"))
    pages = list(ses.get_paginator("list_identities").paginate(PaginationConfig={"PageSize": 4}))
    assert [len(page["Identities"]) for page in pages] == [4, 4, 4, 3]
    everything = [identity for page in pages for identity in page["Identities"]]
    assert len(set(everything)) == 15
    assert "unregistered.example" in everything
    domains = ses.list_identities(IdentityType="Domain", MaxItems=1000)
    assert len(domains["Identities"]) == 8
    assert "NextToken" not in domains
    assert all("@" in identity for identity in ses.list_identities(IdentityType="EmailAddress")["Identities"])


def test_the_token_of_a_next_page_can_expire(ses: Any, ses_sandbox: Sandbox) -> None:
    for number in range(3):
        ses.verify_domain_identity(Domain=f"tenant-{number}.example")
    token = ses.list_identities(MaxItems=1)["NextToken"]
    assert ses.list_identities(NextToken=token)["Identities"] == ["tenant-1.example", "tenant-2.example"]
    ses_sandbox.change(token_seconds=0)
    with pytest.raises(ClientError, match="NextToken has expired"):
        ses.list_identities(NextToken=token)


def test_some_identities_can_be_denied_to_the_caller(
    ses: Any, connect: Callable[..., Any], ses_sandbox: Sandbox
) -> None:
    ses_sandbox.change(denied={"secret.example"})
    ses.put_identity_policy(Identity="example.com", PolicyName="a", Policy=policy_for("example.com"))
    calls = {
        "ses:PutIdentityPolicy": lambda: ses.put_identity_policy(
            Identity="secret.example", PolicyName="a", Policy="{}"
        ),
        "ses:ListIdentityPolicies": lambda: ses.list_identity_policies(Identity=arn_of("secret.example")),
        "ses:GetEmailIdentity": lambda: connect("sesv2").get_email_identity(EmailIdentity="Secret.example"),
    }
    for action, call in calls.items():
        with pytest.raises(ClientError, match=rf"perform: {action} on resource: {arn_of('secret.example')} ") as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_deleted_identity_is_gone_with_its_policies(ses: Any) -> None:
    ses.verify_domain_identity(Domain="example.com")
    ses.put_identity_policy(Identity="example.com", PolicyName="send", Policy=policy_for("example.com"))
    ses.delete_identity(Identity="example.com")
    assert ses.list_identities()["Identities"] == []
    assert ses.list_identity_policies(Identity="example.com")["PolicyNames"] == []


def test_every_identity_counts_as_verified_but_those_under_invalid(ses: Any) -> None:
    ses.verify_domain_identity(Domain="waiting.invalid")
    asked = [
        "example.com",
        "jo@example.com",
        "waiting.invalid",
        "unknown.invalid",
        "jo@mail.unknown.invalid",
        "invalid",
    ]
    answered = ses.get_identity_verification_attributes(Identities=asked)["VerificationAttributes"]
    assert {identity: answer["VerificationStatus"] for identity, answer in answered.items()} == {
        "example.com": "Success",
        "jo@example.com": "Success",
        "waiting.invalid": "Pending",
    }
    assert "VerificationToken" in answered["example.com"]
    assert "VerificationToken" not in answered["jo@example.com"]


def test_notifications_are_as_they_are_for_an_identity_that_nobody_set_up(ses: Any) -> None:
    answered = ses.get_identity_notification_attributes(Identities=["example.com", "unknown.invalid"])
    assert answered["NotificationAttributes"] == {
        "example.com": {
            "ForwardingEnabled": True,
            "HeadersInBounceNotificationsEnabled": False,
            "HeadersInComplaintNotificationsEnabled": False,
            "HeadersInDeliveryNotificationsEnabled": False,
        }
    }


def test_every_region_lies_in_its_partition() -> None:
    partitions = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_text())["partitions"]
    known = {region: it["id"] for it in partitions for region in it["regions"] if not region.endswith("-global")}
    assert len(known) > 40
    assert {region: partition_of(region) for region in known} == known


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("sts", "get_caller_identity", {}),
        ("ses", "list_identities", {}),
        ("sesv2", "get_email_identity_policies", {"EmailIdentity": "jo@example.com"}),
    ],
)
def test_a_bad_signature_is_answered_with_all_that_was_signed(
    connect: Callable[..., Any], ses_sandbox: Sandbox, service: str, operation: str, arguments: dict[str, str]
) -> None:
    """The session token, too: whoever signs what the message quotes gets the signature that was sent."""
    ses_sandbox.change(faults={f"bad_signature@{operation_name(operation)}": 1.0})
    keys = {"aws_access_key_id": "ASIATEST", "aws_secret_access_key": "secret", "aws_session_token": "the-token"}
    client, sent = connect(service, **keys), []
    client.meta.events.register("before-send", lambda request, **_: sent.append(request.headers["Authorization"]))
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**arguments)
    code, message = (caught.value.response["Error"][name] for name in ("Code", "Message"))
    assert code == ("InvalidSignatureException" if service == "sesv2" else "SignatureDoesNotMatch")
    head, canonical, to_sign = re.split(r"\n\nThe .* should have been\n", message)
    assert head.startswith("The request signature we calculated does not match the signature you provided.")
    assert "\nx-amz-security-token:the-token\n" in canonical
    assert to_sign.splitlines()[-1][:-1] == hashlib.sha256(canonical[1:-1].encode()).hexdigest()
    key = b"AWS4secret"
    for part in to_sign.splitlines()[2].split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.rstrip()[1:-1].encode(), "sha256").hex()
    assert sent[0].decode().endswith(f"Signature={signature}")


def operation_name(method: str) -> str:
    return "".join(part.capitalize() for part in method.split("_"))


def test_sts_knows_the_caller_and_hands_out_roles(connect: Callable[..., Any]) -> None:
    sts = connect("sts")
    me = sts.get_caller_identity()
    assert (me["Account"], me["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/sandbox")
    given = sts.assume_role(
        RoleArn="arn:aws:iam::999988887777:role/deploy/Batch", RoleSessionName="test", DurationSeconds=900
    )
    left = given["Credentials"]["Expiration"] - datetime.now(UTC)
    assert timedelta(seconds=890) < left <= timedelta(seconds=900)
    keys = {
        "aws_access_key_id": given["Credentials"]["AccessKeyId"],
        "aws_secret_access_key": given["Credentials"]["SecretAccessKey"],
        "aws_session_token": given["Credentials"]["SessionToken"],
    }
    them = connect("sts", **keys).get_caller_identity()
    assert them["Account"] == "999988887777"
    assert them["Arn"] == given["AssumedRoleUser"]["Arn"] == "arn:aws:sts::999988887777:assumed-role/Batch/test"
    connect("ses", **keys).put_identity_policy(
        Identity="example.com",
        PolicyName="a",
        Policy=policy_for("example.com", Resource=arn_of("example.com", "999988887777")),
    )


def test_a_roles_credentials_expire(connect: Callable[..., Any], ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(credential_seconds=0)
    given = connect("sts").assume_role(RoleArn="arn:aws:iam::999988887777:role/Batch", RoleSessionName="test")
    client = connect(
        aws_access_key_id=given["Credentials"]["AccessKeyId"],
        aws_secret_access_key=given["Credentials"]["SecretAccessKey"],
        aws_session_token=given["Credentials"]["SessionToken"],
    )
    with pytest.raises(ClientError) as caught:
        client.list_identities()
    assert caught.value.response["Error"]["Code"] == "ExpiredToken"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_external_id_can_be_asked_for(connect: Callable[..., Any], ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(external_id="tenant-7")
    sts = connect("sts")
    role = {"RoleArn": "arn:aws:iam::999988887777:role/Batch", "RoleSessionName": "test"}
    for wrong in ({}, {"ExternalId": "tenant-8"}):
        with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole") as caught:
            sts.assume_role(**role, **wrong)
        assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert sts.assume_role(**role, ExternalId="tenant-7")["Credentials"]["SessionToken"]


def test_reads_can_lag_behind_writes(ses: Any, ses_sandbox: Sandbox) -> None:
    first, second = (policy_for("example.com", Action=f"ses:Send{kind}Email") for kind in ("", "Raw"))
    ses.put_identity_policy(Identity="example.com", PolicyName="kept", Policy=first)
    ses_sandbox.change(stale_seconds=3600)
    assert read(ses, "example.com", "kept") == {}
    ses_sandbox.change(stale_seconds=0)
    ses.put_identity_policy(Identity="example.com", PolicyName="kept", Policy=second)
    assert json.loads(read(ses, "example.com", "kept")["kept"]) == json.loads(second)


async def test_aiobotocore_puts_and_reads_back(ses_sandbox: Sandbox) -> None:
    async with get_session().create_client(
        "ses",
        region_name="us-east-1",
        endpoint_url=ses_sandbox.url,
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="secret",
    ) as client:
        await client.put_identity_policy(Identity="example.com", PolicyName="send", Policy=policy_for("example.com"))
        found = await client.get_identity_policies(Identity="example.com", PolicyNames=["send"])
        assert json.loads(found["Policies"]["send"]) == json.loads(policy_for("example.com"))
        await client.delete_identity_policy(Identity="example.com", PolicyName="send")
    assert ses_sandbox.store.policies == {}
