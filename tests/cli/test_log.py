"""``--log-format json``: every line of standard error is an event, of every kind there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchpol.cli.help import MANUAL
from batchpol.cli.screen import ending as ending_module
from batchpol.cli.screen import events as events_module
from batchpol.cli.screen import log
from batchpol.cli.screen.events import Events
from batchpol.model import Action, Change, Target
from batchpol.model.errors import NoAnswer
from batchpol.sandbox import SandboxOptions
from batchpol.sending.gates import Gates
from batchpol.sending.observer import Attempted
from batchpol.sending.pace import Step
from batchpol.testing import running_sandbox
from tests.cli.conftest import Command
from tests.e2e.command import FAST, policy, record, save_table

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
TARGET = Target("123456789012", "us-east-1")


@pytest.fixture
def events(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    log.begin()
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    log.end()


def test_a_whole_run(folder: Path, command: Command) -> None:
    table = [
        *(record(f"tenant{number}.example", region="us-east-1") for number in range(3)),
        record("else.example", region="eu-west-1", policy=policy("else.example", region="eu-west-1")),
        record("not an identity", region="us-east-1"),
    ]
    save_table(folder / "some.csv", table)
    faults = {"throttle@PutIdentityPolicy": [2], "invalid_principal@PutIdentityPolicy": [5], "unavailable": [9]}
    with running_sandbox(SandboxOptions(rate=0, faults_at=faults)) as sandbox:
        variables = sandbox.environment() | {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": SECRET}
        regions = ("--region", "us-east-1", "--region", "eu-west-1")
        arguments = (
            "apply",
            "some.csv",
            *FAST,
            *regions,
            "--no-defer",
            "--log-format",
            "json",
            "--external-id",
            SECRET,
        )
        ended = command(*arguments, **variables)
    assert ended.code == 1
    assert SECRET not in ended.err
    found = [json.loads(line) for line in ended.err.splitlines()]
    assert len({it["run_id"] for it in found}) == 1
    assert all({"time", "event", "level"} <= it.keys() for it in found)
    names = [it["event"] for it in found]
    assert names[:2] == ["run_begun", "first_pass_over"]
    assert names[-1] == "run_ended"
    assert names.count("lane_started") == names.count("lane_ended") == 2
    assert names.count("outcome") == 4
    over = sum(names.count(f"attempt_{word}") for word in ("answered", "refused", "failed"))
    assert names.count("attempt_sent") == over >= 5
    (throttled,) = [it for it in found if it.get("error_code") == "Throttling"]
    assert throttled["level"] == "warning"
    assert throttled["line"] in (2, 3, 4, 5)
    assert throttled["request_id"]
    again = next(it for it in found if it["event"].startswith("attempt_") and it["attempt"] == 2)
    assert again["waited"] >= 0
    assert found[1]["rejected"] == 1
    assert found[-1]["exit_code"] == 1
    assert found[-1]["counts"] == {"applied": 3, "rejected": 1, "failed": 1}
    assert "batchpol report" in found[-1]["next"][0]


def test_an_attempt_without_an_answer_and_a_lane_that_widened(events: Any) -> None:
    told = Events(quiet=False, confirm=None)
    lane: Any = type("Lane", (), {"target": TARGET, "throttled": 4, "gates": Gates.at()})()
    change = Change(0, 2, TARGET, "a.example", "a.example", "n", Action.PUT, "{}", "")
    told.lane_started(lane)
    told.attempted(TARGET, Attempted(change, 3, 1.25, True, 80.0, "", NoAnswer("reset", code="ConnectionClosed")))
    lane.gates.writes.pace.step = Step.FIRST
    told.noted(TARGET, "somebody else uses this quota")
    told.noted(TARGET, "something else")
    told.lane_ended(TARGET, NoAnswer("SES took nothing", code="Timeout", hint="see whether it is up"))
    _, failed, widened, note, stopped = events()
    assert failed["event"] == "attempt_failed"
    assert (failed["attempt"], failed["waited"], failed["error_code"]) == (3, 1.25, "ConnectionClosed")
    assert (widened["event"], widened["level"], widened["period"]) == ("lane_widened", "warning", 2.05)
    assert note["event"] == "note"
    assert (stopped["event"], stopped["throttled"], stopped["level"]) == ("lane_stopped", 4, "error")


def test_quiet_leaves_warnings_and_errors(events: Any) -> None:
    Events(quiet=True, confirm=None)
    log.event("run_begun")
    log.event("attempt_sent", "debug")
    log.event("attempt_refused", "warning")
    log.event("lane_stopped", "error")
    assert [it["event"] for it in events()] == ["attempt_refused", "lane_stopped"]


def test_the_manual_lists_every_event() -> None:
    source = Path(events_module.__file__).read_text("utf-8") + Path(ending_module.__file__).read_text("utf-8")
    named = set(re.findall(r"""log\.event\(\s*"([a-z_]+)""", source))
    assert {"run_begun", "attempt_refused", "lane_widened", "run_ended"} <= named
    listed = re.findall(r"^\| (`[a-z_`, ]+`) \| ", (MANUAL / "apply.md").read_text("utf-8"), re.MULTILINE)
    assert named <= {name for cell in listed for name in re.findall("[a-z_]+", cell)}


def test_other_commands_write_events_too(folder: Path, command: Command) -> None:
    save_table(folder / "excel.csv", [record("a.example")], delimiter=";")
    ended = command("plan", "excel.csv", "--sandbox", "--log-format", "json")
    assert ended.code == 0, ended.err
    assert {json.loads(line)["event"] for line in ended.err.splitlines()} == {"message"}


def test_misuse_is_an_event_also_where_a_variable_asks_for_json(folder: Path, command: Command) -> None:
    ended = command("validate", "--nonsense", BATCHPOL_VALIDATE_LOG_FORMAT="json")
    assert (ended.code, json.loads(ended.err)["event"]) == (2, "error")
    ended = command("validate", "--nonsense", "--log-format", "text", BATCHPOL_VALIDATE_LOG_FORMAT="json")
    assert ended.err.startswith("error: no such option")
