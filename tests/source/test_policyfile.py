"""``file://`` policies: beside the input, never outside its folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from batchpol.model import Record
from batchpol.source import open_source
from batchpol.source.policyfile import PolicyFiles
from tests.source.test_opening import Stdin

TEXT = '{\n  "Version": "2012-10-17"\n}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "job"
    (inside / "policies").mkdir(parents=True)
    (inside / "policies" / "one.json").write_text(TEXT)
    (tmp_path / "secret.json").write_text("{}")
    return inside


def of(folder: Path, cell: str) -> Record:
    (folder / "in.csv").write_text(f"identity,name,policy\na.test,p,{cell}\n")
    with open_source(folder / "in.csv") as source:
        [record] = source
    return record


@pytest.mark.parametrize("cell", ["file://policies/one.json", "file://./policies//one.json"])
def test_the_text_of_the_file_is_the_policy(folder: Path, cell: str) -> None:
    record = of(folder, cell)
    assert (record.policy, record.problems) == (TEXT, ())


def test_json_lines_and_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = '{"identity":"a.test","name":"p","policy":"file://policies/one.json"}'
    spaced = '{ "identity":"a.test","name":"p","policy":"file://policies/one.json"}'
    (folder / "in.jsonl").write_text(f"{line}\n{spaced}\n")
    with open_source(folder / "in.jsonl") as source:
        assert [record.policy for record in source] == [TEXT, TEXT]
    monkeypatch.chdir(folder)
    with open_source("in.jsonl") as source:
        assert next(iter(source)).policy == TEXT
    monkeypatch.setattr(sys, "stdin", Stdin(line.encode()))
    with open_source("-", format="jsonl") as source:
        assert next(iter(source)).policy == TEXT


def test_a_mark_at_the_start_is_no_part_of_the_document(folder: Path) -> None:
    (folder / "marked.json").write_bytes(b"\xef\xbb\xbf{}")
    assert of(folder, "file://marked.json").policy == "{}"


def test_a_link_that_stays_inside_is_followed(folder: Path) -> None:
    (folder / "link.json").symlink_to("policies/one.json")
    (folder / "linked").symlink_to("policies")
    assert of(folder, "file://link.json").policy == TEXT
    assert of(folder, "file://linked/one.json").policy == TEXT


def test_the_input_may_itself_stand_behind_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(folder)
    assert of(tmp_path / "alias", "file://policies/one.json").policy == TEXT


@pytest.mark.parametrize(
    "cell",
    [
        "file://../secret.json",
        "file://policies/../../secret.json",
        "file://policies/../policies/one.json",
        "file:///etc/passwd",
        "file://link.json",
        "file://out/secret.json",
        "file://.",
    ],
)
def test_nothing_outside_the_folder_is_read(folder: Path, cell: str) -> None:
    (folder / "link.json").symlink_to("../secret.json")
    (folder / "out").symlink_to("..")
    record = of(folder, cell)
    [problem] = record.problems
    assert (problem.code, problem.where) == ("policy-file-outside", "policy")
    assert record.policy == cell


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("file://policies/two.json", "No such file"),
        ("file://policies", "not a regular file"),
        ("file://", "names no file"),
        ("file://latin.json", "not UTF-8"),
        ("file://long.json", "over 1,048,576 bytes"),
        ("file://pipe", "not a regular file"),
        ("file://loop", ""),
        ("file://" + "x" * 5000, "too long"),
    ],
)
def test_what_cannot_be_read_is_the_record_s_problem(folder: Path, cell: str, says: str) -> None:
    (folder / "latin.json").write_bytes(b'"\xfc"')
    (folder / "long.json").write_bytes(b" " * ((1 << 20) + 1))
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    [problem] = of(folder, cell).problems
    assert (problem.code, problem.where) == ("policy-file", "policy")
    assert says in problem.message


def test_a_link_put_there_after_the_check_is_not_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "link.json").symlink_to("../secret.json")
    files = PolicyFiles(str(folder))
    # What an attacker achieves who swaps the file for a link between the check and the opening.
    monkeypatch.setattr(os.path, "realpath", lambda path: str(path))
    text, problems = files.read("file://link.json")
    assert text == "file://link.json"
    assert [problem.code for problem in problems] == ["policy-file"]


def test_a_file_named_by_many_rows_is_read_once(folder: Path) -> None:
    rows = "".join(f"t{n}.test,p,file://policies/one.json\n" for n in range(10_000))
    (folder / "in.csv").write_text("identity,name,policy\n" + rows)
    with open_source(folder / "in.csv") as source:
        records = iter(source)
        assert next(records).policy == TEXT
        (folder / "policies" / "one.json").unlink()
        assert all(record.policy == TEXT for record in records)


def test_few_files_are_kept(folder: Path) -> None:
    files = PolicyFiles(str(folder))
    for number in range(200):
        (folder / f"{number}.json").write_text(f"{number}")
        assert files.read(f"file://{number}.json")[0] == f"{number}"
    (folder / "0.json").write_text("new")
    assert files.read("file://0.json")[0] == "new"
    assert files.read("file://199.json")[0] == "199"
