"""Moving a Region's policies to another account and Region: the README's line, between two servers."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from batchpol.sandbox.store import Owner
from batchpol.testing import SandboxOptions, running_sandbox
from tests.e2e.command import ACCOUNT, COMMAND, REGION, environment, policy
from tests.place import FASTER, PUT, Place

THERE, AWAY = "444455556666", "eu-west-1"
MOVE = ("--to-account", THERE, "--to-region", AWAY)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_forty_identities_with_three_policies_each(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_STS")  # STS is where SES is
    for number in range(40):
        name = f"user{number}@t.example" if number % 5 == 0 else f"t{number:02}.example"
        for policy_name in ("one", "two", "three"):
            document = json.dumps(policy(name, Sid=policy_name.title()), separators=(",", ":"))  # as SES keeps it
            place.sandbox.store.put(Owner(ACCOUNT, REGION, name), policy_name, document)
    with running_sandbox(SandboxOptions(rate=0, account=THERE)) as away:
        keys = {name: value for name, value in away.environment(REGION).items() if "ENDPOINT_URL" not in name}
        here = ("--endpoint-url", place.sandbox.url, "--expect-account", ACCOUNT)
        to = ("--endpoint-url", away.url, "--region", AWAY, "--expect-account", THERE)
        stages = (
            ("export", *here, *FASTER),
            ("retarget", "-", "-q", *MOVE),
            ("apply", "-", "--yes", *to, *FASTER),
        )
        line = " | ".join(shlex.join([str(COMMAND), *stage]) for stage in stages)
        place.run("export", *here, "-o", "old.jsonl")
        place.run("retarget", "old.jsonl", *MOVE, "-o", "new.jsonl")
        planned = place.run("plan", "new.jsonl", *to)
        assert "0 delete, 120 create, 0 update, 0 unchanged" in planned.out
        assert not [it for it in away.arrivals if it.operation == PUT]
        ended = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=place.folder,
            env=environment(place.folder, **keys),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr
        assert "120 applied" in ended.stdout
        place.run("export", *to, "-o", "there.jsonl")
    old, new, there = (rows(place.folder / name) for name in ("old.jsonl", "new.jsonl", "there.jsonl"))
    assert len(there) == 120
    assert [row.pop("stored") for row in there] == [row.pop("stored") for row in new]
    without_mark = json.dumps([row for row in old if row.pop("stored")])
    assert there == json.loads(without_mark.replace(ACCOUNT, THERE).replace(REGION, AWAY))
