"""What can go wrong between here and SES, each thing by its name, and the truth told afterwards.

Every test ends with :func:`~tests.runs.check_truth`: what the report says against what the server saw.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from batchpol.model import settings
from batchpol.model.errors import Unreachable
from batchpol.model.settings import Conduct, Connection
from batchpol.sandbox import FAULTS
from batchpol.sandbox.faults import Stage
from batchpol.testing import Sandbox, SandboxOptions
from tests.faults.credentials import given, keys_file
from tests.runs import (
    BLIND,
    COMPARE,
    PERIOD,
    REGION,
    Watcher,
    apply,
    check_truth,
    report,
    row,
    statuses,
    write_input,
    writes,
)

SHORT = 0.15
"""Seconds without an answer after which an attempt is given up."""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(rate=0, fault_operations=["PutIdentityPolicy"])) as running:
        yield running


@pytest.fixture
def rows() -> list[dict[str, object]]:
    return [row(number) for number in range(5)]


@pytest.fixture
def source(tmp_path: Path, rows: list[dict[str, object]]) -> Path:
    return write_input(tmp_path / "in.jsonl", rows)


FOR_GOOD = {"access_denied", "invalid_identity"}
TRANSIENT = sorted(
    name for name, fault in FAULTS.items() if fault.stage is not Stage.CREDENTIALS and name not in FOR_GOOD
)
"""Faults after which the same request may succeed."""


@pytest.mark.parametrize("fault", TRANSIENT)
async def test_a_fault_that_passes_costs_an_attempt_and_no_record(
    sandbox: Sandbox, source: Path, rows: list[dict[str, object]], fault: str
) -> None:
    sandbox.change(faults_at={fault: {2, 3}})
    result = await apply(sandbox, source, timeout=SHORT)
    assert (result.exit_code, statuses(source.parent)) == (0, ["applied"] * 5)
    assert len(writes(sandbox)) == 7
    assert sum(line["attempts"] for line in report(source.parent)) == 7
    check_truth(sandbox, source.parent, rows)


@pytest.mark.parametrize("fault", TRANSIENT)
async def test_a_fault_that_stays_is_never_called_success(
    sandbox: Sandbox, source: Path, rows: list[dict[str, object]], fault: str
) -> None:
    sandbox.change(faults_at={fault: range(3, 1000)})
    quick = {"max_attempts": 2, "max_outage": 0.2}
    result = await apply(sandbox, source, timeout=0.05, patience=quick, max_duration=1.0, drain=0.2)
    found = statuses(source.parent)
    assert found[:2] == ["applied"] * 2
    assert "applied" not in found[2:]
    assert result.exit_code in (1, 3)
    check_truth(sandbox, source.parent, rows)
    may_be_there = {"unknown"} if FAULTS[fault].applied else {"unknown", "failed", "not_attempted"}
    taken = {arrival.identity for arrival in writes(sandbox) if arrival.applied}
    assert {line["status"] for line in report(source.parent)[2:] if line["identity"] in taken} <= may_be_there
    sandbox.change(faults_at={})
    assert (await apply(sandbox, source, retry_failed=True)).exit_code == 0
    check_truth(sandbox, source.parent, rows)


async def test_a_storm_of_throttling_is_weathered_and_told_once(
    sandbox: Sandbox, source: Path, rows: list[dict[str, object]]
) -> None:
    sandbox.change(faults_at={"throttle": range(2, 14)})
    watcher = Watcher()
    result = await apply(sandbox, source, observer=watcher)
    assert result.exit_code == 0
    assert len(writes(sandbox)) == 5 + 12
    assert len([text for text in watcher.told if "somebody else uses this quota" in text]) == 1
    refused = [arrival.at for arrival in writes(sandbox) if arrival.error_code == "Throttling"]
    waits = [later - earlier for earlier, later in pairwise(refused)]
    # Five meetings in a row, 1.2 periods apart, as another host lets it in at one of them; from then on at every other.
    assert sum(waits[:6]) > 1.1 * 6 * PERIOD
    assert min(waits[6:]) > 2 * PERIOD, "the lane gave way"
    assert sum(waits) > 1.5 * len(waits) * PERIOD
    check_truth(sandbox, source.parent, rows)


@pytest.mark.parametrize("conduct", [BLIND, COMPARE], ids=["blind", "compare"])
async def test_everything_at_once(sandbox: Sandbox, tmp_path: Path, conduct: object) -> None:
    rows = [row(number) for number in range(25)]
    everything = dict.fromkeys(TRANSIENT, 0.02)
    sandbox.change(faults=everything, fault_operations=["PutIdentityPolicy", "GetIdentityPolicies"])
    source = write_input(tmp_path / "in.jsonl", rows)
    result = await apply(sandbox, source, timeout=SHORT, conduct=conduct)
    assert (result.exit_code, set(statuses(tmp_path))) == (0, {"applied"})
    assert {arrival.fault for arrival in sandbox.arrivals} > {""}
    check_truth(sandbox, tmp_path, rows)


@pytest.mark.parametrize("conduct", [BLIND, COMPARE], ids=["blind", "compare"])
async def test_a_server_that_is_gone_for_a_while_and_back(
    sandbox: Sandbox, source: Path, rows: list[dict[str, object]], conduct: object
) -> None:
    async def outage() -> None:
        while len(writes(sandbox)) < 2:
            await asyncio.sleep(0.005)
        await sandbox.go_away()
        await asyncio.sleep(1.0)
        await sandbox.come_back()

    gone = asyncio.create_task(outage())
    result = await apply(sandbox, source, conduct=conduct)
    await gone
    assert (result.exit_code, statuses(source.parent)) == (0, ["applied"] * 5)
    check_truth(sandbox, source.parent, rows)


@pytest.mark.parametrize("conduct", [BLIND, COMPARE], ids=["blind", "compare"])
async def test_a_server_that_does_not_come_back_stops_the_run_and_burns_nothing(
    sandbox: Sandbox, tmp_path: Path, conduct: object
) -> None:
    rows = [row(number) for number in range(60)]
    source = write_input(tmp_path / "in.jsonl", rows)

    async def outage() -> None:
        while len(writes(sandbox)) < 2:
            await asyncio.sleep(0.005)
        await sandbox.go_away()

    gone = asyncio.create_task(outage())
    result = await apply(sandbox, source, conduct=conduct, patience={"max_outage": 0.4})
    await gone
    found = report(tmp_path)
    assert (result.exit_code, result.summary.can_go_on) == (3, True)
    assert found[-1]["status"] == "not_attempted"
    assert found[-1]["error_code"] == "ConnectFailed"
    assert "SES took nothing for" in found[-1]["message"]
    check_truth(sandbox, tmp_path, rows)
    await sandbox.come_back()
    assert (await apply(sandbox, source, conduct=conduct)).exit_code == 0
    check_truth(sandbox, tmp_path, rows)


async def test_a_name_that_does_not_resolve(
    sandbox: Sandbox,
    source: Path,
    rows: list[dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    keys_file(monkeypatch, tmp_path, sandbox, AWS_ENDPOINT_URL_SES=f"http://ses.batchpol.invalid:{sandbox.port}")
    choices = {"connection": Connection(regions=(REGION,)), "own_session": True, "conduct": COMPARE}
    result = await apply(sandbox, source, patience={"max_outage": 0.3}, **choices)
    assert result.exit_code == 3
    found = report(source.parent)
    assert {line["error_code"] for line in found} == {"ConnectFailed"}
    assert not {line["status"] for line in found} & {"applied", "unknown"}
    assert "ses.batchpol.invalid" in found[-1]["message"]
    check_truth(sandbox, source.parent, rows)
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: look_up("127.0.0.1", *rest, **more))
    assert (await apply(sandbox, source, **choices)).exit_code == 0
    check_truth(sandbox, source.parent, rows)


async def test_when_not_even_sts_resolves_nothing_begins(
    sandbox: Sandbox, source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys_file(monkeypatch, tmp_path, sandbox, AWS_ENDPOINT_URL_STS="http://sts.batchpol.invalid")
    with pytest.raises(Unreachable, match=r"whose credentials these are.*sts\.batchpol\.invalid"):
        await apply(sandbox, source, connection=Connection(regions=(REGION,)), own_session=True)
    assert not sandbox.arrivals
    assert not (tmp_path / "run.journal.jsonl").exists()


# -- credentials -----------------------------------------------------------------------------------------------


async def expire(sandbox: Sandbox, after: int, file: Path | None = None) -> None:
    """Let the credentials in use expire after so many writes, and renew them in their file if one is given."""
    while len(writes(sandbox)) < after:
        await asyncio.sleep(0.002)
    sandbox.change(expired=[writes(sandbox)[0].access_key])
    if file is not None:
        await asyncio.to_thread(file.write_text, given())


@pytest.mark.parametrize(("conduct", "latency"), [(BLIND, 100.0), (COMPARE, 0.0)], ids=["blind-far", "compare-near"])
async def test_credentials_that_expire_in_mid_run_and_are_renewed_in_their_file(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conduct: object, latency: float
) -> None:
    rows = [row(number) for number in range(14)]
    source = write_input(tmp_path / "in.jsonl", rows)
    sandbox.change(latency_ms=latency)
    file = keys_file(monkeypatch, tmp_path, sandbox)
    expiry = asyncio.create_task(expire(sandbox, 4, file))
    connection = Connection(regions=(REGION,))
    result = await apply(sandbox, source, connection=connection, own_session=True, conduct=conduct)
    await expiry
    assert (result.exit_code, set(statuses(tmp_path))) == (0, {"applied"})
    assert [arrival.error_code for arrival in sandbox.arrivals].count("ExpiredToken") >= 1
    assert len({arrival.access_key for arrival in writes(sandbox) if arrival.applied}) == 2
    check_truth(sandbox, tmp_path, rows)


async def test_credentials_that_expire_for_good_stop_the_run_and_burn_nothing(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(number) for number in range(14)]
    source = write_input(tmp_path / "in.jsonl", rows)
    file = keys_file(monkeypatch, tmp_path, sandbox)
    choices = {"connection": Connection(regions=(REGION,)), "own_session": True, "conduct": COMPARE}
    expiry = asyncio.create_task(expire(sandbox, 4))
    result = await apply(sandbox, source, **choices)
    await expiry
    found = report(tmp_path)
    assert (result.exit_code, result.summary.can_go_on) == (3, True)
    assert set(statuses(tmp_path)) == {"applied", "not_attempted"}
    assert (found[-1]["status"], found[-1]["error_code"]) == ("not_attempted", "ExpiredToken")
    assert "renew the credentials" in found[-1]["message"]
    refused = [arrival for arrival in sandbox.arrivals if arrival.error_code == "ExpiredToken"]
    assert 1 <= len(refused) <= 3
    check_truth(sandbox, tmp_path, rows)
    file.write_text(given())
    assert (await apply(sandbox, source, **choices)).exit_code == 0
    assert len([arrival for arrival in writes(sandbox) if arrival.applied]) == 14, "none was written twice"
    check_truth(sandbox, tmp_path, rows)


async def test_a_role_that_lives_shorter_than_the_run_is_assumed_again(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(number) for number in range(80)]
    sandbox.change(credential_seconds=2.0)
    keys_file(monkeypatch, tmp_path, sandbox)
    connection = Connection(regions=(REGION,), role_arn="arn:aws:iam::{account}:role/Tenant", external_id="x1")
    source = write_input(tmp_path / "in.jsonl", rows)
    result = await apply(sandbox, source, connection=connection, own_session=True)
    assert (result.exit_code, set(statuses(tmp_path))) == (0, {"applied"})
    assert [arrival.operation for arrival in sandbox.arrivals].count("AssumeRole") >= 2
    check_truth(sandbox, tmp_path, rows)


@pytest.mark.parametrize("conduct", [BLIND, COMPARE], ids=["blind", "compare"])
async def test_a_role_session_that_is_revoked_early_costs_one_attempt(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conduct: Conduct
) -> None:
    rows = [row(number) for number in range(14)]
    keys_file(monkeypatch, tmp_path, sandbox)
    source = write_input(tmp_path / "in.jsonl", rows)
    expiry = asyncio.create_task(expire(sandbox, 4))
    connection = Connection(regions=(REGION,), role_arn="arn:aws:iam::{account}:role/Tenant")
    result = await apply(sandbox, source, connection=connection, own_session=True, conduct=conduct)
    await expiry
    assert (result.exit_code, set(statuses(tmp_path))) == (0, {"applied"})
    assert [arrival.operation for arrival in sandbox.arrivals].count("AssumeRole") == 2
    check_truth(sandbox, tmp_path, rows)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("clock_skew", "RequestTimeTooSkewed"),
        ("bad_signature", "SignatureDoesNotMatch"),
        ("invalid_client_token", "InvalidClientTokenId"),
    ],
)
async def test_what_no_record_is_to_blame_for_stops_the_run(
    sandbox: Sandbox, source: Path, rows: list[dict[str, object]], fault: str, code: str
) -> None:
    sandbox.change(faults_at={fault: range(3, 1000)})
    result = await apply(sandbox, source)
    assert result.exit_code == 3
    assert statuses(source.parent) == ["applied"] * 2 + ["not_attempted"] * 3
    assert {line["error_code"] for line in report(source.parent)[2:]} == {code}
    assert len(writes(sandbox)) <= 4, "at most the one that was on its way already"
    assert "run the same command again" in report(source.parent)[-1]["message"]
    check_truth(sandbox, source.parent, rows)
    sandbox.change(faults_at={})
    assert (await apply(sandbox, source)).exit_code == 0
    check_truth(sandbox, source.parent, rows)


async def test_a_permission_that_is_taken_away_burns_through_no_more_than_ten(sandbox: Sandbox, source: Path) -> None:
    sandbox.change(faults_at={"access_denied": range(3, 1000)})
    result = await apply(sandbox, write_input(source, [row(number) for number in range(30)]))
    assert result.exit_code == 3
    assert statuses(source.parent).count("failed") < 10
    assert len(writes(sandbox)) <= 13
    sandbox.change(faults_at={})
    assert (await apply(sandbox, source)).exit_code == 0


@pytest.mark.parametrize("then", ["clock_skew", "throttle"])
@pytest.mark.parametrize("first", ["reset_after", "error_after"])
async def test_a_write_that_may_have_taken_effect_stays_unknown_whatever_comes_back_later(
    sandbox: Sandbox, source: Path, rows: list[dict[str, object]], first: str, then: str
) -> None:
    sandbox.change(faults_at={first: {1}, then: range(2, 1000)})
    await apply(sandbox, write_input(source, rows[:1]), patience={"max_attempts": 1, "max_outage": 0.1})
    (line,) = report(source.parent)
    assert line["status"] == "unknown"
    assert writes(sandbox)[0].applied, "it did take effect, and an outcome of 'failed' or 'never sent' would be a lie"


# -- principals that IAM shows later -----------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deferred for moments instead of minutes."""
    monkeypatch.setattr(settings, "DEFERRALS", (0.1, 0.2, 0.3))


async def test_a_principal_that_appears_later_is_tried_again(
    sandbox: Sandbox, source: Path, rows: list[dict[str, object]]
) -> None:
    late = "arn:aws:iam::444455556666:role/late"
    rows[1] = row(1, principal=late)
    sandbox.change(late_principals={late: 2})
    result = await apply(sandbox, write_input(source, rows))
    assert (result.exit_code, statuses(source.parent)) == (0, ["applied"] * 5)
    assert report(source.parent)[1]["attempts"] == 3
    check_truth(sandbox, source.parent, rows)


@pytest.mark.parametrize(("deferrals", "attempts"), [(3, 4), (0, 1)], ids=["deferred", "no-defer"])
async def test_a_principal_that_never_appears_is_refused_in_ses_s_words(
    sandbox: Sandbox, source: Path, rows: list[dict[str, object]], deferrals: int, attempts: int
) -> None:
    late = "arn:aws:iam::444455556666:role/late"
    rows[1] = row(1, principal=late)
    sandbox.change(late_principals={late: math.inf})
    result = await apply(sandbox, write_input(source, rows), patience={"defer": bool(deferrals)})
    assert (result.exit_code, statuses(source.parent).count("applied")) == (1, 4)
    line = report(source.parent)[1]
    assert (line["status"], line["error_code"], line["attempts"]) == ("failed", "InvalidPolicy", attempts)
    assert line["message"] == f"The policy contains an invalid principal: {late}"
    check_truth(sandbox, source.parent, rows)


# -- every attempt is gated ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["reset_before", "drop_after", "server_error", "malformed", "throttle"])
async def test_trying_again_passes_the_gate(sandbox: Sandbox, tmp_path: Path, fault: str) -> None:
    source = write_input(tmp_path / "in.jsonl", [row(0), row(1)])
    sandbox.change(faults_at={fault: {1, 2}})
    await apply(sandbox, source, period=0.25)
    times = [arrival.at for arrival in writes(sandbox)]
    assert len(times) == 4
    assert times[-1] - times[0] >= 0.5, "four at once are seen within milliseconds, however busy the machine is"
