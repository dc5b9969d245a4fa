"""Documents examined by their shape get the very verdict that an examination of their own would give."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpol.validation import Checked, Checker, Verdict

from .checks import OWN_ARN, TARGET, document, example, put

# What may stand in the place of anything: strings near the edges of every class that shapes know.
STRINGS = st.sampled_from(
    [
        "Allow", "Deny", "allow", "*", "**", "*@example.com", "a*", "a*b", "ses:*", "ses:SendEmail", "SendEmail",
        "444455556666", "44445555666", "012345678901", "arn:aws:iam::444455556666:root", OWN_ARN, OWN_ARN + "x",
        "arn:aws:iam::444455556666:role/${x}/y", "arn:aws:iam::444455556666:role/a/b",
        "arn:aws:iam::444455556666:role/*",
        "arn:aws:sts::444455556666:assumed-role/a/b", "true", "TRUE", "false", "yes", "2012-10-17", "2008-10-17",
        "2030-01-31", "20300131", "1900000000", "10.0.0.0/8", "fe80", "::1", "abcd", "abc", "", "a b", "a.b", "x@y.z",
        "cognito-idp.amazonaws.com", "amazonaws.com", "a.amazonaws.community", "StringEquals", "StringLikeIfExists",
        "Sid", "Effect", "AWS", "Service", "Version", "${aws:username}", "$", "é", "Ⅷ", "a\n", 'a"b', "a\\b", "\0own",
        "aws:SourceArn", "ses:FromAddress", "AIDACKCEVSQ6C2EXAMPLE", "-", "0", "1e5", "example.com",
    ]
)  # fmt: skip
EXAMPLES = 150
BASES = [
    json.loads(document(Id="one", Statement=[{**json.loads(example())["Statement"], "Sid": "One"}])),
    json.loads(
        example(
            Sid="Two",
            Principal={"AWS": ["arn:aws:iam::444455556666:user/a", "444455556666"], "Service": "ses.amazonaws.com"},
            Action=["ses:SendEmail", "ses:*"],
            Resource=[OWN_ARN],
            Condition={
                "StringLike": {"ses:FromAddress": ["*@example.com", "jane"]},
                "StringEquals": {"ses:FromDisplayName": "Billing", "aws:SourceAccount": "444455556666"},
                "Bool": {"aws:SecureTransport": "true"},
                "ArnLike": {"aws:SourceArn": "arn:aws:iam::444455556666:role/a"},
                "DateLessThan": {"aws:CurrentTime": "2030-01-31"},
                "NumericLessThan": {"aws:EpochTime": "123456789012"},
                "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
            },
        )
    ),
    json.loads(
        document(
            Version="2008-10-17",
            Statement=[
                {**json.loads(example())["Statement"], "Sid": "One", "Principal": "*"},
                {**json.loads(example())["Statement"], "Sid": "Two", "Effect": "Deny"},
            ],
        )
    ),
    json.loads(example(Condition={"BinaryEquals": {"ses:FromDisplayName": "abcd"}})),
]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the strings of a document are; a key is at its path with a None behind."""
    if isinstance(value, dict):
        return [at for key, inner in value.items() for at in ((*path, key, None), *leaves(inner, (*path, key)))]
    if isinstance(value, list):
        return [at for index, inner in enumerate(value) for at in leaves(inner, (*path, index))]
    return [path] if isinstance(value, str) else []


def replaced(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """A copy of a document with another string at a place."""
    if not path:
        return text
    head, *rest = path
    if rest == [None]:
        return {(text if key == head else key): inner for key, inner in value.items()}
    if isinstance(value, dict):
        return {key: replaced(inner, tuple(rest), text) if key == head else inner for key, inner in value.items()}
    return [replaced(inner, tuple(rest), text) if i == head else inner for i, inner in enumerate(value)]


def alone(text: str, identity: str, known: bool) -> Checked:
    return Checker(target=TARGET if known else None).check(put(identity, policy=text))


PLACES = [(base, path) for base in BASES for path in leaves(base)]


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(PLACES), st.lists(STRINGS, min_size=1, max_size=3), st.booleans(), st.sampled_from([None, 1]))
def test_one_string_changed(
    place: tuple[Any, tuple[Any, ...]], strings: list[str], known: bool, indent: int | None
) -> None:
    """After one string's document is known by its shape, others in its place get the verdict they get alone."""
    base, path = place
    checker = Checker(target=TARGET if known else None)
    texts = [json.dumps(replaced(base, path, string), indent=indent, ensure_ascii=False) for string in strings]
    base_text = json.dumps(base, indent=indent)
    for n in range(9):
        checker.check(put(name=f"first-{n}", policy=base_text))
        checker.check(put(name=f"then-{n}", policy=texts[0]))
    for n, text in enumerate([*texts, base_text]):
        together = checker.check(put(name=f"at-last-{n}", policy=text))
        expected = alone(text, "example.com", known)
        assert [it for it in together.findings if not it.code.startswith("batch-")] == list(expected.findings)
        if not any(it.code.startswith("batch-limit") for it in together.findings):
            assert together.status is expected.status


IDENTITIES = ["example.com", "example.org", "jane@example.com", "a*b@example.com", "a${b}@x.com", "Example.com", "x."]


@given(st.lists(st.tuples(st.sampled_from(IDENTITIES), st.sampled_from(IDENTITIES), st.booleans()), max_size=6))
def test_another_identity(pairs: list[tuple[str, str, bool]]) -> None:
    """A shape learnt for one identity serves others only with their own Resource."""
    checker = Checker()
    for n in range(9):
        checker.check(put(name=f"first-{n}", policy=example(Sid="One")))
    for n, (identity, named, elsewhere) in enumerate(pairs):
        arn = OWN_ARN.replace("example.com", named).replace("us-east-1", "eu-west-1" if elsewhere else "us-east-1")
        text = example(Sid="Two", Resource=arn)
        together = checker.check(put(identity, f"then-{n}", text))
        expected = alone(text, identity, False)
        assert [it for it in together.findings if not it.code.startswith("batch-")] == list(expected.findings)


def test_equal_sids_are_found_in_a_known_shape() -> None:
    def two(first: str, second: str) -> str:
        statement = json.loads(example())["Statement"]
        return document(Statement=[{**statement, "Sid": first}, {**statement, "Sid": second}])

    checker = Checker()
    for n in range(20):
        assert checker.check(put(f"t{n}.com", policy=two("One", "Two").replace("example", f"t{n}"))).findings == ()
    assert [it.code for it in checker.check(put(policy=two("One", "One"))).findings] == ["statement-sid"]


@pytest.mark.parametrize("style", ["clean", "risky"])
def test_a_batch_of_one_shape_is_matched(style: str) -> None:
    """That shapes are used at all, for the documents they were made for."""
    checker = Checker()
    for n in range(50):
        text = example(
            Sid=f"Tenant{n}",
            Principal={"AWS": f"arn:aws:iam::{111122223333 + n}:role/tenant-{n}"},
            Resource=f"arn:aws:ses:us-east-1:111122223333:identity/t{n}.example.com",
            Action="ses:*" if style == "risky" else "ses:SendEmail",
            Condition={"StringLike": {"ses:FromAddress": f"*@t{n}.example.com"}},
        )
        checked = checker.check(put(f"t{n}.example.com", policy=text))
        assert checked.status is Verdict.VALID
        assert len(checked.findings) == (style == "risky")
        assert (checker._shapes.match(text) is not None) == (n >= 7)
