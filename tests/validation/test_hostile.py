"""Whatever comes in, a verdict comes out: never an exception, never a hang, never "valid" for what is not."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from batchpol.model import Action, Finding, Record, Severity, Target
from batchpol.validation import RULES, Checked, Checker, Verdict
from tests.validation.checks import OWN_ARN, document, example, put

SEEDS = [
    example(),
    document(Id="x", Statement=[json.loads(example(Sid="One"))["Statement"]] * 2),
    example(Principal={"Service": "ses.amazonaws.com"}, Condition={"StringLike": {"ses:FromAddress": "*@example.com"}}),
    json.dumps(json.loads(example(Action=["ses:*"], Resource=[OWN_ARN])), indent=2),
]


def mutated(seed: str, edits: list[tuple[int, int, str]]) -> str:
    """``seed`` with pieces of it cut out, doubled or replaced."""
    for place, length, piece in edits:
        at = place % (len(seed) + 1)
        seed = seed[:at] + piece + seed[at + length :]
    return seed


PIECES = st.sampled_from(
    [*'{}[]",:\\ \n\0*$', '"Action"', '"Effect": "Deny",', "null", "1e999", "\ud800", "\ufeff", ""]
)
EDITS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 12), PIECES | st.text(max_size=4)), max_size=5)
TEXTS = (
    st.builds(mutated, st.sampled_from(SEEDS), EDITS)
    | st.text(max_size=60)
    | st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
WORDS = (
    st.sampled_from(["example.com", OWN_ARN, "a@b.co", "", "put", "delete", "us-east-1", "111122223333"]) | st.text()
)


def is_sound(checked: Checked) -> None:
    """What every verdict keeps to."""
    has_error = any(it.severity is Severity.ERROR for it in checked.findings)
    assert has_error == (checked.status is Verdict.REJECTED)
    assert (checked.change is not None) == (checked.status is Verdict.VALID)
    for finding in checked.findings:
        assert isinstance(finding, Finding)
        assert finding.severity is RULES[finding.code].severity
        assert finding.message and all(c.isprintable() for c in finding.message + finding.hint)


def is_what_ses_could_take(policy: str) -> bool:
    """The least that any valid policy of example.com is, by Python's own parser."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    whole = json.loads(policy, object_pairs_hook=once)
    statements = whole["Statement"] if isinstance(whole["Statement"], list) else [whole["Statement"]]
    return bool(statements) and all(
        one["Effect"] in ("Allow", "Deny")
        and (one.get("Principal") or one.get("NotPrincipal"))
        and (one.get("Action") or one.get("NotAction"))
        and one["Resource"] in (OWN_ARN, [OWN_ARN], [OWN_ARN] * 2)
        for one in statements
    )


@settings(max_examples=200)
@given(st.lists(TEXTS, max_size=4))
def test_any_document(texts: list[str]) -> None:
    checker = Checker(target=Target("111122223333", "us-east-1"))
    for text in texts:
        checked = checker.check(put(policy=text))
        is_sound(checked)
        if checked.change is not None:
            assert is_what_ses_could_take(checked.change.document)
            assert json.loads(checked.change.document) == json.loads(text)
            assert len(checked.change.document.encode()) <= 4096


@given(
    st.lists(st.builds(Record, WORDS, WORDS, WORDS | TEXTS, WORDS, WORDS, WORDS, st.integers(-5, 2**70)), max_size=4)
)
def test_any_record(records: list[Record]) -> None:
    checker = Checker()
    for number, record in enumerate(records):
        checked = checker.check(record)
        is_sound(checked)
        assert checked.number == number
        if checked.change is not None:
            assert checked.change.policy_name == record.policy_name
            assert checked.change.action in Action
