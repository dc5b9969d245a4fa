"""``file://`` policies cannot leave the input's folder, however they are spelled (through the whole command)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.place import Place

SECRET = "what-stands-outside-the-folder"


@pytest.fixture
def job(place: Place) -> Path:
    """An input's folder with a secret beside it, and links of every kind in it."""
    folder = place.folder / "job"
    (folder / "policies").mkdir(parents=True)
    (place.folder / "outside.json").write_text(json.dumps({"Statement": SECRET}))
    (place.folder / "JOB").mkdir()
    (place.folder / "JOB" / "p.json").write_text(SECRET)
    (place.folder / "job-of-others").mkdir()
    (place.folder / "job-of-others" / "p.json").write_text(SECRET)
    (folder / "link.json").symlink_to("../outside.json")
    (folder / "absolute.json").symlink_to(place.folder / "outside.json")
    (folder / "policies" / "up").symlink_to("../..")
    (folder / "twice").symlink_to("policies/up")
    (folder / "fd").symlink_to("/proc/self/fd")
    return folder


SPELLINGS = [
    "file://../outside.json",
    "file://policies/../../outside.json",
    "file:///etc/passwd",
    "file:////etc/passwd",
    "file://{folder}/outside.json",
    "file://link.json",
    "file://absolute.json",
    "file://policies/up/outside.json",
    "file://twice/outside.json",
    "file://../job-of-others/p.json",
    "file://../JOB/p.json",
    "file:///proc/self/environ",
    "file:///proc/self/fd/{descriptor}",
    "file://fd/{descriptor}",
    "file:///dev/fd/{descriptor}",
    "file://link.json\0.txt",
    "file://..\\outside.json",
    "file://%2e%2e/outside.json",
    "file://./..//outside.json",
    "file://localhost/etc/passwd",
]


def test_no_spelling_leads_out(place: Place, job: Path) -> None:
    with (place.folder / "outside.json").open() as already_open:
        values = {"folder": place.folder, "descriptor": already_open.fileno()}
        cells = [cell.format_map(values) for cell in SPELLINGS]
        rows = [
            {"identity": f"t{number}.example", "policy_name": "p", "policy": cell} for number, cell in enumerate(cells)
        ]
        place.save("job/in.jsonl", rows)
        ended = place.run("apply", "job/in.jsonl", "--report", "r.jsonl", code=None)
    assert ended.code in (1, 2)
    found = place.report("r.jsonl")
    assert [row["status"] for row in found] == ["rejected"] * len(SPELLINGS)
    assert {row["error_code"] for row in found} <= {"policy-file", "policy-file-outside"}
    for file in place.folder.iterdir():
        if file.is_file() and file.name != "outside.json":
            assert SECRET not in file.read_text(), file
    assert SECRET not in ended.out + ended.err


def test_another_case_names_the_same_file_only_where_the_system_says_so(place: Place, job: Path) -> None:
    (job / "one.json").write_text("{}")
    place.save("job/in.jsonl", [{"identity": "a.example", "policy_name": "p", "policy": "file://ONE.json"}])
    place.run("apply", "job/in.jsonl", "--report", "r.jsonl", code=None)
    (row,) = place.report("r.jsonl")
    assert (row["error_code"] == "policy-file") == (not os.path.exists(job / "ONE.json"))
