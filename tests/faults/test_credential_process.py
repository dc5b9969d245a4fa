"""A ``credential_process`` that is slow, gives credentials of a few seconds, and fails once, under several lanes."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from batchpol.model.settings import Connection
from batchpol.testing import Sandbox
from tests.faults.credentials import ROLE, keys_file
from tests.runs import COMPARE, REGION, apply, row, sandbox, statuses, write_input, writes

__all__ = ["sandbox"]

REGIONS = (REGION, "us-west-2", "eu-west-1", "ap-south-1")
PERIOD = 0.25
HELPER = f"""
import json, sys, time
from pathlib import Path
from batchpol.sandbox.sessions import credentials_of, open_session
log = Path(sys.argv[1])
with log.open("a") as file:
    file.write(f"{{time.time()}} began\\n")
time.sleep(2)
runs = log.read_text().count("began")
with log.open("a") as file:
    file.write(f"{{time.time()}} ended\\n")
if runs == 2:
    sys.exit("the login service is busy")
keys = credentials_of(open_session("{ROLE}", "test", time.time() + 5))
print(json.dumps({{"Version": 1, "AccessKeyId": keys.access_key, "SecretAccessKey": keys.secret_key,
                  "SessionToken": keys.token, "Expiration": keys.expiration}}))
"""


async def test_a_helper_that_is_slow_and_fails_once_stops_no_lane(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs once for all lanes, and never beside itself; nothing is signed with what has ended."""
    rows = [
        {**line, "region": region, "policy": line["policy"].replace(REGION, region)}
        for number in range(80)
        for region in [REGIONS[number % len(REGIONS)]]
        for line in [row(number)]
    ]
    source, log = write_input(tmp_path / "in.jsonl", rows), tmp_path / "helper.log"
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "config").write_text(
        f"[default]\ncredential_process = {sys.executable} {tmp_path / 'helper.py'} {log}\n"
    )
    keys_file(monkeypatch, tmp_path, sandbox, "", AWS_CONFIG_FILE=str(tmp_path / "config"))
    choices = {"patience": {"period": PERIOD}, "connection": Connection(regions=(REGION,)), "conduct": COMPARE}
    result = await apply(sandbox, source, own_session=True, **choices)
    assert (result.exit_code, Counter(statuses(tmp_path))) == (0, {"applied": len(rows)})
    assert {arrival.error_code for arrival in sandbox.arrivals} == {""}
    steps = [line.split()[1] for line in log.read_text().splitlines()]
    assert 3 <= steps.count("began") <= 4, "the first, the one that failed, its successor, and one where this took long"
    assert all(now != then for now, then in pairwise(steps)), "one at a time"
    assert len({arrival.access_key for arrival in writes(sandbox)}) >= 2
    for region in REGIONS:
        times = [arrival.at for arrival in writes(sandbox) if arrival.region == region]
        assert len(times) == len(rows) // len(REGIONS)
        assert (len(times) - 1) * PERIOD <= times[-1] - times[0] + PERIOD, "each passed its gate"
