"""Workers as an engine starts them: the installed command, killed and started again, and one report of all."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from batchpol.cli.screen import folder as screen
from batchpol.fleet.engines import check_alone, shard_of
from batchpol.journal import Shards
from batchpol.model.errors import UsageError
from batchpol.model.shard import Shard
from batchpol.testing import Sandbox
from tests.e2e.command import await_that, finish, kill, lines, nothing_left_running, run, save_lines, start
from tests.fleet.test_shards import PASSING, REGIONS, batch_rows
from tests.place import COMMAND, PACED, Place
from tests.runs import document


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        ("3/40", {}, Shard(3, 40)),
        ((1, 1), {}, Shard(1, 1)),
        ("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "0", "AWS_BATCH_JOB_ARRAY_SIZE": "40"}, Shard(1, 40)),
        ("auto/40", {"JOB_COMPLETION_INDEX": "39"}, Shard(40, 40)),
        ("auto", {"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "4"}, Shard(2, 4)),
        ("auto", {"CIRCLE_NODE_INDEX": "2", "CIRCLE_NODE_TOTAL": "4"}, Shard(3, 4)),
        (
            "auto",
            {
                "SLURM_ARRAY_TASK_ID": "15",
                "SLURM_ARRAY_TASK_MIN": "5",
                "SLURM_ARRAY_TASK_STEP": "5",
                "SLURM_ARRAY_TASK_COUNT": "10",
            },
            Shard(3, 10),
        ),
    ],
)
def test_the_engine_tells_which_shard_it_is(text: Any, environment: Mapping[str, str], shard: Shard) -> None:
    assert shard_of(text, environment) == shard


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("auto", {}, "no engine told this process its number"),
        ("auto", {"JOB_COMPLETION_INDEX": "3"}, "does not tell how many there are"),
        ("auto/3", {"JOB_COMPLETION_INDEX": "3"}, "there is no 4/3"),
        ("auto/3", {"JOB_COMPLETION_INDEX": "x"}, "JOB_COMPLETION_INDEX='x' is no number of a child"),
        ("0/3", {}, "there is no 0/3"),
        ("3", {}, "a number and how many there are"),
        ("a/b", {}, "a number and how many there are"),
        (3, {}, "a number and how many there are"),
    ],
)
def test_what_is_no_shard_is_refused(text: Any, environment: Mapping[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        shard_of(text, environment)


def test_a_child_of_an_array_that_would_send_all_is_refused() -> None:
    with pytest.raises(UsageError, match=r"AWS_BATCH_JOB_ARRAY_INDEX=3"):
        check_alone({"AWS_BATCH_JOB_ARRAY_INDEX": "3", "AWS_BATCH_JOB_ARRAY_SIZE": "4"})
    with pytest.raises(UsageError, match=r"Kubernetes \(JOB_COMPLETION_INDEX=0\)"):
        check_alone({"JOB_COMPLETION_INDEX": "0"})
    check_alone({"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "1"})
    check_alone({})


def test_the_command_says_so_and_tells_the_way_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.save("in.jsonl", batch_rows())
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "3")
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_SIZE", "4")
    refused = place.run("apply", "in.jsonl", code=2).err
    assert "(AWS_BATCH_JOB_ARRAY_INDEX=3)" in refused
    assert "add --shard auto and a --journal that all of them share, or --shard 1/1" in refused
    whole = place.run("apply", "in.jsonl", "--shard", "auto", "--journal", "run1", "--limit", "3", code=2).err
    assert "--limit is about the whole input" in whole
    assert "--shard needs a folder as --journal" in place.run("apply", "in.jsonl", "--shard", "1/4", code=2).err
    assert place.calls.total() == 0


def test_rows_of_shards_that_never_began_come_from_the_input(place: Place) -> None:
    records = [it | {"policy": ""} if number % 2 else it for number, it in enumerate(batch_rows())]
    place.save("in.jsonl", records)
    place.save("other.jsonl", records[:-1])
    policy = json.loads(document("{{identity}}").replace("us-east-1", "{{region}}"))
    (place.folder / "template.json").write_text(json.dumps(policy))
    places = [word for region in REGIONS for word in ("--region", region)]
    reading = ("in.jsonl", "--policy-template", "template.json", *places)
    place.run("apply", *reading, "--journal", "one.jsonl", "--report", "one.csv", "--report", "one-rows.jsonl", code=1)
    place.run(
        "apply", *reading, "--dry-run", "--journal", "dry", "--report", "dry.csv", "--report", "dry-rows.jsonl", code=1
    )
    place.sandbox.store.policies.clear()
    for number in (2, 4):
        place.run("apply", *reading, "--shard", f"{number}/4", "--journal", "run1", code=None)
    before = place.calls.total()
    merged = ("report", "run1", "--policy-template", "template.json", "--report", "all.csv", "--report", "all.jsonl")
    said = place.run(*merged, "--report", "all.html", "--input", "in.jsonl")
    assert "of 2 of 4 shards nothing was sent yet: 1/4, 3/4" in said.err and "30 of 30 records" in said.out
    assert place.calls.total() == before
    began = {it["line"] for it in rows_of(place, "report", "run1", "--report", "some.jsonl", name="some.jsonl")}
    assert 0 < len(began) < 30
    whole, never = place.report("one-rows.jsonl"), place.report("dry-rows.jsonl")
    wanted = [it if it["line"] in began else other for it, other in zip(whole, never, strict=True)]
    for found, it in zip(place.report("all.jsonl"), wanted, strict=True):
        passing = dict.fromkeys(PASSING)
        it["message"] = (it["message"] or "").replace("(dry run)", "(its shard has not begun)") or None
        assert list((found | passing).items()) == list((it | passing).items())
    assert (place.folder / "all.csv").read_text().splitlines()[0] == (
        place.folder / "one.csv"
    ).read_text().splitlines()[0]
    assert "its shard has not begun" in (place.folder / "all.html").read_text()
    refused = place.run("report", "run1", "--input", "other.jsonl", "--report", "all.csv", code=2).err
    assert "other.jsonl is not what the workers of run1 read: input with SHA-256" in refused
    assert "`policy_template`" not in refused and "--policy-template" in refused
    assert (
        "--input is for a run folder"
        in place.run("report", "one.jsonl", "--input", "in.jsonl", "--report", "all.csv", code=2).err
    )


def test_a_folder_is_followed_until_all_shards_are_over(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.save("in.jsonl", batch_rows())
    places = [word for region in REGIONS for word in ("--region", region)]
    shard = ("apply", "in.jsonl", *places, "--journal", "run1", "--shard")
    place.run(*shard, "1/2", code=None)
    looks = list[float]()

    def wait(seconds: float) -> None:
        looks.append(seconds)
        with suppress(SystemExit):
            COMMAND(["apply", *PACED["apply"], *shard[1:], "2/2"]) if len(looks) == 2 else None

    monkeypatch.setattr("batchpol.cli.screen.folder.time.sleep", wait)
    told = place.run("status", "run1", "--follow", "--failed").out.splitlines()
    assert looks == [10.0, 10.0]
    assert told[0].startswith("shard 1/2: finished")
    assert "2 shards: 1 over, 1 not begun: " in told[1] and "2 shards: 1 over, 1 not begun: " in told[2]
    assert sum("line 18: rejected: no identity / sending" in it for it in told) == 1
    assert "records:  30: " in "\n".join(told) and "stopped" not in "\n".join(told)
    found = Shards("run1")
    standing = screen.standing_of(found)
    few = screen.lines(found, standing, 1)
    assert sum(it.startswith("shard ") for it in few) == 1 and "... and 1 more shards" in few
    assert len(screen.lines(found, standing, 2)) == len(screen.lines(found, standing))
    looks.clear()
    place.run("apply", "in.jsonl", *places, "--journal", "run2", "--shard", "1/2", code=None)
    looks += [0.0, 0.0]
    assert "2 shards: 1 over, 1 not begun" in place.run("status", "run2", "--follow").out
    assert len(looks) == 2 + 6
    assert '"failed": [' in place.run("status", "run1", "--failed", "--output", "json").out


def rows_of(place: Place, *arguments: str, name: str) -> list[dict[str, Any]]:
    place.run(*arguments)
    return place.report(name)


def worker(folder: Path, sandbox: Sandbox, number: int, *more: str) -> subprocess.Popen[bytes]:
    places = [word for region in REGIONS for word in ("--region", region)]
    paced = ("--rate", "20", "--i-have-a-higher-quota", "--yes") if "--rate" not in more else ("--yes",)
    line = ("apply", "in.jsonl", "--shard", f"{number}/2", "--journal", "run1", *places, *paced, *more)
    return start(*line, cwd=folder, env=sandbox.environment())


def test_a_killed_worker_goes_on_and_the_folder_reads_as_one_run(tmp_path: Path, ses_sandbox: Sandbox) -> None:
    save_lines(tmp_path / "in.jsonl", batch_rows())
    env = ses_sandbox.environment()
    with nothing_left_running():
        killed, other = worker(tmp_path, ses_sandbox, 1), worker(tmp_path, ses_sandbox, 2)
        journal = tmp_path / "run1" / "shard-1-of-2.jsonl"
        await_that(lambda: journal.is_file() and journal.read_text().count('"intent"') > 2, killed)
        kill(killed)
        standing = run("status", "run1", cwd=tmp_path, env=env).out
        assert "shard 1/2: killed before its end" in standing
        slow = ("--rate", "4", "--i-have-a-higher-quota")  # so that it goes on when the second one comes
        first, second = (worker(tmp_path, ses_sandbox, 1, *slow) for _ in range(2))
        ended = [finish(it) for it in (first, second, other)]
        assert {it.code for it in ended} <= {0, 1} and ended[0].code == ended[1].code
        waited = "".join(it.err for it in ended[:2])
        assert "is held by another run (process" in waited and "shard 1/2 was finished already" in waited
    seen = len(ses_sandbox.arrivals)
    status = json.loads(run("status", "run1", "--output", "json", cwd=tmp_path, env=env).out)
    there = status["counts"]["applied"] + status["counts"]["unchanged"]  # what was sent at the kill may be there
    assert (status["records"], status["left"], there) == (30, 0, 25)
    assert status["next"][0]["command"] == ["batchpol", "report", "run1", "--only", "rejected", "--report", "mend.csv"]
    assert run("report", "run1", "--report", "all.jsonl", "--report", "all.html", cwd=tmp_path, env=env).code == 0
    page = (tmp_path / "all.html").read_text("utf-8")
    assert page.count(", shard 1/2</td>") == 2 and page.count(", shard 2/2</td>") == 1, "every run of every worker"
    assert "batchpol report run1 --only rejected" in page
    assert [row["line"] for row in lines(tmp_path / "all.jsonl")] == list(range(1, 31))
    assert run("undo", "run1", "-o", "undo.jsonl", cwd=tmp_path, env=env).code == 0
    assert len(lines(tmp_path / "undo.jsonl")) == 25
    assert run("stop", "run1", cwd=tmp_path, env=env).code == 0
    assert finish(worker(tmp_path, ses_sandbox, 1, "--anew")).code == 3
    assert "all workers are asked to stop" in run("status", "run1", cwd=tmp_path, env=env).out
    assert run("stop", "run1", "--withdraw", cwd=tmp_path, env=env).code == 0
    assert len(ses_sandbox.arrivals) == seen
    assert "is a folder, and no run folder" in run("status", ".", cwd=tmp_path, env=env).err
