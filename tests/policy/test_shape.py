"""Documents examined by their shape get the very verdict that an examination of their own would give."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from batchpol.model import Target
from batchpol.policy.shape import _CLASSES, Shapes, _class_of, is_of_shape
from batchpol.validation import Checked, Checker, Verdict
from tests.validation.checks import OWN_ARN, TARGET, document, example, put

# What may stand in the place of anything: strings near the edges of every class that shapes know.
STRINGS = [
        "Allow", "Deny", "allow", "*", "**", "*@example.com", "a*", "a*b", "ses:*", "ses:SendEmail", "SendEmail",
        "444455556666", "44445555666", "012345678901", "arn:aws:iam::444455556666:root", OWN_ARN, OWN_ARN + "x",
        "arn:aws:iam::444455556666:role/${x}/y", "arn:aws:iam::444455556666:role/a/b",
        "arn:aws:iam::444455556666:role/*",
        "arn:aws:sts::444455556666:assumed-role/a/b", "true", "TRUE", "false", "yes", "2012-10-17", "2008-10-17",
        "2030-01-31", "20300131", "1900000000", "10.0.0.0/8", "fe80", "::1", "abcd", "abc", "", "a b", "a.b", "x@y.z",
        "cognito-idp.amazonaws.com", "amazonaws.com", "a.amazonaws.community", "StringEquals", "StringLikeIfExists",
        "Sid", "Effect", "AWS", "Service", "Version", "${aws:username}", "$", "é", "Ⅷ", "a\n", 'a"b', "a\\b", "\0own",
        "aws:SourceArn", "ses:FromAddress", "AIDACKCEVSQ6C2EXAMPLE", "-", "0", "1e5", "example.com", " a", "a ", "a b*",
        "*a ", ".*@x.y", ".*", "^a", "a@x.y,b@x.y", "*@x.y,*@z.y", "<ACCOUNT_ID>", "ACCOUNT_ID", "YOUR_POOL", "__X__",
        "{{x}}", "a_b", "no_reply@x.y", "o-a1b2c3d4e5", "ou-ab12-11111111", "o-*", "vpc-12345678", "vpce-12345678",
        "eu-west-1", "useast1", "arn:aws:iam::444455556666:role/<x>/y", "arn:aws:iam::44445555666:role/x",
        "arn:aws:s3:::*",
        "arn:aws:cognito-idp:us-east-1:444455556666:userpool/us-east-1_a", "arn:aws:cognito-idp:us-east-1:*:userpool/x",
        "2029-01-31", "100000000000", "0.0.0.0/0", "ses:GetEmailIdentity", "aws:PrincipalOrgID", "aws:SourceIp",
]  # fmt: skip
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
                {
                    **json.loads(example())["Statement"],
                    "Sid": "One",
                    "Condition": {"StringEquals": {"ses:FromDisplayName": "arn:aws:iam::444455556666:role/a"}},
                },
                {**json.loads(example())["Statement"], "Sid": "Three", "Principal": "*"},
                {**json.loads(example())["Statement"], "Sid": "Two", "Effect": "Deny"},
            ],
        )
    ),
    json.loads(example(Condition={"BinaryEquals": {"ses:FromDisplayName": "abcd"}})),
    json.loads(
        example(
            Principal={"AWS": "*"},
            Condition={
                "ForAllValues:StringLike": {"ses:Recipients": ["*@example.com", "jane@example.com"]},
                "StringLike": {"aws:PrincipalOrgID": "o-a1b2c3d4e5", "ses:FromDisplayName": "Acme *"},
                "ArnLike": {"aws:PrincipalArn": "arn:aws:iam::444455556666:role/a"},
                "StringEquals": {"aws:SourceVpc": "vpc-12345678", "aws:RequestedRegion": "eu-west-1"},
                "DateGreaterThan": {"aws:CurrentTime": "2029-01-31"},
                "NumericGreaterThan": {"aws:EpochTime": "100000000000"},
                "NumericLessThan": {"aws:EpochTime": "123456789012"},
            },
        )
    ),
    json.loads(example(Principal={"Service": "ses.amazonaws.com"}, Condition={"StringLike": {"aws:SourceArn": "a*"}})),
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


def alone(text: str, identity: str = "example.com") -> Checked:
    return Checker().check(put(identity, policy=text))


@pytest.mark.parametrize("pattern", _CLASSES.values(), ids=[name[1:] for name in _CLASSES])
def test_no_class_reaches_beyond_its_string(pattern: str) -> None:
    """Nor takes in what makes a string more than its characters: escapes, variables, control characters."""
    members = [string for string in [*STRINGS, "arn:aws:iam::444455556666:role/p/q/r"] if re.fullmatch(pattern, string)]
    assert members
    for member in members:
        for place in range(len(member) + 1):
            for character in ['"', "\\", "$", *map(chr, range(32))]:
                assert not re.fullmatch(pattern, member[:place] + character + member[place:])


def test_a_string_cannot_hide_a_piece_of_document() -> None:
    def text(path: str) -> str:
        arn = f"arn:aws:iam::444455556666:role/{path}/name"
        return example(Principal={"AWS": arn}).replace(" ", "").replace("\\", "")

    checker = Checker()
    for n in range(20):
        assert checker.check(put(name=f"n{n}", policy=text("path"))).findings == ()
    evil = text('path"},"NotAction":"s3:*","Principal":{"AWS":"arn:aws:iam::444455556666:role/x')
    assert checker.check(put(name="evil", policy=evil)).status is Verdict.REJECTED


@pytest.mark.parametrize("base", BASES)
def test_one_string_changed(base: Any) -> None:
    """Whatever a shape was learnt from, every string in any place gets the findings it gets alone.

    For each place in turn, every string is put there. One right string of each class has its document learnt; what
    the shape then says of all the others must be what an examination of their own says.
    """
    for path in leaves(base):
        texts = {string: json.dumps(replaced(base, path, string), ensure_ascii=False) for string in STRINGS}
        verdicts = {string: alone(text) for string, text in texts.items()}
        teachers = {
            tuple(
                found if found.startswith("\0") else ""
                for in_condition in (False, True)
                for found in (_class_of(string, in_condition),)
            ): string
            for string in STRINGS
            if all(map(is_of_shape, verdicts[string].findings))
        }
        for teacher in teachers.values():
            shapes = Shapes()
            for _ in range(8):
                shapes.learn(texts[teacher], OWN_ARN, list(verdicts[teacher].findings))
            for string, text in texts.items():
                alike = shapes.match(text)
                if alike and alike[0] == OWN_ARN:
                    assert alike[1] == verdicts[string].findings, (path, teacher, string)


IDENTITIES = ["example.com", "example.org", "jane@example.com", "a*b@example.com", "a${b}@x.com", "Example.com", "x."]


@pytest.mark.parametrize("target", [None, TARGET])
def test_another_identity(target: Target | None) -> None:
    """A shape learnt for one identity serves others only with their own Resource."""
    checker = Checker(target=target)

    def text(named: str, region: str = "us-east-1") -> str:
        arn = OWN_ARN.replace("example.com", named).replace("us-east-1", region)
        return example(Sid="One", Resource=arn, Condition={"ArnLike": {"aws:SourceArn": arn}})

    for n in range(9):
        assert checker.check(put(f"t{n}.com", policy=text(f"t{n}.com"))).findings == ()
    for identity in IDENTITIES:
        for named in IDENTITIES:
            for region in ("us-east-1", "eu-west-1", "us-esat-1"):
                policy = text(named, region)
                together = checker.check(put(identity, f"{len(named)}-{region}", policy))
                expected = Checker(target=target).check(put(identity, policy=policy))
                assert [it for it in together.findings if not it.code.startswith("batch-")] == list(expected.findings)


def test_a_resource_that_ends_before_the_name() -> None:
    checker = Checker(target=TARGET)

    def text(named: str) -> str:
        return example(Resource=OWN_ARN.replace("example.com", named))

    for n in range(12):
        assert checker.check(put(f"t{n}.com", policy=text(f"t{n}.com"))).findings == ()
    for named in ("", "t99", "t99.co", ".com", "99.com"):
        assert checker.check(put("t99.com", named.strip(".") or "none", text(named))).status is Verdict.REJECTED


def without_shapes(target: Target) -> Checker:
    checker = Checker(target=target)
    checker._alike = lambda text: None  # type: ignore[method-assign, assignment]
    return checker


@pytest.mark.parametrize("target", [Target("", ""), TARGET])
def test_a_record_of_which_nothing_is_new(target: Target) -> None:
    """Records around the edges of what is known, after many like them: verdict and change as looked into alone."""
    checker = Checker(target=target)
    fields: dict[str, list[Any]] = {
        "identity": [*IDENTITIES, "t1.com", OWN_ARN, OWN_ARN.replace("us-east", "eu-west"), " t1.com", "T1.com", ""],
        "name": ["a", "-", "", "a b", "n" * 64, "n" * 65, "Ⅷ"],
        "region": [None, "us-east-1", " us-east-1", "eu-west-1", "useast1"],
        "account": [None, "111122223333", "444455556666", "x"],
        "action": ["put", "PUT", "delete", "remove"],
        "extra": [{}, {"tenant": "1"}, {"If_Match": "absent"}],
        "policy": ["", "{}", " " * 2000 + example(), example() + " " * 4096, *(
            example(Resource=OWN_ARN.replace("example.com", named)) for named in ("example.com", "", "t1.com", "com")
        ), example(Resource=OWN_ARN.replace("us-east", "eu-west")), example(Action="ses:*")],
    }  # fmt: skip
    usual = {"identity": "example.com", "name": "a", "policy": example()}
    arns = {"identity": OWN_ARN, "region": None, "account": None}
    bases = [usual, usual | arns, usual | {"region": "us-east-1"}, usual | {"account": "111122223333"}]
    for base in bases:
        for n in range(12):
            checker.check(put(**base | {"name": f"n{n}"}))
    for base in bases:
        for field in fields:
            for value in fields[field]:
                record = put(**base | {field: value})
                checker._note = Checker()._note  # a batch of its own each
                known, alone_ = checker.check(record), without_shapes(target).check(record)
                assert (known.status, known.findings) == (alone_.status, alone_.findings), (base, field, value)
                if known.change and alone_.change:
                    known.change.number = alone_.change.number
                assert known.change == alone_.change, (base, field, value)
    assert checker._known(put(**usual), OWN_ARN) is not None
    assert checker._known(put(**usual | arns), OWN_ARN) is not None


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
