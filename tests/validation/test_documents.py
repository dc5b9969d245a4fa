"""Policies as people write them: what is refused, what is only doubted, where, and with which hint."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpol.model import Finding
from batchpol.policy import check_policy
from batchpol.policy.action import ACTIONS, LISTED, _matches
from batchpol.validation import Checker, Verdict
from tests.validation.checks import GOOD, OWN_ARN, STATEMENT, TARGET, codes, document, errors, example, of_text, put

OTHER_ARN = OWN_ARN.replace("us-east-1", "eu-west-1")


def found(policy: str) -> list[tuple[str, str]]:
    checked = of_text(policy)
    return [(it.code, it.where) for it in checked.findings]


def hint_of(policy: str, code: str) -> str:
    return next(it.hint for it in of_text(policy).findings if it.code == code)


OF_ONE_ACCOUNT = {"StringEquals": {"aws:SourceAccount": "444455556666"}}

CLEAN = [
    GOOD,
    document(),
    document(Version="2008-10-17", Id="any string at all, ünïcode too"),
    document(Version=None),
    document(Statement=[STATEMENT]),
    document(Statement=[{**STATEMENT, "Sid": ""}, {**STATEMENT, "Sid": ""}]),
    example(Sid="With spaces, and-dashes_and ünïcode"),
    example(Effect="Deny", Principal="*", Action="ses:*"),
    example(Effect="Deny", Action="*"),
    example(Principal={"AWS": ["444455556666", "arn:aws:iam::444455556666:root"]}),
    example(Principal={"AWS": "arn:aws:iam::444455556666:user/division/team/jane@example.com"}),
    example(Principal={"AWS": "arn:aws:iam::444455556666:role/aws-service-role/ops.amazonaws.com/AWSRole"}),
    example(Principal={"AWS": "arn:aws:sts::444455556666:assumed-role/app/session-1"}),
    example(Principal={"AWS": "arn:aws:sts::444455556666:federated-user/jane"}),
    example(Principal={"AWS": "arn:aws-us-gov:iam::444455556666:role/app"}),
    example(Principal={"AWS": "arn:aws-cn:iam::444455556666:root"}),
    example(Principal={"Service": "cognito-idp.amazonaws.com"}, Condition=OF_ONE_ACCOUNT),
    example(
        Principal={"Service": ["email.cognito-idp.amazonaws.com", "workmail.eu-west-1.amazonaws.com"]},
        Condition=OF_ONE_ACCOUNT,
    ),
    example(Principal={"AWS": "444455556666", "Service": "ses.amazonaws.com"}, Condition=OF_ONE_ACCOUNT),
    example(Action="SES:SendEmail"),
    example(Action=["ses:Send*", "ses:SendR?wEmail"]),
    example(Resource=[OWN_ARN]),
    example(Condition={}),
    example(Condition={"DateLessThan": {"aws:CurrentTime": ["2021-08-31T12:00Z", "2030-01-31", "1900000000"]}}),
    example(Condition={"DateGreaterThanEqualsIfExists": {"aws:EpochTime": 1609459200}}),
    example(Condition={"ForAllValues:StringLike": {"ses:Recipients": ["*@example.com", "*@example.org"]}}),
    example(Condition={"ForAnyValue:StringNotEqualsIgnoreCaseIfExists": {"ses:Recipients": "a@example.com"}}),
    example(Condition={"IpAddress": {"aws:SourceIp": ["203.0.113.7", "203.0.113.1/24", "2001:db8::/32"]}}),
    example(Condition={"Bool": {"aws:SecureTransport": True}, "Null": {"ses:FeedbackAddress": "false"}}),
    example(Condition={"NumericLessThan": {"aws:EpochTime": [1, 1.5, "2", "-2.5e3"]}}),
    example(Condition={"StringEquals": {"aws:SourceAccount": 444455556666, "ses:FromDisplayName": ""}}),
    example(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:cognito-idp:*:444455556666:userpool/*"}}),
    example(Condition={"StringLike": {"ses:FromAddress": "${aws:username}@example.com"}}),
]

DOUBTED = [
    (document(Version="2012-10-18"), "policy-version", "/Version"),
    (document(Comment="x"), "policy-element", "/Comment"),
    (example(Comment="x"), "statement-element", "/Statement/Comment"),
    (example(Conditon={}), "statement-element", "/Statement/Conditon"),
    (document(Statement=[{**STATEMENT, "Sid": "A"}, {**STATEMENT, "Sid": "A"}]), "statement-sid", "/Statement/1/Sid"),
    (
        example(Principal=None, NotPrincipal={"AWS": "444455556666"}),
        "statement-not-principal",
        "/Statement/NotPrincipal",
    ),
    (
        example(Effect="Deny", Action=None, NotAction=["ses:SendEmail"]),
        "statement-not-action",
        "/Statement/NotAction",
    ),
    (example(Principal={"AWS": 444455556666}), "principal-number", "/Statement/Principal/AWS"),
    (example(Principal={"AWS": ["AROAEXAMPLEEXAMPLE123"]}), "principal-id", "/Statement/Principal/AWS/0"),
    (
        example(Principal={"Federated": "a.example"}),
        "principal-key-unlisted",
        "/Statement/Principal/Federated",
    ),
    (example(Principal={"Service": "ses.amazon.com"}), "principal-service-unusual", "/Statement/Principal/Service"),
    (example(Action=["ses:SendEmail", "s3:GetObject"]), "action-unknown", "/Statement/Action/1"),
    (example(Action=["ses:SendEmail", "ses:SendBulkEmail"]), "action-unlisted", "/Statement/Action/1"),
    (example(Action="ses:SendBounce"), "action-unlisted", "/Statement/Action"),
    (example(Action="ses:Verify*"), "action-unlisted", "/Statement/Action"),
    (example(Action="ses:sendemail"), "action-case", "/Statement/Action"),
    (example(Action="ses:send*"), "action-case", "/Statement/Action"),
    (example(Resource=[OWN_ARN, OWN_ARN]), "resource-repeated", "/Statement/Resource"),
    (example(Resource=OWN_ARN.replace("example", "Example")), "resource-case", "/Statement/Resource"),
    (
        example(Condition={"stringlike": {"ses:FromAddress": "a@example.com"}}),
        "condition-operator-case",
        "/Statement/Condition/stringlike",
    ),
    (
        example(Condition={"forAllValues:StringLike": {"ses:Recipients": "a@example.com"}}),
        "condition-operator-case",
        "/Statement/Condition/forAllValues:StringLike",
    ),
    (
        example(Condition={"StringLike": {"SES:FromAddress": "a@example.com"}}),
        "condition-key-case",
        "/Statement/Condition/StringLike/SES:FromAddress",
    ),
    (
        example(Condition={"StringLike": {"aws:sourceaccount": "444455556666"}}),
        "condition-key-case",
        "/Statement/Condition/StringLike/aws:sourceaccount",
    ),
    (
        example(Condition={"StringLike": {"aws:PrincipalTag/team": "a"}}),
        "condition-key-unlisted",
        "/Statement/Condition/StringLike/aws:PrincipalTag~1team",
    ),
    (
        example(Condition={"StringLike": {"ses:TenantName": "a"}}),
        "condition-key-unlisted",
        "/Statement/Condition/StringLike/ses:TenantName",
    ),
    (example(Condition={"StringLike": {}}), "condition-empty", "/Statement/Condition/StringLike"),
    (
        example(Condition={"StringEquals": {"ses:FromAddress": ["a@example.com", "*@example.com"]}}),
        "condition-literal-wildcard",
        "/Statement/Condition/StringEquals/ses:FromAddress/1",
    ),
    (
        document(
            Version=None, Statement={**STATEMENT, "Condition": {"StringLike": {"ses:FromAddress": "${aws:userid}"}}}
        ),
        "condition-variable",
        "/Statement/Condition/StringLike/ses:FromAddress",
    ),
    (example(Principal="*"), "risk-public", "/Statement/Principal"),
    (example(Principal={"AWS": ["*"]}, Condition={}), "risk-public", "/Statement/Principal"),
    (example(Action="ses:*"), "risk-all-actions", "/Statement/Action"),
    (example(Action=["ses:SendEmail", "*"]), "risk-all-actions", "/Statement/Action"),
    (example(Action="ses:DeleteEmailIdentity"), "risk-management", "/Statement/Action"),
    (example(Action="ses:*Identity*"), "risk-management", "/Statement/Action"),
]

REFUSED = [
    ("{}", "policy-statement", ""),
    (document(Statement=[]), "policy-statement", "/Statement"),
    (json.dumps({"Version": "2012-10-17", "Statment": [STATEMENT]}), "policy-statement", ""),
    (json.dumps({"Version": "2012-10-17", "statement": [STATEMENT]}), "policy-statement", ""),
    (document(Statement="x"), "statement-type", "/Statement"),
    (document(Statement=[STATEMENT, None]), "statement-type", "/Statement/1"),
    (document(Statement=[[STATEMENT]]), "statement-type", "/Statement/0"),
    (document(Version=20121017), "policy-string", "/Version"),
    (document(Id=7), "policy-string", "/Id"),
    (example(Sid=["a"]), "policy-string", "/Statement/Sid"),
    *((example(**{element: None}), "statement-missing", "/Statement") for element in STATEMENT),
    (example(Principal=None, principle={"AWS": "444455556666"}), "statement-missing", "/Statement"),
    (example(NotPrincipal="*"), "statement-both", "/Statement/NotPrincipal"),
    (example(Resource=None, NotResource=OWN_ARN), "statement-not-resource", "/Statement/NotResource"),
    *(
        (example(Effect=effect), "effect-value", "/Statement/Effect")
        for effect in ("allow", "ALLOW", "Permit", "", True)
    ),
    (example(Principal="444455556666"), "principal-type", "/Statement/Principal"),
    (example(Principal=["444455556666"]), "principal-type", "/Statement/Principal"),
    (example(Principal={"AWS": None}), "principal-type", "/Statement/Principal/AWS"),
    (example(Principal={"AWS": {"a": 1}}), "principal-type", "/Statement/Principal/AWS"),
    (example(Principal={}), "principal-empty", "/Statement/Principal"),
    (example(Principal={"aws": "444455556666"}), "principal-key", "/Statement/Principal/aws"),
    *(
        (example(Principal={"AWS": ["444455556666", account]}), "principal-account", "/Statement/Principal/AWS/1")
        for account in ("44445555666", "4444555566667", "4444-5555-6666", "٤٤٤٤٥٥٥٥٦٦٦٦", 44445555666, 4.5)
    ),
    *(
        (example(Principal={"AWS": arn}), "principal-wildcard", "/Statement/Principal/AWS")
        for arn in ("arn:aws:iam::444455556666:role/*", "arn:aws:iam::*:root", "4444*")
    ),
    *(
        (example(Principal={"AWS": arn}), "principal-arn", "/Statement/Principal/AWS")
        for arn in (
            "",
            "jane",
            "arn:aws:iam::444455556666:group/senders",
            "arn:aws:iam::444455556666:policy/senders",
            "arn:aws:iam::444455556666:user/",
            "arn:aws:iam::444455556666:user/a b",
            "arn:aws:iam::44445555666:root",
            "arn:aws:iam:us-east-1:444455556666:root",
            "arn:awss:iam::444455556666:root",
            "arn:aws:ses:us-east-1:444455556666:identity/example.com",
            "arn:aws:sts::444455556666:assumed-role/app",
            "cognito-idp.amazonaws.com",
        )
    ),
    (example(Principal={"Service": "*"}), "principal-wildcard", "/Statement/Principal/Service"),
    *(
        (example(Principal={"Service": [host]}), "principal-service", "/Statement/Principal/Service/0")
        for host in ("https://ses.amazonaws.com", "cognito-idp", "ses.amazonaws.com/", "", "a b.amazonaws.com")
    ),
    (example(Action=None, Actions=["ses:SendEmail"]), "statement-missing", "/Statement"),
    (example(Action=7), "action-type", "/Statement/Action"),
    (example(Action=["ses:SendEmail", ["ses:SendRawEmail"]]), "action-type", "/Statement/Action/1"),
    (example(Action=[]), "action-empty", "/Statement/Action"),
    *(
        (example(Action=action), "action-useless", "/Statement/Action")
        for action in (
            "ses:SendRawEmial",
            "SendEmail",
            "s3:GetObject",
            "sesv2:SendEmail",
            "ses:",
            "",
            "ses:Snd*",
            "s*:*",
        )
    ),
    (example(Resource=7), "resource-type", "/Statement/Resource"),
    (example(Resource=[None]), "resource-type", "/Statement/Resource/0"),
    (example(Resource=[]), "resource-empty", "/Statement/Resource"),
    (example(Resource=[OWN_ARN, OTHER_ARN]), "resource-several", "/Statement/Resource"),
    (
        document(Statement=[STATEMENT, {**STATEMENT, "Resource": OTHER_ARN}]),
        "resource-several",
        "/Statement/1/Resource",
    ),
    (example(Resource="*"), "resource-wildcard", "/Statement/Resource"),
    (example(Resource=[OWN_ARN + ".au"]), "resource-mismatch", "/Statement/Resource/0"),
    (example(Condition=[]), "condition-type", "/Statement/Condition"),
    (example(Condition={"StringEquals": "a"}), "condition-type", "/Statement/Condition/StringEquals"),
    *(
        (
            example(Condition={operator: {"ses:FromAddress": "a@example.com"}}),
            "condition-operator",
            f"/Statement/Condition/{operator}",
        )
        for operator in ("StringEqual", "StringContains", "ForAll:StringLike", "", "IfExists", ":StringLike")
    ),
    (
        example(Condition={"NullIfExists": {"ses:Recipients": True}}),
        "condition-operator",
        "/Statement/Condition/NullIfExists",
    ),
    *(
        (
            example(Condition={"StringLike": {key: "a"}}),
            code,
            f"/Statement/Condition/StringLike/{key}",
        )
        for key, code in [
            ("ses:FromAdress", "condition-key"),
            ("FromAddress", "condition-key"),
            ("Source Ip", "condition-key"),
            ("aws:SourceAcount", "condition-key"),
            ("", "condition-key"),
            ("AWS:SourceAccount", "condition-key-prefix"),
            ("Aws:SourceArn", "condition-key-prefix"),
        ]
    ),
    *(
        (
            example(Condition={"StringLike": {"ses:FromAddress": ["a", value]}}),
            "condition-value-type",
            "/Statement/Condition/StringLike/ses:FromAddress/1",
        )
        for value in (None, {}, [])
    ),
    *(
        (
            example(Condition={"DateLessThan": {"aws:CurrentTime": value}}),
            "condition-date",
            "/Statement/Condition/DateLessThan/aws:CurrentTime",
        )
        for value in ("31.01.2030", "2030-13-01", "2030-02-30", "tomorrow", "", "2030-01-31T25:00Z", True)
    ),
    *(
        (
            example(Condition={"NotIpAddress": {"aws:SourceIp": value}}),
            "condition-cidr",
            "/Statement/Condition/NotIpAddress/aws:SourceIp",
        )
        for value in ("203.0.113.0/33", "203.0.113", "203.0.113.256", "10.0.0.0/255.0.0.0", "any", "", "::/129", 7)
    ),
    *(
        (
            example(Condition={operator: {"aws:SecureTransport": value}}),
            "condition-boolean",
            f"/Statement/Condition/{operator}/aws:SecureTransport",
        )
        for operator in ("Bool", "Null")
        for value in ("yes", "", 1)
    ),
    *(
        (
            example(Condition={"NumericEquals": {"aws:EpochTime": value}}),
            "condition-number",
            "/Statement/Condition/NumericEquals/aws:EpochTime",
        )
        for value in ("one", "", "1,5", True)
    ),
]


@pytest.mark.parametrize("policy", CLEAN)
def test_nothing_is_wrong(policy: str) -> None:
    assert found(policy) == []


@pytest.mark.parametrize(("policy", "code", "where"), DOUBTED)
def test_doubtful_is_a_warning_in_its_place(policy: str, code: str, where: str) -> None:
    checked = of_text(policy)
    assert (code, where) in found(policy)
    assert checked.status is Verdict.VALID


@pytest.mark.parametrize(("policy", "code", "where"), REFUSED)
def test_refused_is_an_error_in_its_place(policy: str, code: str, where: str) -> None:
    checked = of_text(policy)
    assert (code, where) in [(it.code, it.where) for it in checked.findings if it.code in errors(checked)]
    assert checked.status is Verdict.REJECTED


@pytest.mark.parametrize(
    ("policy", "code", "hint"),
    [
        (json.dumps({"Statment": []}), "policy-statement", '"Statment" should be Statement'),
        (example(Principal=None, principle="*"), "statement-missing", '"principle" should be Principal'),
        (example(Action=None, action="ses:SendEmail"), "statement-missing", '"action" should be Action'),
        (example(Conditon={}), "statement-element", "did you mean Condition?"),
        (example(Effect="allow"), "effect-value", "write Allow"),
        (example(Principal="444455556666"), "principal-type", 'write {"AWS": "444455556666"}'),
        (example(Principal="ses.amazonaws.com"), "principal-type", 'write {"Service": "ses.amazonaws.com"}'),
        (example(Principal={"aws": "444455556666"}), "principal-key", "did you mean AWS?"),
        (example(Principal={"AWS": "4444-5555-6666"}), "principal-account", "write 444455556666"),
        (example(Principal={"AWS": "ses.amazonaws.com"}), "principal-arn", 'write {"Service": "ses.amazonaws.com"}'),
        (example(Principal={"Service": "cognito-idp"}), "principal-service", "did you mean cognito-idp.amazonaws.com?"),
        (
            example(Principal={"AWS": "0123456789"}),
            "principal-account",
            "was it 000123456789 before a spreadsheet dropped leading zeros?",
        ),
        (
            example(Principal={"AWS": "12345678901"}),
            "principal-account",
            "was it 012345678901 before a spreadsheet dropped leading zeros?",
        ),
        (example(Principal={"AWS": " 444455556666"}), "principal-account", "write 444455556666"),
        (example(Principal={"AWS": "444455556666.0"}), "principal-account", "write 444455556666"),
        (
            example(Principal={"AWS": "4.44456E+11"}),
            "principal-account",
            "a spreadsheet rounded it: format the column as text, and write all 12 digits",
        ),
        (
            example(Principal={"AWS": "arn:aws:iam:444455556666:role/Mail"}),
            "principal-arn",
            "write arn:aws:iam::444455556666:role/Mail",
        ),
        (
            example(Principal={"AWS": "arn:aws:iam::4444-5555-6666:root"}),
            "principal-arn",
            '"4444-5555-6666" is no account id of 12 digits: write 444455556666',
        ),
        (example(Action="ses:SendRawEmial"), "action-useless", "did you mean ses:SendRawEmail?"),
        (example(Action="SendEmail"), "action-useless", "did you mean ses:SendEmail?"),
        (example(Action=["ses:SendEmail", "ses:SendEmails"]), "action-unknown", "did you mean ses:SendEmail?"),
        (example(Condition={"StringEqual": {}}), "condition-operator", "did you mean StringEquals?"),
        (
            example(Condition={"Bool": {"AWS:SecureTransport": "true"}}),
            "condition-key-prefix",
            "write aws:SecureTransport",
        ),
        (
            example(Condition={"Bool": {"aws:SecureTransprot": "true"}}),
            "condition-key",
            "did you mean aws:SecureTransport?",
        ),
    ],
)
def test_the_mend_is_named(policy: str, code: str, hint: str) -> None:
    assert hint_of(policy, code) == hint


def test_everything_is_found_at_once() -> None:
    policy = example(
        Effect="allow", Principal={"AWS": "1"}, Action="ses:SnedEmail", Resource="*", Condition={"X": {"y": None}}
    )
    assert len(errors(of_text(policy))) >= 7


def test_the_resource_is_compared_with_the_run_s_target() -> None:
    assert of_text(GOOD, target=TARGET).status is Verdict.VALID
    wrong = of_text(example(Resource=OTHER_ARN), target=TARGET)
    assert [(it.code, it.hint) for it in wrong.findings] == [("resource-mismatch", f"SES needs the Resource {OWN_ARN}")]


def test_a_faulty_identity_is_not_blamed_on_the_resource() -> None:
    assert codes(of_text(GOOD, "example.com.")) == {"identity-trailing-dot"}
    assert codes(of_text(example(Resource="*"), "")) == {"identity-missing", "resource-wildcard"}


def test_text_faults_and_rules_are_told_together() -> None:
    policy = GOOD.replace('"Allow"', "'allow'").replace("}}", "},}")
    assert codes(of_text(policy)) == {"json-quotes", "json-comma", "effect-value"}


def test_values_are_quoted_safely() -> None:
    evil = "\x1b[31m\u202e\n" + "x" * 5000
    for finding in of_text(
        json.dumps({"Statement": [{**STATEMENT, evil: 1, "Effect": evil, "Action": evil}]})
    ).findings:
        assert "\x1b" not in finding.message + finding.hint
        assert "\u202e" not in finding.message + finding.hint
        assert len(finding.message) < 400 and len(finding.where) < 200


# Constants against the services' own models


def test_every_operation_of_ses_s_apis_is_a_known_action() -> None:
    import botocore.session

    session = botocore.session.Session()
    names = {name for api in ("ses", "sesv2") for name in session.get_service_model(api).operation_names}
    # The lists here are of one date: newer operations may be missing from them, but none of that date.
    assert len(names - ACTIONS) <= len(names) // 4
    assert len(LISTED) == 25


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wildcards_match_as_in_a_shell(pattern: str, name: str) -> None:
    from fnmatch import fnmatchcase

    assert _matches(pattern, name) == fnmatchcase(name, pattern)


# Anything parsed


VALUES: Any = st.recursive(
    st.sampled_from(["*", "", "Allow", "ses:*", "444455556666", OWN_ARN, "true", "${x}", "\0", 0, 1.5, True, None]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["AWS", "Service", "Bool", "Null", "StringLike", "aws:SourceIp", "Statement", "Sid", "x", ""]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
ELEMENTS = ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"]


@given(
    st.dictionaries(st.sampled_from(["Version", "Id", "Statement", "x"]), VALUES),
    st.lists(st.dictionaries(st.sampled_from([*ELEMENTS, "y"]), VALUES, max_size=6), max_size=3),
)
def test_no_document_is_too_strange(policy: dict[str, Any], statements: list[dict[str, Any]]) -> None:
    def own(resource: str) -> tuple[Finding, ...]:
        return ()

    for whole in (policy, {**policy, "Statement": statements}):
        for finding in check_policy(whole, own):
            assert points_into(whole, finding.where)


def points_into(whole: Any, where: str) -> bool:
    """Whether a JSON pointer leads somewhere."""
    for token in where.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        whole = whole[int(key)] if isinstance(whole, list) else whole[key]
    return True


def test_thousands_of_everything_take_bounded_time() -> None:
    many = {
        "Version": "2012-10-17",
        "Statement": [
            {
                **STATEMENT,
                "Sid": f"s{n}",
                "Action": ["ses:" + "*a" * 60] * 5,
                f"e{n}": 1,
                "Condition": {f"op{n}": {"k": n}},
            }
            for n in range(60)
        ],
    }
    begun = time.process_time()
    checked = of_text(json.dumps(many))
    assert time.process_time() - begun < 2
    assert len(checked.findings) == 101
    assert checked.findings[-1].code == "record-findings"
    assert checked.status is Verdict.REJECTED


@pytest.mark.parametrize("word", ["nan", "None", "NULL", "#N/A", "<NA>"])
def test_a_word_for_an_empty_cell_is_no_policy(word: str) -> None:
    (fault,) = of_text(word).findings
    assert (fault.code, fault.hint) == ("policy-missing", "give the document, or leave the cell empty")


@pytest.mark.parametrize("around", [" {}", "{}\u00a0", "\u200b{}", "{}\ufeff", "\t{} "])
def test_blanks_of_any_sort_around_an_identity(around: str) -> None:
    checked = Checker().check(put(around.format("example.com")))
    assert codes(checked) == {"identity-blanks"}
    assert checked.change is not None
    assert checked.change.identity == "example.com"


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"action": "remove", "policy": ""}, [("record-action", "action")]),
        ({"action": "nan"}, [("record-action", "action")]),
        ({"region": "us-east-1a"}, [("identity-region", "region")]),
        ({"region": "nan", "account": "nan"}, [("identity-region", "region"), ("identity-account", "account")]),
        ({"account": "1.1E+11"}, [("identity-account", "account")]),
        ({"identity": OWN_ARN, "region": "useast1"}, [("identity-region", "region")]),
        ({"identity": OWN_ARN.replace("us-east-1", "useast1")}, [("identity-region", "identity")]),
        (
            {"identity": "example..com", "account": "1"},
            [("identity-domain", "identity"), ("identity-account", "account")],
        ),
    ],
)
def test_nothing_follows_from_a_faulty_column(fields: dict[str, str], expected: list[tuple[str, str]]) -> None:
    record = put(**{"identity": "example.com", **fields})
    found = [(it.code, it.where) for it in Checker(target=TARGET).check(record).findings]
    assert sorted(set(found)) == sorted(expected)
    faulty = {where for _, where in expected}
    for options in ({"require_target": True, "require_account": True}, {"regions": frozenset({"eu-west-1"})}):
        more = {(it.code, it.where) for it in Checker(**options).check(record).findings} - set(expected)  # type: ignore[arg-type]
        assert not {code for code, where in more if where in faulty or "identity" in faulty}
