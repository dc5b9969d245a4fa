"""``-`` for every input and every output: JSON Lines, and nothing else on standard output."""

from __future__ import annotations

import errno
import io
import json
import subprocess
from typing import Any

import pytest

from tests.e2e.command import COMMAND, REGION, environment, finish, record, start
from tests.place import Place

BAD = {"identity": "not an identity", "policy_name": "p", "policy": "{}"}


def rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_every_report_goes_to_standard_output_and_all_else_beside_it(place: Place) -> None:
    place.save("in.jsonl", [record("a.example"), BAD])
    ended = place.run("validate", "in.jsonl", "--report", "-", code=1)
    assert [row["status"] for row in rows(ended.out)] == ["valid", "rejected"]
    assert "in.jsonl:2: error:" in ended.err and "1 valid, 1 rejected" in ended.err
    ended = place.run("plan", "in.jsonl", "--report", "-", code=1)
    assert [row["effect"] for row in rows(ended.out)] == ["create", None]
    assert "create a.example tenant" in ended.err
    ended = place.run("apply", "in.jsonl", "--report", "-", "--report", "r.csv", "--output", "json", code=1)
    assert [row["status"] for row in rows(ended.out)] == ["applied", "rejected"]
    assert '"applied": 1' in ended.err and (place.folder / "r.csv").exists()
    ended = place.run("report", "in.journal.jsonl", "--report", "-", "--only", "rejected")
    assert [row["identity"] for row in rows(ended.out)] == ["not an identity"]
    assert "1 of 2 records" in ended.err
    assert not (place.folder / "-").exists()


def test_standard_output_is_the_summary_s_again_in_the_next_run(place: Place) -> None:
    place.save("in.jsonl", [record("a.example")])
    place.run("validate", "in.jsonl", "--report", "-")
    assert "1 valid" in place.run("validate", "in.jsonl").out


def test_what_failed_is_mended_and_goes_on_through_pipes(place: Place) -> None:
    """A report of rejected rows, written to a pipe, is an input."""
    place.save("in.jsonl", [record("a.example"), BAD])
    place.run("apply", "in.jsonl", code=1)
    out = place.run("report", "in.journal.jsonl", "--only", "rejected", "--report", "-").out
    (place.folder / "mended.jsonl").write_text(out.replace("not an identity", "b.example"))
    ended = place.run("validate", "mended.jsonl", code=1)
    assert "policy" in ended.out and "b.example" not in {identity for identity, _ in place.there}


def test_a_reader_that_goes_away_ends_nothing(place: Place) -> None:
    place.save("many.jsonl", [record(f"t{number}.example") for number in range(3000)])
    line = f"{COMMAND} validate many.jsonl --region {REGION} --account 123456789012 --report - | head -1"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=place.folder,
        env=environment(place.folder),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
    assert "3,000 valid" in ended.stderr


def test_what_cannot_be_written_is_not_said_to_be(place: Place) -> None:
    """A pipeline goes by exit codes; what it takes for an empty list of records must not come from a full disk."""
    place.save("in.jsonl", [record("a.example")])
    with open("/dev/full", "wb") as full:
        ended = finish(start("retarget", "in.jsonl", "--to-region", "eu-west-1", cwd=place.folder, stdout=full))
    assert ended.code == 3 and "records written" not in ended.err
    assert "error: standard output cannot be written: No space left on device" in ended.err


def test_no_room_for_what_waits_for_the_last_record(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, line: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    place.save("in.jsonl", [record("a.example")])
    monkeypatch.setattr("batchpol.rewriting.rewrite.SpooledTemporaryFile", lambda _: Full())
    ended = place.run("retarget", "in.jsonl", "--to-region", "eu-west-1", "-q", code=2)
    assert "a temporary file cannot be written: No space left on device" in ended.err and not ended.out


def test_a_column_called_origin_is_kept(place: Place) -> None:
    place.save("in.jsonl", [record("a.example") | {"origin": "the shop"}])
    place.run("retarget", "in.jsonl", "--to-region", "eu-west-1", "-o", "out.jsonl")
    assert [row["origin"] for row in place.report("out.jsonl")] == ["the shop"]
