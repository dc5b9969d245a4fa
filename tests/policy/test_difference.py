"""How the difference of two documents is shown."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpol.policy.comparison import MOST_PATHS, changed_paths, diff
from tests.policy.documents import RESOURCE, Document, documents, respelled

rngs = st.integers(0, 2**32).map(random.Random)

PRESENT = json.dumps(
    {
        "Statement": {
            "Condition": {"Bool": {"aws:SecureTransport": "true"}},
            "Resource": RESOURCE,
            "Action": ["ses:SendRawEmail", "SES:SendEmail"],
            "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
            "Effect": "Allow",
            "Sid": "tenant",
        },
        "Version": "2012-10-17",
    }
)
"""As SES might hand it back: other order, other spellings."""

ASKED = """
{"Version": "2012-10-17",
 "Statement": [{
   "Sid": "tenant",
   "Effect": "Allow",
   "Principal": {"AWS": ["111122223333", "444455556666"]},
   "Action": ["ses:SendEmail", "ses:SendRawEmail", "ses:SendBounce"],
   "Resource": "arn:aws:ses:eu-west-1:111122223333:identity/example.com"}]}
"""


def test_a_diff_marks_what_really_differs_and_nothing_else() -> None:
    assert diff(PRESENT, ASKED) == [
        "--- present",
        "+++ asked",
        "@@ -7,18 +7,15 @@",
        '       "Principal": {',
        '         "AWS": [',
        '           "111122223333"',
        '+          "444455556666"',
        "         ]",
        "       }",
        '       "Action": [',
        '         "ses:SendEmail"',
        '         "ses:SendRawEmail"',
        '+        "ses:SendBounce"',
        "       ]",
        f'       "Resource": "{RESOURCE}"',
        '-      "Condition": {',
        '-        "Bool": {',
        '-          "aws:SecureTransport": "true"',
        "-        }",
        "-      }",
        "     }",
        "   ]",
        " }",
    ]


def test_changes_as_pointers() -> None:
    assert changed_paths(PRESENT, ASKED) == [
        '/Statement/0/Principal/AWS: + "444455556666"',
        '/Statement/0/Action: + "ses:SendBounce"',
        '/Statement/0/Condition: - {"Bool":{"aws:SecureTransport":"true"}}',
    ]


@pytest.mark.parametrize(
    ("present", "asked", "expected"),
    [
        ('{"Id":"x"}', '{"Id":"y"}', ['/Id: "x" -> "y"']),
        ('{"Statement":{"Effect":"A"}}', '{"Statement":{"Effect":"B"}}', ['/Statement/Effect: "A" -> "B"']),
        ('{"Statement":{"Action":["a","b"]}}', '{"Statement":{"Action":"c"}}', [
            '/Statement/Action: - "a"', '/Statement/Action: - "b"', '/Statement/Action: + "c"']),
        ('{"Statement":{"Action":["a","b"]}}', '{"Statement":{"Action":["c","b"]}}', ['/Statement/Action: "a" -> "c"']),
        ('{"Statement":{"Principal":"*"}}', '{"Statement":{"Principal":{"AWS":"*"}}}', [
            '/Statement/Principal: "*" -> {"AWS":"*"}']),
        ('{"a/b":{"~":1}}', '{"a/b":{"~":2}}', ['/a~1b: {"~":1} -> {"~":2}']),
        ('{"Statement":{"a/~":1}}', '{"Statement":{}}', ["/Statement/a~1~0: - 1"]),
        ('{"Statement":1}', '{"Statement":[{}]}', ["/Statement: 1 -> [{}]"]),
        ('{"Statement":[{"Sid":"a"},{"Sid":"b"}]}', '{"Statement":[{"Sid":"b"}]}', ['/Statement: - {"Sid":"a"}']),
        ('{"Statement":{"Sid":"a"}}', '{"Statement":[{"Sid":"b"},{"Sid":"a"}]}', ['/Statement/0: + {"Sid":"b"}']),
        ("{", "{}", ["(document): the texts differ, and not both are plain JSON objects"]),
    ],
)  # fmt: skip
def test_each_kind_of_change(present: str, asked: str, expected: list[str]) -> None:
    assert changed_paths(present, asked) == expected


def test_a_statement_is_followed_by_its_sid_wherever_it_stands() -> None:
    one = {"Sid": "one", "Effect": "Allow", "Action": "ses:SendEmail"}
    two = {"Sid": "two", "Effect": "Allow", "Action": "ses:SendEmail"}
    present = json.dumps({"Statement": [one, two]})
    asked = json.dumps({"Statement": [two | {"Effect": "Deny"}, one]})
    assert changed_paths(present, asked) == ['/Statement/0/Effect: "Allow" -> "Deny"']
    assert [line for line in diff(present, asked) if line[:2] in ("- ", "+ ")] == [
        '-      "Effect": "Allow"',
        '+      "Effect": "Deny"',
    ]


@pytest.mark.parametrize(
    ("present", "asked", "expected"),
    [
        # Both change: each is its Sid's.
        (
            [{"Sid": "a", "Effect": "1"}, {"Sid": "b", "Effect": "2"}],
            [{"Sid": "b", "Effect": "3"}, {"Sid": "a", "Effect": "4"}],
            ['/Statement/0/Effect: "2" -> "3"', '/Statement/1/Effect: "1" -> "4"'],
        ),
        # No Sids: the one that is as it was is found first.
        ([{"Effect": "1"}, {"Effect": "2"}], [{"Effect": "2"}, {"Effect": "3"}], ['/Statement/1/Effect: "1" -> "3"']),
        # Another Sid: the one that is left.
        ([{"Sid": "a", "X": 1}], [{"Sid": "b", "X": 1}], ['/Statement/0/Sid: "a" -> "b"']),
    ],
)
def test_which_statement_became_which(present: object, asked: object, expected: list[str]) -> None:
    assert changed_paths(json.dumps({"Statement": present}), json.dumps({"Statement": asked})) == expected


def test_what_goes_is_shown_after_what_stays() -> None:
    present = {"Statement": [{"Sid": "a"}, {"Sid": "b", "Action": ["x", "y"]}]}
    asked = {"Statement": [{"Sid": "b", "Action": ["y"]}]}
    assert diff(json.dumps(present), json.dumps(asked))[3:] == [
        '       "Sid": "b"',
        '       "Action": [',
        '         "y"',
        '-        "x"',
        "       ]",
        "-    }",
        "-    {",
        '-      "Sid": "a"',
        "     }",
        "   ]",
        " }",
    ]


@settings(max_examples=60, deadline=None)
@given(documents(), rngs)
def test_however_it_is_spelled_one_change_is_one_line(document: Document, rng: random.Random) -> None:
    before = respelled(document, rng)
    document["Id"] = "another id"
    asked = respelled(document, rng)
    assert changed_paths(before, asked) == ['/Id: "an id" -> "another id"']
    assert [line for line in diff(before, asked)[2:] if line[0] in "+-"] == [
        '-  "Id": "an id"',
        '+  "Id": "another id"',
    ]


def test_many_changes_are_counted() -> None:
    actions = [f"ses:{number}" for number in range(9)]
    asked = json.dumps({"Statement": {"Action": actions}})
    lines = changed_paths('{"Statement":{"Action":[]}}', asked)
    assert lines[:MOST_PATHS] == [f'/Statement/Action: + "{action}"' for action in actions[:MOST_PATHS]]
    assert lines[MOST_PATHS:] == ["… and 4 more"]


def test_a_long_value_is_cut() -> None:
    (line,) = changed_paths("{}", json.dumps({"Id": "x" * 5000}))
    assert line.startswith('/Id: + "xxx')
    assert line.endswith("x…")
    assert len(line) < 120


def test_numbers_are_shown_as_they_are_spelled() -> None:
    assert changed_paths('{"X":1.0}', '{"X":1e400}') == ["/X: 1.0 -> 1e400"]


@pytest.mark.parametrize(
    "evil", ["\x1b[2J", "\x9b31m", "\u202e", "\r", "\u2028", "\x7f", "\ud800", "\U000e0001", "\u200b"]
)
@pytest.mark.parametrize("form", ['{{"Id":"{}"}}', '{{"{}":1}}', "broken {}"])
def test_nothing_reaches_the_terminal_raw(evil: str, form: str) -> None:
    for a, b in ((form.format(evil), "{}"), ("{}", form.format(evil))):
        for lines in (diff(a, b), changed_paths(a, b)):
            assert lines
            assert all(line.isprintable() for line in lines)


def test_escaped_as_json_escapes() -> None:
    assert changed_paths("{}", '{"Id":"\u202e\U000e0001"}') == ['/Id: + "\\u202e\\udb40\\udc01"']


def test_a_broken_text_is_shown_as_written() -> None:
    assert diff("{\n  oops,\n}\n", "{}") == [
        "--- present",
        "+++ asked",
        "@@ -1,4 +1 @@",
        "-{",
        "-  oops,",
        "-}",
        "-",
        "+{}",
    ]
