"""Templates: what placeholders stand for, what they can never do, and what is said where they cannot be filled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpol.model import Record, Severity, Target
from batchpol.model.errors import InputError, UsageError
from batchpol.model.settings import Reading
from batchpol.policy.text import replaced, strings
from batchpol.rewriting.template import Template, open_input

RUN = Target("111122223333", "eu-west-1")


def template(document: object = None, name: str | None = None) -> Template:
    made = Template.of(Reading(policy_template=document, policy_name=name))  # type: ignore[arg-type]
    assert made is not None
    return made


def filled(document: object, record: Record | None = None, run: Target = RUN) -> object:
    """The document that a template makes of a record, parsed."""
    done = template(document).fill(record or Record("Mail.Example", "p", extra={"a": "1", "Two Words": "2"}), run)
    assert not [it for it in done.problems if it.severity is Severity.ERROR], done.problems
    return json.loads(done.policy)


def test_names_of_the_record() -> None:
    names = ("identity", "identity_arn", "domain", "account", "region", "partition", "policy_name")
    made = filled({name: f"{{{{{name}}}}}" for name in names})
    assert made == {
        "identity": "mail.example",
        "identity_arn": "arn:aws:ses:eu-west-1:111122223333:identity/mail.example",
        "domain": "mail.example",
        "account": "111122223333",
        "region": "eu-west-1",
        "partition": "aws",
        "policy_name": "p",
    }


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (Record("Bob@Mail.Example", "p"), ["Bob@Mail.Example", "mail.example", "111122223333", "eu-west-1", "aws"]),
        (
            Record("arn:aws-cn:ses:cn-north-1:999988887777:identity/x.example", "p"),
            ["x.example", "x.example", "999988887777", "cn-north-1", "aws-cn"],
        ),
        (
            Record("x.example", "p", region="us-gov-west-1", account="999988887777"),
            ["x.example", "x.example", "999988887777", "us-gov-west-1", "aws-us-gov"],
        ),
    ],
)
def test_the_record_s_own_target_comes_before_the_run_s(record: Record, expected: list[str]) -> None:
    names = ("identity", "domain", "account", "region", "partition")
    assert filled({"all": [f"{{{{{name}}}}}" for name in names]}, record) == {"all": expected}


def test_any_column_in_keys_and_within_strings_spelled_as_people_spell() -> None:
    assert filled({"k{{a}}": "x-{{ A }}-{{two words}}", "${aws:username}": "${a}{a}"}) == {
        "k1": "x-1-2",
        "${aws:username}": "${a}{a}",
    }


@pytest.mark.parametrize(
    ("cell", "items"),
    [
        ("a;b", ["a", "b"]),
        (" a ; b ;", ["a", "b"]),
        ("a", ["a"]),
        ('["a;b", "c"]', ["a;b", "c"]),
        ("[a;b", ["[a", "b"]),
    ],
)
def test_a_list(cell: str, items: list[str]) -> None:
    assert filled({"x": "{{c[]}}"}, Record("a.test", "p", extra={"c": cell})) == {"x": items}


@given(st.text(), st.text())
def test_no_value_breaks_out_of_its_string(one: str, two: str) -> None:
    document = {"before": 1, "{{one}}": {"x": ["{{two}}", "{{one}}{{two}}"]}, "after": True}
    done = template(document).fill(Record("a.test", "p", extra={"one": one, "two": two}), RUN)
    if one not in ("before", "after"):
        assert json.loads(done.policy) == {"before": 1, one: {"x": [two, one + two]}, "after": True}


@given(st.text(min_size=1))
def test_no_item_breaks_out_of_its_list(cell: str) -> None:
    done = template({"x": "{{c[]}}", "y": 1}).fill(Record("a.test", "p", extra={"c": cell}), RUN)
    found = json.loads(done.policy)
    assert found.keys() == {"x", "y"} and found["y"] == 1
    assert all(isinstance(item, str) for item in found["x"])


def test_what_is_no_placeholder_stays_to_the_letter(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text('{ "n": 1.50e3, "s": "\\u00e9\\/",\n "t": "{{a}}" , "u": [ ] }')
    done = template(path).fill(Record("a.test", "p", extra={"a": "é\n"}), RUN)
    assert done.policy == '{"n":1.50e3,"s":"\\u00e9\\/","t":"é\\n","u":[]}'


def test_a_name_of_the_template_s_own_and_one_for_the_document() -> None:
    made = template({"Sid": "{{policy_name}}"}, "t-{{id}}").fill(Record("a.test", "", extra={"id": "7"}), RUN)
    assert (made.policy_name, json.loads(made.policy)) == ("t-7", {"Sid": "t-7"})


def test_what_a_record_has_of_its_own_counts_and_a_delete_needs_none() -> None:
    both = template({"x": "{{id}}"}, "t-{{id}}")
    own = Record("a.test", "own", '{"y": 1}')
    assert both.fill(own, RUN) is own
    gone = both.fill(Record("a.test", "", action="Delete", extra={"id": "7"}), RUN)
    assert (gone.policy_name, gone.policy) == ("t-7", "")


def findings(document: object, record: Record, run: Target = RUN) -> list[tuple[str, str, str]]:
    return [(it.code, it.where, it.message) for it in template(document).fill(record, run).problems]


def test_an_unknown_column_names_the_ones_there_are() -> None:
    ((code, where, message),) = findings({"x": "{{tenantid}}"}, Record("a.test", "p", extra={"tenant_id": "1"}))
    assert (code, where) == ("template-name", "policy")
    assert "{{tenantid}} is no column" in message and "tenant_id, identity" in message


def test_an_empty_cell_is_a_warning() -> None:
    ((code, _, _),) = findings({"x": "a{{b}}"}, Record("a.test", "p", extra={"b": " "}))
    assert code == "template-empty"


@pytest.mark.parametrize(
    ("name", "run", "missing"),
    [
        ("account", Target("", "eu-west-1"), "the account,"),
        ("region", Target("111122223333", ""), "the Region,"),
        ("partition", Target("", ""), "the Region,"),
        ("partition", Target("", "nowhere"), "no partition"),
        ("identity_arn", Target("", ""), "the account and the Region,"),
        ("identity_arn", Target("", "eu-west-1"), "the account,"),
    ],
)
def test_an_account_or_region_that_nobody_named(name: str, run: Target, missing: str) -> None:
    ((code, _, message),) = findings({"x": f"{{{{{name}}}}}"}, Record("a.test", "p"), run)
    assert code == "template-unknown" and missing in message


def test_a_table_is_refused_at_its_header(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("identity,tenant_id\na.test,1\n")
    with pytest.raises(InputError, match=r"\{\{tenant\}\} is no column of the input, which has tenant_id") as error:
        open_input(path, Reading(), template({}, "t-{{tenant}}"))
    assert "tenant_id" in error.value.hint
    with open_input(path, Reading(), template({}, "t-{{Tenant_ID}}")) as source:
        assert [record.identity for record in source] == ["a.test"]


def test_a_column_that_the_template_would_make_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("identity,policy_name,policy\na.test,1,{}\n")
    with open_input(path, Reading(), template({}, "t")) as source:
        assert [note.split(":")[0] for note in source.notes] == [
            'the column "policy" is taken for the policy',
            'the column "policy_name" is taken for the policy name',
        ]


def test_a_column_that_a_placeholder_does_not_mean_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("identity,policy_name,Domain,partition\nme@a.test,1,b.test,x\n")
    with open_input(path, Reading(), template({"Id": "{{domain}}"})) as source:
        assert [note.split(";")[0] for note in source.notes] == [
            "{{Domain}} is the record's own, not what the column Domain says"
        ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "no template of a policy"),
        (b"[]", "no template of a policy"),
        (b'{"x": {{a}}}', "no template of a policy"),
        (b"\xff", "not UTF-8"),
        (b" " * ((1 << 20) + 1), "longer than 1 MiB"),
    ],
)
def test_files_that_are_no_template(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "policy.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        Template.of(Reading(policy_template=path))
    with pytest.raises(InputError, match="cannot be read"):
        Template.of(Reading(policy_template=tmp_path / "none.json"))


@pytest.mark.parametrize("text", ["{{", "{{a", "a{{ }}", "{{[]}}", "x{{a[]}}", "{{a[]}}{{b}}"])
def test_placeholders_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        Template.of(Reading(policy_template={"x": text}))
    with pytest.raises(UsageError):
        Template.of(Reading(policy_name=text))


def test_a_list_cannot_be_a_key_or_a_name() -> None:
    with pytest.raises(UsageError, match="mixes a list"):
        Template.of(Reading(policy_template={"{{a[]}}": 1}))
    with pytest.raises(UsageError, match="no list"):
        Template.of(Reading(policy_name="{{a[]}}"))


def test_nothing_asked_for_is_no_template() -> None:
    assert Template.of(Reading()) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_strings_are_found_where_they_stand(value: object, compact: bool) -> None:
    text = json.dumps(value, ensure_ascii=compact, indent=None if compact else 1)
    for found in strings(text):
        assert json.loads(text[found.start : found.end]) == found.value
        place = value
        for step in found.path[:-1] if found.is_key else found.path:
            place = place[step]  # type: ignore[index]
        assert found.value in place if found.is_key else place == found.value  # type: ignore[operator]
    assert json.loads(replaced(text, [(it, it.value) for it in strings(text)])) == value


def of(**settings: object) -> Template:
    made = Template.of(Reading(**settings))  # type: ignore[arg-type]
    assert made is not None
    return made


def test_a_variable_is_the_same_for_all_records() -> None:
    made = of(policy_template={"Id": "{{Env}}-{{a}}"}, policy_name="{{env}}", variables=("env=prod=1",))
    done = made.fill(Record("a.test", "", extra={"a": "1"}), RUN)
    assert (done.policy_name, done.policy, done.problems) == ("prod=1", '{"Id": "prod=1-1"}', ())


def test_a_variable_that_a_column_gives_too_is_refused(tmp_path: Path) -> None:
    made = of(policy_template={"Id": "{{env}}"}, variables=("env=prod",))
    path = tmp_path / "in.csv"
    path.write_text("identity,policy_name,Env\na.test,p,test\n")
    with pytest.raises(InputError, match=r"\{\{Env\}\} is a column of the input, and a variable too"):
        open_input(path, Reading(), made)
    done = made.fill(Record("a.test", "p", extra={"ENV": "test"}), RUN)
    assert [(it.code, it.severity) for it in done.problems] == [("template-name", Severity.ERROR)]


@pytest.mark.parametrize("pair", ["env", "=prod", "a[]=1", "{{a}}=1", "region=eu-west-1", "Policy_Name=p"])
def test_what_is_no_variable(pair: str) -> None:
    with pytest.raises(UsageError):
        of(policy_name="{{env}}", variables=(pair,))


def test_variables_want_a_template_and_one_value() -> None:
    with pytest.raises(UsageError, match="there is none"):
        Template.of(Reading(variables=("env=prod",)))
    with pytest.raises(UsageError, match="says two things of env"):
        of(policy_name="{{env}}", variables=("env=prod", "Env=test"))


def test_a_policy_of_the_records_own_is_a_template_where_that_is_asked() -> None:
    record = Record("a.test", "p", '{ "Id" : "{{env}}-{{Who}}", "x": "{{y}}" }', extra={"who": "me", "y": '"'})
    asked = of(columns=("template=policy",), variables=("env=prod",))
    assert asked.fill(record, RUN).policy == '{"Id":"prod-me","x":"\\""}'
    assert of(policy_template={}).fill(record, RUN) is record
    for text, code in (
        ("{", []),
        ('{"a": "{{"}', ["template-name"]),
        ('{"a": "{{b}}"}', ["template-name"]),
        ("{}", []),
    ):
        done = asked.fill(Record("a.test", "p", text), RUN)
        assert [it.code for it in done.problems] == code, text
    assert asked.fill(Record("a.test", "p", '{"a": "{{"}', action="delete"), RUN).problems == ()


def test_a_column_that_was_named_fills_placeholders_of_its_name() -> None:
    made = of(columns=("identity=Kunde", "policy=x"), policy_name="{{KUNDE}}")
    assert made.fill(Record("a.test", "", "{}"), RUN).policy_name == "a.test"
    done = of(columns=("policy=x",), policy_name="{{x}}").fill(Record("a.test", "", "{}"), RUN)
    assert [it.code for it in done.problems] == ["template-name"]
