"""Every rule has a code, a source and an example that breaks it and one that keeps it; both are tried."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest

from batchpol import identity, policy
from batchpol.identity import address, arn, domain, name, owner, place
from batchpol.model import Rule, Severity
from batchpol.policy import (
    access,
    action,
    condition,
    keys,
    operators,
    principal,
    resource,
    statement,
    values,
    window,
)
from batchpol.policy import reader as grammar
from batchpol.validation import RULES, Checked, Checker, Verdict, rules
from tests.validation.checks import GOOD, OWN_ARN, codes, put, rows

MODULES = (
    rules,
    address,
    arn,
    domain,
    name,
    owner,
    place,
    grammar,
    statement,
    principal,
    action,
    resource,
    condition,
    operators,
    keys,
    values,
    window,
    access,
)
OPTIONS: dict[str, dict[str, Any]] = {
    "target-other": {"regions": frozenset({"us-east-1"})},
    "target-unknown": {"require_target": True},
}


def try_example(rule: Rule, example: str) -> list[Checked]:
    """The verdicts on an example, which is whatever its rule is about: an identity, a name, a document, a batch."""
    if example.startswith('{"identity":'):
        checker = Checker(**OPTIONS.get(rule.code, {}))
        return [checker.check(record) for record in rows(example)]
    if rule.code.startswith("identity-"):
        record = put(identity=example)
    elif rule.code.startswith("name-"):
        record = put(name=example)
    elif example.startswith(("{", "[", "\ufeff")):
        record = put(policy=example)
    else:
        record = put(policy=GOOD.replace(OWN_ARN, example))
    return [Checker().check(record)]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_bad_example_breaks_the_rule(rule: Rule) -> None:
    found = [it for checked in try_example(rule, rule.bad) for it in checked.findings if it.code == rule.code]
    assert found
    assert {it.severity for it in found} == {rule.severity}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_good_example_keeps_it(rule: Rule) -> None:
    results = try_example(rule, rule.good)
    assert rule.code not in set().union(*(codes(checked) for checked in results))
    if not rule.code.startswith(("identity", "json", "policy-too", "policy-huge", "policy-minified")):
        assert {checked.status for checked in results} == {Verdict.VALID}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_an_error_rejects_and_a_warning_does_not(rule: Rule) -> None:
    for checked in try_example(rule, rule.bad):
        severities = {it.severity for it in checked.findings}
        assert (checked.status is Verdict.REJECTED) == (Severity.ERROR in severities)
        assert (checked.change is None) == (checked.status is not Verdict.VALID)


@pytest.mark.parametrize("module", MODULES, ids=lambda it: it.__name__)
def test_no_rule_is_left_out(module: ModuleType) -> None:
    for rule in vars(module).values():
        if isinstance(rule, Rule) and rule is not identity.UNVERIFIED:  # that one needs SES
            assert RULES[rule.code] is rule


def test_codes_are_unique_words_joined_by_hyphens_and_everything_is_said() -> None:
    all_rules = [rule for module in (identity, grammar, policy) for rule in module.RULES]
    assert len({rule.code for rule in all_rules}) == len(all_rules)
    for code, rule in RULES.items():
        assert code == rule.code
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", code)
        assert rule.title and not rule.title.endswith(".")
        assert rule.source and rule.why.endswith((".", '."')) and rule.bad != rule.good
