"""Records that come from a program."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from batchpol.model import Record
from batchpol.source import as_record


def test_our_keys_and_boto3_s() -> None:
    ours = as_record({"identity": "a.test", "policy_name": "p", "policy": "{ }", "region": "eu-west-1"}, 4)
    theirs = as_record({"Identity": "a.test", "PolicyName": "p", "Policy": "{ }", "Region": "eu-west-1"}, 4)
    assert ours == theirs == Record("a.test", "p", "{ }", region="eu-west-1", line=5)


@pytest.mark.parametrize("wrap", [dict, MappingProxyType])
def test_a_mapping_becomes_compact_json_in_its_own_order(wrap: Any) -> None:
    policy = wrap({"Version": "2012-10-17", "Statement": [wrap({"Sid": "ü", "Effect": "Allow"})], "A": 1})
    record = as_record(wrap({"identity": "a.test", "policy_name": "p", "policy": policy}), 0)
    assert record.policy == '{"Version":"2012-10-17","Statement":[{"Sid":"ü","Effect":"Allow"}],"A":1}'
    assert record.problems == ()


def test_extra_keys_and_empty_values() -> None:
    item = {"identity": "a.test", "name": "p", "policy": {}, "action": None, "account": None, "n": 1, "o": [1, None]}
    record = as_record({**item, "z": None, 5: "five", "s": {1}}, 0)
    assert record.extra == {"n": "1", "o": "[1,null]", "z": "", "5": "five", "s": "{1}"}
    assert (record.action, record.account, record.problems) == ("put", None, ())


def test_a_record_is_taken_as_it_is_but_for_a_line_of_its_own() -> None:
    numbered = Record("a.test", "p", "{}", line=7)
    plain = Record("a.test", "p", "{}")
    assert as_record(numbered, 3) is numbered
    assert as_record(plain, 3).line == 4
    assert plain.line == 0


def _endless() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("item", "code", "where"),
    [
        ({"policy_name": "p"}, "record-field", "identity"),
        ({"identity": "a.test"}, "record-field", "policy_name"),
        ({"identity": None, "name": "p"}, "record-field", "identity"),
        ({"identity": 1, "name": "p"}, "record-field", "identity"),
        ({"identity": "a.test", "name": "p", "account": 12345678901}, "record-field", "account"),
        ({"identity": "a.test", "name": "p", "policy": 1}, "record-field", "policy"),
        ({"identity": "a.test", "name": "p", "policy": b"{}"}, "record-field", "policy"),
        ({"identity": "a.test", "name": "p", "policy": {"x": {1, 2}}}, "record-field", "policy"),
        ({"identity": "a.test", "name": "p", "policy": {"x": float("nan")}}, "record-field", "policy"),
        ({"identity": "a.test", "name": "p", "policy": _endless()}, "record-field", "policy"),
        ({"identity": "a.test", "name": "p", "policy_name": "q"}, "record-repeated-field", "policy_name"),
        ({"identity": "a.test", "name": "p", "policy": "file://x.json"}, "policy-file", "policy"),
    ],
)
def test_what_is_wrong_is_the_record_s_problem(item: dict[str, Any], code: str, where: str) -> None:
    record = as_record(item, 0)
    assert [(problem.code, problem.where) for problem in record.problems] == [(code, where)]


@pytest.mark.parametrize(
    ("record", "where"),
    [
        (Record("a.test", 7, "{}"), ["policy_name"]),  # type: ignore[arg-type]
        (Record(None, None, None), ["identity", "policy_name"]),  # type: ignore[arg-type]
        (Record("a.test", "p", "{}", account=7), ["account"]),  # type: ignore[arg-type]
        (Record("a.test", "p", {"Version": "2012-10-17"}, extra=None), []),  # type: ignore[arg-type]
    ],
)
def test_a_record_of_wrong_types_is_read_as_a_mapping_is(record: Record, where: list[str]) -> None:
    read = as_record(record, 4)
    assert [problem.where for problem in read.problems] == where
    assert (read.line, type(read.policy), read.extra) == (5, str, {})


@pytest.mark.parametrize("item", ["a.test", None, ["a.test", "p", "{}"], 7])
def test_anything_else_is_a_mistake_of_the_program(item: Any) -> None:
    with pytest.raises(TypeError, match="Record or a mapping"):
        as_record(item, 0)
