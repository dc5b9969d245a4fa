"""What unpacks to gigabytes costs neither memory nor time, in a process that could not afford it."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

MEMORY, SECONDS = 256 << 20, 20
"""Address space and processor time of the command; a bomb unpacks to 320 MB."""
PIECE = 1 << 20


def in_a_narrow_place() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def bomb(path: Path, head: bytes, filling: bytes, tail: bytes) -> Path:
    """A file that unpacks to 320 MB, packed once and repeated: members of gzip may follow each other."""
    member = gzip.compress(filling * (PIECE // len(filling)), 9) * 320
    path.write_bytes(gzip.compress(head) + member + gzip.compress(tail))
    return path


@pytest.mark.parametrize(
    ("name", "head", "filling", "code"),
    [
        ("line.csv.gz", b"identity,policy_name,policy\na.example,p,", b"x", "record-too-long"),
        ("line.jsonl.gz", b'{"identity":"a.example","policy_name":"', b"x", "record-too-long"),
    ],
)
def test_a_line_that_unpacks_to_more_than_there_is(
    tmp_path: Path, name: str, head: bytes, filling: bytes, code: str
) -> None:
    source = bomb(tmp_path / name, head, filling, b"\n")
    assert source.stat().st_size < 400_000
    ended = subprocess.run(
        [sys.executable, "-m", "batchpol", "validate", source, "--report", "v.jsonl", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=in_a_narrow_place,
        timeout=120,
    )
    assert ended.returncode in (1, 2), ended.stderr
    with (tmp_path / "v.jsonl").open() as rows:
        first = json.loads(next(rows))
    assert code in [finding["code"] for finding in first["findings"]]
