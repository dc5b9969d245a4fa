"""Identities, policy names and places: what is right, what is wrong, how they compare."""

from __future__ import annotations

from itertools import chain, product

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from batchpol.identity import PolicyOwner, check_address, check_name, check_region, partition_of, read_identity
from batchpol.model import Severity, Target
from tests.validation.checks import OWN_ARN, codes

ARN = "arn:aws:ses:us-east-1:111122223333:identity/"

RIGHT = [
    "example.com",
    "a.b",
    "1.example.com",
    "1and1.com",
    "xn--bcher-kva.example",
    "a--b.example.com",
    "a" * 63 + ".com",
    ".".join(["a" * 63] * 3 + ["b" * 57, "com"]),
    "jane@example.com",
    "Jane.Doe+news@Example.COM",
    "o'brien!#$%&*/=?^_`{|}~-@example.com",
    "a" * 64 + "@example.com",
    "joe@xn--bcher-kva.example",
    ARN + "example.com",
    ARN + "jane@example.com",
    "arn:aws-us-gov:ses:us-gov-west-1:111122223333:identity/example.com",
    "arn:aws-eusc:ses:eusc-de-east-1:111122223333:identity/example.com",
    "arn:aws:ses:ap-southeast-7:111122223333:identity/example.com",
    # A Region that is not on any list today, by its pattern.
    "arn:aws:ses:zz-southwest-9:111122223333:identity/example.com",
]

WRONG = [
    ("", "identity-missing", ""),
    ("   ", "identity-missing", ""),
    ("example.com.", "identity-trailing-dot", "write example.com"),
    ("example..com", "identity-domain", ""),
    (".example.com", "identity-domain", ""),
    ("-example.com", "identity-domain", ""),
    ("example-.com", "identity-domain", ""),
    ("exa$mple.com", "identity-domain", ""),
    ("*.example.com", "identity-domain", ""),
    ("exa\x00mple.com", "identity-domain", ""),
    ("example.com/path", "identity-domain", "did you mean example.com?"),
    ("exa mple.com", "identity-syntax", ""),
    ("https://example.com/x", "identity-syntax", "did you mean example.com?"),
    ("mailto:jane@example.com", "identity-syntax", "did you mean jane@example.com?"),
    ("Jane Doe <jane@example.com>", "identity-syntax", "did you mean jane@example.com?"),
    ("a@example.com, b@example.com", "identity-syntax", "did you mean a@example.com?"),
    ("a" * 64 + ".com", "identity-domain-long", ""),
    (".".join(["a" * 63] * 4) + ".com", "identity-domain-long", ""),
    ("bücher.example", "identity-not-ascii", "write it in Punycode: xn--bcher-kva.example"),
    ("joe@bücher.example", "identity-not-ascii", "write it in Punycode: xn--bcher-kva.example"),
    ("jörg@example.com", "identity-not-ascii", ""),
    ("١.com", "identity-not-ascii", "an international domain is written in Punycode (xn--…)"),
    ("xn--jrg-sna@example.com", "identity-address-punycode", ""),
    ("XN--jrg-sna@example.com", "identity-address-punycode", ""),
    ("a" * 65 + "@example.com", "identity-address-long", ""),
    (".jane@example.com", "identity-address", ""),
    ("jane.@example.com", "identity-address", ""),
    ("jane..doe@example.com", "identity-address", ""),
    ("@example.com", "identity-address", ""),
    ("jane@", "identity-domain", ""),
    ("jane@doe@example.com", "identity-address", ""),
    ("arn:aws:ses:us-east-1:111122223333", "identity-arn", ""),
    ("arn:aws:sns:us-east-1:111122223333:identity/example.com", "identity-arn", ""),
    ("ARN:aws:SES:us-east-1:111122223333:identity/example.com", "identity-arn", "write arn:aws:ses:…"),
    ("arn:aws:ses:us-east-1:111122223333:identity/", "identity-arn", ""),
    ("arn:aws:ses:us-east-1:111122223333:template/x", "identity-arn", ""),
    (ARN + "*", "identity-domain", ""),
    ("arn:aws:ses:us-east-1:11112222333:identity/a.com", "identity-account", ""),
    ("arn:aws:ses:us-east-1:1111-2222-3333:identity/a.com", "identity-account", "write 111122223333"),
    ("arn:aws:ses:us-east-1:١١١١٢٢٢٢٣٣٣٣:identity/a.com", "identity-account", ""),
    ("arn:aws:ses:useast1:111122223333:identity/a.com", "identity-region", "did you mean us-east-1?"),
    ("arn:aws:ses::111122223333:identity/a.com", "identity-region", ""),
    (
        "arn:aws:ses:us-gov-west-1:111122223333:identity/a.com",
        "identity-region",
        "it belongs to partition aws-us-gov",
    ),
    ("arn:aws-us-gov:ses:us-east-1:111122223333:identity/a.com", "identity-region", "it belongs to partition aws"),
    ("arn:aws-gov:ses:us-east-1:111122223333:identity/a.com", "identity-partition", "did you mean aws-us-gov?"),
]

DOUBTFUL = [
    (" example.com", "identity-blanks"),
    ("my_tenant.example.com", "identity-underscore"),
    ("localhost", "identity-unusual"),
    ("jane@localhost", "identity-unusual"),
    ("10.0.0.1", "identity-unusual"),
    ("xn--99999999999.example", "identity-punycode"),
    ('"jane doe"@example.com', "identity-address-quoted"),
    (".".join(["a" * 62] * 4) + ".ab", "identity-domain-limit"),
    ("arn:aws-cn:ses:cn-north-1:111122223333:identity/example.com", "identity-partition-unlisted"),
    ("arn:aws-iso:ses:us-iso-east-1:111122223333:identity/example.com", "identity-partition-unlisted"),
    ("arn:aws:ses:us-esat-1:111122223333:identity/example.com", "identity-region-unlisted"),
]


@pytest.mark.parametrize("text", RIGHT)
def test_right(text: str) -> None:
    assert read_identity(text)[1] == ()


@pytest.mark.parametrize(("text", "code", "hint"), WRONG)
def test_wrong(text: str, code: str, hint: str) -> None:
    found = read_identity(text)[1]
    assert (code, Severity.ERROR, "identity") in {(it.code, it.severity, it.where) for it in found}
    assert hint in {it.hint for it in found if it.code == code} or not hint


@given(st.text("ab1.@\"\\ <>(,;:[]\t\x7f!~-_+'", max_size=8).flatmap(lambda it: st.sampled_from([it, f'"{it}"'])))
@example('"a"."b"')
@example('""')
@example("a..b")
def test_what_may_stand_before_the_at_sign_is_what_email_validator_takes(local: str) -> None:
    try:
        validate_email(f"{local}@example.co", check_deliverability=False, allow_quoted_local=True)
        taken = True
    except EmailNotValidError:
        taken = False
    found = {it.code for it in check_address(f"{local}@example.co")}
    assert ("identity-address" not in found) == taken


@pytest.mark.parametrize(("text", "code"), DOUBTFUL)
def test_doubtful_is_a_warning_only(text: str, code: str) -> None:
    assert {(it.code, it.severity) for it in read_identity(text)[1]} == {(code, Severity.WARNING)}


@pytest.mark.parametrize(
    ("text", "sent", "name"),
    [
        ("Example.COM", "example.com", "example.com"),
        (" example.com\t", "example.com", "example.com"),
        ("Jane@Example.COM", "Jane@Example.COM", "Jane@Example.COM"),
        (ARN + "Example.com", ARN + "Example.com", "example.com"),
        (ARN + "Jane@Example.com", ARN + "Jane@Example.com", "Jane@Example.com"),
    ],
)
def test_domains_have_no_case_and_addresses_do(text: str, sent: str, name: str) -> None:
    identity, _ = read_identity(text)
    assert (identity.text, identity.name) == (sent, name)


def test_an_arn_is_taken_apart() -> None:
    identity, _ = read_identity(OWN_ARN)
    assert (identity.partition, identity.region, identity.account) == ("aws", "us-east-1", "111122223333")


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("us-east-1", "aws"),
        ("us-gov-east-1", "aws-us-gov"),
        ("eusc-de-east-1", "aws-eusc"),
        ("cn-northwest-1", "aws-cn"),
        ("us-iso-west-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eu-isoe-west-1", "aws-iso-e"),
        ("us-isof-south-1", "aws-iso-f"),
        ("useast1", ""),
        ("", ""),
    ],
)
def test_partitions_by_pattern(region: str, partition: str) -> None:
    assert partition_of(region) == partition


def test_every_region_that_botocore_lists_for_ses_is_known() -> None:
    import botocore.session

    session = botocore.session.Session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("ses", partition_name=partition):
            assert (partition_of(region), check_region(region)) == (partition, ())


@pytest.mark.parametrize("name", ["a", "-", "_", "0", "Tenant_1-sending", "n" * 64])
def test_right_names(name: str) -> None:
    assert check_name(name) == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", {"name-missing"}),
        (" ", {"name-missing"}),
        (" a", {"name-characters"}),
        ("a b", {"name-characters"}),
        ("a.b", {"name-characters"}),
        ("ä", {"name-characters"}),
        ("a\n", {"name-characters"}),
        ("١", {"name-characters"}),
        ("n" * 65, {"name-long"}),
        ("n." * 40, {"name-long", "name-characters"}),
    ],
)
def test_wrong_names(name: str, expected: set[str]) -> None:
    assert codes(check_name(name)) == expected


def owner(text: str, account: str = "", region: str = "") -> PolicyOwner:
    identity, _ = read_identity(text)
    return PolicyOwner(identity, Target(identity.account or account, identity.region or region))


@pytest.mark.parametrize(
    ("identity", "account", "region", "resource", "expected"),
    [
        ("example.com", "", "", OWN_ARN, set()),
        ("example.com", "111122223333", "us-east-1", OWN_ARN, set()),
        ("EXAMPLE.com", "111122223333", "us-east-1", OWN_ARN, set()),
        (OWN_ARN, "", "", OWN_ARN, set()),
        ("jane@example.com", "", "", ARN + "jane@example.com", set()),
        ("example.com", "", "", ARN + "Example.com", {"resource-case"}),
        (ARN + "Example.com", "", "", ARN + "Example.com", {"resource-case"}),
        ("jane@example.com", "", "", ARN + "Jane@example.com", {"resource-mismatch"}),
        ("jane@example.com", "", "", ARN + "jane@EXAMPLE.com", {"resource-mismatch"}),
        ("example.com", "", "", ARN + "example.org", {"resource-mismatch"}),
        ("example.com", "", "", ARN + "sub.example.com", {"resource-mismatch"}),
        ("example.com", "444455556666", "", OWN_ARN, {"resource-mismatch"}),
        ("example.com", "", "eu-west-1", OWN_ARN, {"resource-mismatch"}),
        ("arn:aws:ses:eu-west-1:111122223333:identity/example.com", "", "", OWN_ARN, {"resource-mismatch"}),
        ("example.com", "", "us-gov-west-1", OWN_ARN, {"resource-mismatch"}),
        ("example.com", "", "", OWN_ARN.replace("aws:", "aws-us-gov:", 1), {"resource-arn"}),
        ("example.com", "", "", "*", {"resource-wildcard"}),
        ("example.com", "", "", ARN + "*", {"resource-wildcard"}),
        ("example.com", "", "", "arn:aws:ses:*:*:identity/example.com", {"resource-wildcard"}),
        ("example.com", "", "", "example.com", {"resource-arn"}),
        ("example.com", "", "", "arn:aws:ses:us-east-1:EXAMPLE65304:identity/example.com", {"resource-arn"}),
        ("example.com", "", "", OWN_ARN.replace("identity", "configuration-set"), {"resource-arn"}),
        ("example.com", "", "", OWN_ARN.replace("us-east-1", "us-esat-1"), {"identity-region-unlisted"}),
        ("example.com", "", "", "", {"resource-arn"}),
        ("a*b?@example.com", "", "", ARN + "a*b?@example.com", set()),
        ("a*b?@example.com", "111122223333", "us-east-1", ARN + "a*b?@example.com", set()),
        (ARN + "*@example.com", "", "", ARN + "*@example.com", set()),
        ("a*b@example.com", "", "", ARN + "a*@example.com", {"resource-wildcard"}),
        ("a*b@example.com", "", "", "arn:aws:ses:*:111122223333:identity/a*b@example.com", {"resource-wildcard"}),
    ],
)
def test_resource_against_its_owner(
    identity: str, account: str, region: str, resource: str, expected: set[str]
) -> None:
    assert codes(owner(identity, account, region).check(resource)) == expected


def test_without_an_identity_any_identity_s_arn_will_do() -> None:
    anybody = PolicyOwner(None, Target("", "us-east-1"))
    assert anybody.check(OWN_ARN) == ()
    assert codes(anybody.check("*")) == {"resource-wildcard"}
    assert codes(anybody.check(OWN_ARN.replace("us-east-1", "eu-west-1"))) == {"resource-mismatch"}


def test_the_hint_has_the_resource_that_ses_needs() -> None:
    (fault,) = owner("example.com", "111122223333", "us-east-1").check("*")
    assert fault.hint == f"SES needs the Resource {OWN_ARN}"
    (fault,) = owner("example.com").check("*")
    assert fault.hint.endswith("arn:aws:ses:REGION:ACCOUNT:identity/example.com")


LABELS = st.text("ab1-_. Xé", max_size=8)


@given(st.lists(LABELS, max_size=4).map(".".join), st.lists(LABELS, max_size=2).map(".".join))
def test_the_quick_look_and_the_long_one_agree(domain: str, local: str) -> None:
    """What one pattern finds plain has no fault when it is taken apart."""
    from batchpol.identity.address import _PLAIN_LOCAL, _faults_of_local
    from batchpol.identity.domain import _faults_of_domain, is_plain_domain

    assert not (is_plain_domain(domain.lower()) and _faults_of_domain(domain.lower()))
    assert not (_PLAIN_LOCAL.fullmatch(local) and _faults_of_local(local, f"{local}@example.com"))


def test_what_is_usual_is_right() -> None:
    """Every short text of characters near the edges of the two quickest tests, against the rules proper."""
    from batchpol.identity.domain import _faults_of_domain, is_usual_domain
    from batchpol.identity.name import _NAME, is_usual_name

    usual = 0
    for text in map("".join, chain.from_iterable(product("a1.-_Aé\n", repeat=size) for size in range(6))):
        usual += is_usual_domain(text)
        assert not (is_usual_domain(text) and _faults_of_domain(text)), text
        assert not (is_usual_name(text) and not _NAME.fullmatch(text)), text
    assert usual == 46
    for text in (
        "a" * 62 + ".c",
        "a" * 61 + ".c",
        "xn--a.com",
        "axn--b.com",
        "a" * 64,
        "a" * 65,
        "\u0660",
        "\u00b2",
        "Ⅷ",
    ):
        assert not (is_usual_domain(text) and _faults_of_domain(text)), text
        assert not (is_usual_name(text) and not _NAME.fullmatch(text)), text


@given(st.text(max_size=300))
def test_any_text_gets_an_answer(text: str) -> None:
    for value in (text, f"{text}@example.com", f"a@{text}", f"arn:aws:ses:{text}", ARN + text):
        identity, found = read_identity(value)
        assert all(it.where == "identity" and len(it.message) < 600 and len(it.hint) < 600 for it in found)
        assert found or identity.name in (value, value.lower(), text)
