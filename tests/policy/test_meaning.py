"""When two documents mean the same, and what a change would do."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpol.model import Action
from batchpol.policy.comparison import Effect, changed_paths, diff, effect, meaning_digest, same_meaning
from tests.policy.documents import CHANGES, RESOURCE, Document, changed, documents, respelled

# Not st.randoms: that draws every bit from hypothesis, which makes these tests thirty times slower.
rngs = st.integers(0, 2**32).map(random.Random)


def statement(**elements: Any) -> str:
    """A policy of one statement; elements of None are left out."""
    usual: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": "111122223333"},
        "Action": "ses:SendEmail",
        "Resource": RESOURCE,
    }
    both = {key: value for key, value in (usual | elements).items() if value is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": [both]})


def principal(value: Any) -> str:
    return statement(Principal=value)


def condition(operator: str, value: Any) -> str:
    return statement(Condition={operator: {"aws:Key": value}})


SAME = {
    "whitespace": ('{"Id":"x"}', '{ "Id" :\n"x" }\n'),
    "escapes": ('{"Id":"A"}', '{"Id":"\\u0041"}'),
    "surrogate pair": ('{"Id":"\\ud83d\\ude00"}', '{"Id":"\U0001f600"}'),
    "key order": ('{"Id":"x","Version":"y"}', '{"Version":"y","Id":"x"}'),
    "key order where the grammar knows nothing": ('{"X":{"a":1,"b":[2]}}', '{"X":{"b":[2],"a":1}}'),
    "one statement": ('{"Statement":{"Sid":"x"}}', '{"Statement":[{"Sid":"x"}]}'),
    "statement order": ('{"Statement":[{"Sid":"x"},{"Sid":"y"}]}', '{"Statement":[{"Sid":"y"},{"Sid":"x"}]}'),
    "account and root": (principal({"AWS": "111122223333"}), principal({"AWS": ["arn:aws:iam::111122223333:root"]})),
    "root of a partition": (
        principal({"AWS": "111122223333"}),
        principal({"AWS": "arn:aws-us-gov:iam::111122223333:root"}),
    ),
    "account beside its root": (
        principal({"AWS": ["111122223333", "arn:aws:iam::111122223333:root"]}),
        principal({"AWS": "111122223333"}),
    ),
    "action prefix": (statement(Action="SES:SendEmail"), statement(Action=["ses:SendEmail"])),
    "repeated action": (statement(Action=["ses:a", "ses:b", "SES:a"]), statement(Action=["ses:b", "ses:a"])),
    "not action": (statement(Action=None, NotAction=["ses:a"]), statement(Action=None, NotAction="ses:a")),
    "not principal": (
        statement(Principal=None, NotPrincipal={"AWS": ["111122223333"]}),
        statement(Principal=None, NotPrincipal={"AWS": "arn:aws:iam::111122223333:root"}),
    ),
    "not resource": (statement(NotResource=["a", "b"]), statement(NotResource=["b", "a"])),
    "bool": (condition("Bool", True), condition("Bool", ["true"])),
    "bool if exists": (condition("BoolIfExists", False), condition("BoolIfExists", "false")),
    "null": (condition("Null", True), condition("Null", "true")),
    "numeric": (condition("NumericEquals", 10), condition("NumericEquals", ["10"])),
    "value order": (
        condition("ForAnyValue:StringLike", ["a", "b"]),
        condition("ForAnyValue:StringLike", ["b", "a", "b"]),
    ),
}

DIFFERENT = {
    "everyone": (principal("*"), principal({"AWS": "*"})),
    "an account of another kind": (principal({"AWS": "111122223333"}), principal({"CanonicalUser": "111122223333"})),
    "root under Service": (
        principal({"Service": "111122223333"}),
        principal({"Service": "arn:aws:iam::111122223333:root"}),
    ),
    "root of no partition": (principal({"AWS": "111122223333"}), principal({"AWS": "arn:x:iam::111122223333:root"})),
    "other digits": (
        principal({"AWS": "111122223333"}),
        principal({"AWS": "arn:aws:iam::\u0661\u0661\u0661\u0661\u0662\u0662\u0662\u06623333:root"}),
    ),
    "line feed after root": (
        principal({"AWS": "111122223333"}),
        principal({"AWS": "arn:aws:iam::111122223333:root\n"}),
    ),
    "account as a number": (principal({"AWS": "111122223333"}), principal({"AWS": 111122223333})),
    "a list as principal": (principal({"AWS": "x"}), principal([{"AWS": "x"}])),
    "action name's case": (statement(Action="ses:SendEmail"), statement(Action="ses:sendemail")),
    "another service's prefix": (statement(Action="SNS:Publish"), statement(Action="sns:Publish")),
    "nested list": (statement(Action="ses:a"), statement(Action=[["ses:a"]])),
    "list of a list": (statement(Action=["ses:a"]), statement(Action=[["ses:a"]])),
    "something that is no action, and nothing": (statement(Action=[1]), statement(Action=[])),
    "beside an action": (statement(Action=["ses:a", 1]), statement(Action=["ses:a", 2])),
    "no action and none": (statement(Action=[]), statement(Action=None)),
    "null and empty": (statement(Action=None, Sid=""), statement(Action=None)),
    "effect as a list": (statement(Effect="Allow"), statement(Effect=["Allow"])),
    "version as a list": ('{"Version":"x"}', '{"Version":["x"]}'),
    "default version": ('{"Version":"2008-10-17"}', "{}"),
    "no statement and an empty one": ('{"Statement":[]}', '{"Statement":{}}'),
    "statements twice": ('{"Statement":[{}]}', '{"Statement":[{},{}]}'),
    "broken statements": ('{"Statement":[{},1]}', '{"Statement":[1,{}]}'),
    "condition as a list": (condition("Bool", "true"), statement(Condition=[{"Bool": {"aws:Key": "true"}}])),
    "bool's case": (condition("Bool", True), condition("Bool", "True")),
    "bool under a string": (condition("StringEquals", True), condition("StringEquals", "true")),
    "number under a string": (condition("StringEquals", 1), condition("StringEquals", "1")),
    "number under bool": (condition("Bool", 1), condition("Bool", True)),
    "number's spelling": (condition("NumericEquals", 1), condition("NumericEquals", 1.0)),
    "unknown operator": (condition("BoolLike", True), condition("BoolLike", "true")),
    "order under an unknown operator": (condition("Like", ["a", "b"]), condition("Like", ["b", "a"])),
    "unknown set prefix": (condition("ForNone:StringLike", "a"), condition("ForNone:StringLike", ["a"])),
    "null among values": (condition("StringEquals", [None, "a"]), condition("StringEquals", ["a", None])),
    "null as a value": (condition("StringEquals", None), condition("StringEquals", "null")),
    "number, where only JSON knows": ('{"X":1}', '{"X":"1"}'),
    "lists that no grammar knows": ('{"X":[1,2]}', '{"X":[2,1]}'),
    "keys that differ in case": ('{"id":"x"}', '{"Id":"x"}'),
    "unicode is not normalised": ('{"Id":"\u00e9"}', '{"Id":"e\u0301"}'),
    "lone surrogate": ('{"Id":"\ud800"}', '{"Id":"?"}'),
    "lone surrogates and a pair": ('{"Id":"\ud83d\ude00"}', '{"Id":"\U0001f600"}'),
    "a key twice": ('{"Id":"x","Id":"y"}', '{"Id":"y"}'),
    "a key twice, spelled again": ('{"Id":"x","Id":"x"}', '{"Id":"x", "Id":"x"}'),
    "a key twice by escape": ('{"Id":"x","\\u0049d":"y"}', '{"Id":"y"}'),
    "NaN": ('{"X":NaN}', '{"X": NaN}'),
    "byte order mark": ("\ufeff{}", "{}"),
    "no-break space": ("\u00a0{}", "{}"),
    "not an object": ("[]", " []"),
    "broken": ("{", "{ "),
    "nothing": ("", " "),
    "nothing and an empty object": ("", "{}"),
}


@pytest.mark.parametrize(("a", "b"), SAME.values(), ids=SAME)
def test_spellings_of_one_meaning(a: str, b: str) -> None:
    assert a != b
    assert same_meaning(a, b)
    assert same_meaning(b, a)
    assert meaning_digest(a) == meaning_digest(b)
    assert diff(a, b) == changed_paths(a, b) == []


@pytest.mark.parametrize(("a", "b"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_is_doubtful_counts_as_different(a: str, b: str) -> None:
    assert not same_meaning(a, b)
    assert not same_meaning(b, a)
    assert meaning_digest(a) != meaning_digest(b)
    assert diff(a, b)
    assert changed_paths(a, b)


OPERATORS = [
    *("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
    *("StringLike", "StringNotLike", "ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"),
    *("NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals"),
    *("NumericGreaterThan", "NumericGreaterThanEquals", "DateEquals", "DateNotEquals", "DateLessThan"),
    *("DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"),
    *("Bool", "Null", "BinaryEquals", "IpAddress", "NotIpAddress"),
]


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_takes_a_set_of_values(operator: str) -> None:
    for name in (operator, f"{operator}IfExists", f"ForAllValues:{operator}", f"ForAnyValue:{operator}IfExists"):
        assert same_meaning(condition(name, ["a", "b"]), condition(name, ["b", "a", "a"]))
        assert same_meaning(condition(name, "a"), condition(name, ["a"]))
        assert not same_meaning(condition(name, ["a", "b"]), condition(name, "a"))
        assert same_meaning(condition(name, True), condition(name, "true")) == (operator in ("Bool", "Null"))
        assert same_meaning(condition(name, 1), condition(name, "1")) == operator.startswith("Numeric")


@settings(max_examples=60, deadline=None)
@given(documents(), rngs)
def test_respelling_keeps_the_meaning(document: Document, rng: random.Random) -> None:
    a, b = respelled(document, rng), respelled(document, rng)
    assert same_meaning(a, b)
    assert meaning_digest(a) == meaning_digest(b)
    assert effect(Action.PUT, a, b) is Effect.UNCHANGED
    assert diff(a, b) == changed_paths(a, b) == []


@pytest.mark.parametrize("change", CHANGES)
@settings(max_examples=10, deadline=None)
@given(document=documents(), rng=rngs)
def test_any_single_change_breaks_it(change: str, document: Document, rng: random.Random) -> None:
    a, b = respelled_or_plain(document, rng), respelled_or_plain(changed(document, change), rng)
    assert not same_meaning(a, b)
    assert meaning_digest(a) != meaning_digest(b)
    assert effect(Action.PUT, b, a) is Effect.UPDATE


def respelled_or_plain(document: Document, rng: random.Random) -> str:
    """Respelled where the document has all that a respelling changes, else as it is."""
    try:
        return respelled(document, rng)
    except (KeyError, IndexError, TypeError):
        return json.dumps(document)


# -- an independent judge: what a request is answered ----------------------------------------------------------

TINY_PRINCIPALS = ["111122223333", "arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:role/r", "*"]
TINY_ACTIONS = ["ses:SendEmail", "SES:SendEmail", "ses:SendBounce"]


def listed(values: list[str]) -> st.SearchStrategy[Any]:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), max_size=2)


tiny_statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Principal": st.fixed_dictionaries({"AWS": listed(TINY_PRINCIPALS)}),
        "Action": listed(TINY_ACTIONS),
    },
    optional={"Condition": st.fixed_dictionaries({"StringEquals": st.fixed_dictionaries({"k": listed(["a", "b"])})})},
)
tiny_documents = st.fixed_dictionaries({"Statement": tiny_statements | st.lists(tiny_statements, max_size=2)})


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def answer(document: Any, principal: str, action: str, value: str) -> str:
    """How a request is answered, written down from IAM's description of evaluation and nothing else."""
    effects = set()
    for entry in as_list(document["Statement"]):
        names = [name[13:25] if name.endswith(":root") else name for name in as_list(entry["Principal"]["AWS"])]
        if not {principal, principal[13:25] if ":" in principal else principal, "*"}.intersection(names):
            continue
        if action.lower() not in [name.lower() for name in as_list(entry["Action"])]:
            continue
        if "Condition" in entry and value not in as_list(entry["Condition"]["StringEquals"]["k"]):
            continue
        effects.add(entry["Effect"])
    return "Deny" if "Deny" in effects else "Allow" if effects else "nothing"


@settings(max_examples=60, deadline=None)
@given(tiny_documents, tiny_documents, rngs)
def test_what_counts_as_the_same_decides_every_request_the_same(a: Any, b: Any, rng: random.Random) -> None:
    for other in (b, shaken(a, rng)):
        if same_meaning(json.dumps(a), json.dumps(other)):
            for name in ("111122223333", "arn:aws:iam::111122223333:role/r", "arn:aws:iam::444455556666:user/u"):
                for action in ("ses:SendEmail", "ses:SendBounce"):
                    for value in "abc":
                        assert answer(a, name, action, value) == answer(other, name, action, value)


def shaken(value: Any, rng: random.Random) -> Any:
    """The value with lists shuffled, shortened, or made scalars at random: sometimes the same meaning."""
    if isinstance(value, dict):
        return {key: shaken(entry, rng) for key, entry in value.items()}
    if isinstance(value, list):
        kept = [shaken(entry, rng) for entry in value if rng.random() < 0.8]
        rng.shuffle(kept)
        return kept[0] if len(kept) == 1 and rng.random() < 0.5 else kept
    return value


# -- junk ------------------------------------------------------------------------------------------------------

PLACES = [
    "Statement",
    "Action",
    "Principal",
    "Condition",
    "Resource",
    "NotAction",
    "Sid",
    "AWS",
    "Bool",
    "NumericEquals",
]
SCALARS = [None, True, False, 0, 1, 1.0, "", "1", "true", "*", "ses:a", "SES:a", "111122223333", RESOURCE]


def junk(rng: random.Random, depth: int = 0) -> Any:
    """A value of the words of a policy, in places right and wrong."""
    kind = rng.choice(["object", "object", "list", "scalar"]) if depth else "object"
    if kind == "scalar" or depth > 4:
        return rng.choice(SCALARS)
    if kind == "list":
        return [junk(rng, depth + 1) for _ in range(rng.randrange(4))]
    if depth == 0 and rng.random() < 0.8:
        return {"Statement": [junk(rng, depth + 1) for _ in range(rng.randrange(3))]}
    return {place: junk(rng, depth + 1) for place in rng.sample(PLACES, rng.randrange(4))}


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_any_text_is_equal_to_itself_only(a: str, b: str) -> None:
    assert same_meaning(a, a)
    assert same_meaning(a, b) == (a == b)
    assert diff(a, a) == changed_paths(a, a) == []
    assert bool(diff(a, b)) == bool(changed_paths(a, b)) == (a != b)
    "".join(diff(a, b)).encode()


@settings(max_examples=200, deadline=None)
@given(rngs)
def test_every_view_of_junk_agrees(rng: random.Random) -> None:
    one = junk(rng)
    a, b, c = json.dumps(one), json.dumps(shaken(one, rng)), json.dumps(junk(rng))
    for x, y in ((a, b), (b, a), (a, c), (b, c)):
        same = same_meaning(x, y)
        assert same == same_meaning(y, x) == (meaning_digest(x) == meaning_digest(y))
        assert same == (not diff(x, y)) == (not changed_paths(x, y))
    assert same_meaning(a, json.dumps(one, indent=1, sort_keys=True))


BOMBS = {
    "lists": "[" * 500_000,
    "objects": '{"a":' * 200_000,
    "closed lists": '{"Statement":' + "[" * 5_000 + "]" * 5_000 + "}",
    "a bit too deep": '{"X":' + "[" * 40 + "]" * 40 + "}",
    "a number": '{"X":[' + "9" * 500_000 + ",1]}",
    "keys": "{" + ",".join(f'"{number}":0' for number in range(5_000)) + "}",
    "statements": '{"Statement":[' + ",".join(['{"Sid":"x"}'] * 5_000) + "]}",
    "deep statement": '{"Statement":[{"Sid":"y"},{"X":' + "[" * 32 + "]" * 32 + "}]}",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bombs_are_only_documents_that_differ(bomb: str) -> None:
    small = '{"Statement":{"Sid":"y"}}'
    assert same_meaning(bomb, bomb)
    assert not same_meaning(bomb, small)
    assert meaning_digest(bomb) != meaning_digest(small)
    for a, b in ((bomb, small), (small, bomb)):
        assert changed_paths(a, b)
        assert diff(a, b)


def test_deeper_than_any_policy_is_compared_as_text() -> None:
    deep = '{"X":' + "[" * 40 + "]" * 40 + "}"
    assert not same_meaning(deep, deep + " ")
    shallow = '{"X":' + "[" * 20 + "]" * 20 + "}"
    assert same_meaning(shallow, shallow + " ")


# -- effects ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "asked", "present", "expected"),
    [
        (Action.PUT, "{}", None, Effect.CREATE),
        (Action.PUT, "{}", "{ }", Effect.UNCHANGED),
        (Action.PUT, "{}", '{"Id":""}', Effect.UPDATE),
        (Action.PUT, "{}", "", Effect.UPDATE),
        (Action.DELETE, "", "{}", Effect.DELETE),
        (Action.DELETE, "", "", Effect.DELETE),
        (Action.DELETE, "", None, Effect.UNCHANGED),
    ],
)
def test_effect(action: Action, asked: str, present: str | None, expected: Effect) -> None:
    assert effect(action, asked, present) is expected
