"""What an output may take the place of, by its first bytes, and by whatever name it goes."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from batchpol.journal import Journal
from batchpol.model.errors import UsageError
from batchpol.outputs import begins_as, check_outputs, check_run
from tests.journal.books import run, write

SAMPLES = Path(__file__).parents[1] / "samples"
WRITTEN = Path(__file__).parent / "data" / "journals" / "format-1"

ROW = b'{"line":1,"identity":"a.example","policy_name":"p","status":"applied","findings":[]}\n'
BEGINS = {
    b"": "",
    b"\n\n": "",
    b"Domain;Tenant\r\na.example;7\r\n": "a table that may be an input",
    b"name\nA\n": "",
    b"<!doctype html>": "",
    b'{"Version":"2012-10-17","Statement":[]}': "a policy",
    b'{\n  "Version": "2012-10-17",\n  "Statement": []\n}\n': "a policy",
    b'{"Identity":"a.example","PolicyName":"p","Policy":{"Statement":[{"Effect":"Allow"}]}}\n': "an input",
    b'\n{"identity":"a.example","action":"delete","policy_name":"p"}\n': "an input",
    b'{"identity":"a.example","policy_name":"p","policy":{"broken": \n': "an input",
    b"\xef\xbb\xbfIdentity;Policy Name;Tenant\r\na.example;p;7\r\n": "an input",
    b"sep=\t\nidentity\tpolicy\n": "an input",
    b'{"batchpol_export":1,"begun":"2026-01-01"}\n': "what an export has read so far",
    b'{"t":"run","format":2,"options":{"command":["\\"plan\\":true"]}}\n': "a journal",
    b'{"t":"run","format":2,"options":{"plan":true}}\n': "a saved plan",
    b'{"line":1,"identity":"a.example","policy_name":"p","effect":"create","changes":[],"status":null}\n': "a plan",
    ROW: "",
    b'{"at":1.5,"wall":1.7,"operation":"PutIdentityPolicy","identity":"a.example","policy_name":"p"}\n': "",
    ROW.replace(b'"findings"', b'"policy":{"Statement":[]},"findings"'): "an input",
    b"line,identity,policy_name,region,account,action,status\n": "",
    b"line,identity,policy_name,region,account,action,status,policy\n": "an input",
}


@pytest.mark.parametrize("content", BEGINS, ids=lambda content: content[:40].decode("utf-8", "replace"))
def test_what_a_file_begins_as(tmp_path: Path, content: bytes) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    assert (begins_as(plain), begins_as(packed)) == (BEGINS[content], BEGINS[content])


def test_what_we_ship_and_what_we_wrote() -> None:
    inputs = [*SAMPLES.glob("*.csv"), *SAMPLES.glob("*.jsonl"), *WRITTEN.glob("undo-*"), WRITTEN / "tenants.csv"]
    assert len(inputs) > 8
    lists = {begins_as(path) for path in inputs if path.name == "customers.csv"}
    assert lists == {"a table that may be an input"}
    assert {begins_as(path) for path in inputs if path.name != "customers.csv"} == {"an input"}
    assert begins_as(WRITTEN / "journal.jsonl") == "a journal"
    assert {begins_as(path) for path in WRITTEN.glob("report-*")} == {""}


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder") as caught:
        check_run({}, tmp_path, [])
    assert "name a file with `journal`" in caught.value.hint


def test_an_empty_journal_that_a_run_has_just_begun(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j.jsonl"):
        assert begins_as(tmp_path / "j.jsonl") == "being written by another run"


@pytest.mark.parametrize("link", ["the same", "a hard link", "a link to its folder", "beside dots"])
def test_an_input_under_another_name(tmp_path: Path, link: str) -> None:
    read = write(tmp_path / "in.jsonl", [run()])
    output = tmp_path / "out.jsonl"
    if link == "a hard link":
        os.link(read, output)
    elif link == "a link to its folder":
        (tmp_path / "folder").symlink_to(tmp_path)
        output = tmp_path / "folder" / "in.jsonl"
    else:
        output = read if link == "the same" else tmp_path / ".." / tmp_path.name / "in.jsonl"
    with pytest.raises(UsageError, match="is the journal itself"):
        check_outputs([output], {"the journal": read})


def test_two_outputs_in_one_place(tmp_path: Path) -> None:
    for twice in (tmp_path / "r.csv", Path("-")):
        with pytest.raises(UsageError, match="is given for two outputs"):
            check_outputs([twice, twice], {"the input": "-"})
    check_outputs([tmp_path / "r.csv", Path("-")], {"the input": "-", "the template": None})
