"""Policies to compare: documents of every element, other spellings of the same, and single real changes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

RESOURCE = "arn:aws:ses:eu-west-1:111122223333:identity/example.com"
ACCOUNTS = ["111122223333", "444455556666", "777788889999"]
OTHER_AWS = ["arn:aws:iam::111122223333:role/Sender", "arn:aws:iam::444455556666:user/Ann", "*"]
ACTIONS = ["ses:SendEmail", "ses:SendRawEmail", "ses:SendTemplatedEmail", "ses:*"]
ADDRESSES = ["a@example.com", "b@example.com", "*@example.com", "ü@example.com"]

Document = dict[str, Any]


def some(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


conditions = st.fixed_dictionaries(
    {"StringLike": st.fixed_dictionaries({"ses:FromAddress": some(ADDRESSES)})},
    optional={
        "ForAllValues:StringLike": st.fixed_dictionaries({"ses:Recipients": some(ADDRESSES)}),
        "Bool": st.fixed_dictionaries({"aws:SecureTransport": st.lists(st.booleans(), min_size=1, max_size=1)}),
        "NumericLessThanIfExists": st.fixed_dictionaries({"aws:EpochTime": st.just([1893456000])}),
    },
)

bodies = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Principal": st.fixed_dictionaries(
            {"AWS": some([*ACCOUNTS, *OTHER_AWS])},
            optional={"Service": some(["ses.amazonaws.com", "ec2.amazonaws.com"])},
        ),
        "Action": some(ACTIONS),
        "Resource": st.just([RESOURCE]),
        "Condition": conditions,
    }
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A policy as plain Python: every set is a list, every statement has a Sid of its own."""
    statements = draw(st.lists(bodies, min_size=1, max_size=3))
    numbered = [{"Sid": f"s{number}", **body} for number, body in enumerate(statements)]
    return {"Version": "2012-10-17", "Id": "an id", "Statement": numbered}


# -- other spellings of the same meaning -----------------------------------------------------------------------


def respelled(document: Document, rng: random.Random) -> str:
    """The document's text, spelled at random in every way that keeps its meaning."""
    other = copy.deepcopy(document)
    for statement in other["Statement"]:
        statement["Action"] = _set([_action(entry, rng) for entry in statement["Action"]], rng)
        statement["Resource"] = _set(statement["Resource"], rng)
        principal = statement["Principal"]
        principal["AWS"] = _set([_account(entry, rng) for entry in principal["AWS"]], rng)
        if "Service" in principal:
            principal["Service"] = _set(principal["Service"], rng)
        for operator, fields in statement.get("Condition", {}).items():
            for key, values in fields.items():
                fields[key] = _set([_value(operator, entry, rng) for entry in values], rng)
    rng.shuffle(other["Statement"])
    if len(other["Statement"]) == 1 and rng.random() < 0.5:
        other["Statement"] = other["Statement"][0]
    return written(other, rng)


def _set(values: list[Any], rng: random.Random) -> Any:
    if len(values) == 1 and rng.random() < 0.5:
        return values[0]
    return rng.sample(values, len(values)) + rng.choices(values, k=rng.randrange(2))


def _action(action: str, rng: random.Random) -> str:
    return rng.choice(["ses", "SES", "Ses"]) + action.removeprefix("ses")


def _account(principal: str, rng: random.Random) -> str:
    if principal in ACCOUNTS and rng.random() < 0.5:
        return f"arn:{rng.choice(['aws', 'aws-us-gov', 'aws-cn'])}:iam::{principal}:root"
    return principal


def _value(operator: str, value: Any, rng: random.Random) -> Any:
    if operator.startswith(("Bool", "Numeric")) and rng.random() < 0.5:
        return json.dumps(value)
    return value


def written(value: Any, rng: random.Random) -> str:
    """JSON text with keys, whitespace and escapes at random."""

    def gap() -> str:
        return rng.choice(["", "", " ", "\n\t", "\r\n"])

    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if isinstance(value, dict):
        entries = [f"{written(key, rng)}{gap()}:{gap()}{written(entry, rng)}" for key, entry in value.items()]
        rng.shuffle(entries)
        return gap() + "{" + gap() + f"{gap()},{gap()}".join(entries) + "}" + gap()
    if isinstance(value, list):
        return "[" + gap() + f"{gap()},{gap()}".join(written(entry, rng) for entry in value) + gap() + "]"
    return json.dumps(value)


# -- single real changes ---------------------------------------------------------------------------------------


def _statement(change: Callable[[dict[str, Any]], object]) -> Callable[[Document], object]:
    return lambda document: change(document["Statement"][-1])


def _other_effect(statement: dict[str, Any]) -> None:
    statement["Effect"] = "Deny" if statement["Effect"] == "Allow" else "Allow"


def _rename(fields: dict[str, Any], old: str, new: str) -> None:
    fields[new] = fields.pop(old)


CHANGES: dict[str, Callable[[Document], object]] = {
    "effect": _statement(_other_effect),
    "effect in another case": _statement(lambda s: s.update(Effect=s["Effect"].upper())),
    "sid": _statement(lambda s: s.update(Sid="another")),
    "no sid": _statement(lambda s: s.pop("Sid")),
    "principal added": _statement(lambda s: s["Principal"]["AWS"].append("123456789012")),
    "principal replaced": _statement(lambda s: s["Principal"].update(AWS=["123456789012"])),
    "principal of another kind": _statement(lambda s: s["Principal"].update(Federated=["x.example"])),
    "no aws principal": _statement(lambda s: s["Principal"].update(AWS=[])),
    "user instead of account": _statement(lambda s: s["Principal"].update(AWS=["arn:aws:iam::111122223333:user/root"])),
    "principal negated": _statement(lambda s: _rename(s, "Principal", "NotPrincipal")),
    "action added": _statement(lambda s: s["Action"].append("ses:SendBounce")),
    "action removed": _statement(lambda s: s["Action"].pop()),
    "action in another case": _statement(lambda s: s["Action"].append(s["Action"].pop().upper() + "E")),
    "action negated": _statement(lambda s: _rename(s, "Action", "NotAction")),
    "element misspelt": _statement(lambda s: _rename(s, "Action", "action")),
    "resource replaced": _statement(lambda s: s.update(Resource=[RESOURCE + ".org"])),
    "resource added": _statement(lambda s: s["Resource"].append("*")),
    "no condition": _statement(lambda s: s.pop("Condition")),
    "empty condition": _statement(lambda s: s.update(Condition={})),
    "condition value added": _statement(
        lambda s: s["Condition"]["StringLike"]["ses:FromAddress"].append("c@d.example")
    ),
    "condition value removed": _statement(lambda s: s["Condition"]["StringLike"]["ses:FromAddress"].pop()),
    "condition key added": _statement(lambda s: s["Condition"]["StringLike"].update({"aws:UserAgent": ["x"]})),
    "condition key in another case": _statement(
        lambda s: _rename(s["Condition"]["StringLike"], "ses:FromAddress", "ses:fromaddress")
    ),
    "operator replaced": _statement(lambda s: _rename(s["Condition"], "StringLike", "StringNotLike")),
    "operator with another set prefix": _statement(
        lambda s: _rename(s["Condition"], "StringLike", "ForAnyValue:StringLike")
    ),
    "operator if exists": _statement(lambda s: _rename(s["Condition"], "StringLike", "StringLikeIfExists")),
    "statement removed": lambda d: d["Statement"].pop(),
    "statement repeated": lambda d: d["Statement"].append(d["Statement"][0]),
    "older version": lambda d: d.update(Version="2008-10-17"),
    "no version": lambda d: d.pop("Version"),
    "id": lambda d: d.update(Id="an  id"),
    "unknown element": lambda d: d.update(Comment=""),
}
"""Every one changes any document of :func:`documents` in place, in one respect."""


def changed(document: Document, change: str) -> Document:
    other = copy.deepcopy(document)
    CHANGES[change](other)
    return other
