"""The installed command: killed, interrupted, and read by somebody who has had enough."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.command import arrived, await_that, finish, start
from tests.exporting.test_export import fill, read, rows
from tests.place import READ, Place

COUNT = 40
PACE = ("--rate", "40", "--i-have-a-higher-quota")


def started(place: Place, *arguments: str, **how) -> subprocess.Popen[bytes]:
    return start("export", *PACE, *arguments, cwd=place.folder, env=place.sandbox.environment(), **how)


def kept(path: str) -> list[str]:
    """The identities in a partial's whole lines."""
    lines = Path(path).read_bytes().splitlines(keepends=True)[1:]
    return [json.loads(line)["identity"] for line in lines if line.endswith(b"\n")]


def end(place: Place, process: subprocess.Popen[bytes], number: int) -> int:
    """Send a signal once some identities were read."""
    await_that(arrived(place.sandbox, READ, 8), process)
    process.send_signal(number)
    return finish(process).code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_an_export_that_was_ended_goes_on_where_it_was(place: Place, number: int, code: int) -> None:
    names = fill(place, COUNT)
    assert end(place, started(place, "-o", "out.jsonl"), number) == code
    known = kept("out.jsonl.partial")
    assert 5 <= len(known) < COUNT
    begun = set(read(place, READ))
    if number == signal.SIGINT:
        assert begun == set(known), "what was begun is finished"
    place.forget_arrivals()
    place.run("export", "-o", "out.jsonl")
    assert sorted(read(place)) == sorted(set(names) - set(known))
    assert [name for name, _ in rows(Path("out.jsonl").read_text())] == [name for name in names for _ in range(2)]


def test_a_reader_that_goes_away_ends_it_quietly(place: Place) -> None:
    fill(place, COUNT)
    process = started(place)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["identity"] == "t00.example"
    process.stdout.close()
    process.stdout = None
    ended = finish(process)
    assert ended.code == 3
    assert len(ended.err.splitlines()) == 2, "who, what and what it costs, and no more"
    assert len(place.arrivals(READ)) < COUNT
