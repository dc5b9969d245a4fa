"""What can never hold, or holds for others than it seems: warnings about a Condition, one each, with the mend."""

from __future__ import annotations

from itertools import chain, product
from typing import Any

import pytest

from batchpol.model import Finding, Severity
from batchpol.policy.condition import check_condition
from batchpol.policy.keys import check_key
from tests.validation.checks import document, example, of_text

SENDING = ["ses:SendEmail", "ses:SendRawEmail"]


def warned(condition: dict[str, Any], action: Any = SENDING, version: str | None = "2012-10-17") -> list[Finding]:
    """What is found about a Condition, but that SES's guide does not name its keys."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "444455556666"},
        "Action": action,
        "Resource": "arn:aws:ses:us-east-1:111122223333:identity/example.com",
        "Condition": condition,
    }
    found = of_text(document(Version=version, Statement=statement)).findings
    assert {it.severity for it in found} <= {Severity.WARNING}
    return [it for it in found if it.code not in ("condition-key-unlisted", "action-unlisted", "risk-management")]


def of_value(operator: str, key: str, value: Any, **more: Any) -> tuple[str, str]:
    """Code and mend of the one finding about a value, or two empty texts."""
    found = warned({operator: {key: value}}, **more)
    assert len(found) < 2, found
    return (found[0].code, found[0].hint) if found else ("", "")


PLACEHOLDERS = [
    "<ACCOUNT_ID>", "<account id>", "<your-account>", "${AWS::AccountId}", "${AWS::Region}", "${var.account}",
    "${local.account_id}", "${data.aws_caller_identity.current.account_id}", "${AccountId}", "${self:custom.account}",
    "${!aws:username}", "$ACCOUNT", "$account_id", "{{account}}", "{{ account_id }}", "{account}", "{% account %}",
    "%ACCOUNT%", "#{AWS::AccountId}", "#{account}", "__ACCOUNT__", "@@account@@", "[ACCOUNT ID]", "$(ACCOUNT)",
    "YOUR_ACCOUNT", "AWS_ACCOUNT_ID", "REPLACE_ME",
]  # fmt: skip


@pytest.mark.parametrize("text", PLACEHOLDERS)
@pytest.mark.parametrize(
    "operator, key, around",
    [
        ("StringEquals", "aws:SourceAccount", "{}"),
        ("StringNotEquals", "ses:FromDisplayName", "{}"),
        ("ArnLike", "aws:SourceArn", "arn:aws:cognito-idp:us-east-1:444455556666:userpool/{}"),
        ("StringLike", "ses:FromAddress", "*@{}"),
    ],
)
@pytest.mark.parametrize("version", ["2012-10-17", "2008-10-17"])
def test_a_placeholder_of_a_template(text: str, operator: str, key: str, around: str, version: str) -> None:
    code, hint = of_value(operator, key, around.format(text), version=version)
    assert (code, hint) == ("condition-placeholder", "fill it in")


@pytest.mark.parametrize(
    "text",
    [
        "${aws:username}", "${aws:PrincipalTag/team}", "${aws:userid, 'nobody'}", "${*}", "${?}", "a${$}b",
        "${saml:sub}",
        "${cognito-identity.amazonaws.com:sub}", "${www.amazon.com:user_id}", "${ses:FromAddress}", "A < B > C",
        "Acme [EU]", "100 %", "$5", "no_reply", "Smith & Sons (UK)", "C:\\\\mail", "CORP\\bob", "a$b", "Acme *", "#1",
    ],
)  # fmt: skip
def test_no_placeholder(text: str) -> None:
    assert of_value("StringLike", "ses:FromDisplayName", text) == ("", "")


@pytest.mark.parametrize(
    "value, mend",
    [
        (" 444455556666", "444455556666"), ("444455556666 ", "444455556666"), ("444455556666\n", "444455556666"),
        ("444455556666\u200b", "444455556666"), ("4444\u200b55556666", "444455556666"),
        ("\ufeff444455556666", "444455556666"),
        ("444455556666\u00a0", "444455556666"), ("\t444455556666", "444455556666"),
        ("444455556666\u3000", "444455556666"),
    ],
)  # fmt: skip
def test_blanks_around_and_invisible_characters(value: str, mend: str) -> None:
    for operator in ("StringEquals", "StringNotEquals", "StringLike", "StringEqualsIfExists"):
        assert of_value(operator, "aws:SourceAccount", value) == ("condition-blanks", f"write {mend}")
    assert of_value("StringLike", "ses:FromAddress", value + "*@example.com\u00a0")[0] == "condition-blanks"


FORMS = [
    ("aws:SourceAccount", "4444-5555-6666", "write 444455556666"),
    ("aws:SourceAccount", "44445555666", "was it 044445555666 before a spreadsheet dropped leading zeros?"),
    ("aws:SourceAccount", 44445555666, "was it 044445555666 before a spreadsheet dropped leading zeros?"),
    ("aws:SourceAccount", "444455556666.0", "write 444455556666"),
    (
        "aws:SourceAccount",
        "4.44456E+11",
        "a spreadsheet rounded it: format the column as text, and write all 12 digits",
    ),
    ("aws:SourceAccount", "arn:aws:iam::444455556666:root", "write 444455556666"),
    ("aws:sourceaccount", "4444-5555-6666", "write 444455556666"),
    ("aws:PrincipalAccount", "acme-production", ""),
    ("aws:ResourceAccount", "o-a1b2c3d4e5", ""),
    ("aws:PrincipalOrgID", "ou-ab12-12345678", ""),
    ("aws:PrincipalOrgID", "r-ab12", ""),
    ("aws:PrincipalOrgID", "444455556666", ""),
    ("aws:PrincipalOrgID", "arn:aws:organizations::444455556666:organization/o-a1b2c3d4e5", ""),
    ("aws:SourceOrgID", "o-a1b2c3d4e5/r-ab12", ""),
    ("aws:SourceVpc", "vpce-0123456789abcdef0", ""),
    ("aws:SourceVpce", "vpc-0123456789abcdef0", ""),
    ("aws:RequestedRegion", "eu-west", ""),
    ("aws:RequestedRegion", "us-east-1a", ""),
    ("ses:FromAddress", "example.com", "for a whole domain: StringLike with *@example.com"),
    ("ses:FeedbackAddress", "jane", ""),
    ("ses:FromAddress", "a@example.com,b@example.com", "write a list, each address a string of its own"),
]


@pytest.mark.parametrize("key, value, mend", FORMS)
def test_a_value_that_its_key_never_has(key: str, value: Any, mend: str) -> None:
    found = warned({"StringEquals": {key: ["444455556666" if "ccount" in key else value, value]}})
    ours = [it for it in found if it.code != "condition-key-case"]
    assert {(it.code, it.hint) for it in ours} == {("condition-form", mend)}
    assert ours[-1].where.endswith("/1")


@pytest.mark.parametrize(
    "key, value",
    [
        ("aws:SourceAccount", "4444*5"), ("aws:SourceAccount", "????????????"), ("aws:SourceAccount", "*"),
        ("aws:PrincipalOrgID", "o-*"), ("aws:PrincipalOrgID", "*"), ("aws:PrincipalOrgID", "o?a1b2*"),
        ("aws:SourceVpc", "vp*"), ("aws:SourceVpce", "vpce-0*"), ("aws:RequestedRegion", "eu-*"),
        ("ses:FromAddress", "*@example.com"), ("ses:FromAddress", "*.example.com"),
        ("ses:FromAddress", "a?example.com"),
        ("ses:FromAddress", "first.+tag@example.com"), ("ses:FromAddress", "no-reply.*@example.com"),
    ],
)  # fmt: skip
def test_a_pattern_that_something_may_fit(key: str, value: str) -> None:
    assert of_value("StringLike", key, value) == ("", "")


@pytest.mark.parametrize(
    "key, value",
    [
        ("aws:SourceAccount", "444455556666*7"), ("aws:SourceAccount", "4444-*"), ("aws:SourceAccount", "4444???"),
        ("aws:PrincipalOrgID", "ou-*"), ("aws:SourceVpc", "vpce-*"), ("ses:FromAddress", "*@a.example,*@b.example"),
    ],
)  # fmt: skip
def test_a_pattern_that_nothing_fits(key: str, value: str) -> None:
    assert of_value("StringLike", key, value)[0] == "condition-form"


ARNS = [
    ("aws:SourceArn", "arn:aws:cognito-idp:us-east-1:44445555666:userpool/*", "condition-form"),
    ("aws:SourceArn", "arn:aws:cognito-idp:us-east-1:4444-5555-6666:userpool/*", "condition-form"),
    ("aws:SourceArn", "arn:aws:cognito-idp:useast1:444455556666:userpool/*", "condition-form"),
    ("aws:SourceArn", "arn:aws:cognito-idp:us-east-1a:444455556666:userpool/*", "condition-form"),
    ("aws:SourceArn", "arn:aws:cognito-idp:eu-west-1:444455556666:userpool/us-east-1_a1B2c3D4e", "condition-form"),
    ("aws:SourceArn", "arn:aws:cognito-idp:eu-west-1:444455556666:userpool/us-east-1_*", "condition-form"),
    ("aws:PrincipalArn", "arn:aws:iam:us-east-1:444455556666:role/mail", "condition-form"),
    ("aws:PrincipalArn", "arn:aws:sts::444455556666:assumed-role/mail/session", "condition-form"),
    ("aws:SourceArn", "444455556666", "condition-arn"),
    ("aws:PrincipalArn", "arn:aws:iam:444455556666:role/mail", "condition-arn"),
    ("aws:PrincipalArn", "role/mail", "condition-arn"),
]


@pytest.mark.parametrize("key, value, code", ARNS)
@pytest.mark.parametrize("operator", ["ArnLike", "ArnEquals", "StringLike", "StringEquals"])
def test_an_arn_that_cannot_be(key: str, value: str, code: str, operator: str) -> None:
    expected = "condition-literal-wildcard" if operator == "StringEquals" and "*" in value else code
    assert of_value(operator, key, value)[0] == expected


@pytest.mark.parametrize(
    "value",
    [
        "arn:aws:cognito-idp:us-east-1:444455556666:userpool/us-east-1_a1B2c3D4e", "arn:aws:s3:::bucket",
        "arn:aws:cognito-idp:*:444455556666:userpool/*", "arn:*:cognito-idp:us-east-1:*:userpool/x",
        "arn:aws:iam::aws:policy/x", "arn:aws:cognito-idp:us-east-1:${aws:PrincipalAccount}:userpool/x",
        "arn:aws:s3:us-west-2:444455556666:accesspoint/x",
    ],
)  # fmt: skip
def test_an_arn_that_may_be(value: str) -> None:
    assert of_value("ArnLike", "aws:SourceArn", value) == ("", "")


@pytest.mark.parametrize(
    "value",
    [
        "billing.*@tenant-a\\.example\\.com", "^billing@.*$", ".*@example.com", ".+@example.com", "[a-z]+@example.com",
        "(billing|sales)@example.com", "\\w+@example.com", "^billing@example.com", "billing@example.com$",
        "(?i)a@b.example",
    ],
)  # fmt: skip
def test_a_regular_expression(value: str) -> None:
    assert of_value("StringLike", "ses:FromAddress", value)[0] == "condition-regex"


@pytest.mark.parametrize(
    "operator, key, code, mend",
    [
        ("StringLike", "ses:Recipients", "condition-set-missing",
        "write ForAllValues:StringLike or ForAnyValue:StringLike"),
        ("StringNotEquals", "aws:PrincipalOrgPaths", "condition-set-missing", "write ForAllValues:StringNotEquals or"),
        ("StringEqualsIfExists", "aws:CalledVia", "condition-set-missing", "write ForAllValues:StringEquals or"),
        ("ForAllValues:StringLike", "ses:FromAddress", "condition-set-needless", "write StringLike"),
        ("ForAnyValue:StringEqualsIfExists", "aws:SourceVpc", "condition-set-needless", "write StringEqualsIfExists"),
        ("ForAnyValue:ArnLike", "aws:SourceArn", "condition-set-needless", "write ArnLike"),
        ("ForAllValues:StringLike", "ses:Recipients", "", ""),
        ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "", ""),
        ("ForAllValues:StringEquals", "aws:NewThing", "", ""),
        ("StringEquals", "aws:PrincipalTag/team", "", ""),
        ("ForAnyValue:StringEquals", "aws:PrincipalTag/team", "condition-set-needless", "write StringEquals"),
    ],
)  # fmt: skip
def test_one_value_or_many(operator: str, key: str, code: str, mend: str) -> None:
    values = {
        "ses:Recipients": "a@example.com",
        "ses:FromAddress": "a@example.com",
        "aws:SourceVpc": "vpc-0123456789abcdef0",
        "aws:SourceArn": "arn:aws:s3:::bucket",
        "aws:PrincipalOrgPaths": "o-a1b2c3d4e5/r-ab12/",
    }
    found = of_value(operator, key, values.get(key, "x"))
    assert found[0] == code
    assert found[1].startswith(mend)


def test_whether_a_key_is_there_needs_no_set_operator() -> None:
    assert warned({"Null": {"ses:Recipients": "false"}}) == []


@pytest.mark.parametrize(
    "operator, mend",
    [("StringEquals", "IpAddress"), ("StringLike", "IpAddress"), ("StringNotLikeIfExists", "NotIpAddress")],
)
@pytest.mark.parametrize("key", ["aws:SourceIp", "aws:VpcSourceIp"])
def test_a_string_operator_on_an_address(operator: str, mend: str, key: str) -> None:
    assert of_value(operator, key, "203.0.113.0/24") == ("condition-address-operator", f"write {mend}")


WINDOWS = [
    ({"DateGreaterThan": "2030-06-01T00:00:00Z", "DateLessThan": "2030-01-01T00:00:00Z"}, True),
    ({"DateGreaterThan": "2030-01-01T00:00:00Z", "DateLessThan": "2030-06-01T00:00:00Z"}, False),
    ({"DateGreaterThan": "2030-01-01", "DateLessThan": "2030-01-01T00:00Z"}, True),
    ({"DateGreaterThanEquals": "2030-01-01", "DateLessThanEquals": "2030-01-01T00:00Z"}, False),
    ({"DateGreaterThan": "2030-01-01T00:00:00+02:00", "DateLessThan": "2029-12-31T23:00:00Z"}, False),
    ({"DateGreaterThan": "2030-01-01T00:00:00-02:00", "DateLessThan": "2030-01-01T01:00:00Z"}, True),
    ({"DateGreaterThan": "1900000000", "DateLessThan": "2030-01-01"}, True),
    ({"DateGreaterThan": ["2031-01-01", "2029-01-01"], "DateLessThan": "2030-01-01"}, False),
    ({"DateGreaterThan": "2029-01-01", "DateGreaterThanEquals": "2031-01-01", "DateLessThan": "2030-01-01"}, True),
    ({"DateGreaterThan": "20310101", "DateLessThan": "2030-01-01"}, False),
    ({"DateGreaterThanIfExists": "2031-01-01", "DateLessThan": "2030-01-01"}, True),
]


@pytest.mark.parametrize("bounds, is_closed", WINDOWS)
def test_a_window_that_closes_before_it_opens(bounds: dict[str, Any], is_closed: bool) -> None:
    found = warned({operator: {"aws:CurrentTime": value} for operator, value in bounds.items()})
    assert [it.code for it in found] == ["condition-window"] * is_closed


def test_the_two_clocks_are_one_and_other_keys_are_not() -> None:
    later = {"NumericGreaterThan": {"aws:EpochTime": 1900000000}}
    assert [it.code for it in warned(later | {"DateLessThan": {"aws:CurrentTime": "2030-01-01"}})] == [
        "condition-window"
    ]
    assert warned(later | {"NumericLessThan": {"aws:MultiFactorAuthAge": 60}}) == []


@pytest.mark.parametrize(
    "action, key, is_absent",
    [
        ("ses:GetEmailIdentity", "ses:FromAddress", True),
        (["ses:SendEmail", "ses:GetEmailIdentity"], "ses:FromAddress", True),
        ("ses:sendrawemail", "ses:FromAddress", False),
        ("ses:Send*", "ses:FromAddress", False),
        ("ses:Get*", "ses:FromAddress", True),
        ("ses:*", "ses:FromAddress", False),
        ("*", "ses:FromAddress", False),
        ("ses:SendEmail", "ses:TenantName", False),
        ("ses:SendRawEmail", "ses:TenantName", True),
        ("ses:SendEmail", "aws:RequestTag/team", True),
        ("ses:TagResource", "aws:RequestTag/team", False),
        ("ses:SendEmail", "aws:ResourceTag/team", False),
        ("ses:SendEmail", "aws:SourceAccount", False),
        ("ses:SendSomethingNew", "ses:FromAddress", False),
        ("ses:SendEmail", "ses:SomethingNew", False),
    ],
)
def test_a_key_that_the_action_never_brings(action: Any, key: str, is_absent: bool) -> None:
    value = "444455556666" if "ccount" in key else "a@example.com"

    def absent(condition: dict[str, Any]) -> bool:
        return "condition-key-absent" in {it.code for it in warned(condition, action)}

    assert absent({"StringEquals": {key: value}}) == is_absent
    assert not absent({"StringEqualsIfExists": {key: value}})
    assert not absent({"Null": {key: "true"}})


@pytest.mark.parametrize(
    "key",
    [
        "aws:ViaAWSMCPService", "aws:CalledViaAWSMCP", "aws:IsMcpServiceAction", "lambda:SourceFunctionArn",
        "ec2:SourceInstanceArn", "ec2:SourceInstanceARN", "ec2:RoleDelivery", "ssm:SourceInstanceArn",
        "identitystore:UserId", "glue:CredentialIssuingService", "ses:OpenTrackingEnabled", "ses:AddonSubscriptionArn",
        "aws:SomethingOf2031", "ses:SomethingNew", "s3:prefix", "newservice:Thing", "sts:RoleSessionName",
        "token.actions.githubusercontent.com:sub", "aws:PrincipalTag/team",
    ],
)  # fmt: skip
def test_a_key_that_only_our_list_may_lack(key: str) -> None:
    assert [(it.code, it.hint) for it in check_key(key)] == [("condition-key-unlisted", "")]


@pytest.mark.parametrize(
    "key, mend",
    [
        ("ses:FromAdress", "did you mean ses:FromAddress?"), ("ses:Recipient", "did you mean ses:Recipients?"),
        ("aws:SourceAcount", "did you mean aws:SourceAccount?"), ("aws:SoruceArn", "did you mean aws:SourceArn?"),
        ("aws:PrincipleOrgID", "did you mean aws:PrincipalOrgID?"),
        ("aws:FromAddress", "did you mean ses:FromAddress?"),
        ("aws:PrincipleTag/team", "did you mean aws:PrincipalTag/team?"), ("FromAddress", "write ses:FromAddress"),
        ("aws:PrincipalTag", "the name of a tag follows: aws:PrincipalTag/…"), ("sourceip", "write aws:SourceIp"),
        ("lambda:SourceFuncionArn", "did you mean lambda:SourceFunctionArn?"),
        ("from address", "keys are called aws:Name or ses:Name"), ("", "keys are called aws:Name or ses:Name"),
    ],
)  # fmt: skip
def test_a_misspelt_key(key: str, mend: str) -> None:
    assert [(it.code, it.hint) for it in check_key(key)] == [("condition-key", mend)]


@pytest.mark.parametrize(
    "action",
    [
        "ses:ReplicateEmailIdentityDkimSigningKey", "ses:CreateAddonInstance", "ses:CreateIngressPoint",
        "ses:DoSomethingNew",
        "ses:Calculate*", "ses:SendBounce", "ses:*Something*",
    ],
)  # fmt: skip
def test_an_action_that_only_our_list_may_lack(action: str) -> None:
    for actions in (action, ["ses:SendEmail", action]):
        found = of_text(example(Action=actions)).findings
        assert [(it.code, it.hint) for it in found] == [("action-unlisted", "")]


@pytest.mark.parametrize(
    "action, mend",
    [
        ("ses:SendRawEmial", "did you mean ses:SendRawEmail?"), ("ses:SendMail", "did you mean ses:SendEmail?"),
        ("ses:SendEmails", "did you mean ses:SendEmail?"),
        ("ses:SendTemplateEmail", "did you mean ses:SendTemplatedEmail?"),
        ("ses:SnedEmail*", ""), ("ses:Sedn*", ""), ("ses:Snd*", ""),
    ],
)  # fmt: skip
def test_a_misspelt_action(action: str, mend: str) -> None:
    (fault,) = of_text(example(Action=action)).findings
    assert fault.code == "action-useless"
    assert fault.hint.startswith(mend)
    (fault,) = of_text(example(Action=["ses:SendEmail", action])).findings
    assert fault.code == "action-unknown"


def test_what_is_right_at_a_look_is_right() -> None:
    """Every short text of characters near the edges of the quick look, against the rules proper."""
    from batchpol.policy.condition import _check_text, _use_of

    texts = [*map("".join, chain.from_iterable(product("a@*. $-", repeat=size) for size in range(6))), "true", "True"]
    of_addresses = product(("StringLike", "ForAnyValue:StringEquals"), ("ses:FromAddress", "ses:Recipients"))
    for operator, key in (*of_addresses, ("Bool", "aws:SecureTransport"), ("Null", "ses:FromAddress")):
        use = _use_of(operator, key)
        assert use.operator
        right = [text for text in texts if use.is_right(text)]
        assert right
        assert [text for text in right if _check_text(use, use.operator, text, has_variables=False)] == []


def test_an_address_is_no_arn_however_usual_it_is() -> None:
    found = check_condition({"ArnLike": {"ses:FromAddress": "*@example.com"}}, has_variables=True)
    assert "condition-arn" in {finding.code for finding in found}
