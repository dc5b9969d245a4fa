"""Columns and keys that hold a field under another name: ``columns`` of the settings."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from unicodedata import normalize

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from batchpol.model import Record
from batchpol.model.errors import InputError, UsageError
from batchpol.source import Names, as_record, open_source
from batchpol.source.fields import SPELLINGS, folded
from tests.source.conftest import Reading

FIELDS = tuple(dict.fromkeys(SPELLINGS.values()))
POLICY = '{"Version": "2012-10-17"}'
ROW = dict(zip(FIELDS, ("a.test", "p", POLICY, "eu-west-1", "123456789012", "put"), strict=True))
OTHER = st.text(st.characters(codec="utf-8", exclude_characters="=\0`\r"), min_size=1, max_size=12).filter(
    lambda name: name.strip() and name.strip() == name and folded(name) not in {*SPELLINGS, "template"}
)


def records(path: Path, header: list[str], row: list[str], names: Names, delimiter: str = ",") -> list[Record]:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows((header, row))
    path.write_bytes(text.getvalue().encode())
    with open_source(path, names=names) as source:
        [record] = source
    record.line = 2  # the header may take several
    return [record]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    named=st.dictionaries(st.sampled_from(FIELDS), OTHER, min_size=1).filter(
        lambda it: len(set(map(folded, it.values()))) == len(it)
    ),
    delimiter=st.sampled_from(",;"),
)
def test_a_named_column_is_read_as_one_that_is_renamed(tmp_path: Path, named: dict[str, str], delimiter: str) -> None:
    names = Names.of(f"{known}={column}" for known, column in named.items())
    renamed = records(tmp_path / "in.csv", [*ROW, "note"], [*ROW.values(), "n"], Names(), delimiter)
    header = [named.get(known, known) for known in ROW]
    assert records(tmp_path / "in.csv", [*header, "note"], [*ROW.values(), "n"], names, delimiter) == renamed
    item = dict(zip(header, ROW.values(), strict=True)) | {"note": "n"}
    (tmp_path / "in.jsonl").write_bytes(msgspec.json.encode(item))
    with open_source(tmp_path / "in.jsonl", names=names) as source:
        found = [replace(record, line=2) for record in source]
    of_program = as_record(item, 1, names=names)
    for record in (*found, of_program):
        record.file = renamed[0].file
    assert [*found, of_program] == renamed * 2


@pytest.mark.parametrize(
    "header",
    [
        "Domäne (Kunde)",
        " domäne  (KUNDE) ",
        '"Domäne\n(Kunde)"',
        "Domäne\u00a0(Kunde)",
        normalize("NFD", "Domäne (Kunde)"),
    ],
)
def test_a_header_is_known_again_as_people_type_it(read: Reading, header: str) -> None:
    names = Names.of(["identity=Domäne (Kunde)"])
    [record] = read(f"{header};policy_name;policy\na.test;p;{{}}\n", names=names)
    assert (record.identity, record.extra) == ("a.test", {})


def test_a_column_may_be_called_like_another_field(read: Reading) -> None:
    [record] = read("name,tag,policy\na.test,p,{}\n", names=Names.of(["identity=name", "policy_name=tag"]))
    assert (record.identity, record.policy_name) == ("a.test", "p")


@pytest.mark.parametrize(
    ("pair", "said", "hint"),
    [
        ("identty=Domain", "takes FIELD=COLUMN", "did you mean identity?"),
        ("Domain=identity", "takes FIELD=COLUMN", "did you mean `columns='identity=Domain'`?"),
        ("identity", "the fields are identity, policy_name,", "for instance `columns='identity=Domain'`"),
        ("identity= ", "takes FIELD=COLUMN", "for instance"),
    ],
)
def test_what_names_no_column(pair: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        Names.of([pair])
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    "pairs", [["identity=A", "identity=B"], ["identity=A", "policy_name=a"], ["policy=A", "template=B"]]
)
def test_a_field_has_one_column_and_a_column_one_field(pairs: list[str]) -> None:
    with pytest.raises(UsageError, match="says two things"):
        Names.of(pairs)


def test_a_column_that_is_not_there_is_refused_with_those_that_are(read: Reading) -> None:
    names = Names.of(["identity=Domian", "region=Land"])
    with pytest.raises(InputError, match='no column "Domian" and "Land"; its columns are "Domain", "name"') as refused:
        read("Domain,name,policy\na.test,p,{}\n", names=names)
    assert refused.value.hint == "did you mean Domain?"
    with pytest.raises(
        InputError, match='line 2: the first record has no key "Domian" and "Land"; its keys'
    ) as refused:
        read('\n{"Domain":"a.test","name":"p","policy":{}}\n', "in.jsonl", names=names)
    assert refused.value.hint == "did you mean Domain?"
    record = as_record({"Domain": "a.test", "name": "p", "policy": {}}, 0, names=names)
    assert [it.message for it in record.problems] == ["the field identity is missing", 'there is no key "Land"']


def test_a_column_that_is_not_there_is_not_replaced_by_one_of_the_usual_name(read: Reading) -> None:
    names, row = Names.of(["identity=Domain"]), {"identity": "a.test", "policy_name": "p", "policy": {}}
    with pytest.raises(InputError, match='the header has no column "Domain"; its columns are "identity"'):
        read("identity,policy_name,policy\na.test,p,{}\n", names=names)
    with pytest.raises(InputError, match='the first record has no key "Domain"; its keys are "identity"'):
        read(f"{msgspec.json.encode(row).decode()}\n", "in.jsonl", names=names)
    assert [it.message for it in as_record(row, 0, names=names).problems] == ['there is no key "Domain"']


def test_two_columns_for_one_field_are_refused(read: Reading) -> None:
    for header in ("Domain,identity", "Domain,domain"):
        with pytest.raises(InputError, match="both stand for identity"):
            read(f"{header},name,policy\na.test,b.test,p,{{}}\n", names=Names.of(["identity=Domain"]))


def test_a_column_of_templates_may_name_files_as_they_are_called(read: Reading, tmp_path: Path) -> None:
    (tmp_path / "gold.json").write_text(POLICY)
    names = Names.of(["template=Plan"])
    found = read(
        "identity,name,Plan\na.test,p,gold.json\nb.test,p,file://gold.json\nc.test,p,none\nd.test,p,\n", names=names
    )
    assert [record.policy for record in found] == [POLICY, POLICY, "file://none", ""]
    assert [len(record.problems) for record in found] == [0, 0, 1, 0]
