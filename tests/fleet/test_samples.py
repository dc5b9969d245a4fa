"""The samples for engines: what can check each here does, and their command lines are those that batchpol takes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.loaders import create_loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from batchpol.fleet.engines import shard_of
from batchpol.model.shard import Shard
from tests.place import COMMAND

FLEET = Path(__file__).parents[2] / "samples" / "fleet"
OVER, AGAIN = {1, 2}, {3, 130, 137, 143}
"""Exit codes after which an engine is to let a worker be, and after which it is to start it again."""


def text(name: str) -> str:
    return (FLEET / name).read_text("utf-8")


def aws() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text("aws-batch.json"))
    return found


def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text("kubernetes.yaml"))["spec"]
    return found


def pipeline() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text("gitlab-ci.yml"))
    return found


def commands() -> dict[str, list[str]]:
    """Every command line of batchpol in the samples."""
    script = text("slurm.sh").replace("\\\n", " ")
    unit = re.search(r"^ExecStart=/usr/bin/env batchpol (.*)", text("batchpol@.service"), re.MULTILINE)
    assert unit is not None
    return {
        "aws-batch.json": aws()["containerProperties"]["command"],
        "kubernetes.yaml": job()["template"]["spec"]["containers"][0]["args"],
        "slurm.sh": next(shlex.split(line)[1:] for line in script.splitlines() if line.startswith("batchpol ")),
        "gitlab-ci.yml": shlex.split(pipeline()["apply"]["script"][0])[1:],
        "gitlab-ci.yml, report": shlex.split(pipeline()["report"]["script"][0])[1:],
        "batchpol@.service": shlex.split(unit[1].replace("%i", "3")),
    }


ENVIRONMENTS = {
    "aws-batch.json": {"AWS_BATCH_JOB_ARRAY_INDEX": "2", "AWS_BATCH_JOB_ARRAY_SIZE": "40"},
    "kubernetes.yaml": {"JOB_COMPLETION_INDEX": "2"},
    "slurm.sh": {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "40"},
    "gitlab-ci.yml": {"CI_NODE_INDEX": "3", "CI_NODE_TOTAL": "8"},
    "batchpol@.service": {},
}


@pytest.mark.parametrize("name", commands())
def test_the_command_line_is_one_that_batchpol_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in ENVIRONMENTS.get(name, {}).items():
        monkeypatch.setenv(variable, value)
    command, *arguments = commands()[name]
    context = COMMAND.commands[command].make_context(command, arguments)  # type: ignore[attr-defined]
    if command == "apply":
        assert context.params["shard"] == Shard(3, 8 if "8" in str(context.params["shard"]) else 40)
        assert context.params["yes"] and context.params["journal"]


def test_kubernetes_is_told_how_many_there_are_as_it_has() -> None:
    arguments = commands()["kubernetes.yaml"]
    count = job()["completions"]
    told = arguments[arguments.index("--shard") + 1]
    assert shard_of(told, {"JOB_COMPLETION_INDEX": str(count - 1)}) == Shard(count, count)
    assert job()["completionMode"] == "Indexed" and job()["parallelism"] == count


def test_aws_batch_takes_the_job_definition() -> None:
    model = ServiceModel(create_loader().load_service_model("batch", "service-2"), "batch")
    shape = model.operation_model("RegisterJobDefinition").input_shape
    assert ParamValidator().validate(aws(), shape).generate_report() == ""
    known = set(shape.members)
    assert aws().keys() <= known and aws()["containerProperties"].keys() <= set(
        shape.members["containerProperties"].members
    )
    retry = aws()["retryStrategy"]
    rules = retry["evaluateOnExit"]
    allowed = shape.members["retryStrategy"].members["evaluateOnExit"].member.members
    assert 1 <= retry["attempts"] <= 10 and len(rules) <= 5 and all(rule.keys() <= set(allowed) for rule in rules)
    assert {int(rule["onExitCode"]) for rule in rules if rule["action"] == "EXIT"} == OVER  # all else is tried again


def test_kubernetes_replaces_no_pod_that_is_there_and_starts_none_again_that_is_over() -> None:
    """Names of fields as the reference of the API has them (batch/v1, JobSpec)."""
    spec = job()
    assert spec.keys() == {
        *("completions", "parallelism", "completionMode", "podReplacementPolicy", "backoffLimitPerIndex"),
        *("podFailurePolicy", "template"),
    }
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # which both policies ask for
    over, drained = spec["podFailurePolicy"]["rules"]
    pod = spec["template"]["spec"]
    assert (over["action"], over["onExitCodes"]["operator"]) == ("FailIndex", "In")
    assert set(over["onExitCodes"]["values"]) == OVER
    assert over["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
    assert drained == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert {it["name"] for it in pod["volumes"]} == {it["name"] for it in pod["containers"][0]["volumeMounts"]}


def test_gitlab_tries_again_what_is_to_be_tried_again() -> None:
    found = pipeline()["apply"]
    assert set(found["retry"]) == {"max", "when", "exit_codes"} and found["retry"]["max"] <= 2
    assert set(found["retry"]["exit_codes"]) == AGAIN
    assert "script_failure" not in found["retry"]["when"]  # which would try all again
    assert found["allow_failure"] == {"exit_codes": [1]}
    assert {it["stage"] for name, it in pipeline().items() if name != "stages"} == set(pipeline()["stages"])


def test_slurms_script_is_one_and_requeues_what_is_to_be_tried_again(tmp_path: Path) -> None:
    assert subprocess.run(["bash", "-n", FLEET / "slurm.sh"], capture_output=True).returncode == 0
    asked = tmp_path / "asked"
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    for code in (0, *OVER, *AGAIN):
        (tmp_path / "batchpol").write_text(f"#!/bin/sh\nexit {code}\n")
        for name in ("scontrol", "batchpol"):
            (tmp_path / name).chmod(0o700)
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(code)}
        assert subprocess.run(["bash", FLEET / "slurm.sh"], env=env).returncode == code
        env |= {"SLURM_RESTART_COUNT": "10", "SLURM_ARRAY_TASK_ID": "never"}
        assert subprocess.run(["bash", FLEET / "slurm.sh"], env=env).returncode == code
    assert set(asked.read_text().split("\n")) == {*(f"requeue 7_{code}" for code in AGAIN), ""}


def test_systemd_takes_the_unit() -> None:
    unit = text("batchpol@.service")
    assert "RestartForceExitStatus=" + " ".join(map(str, sorted(AGAIN))) in unit
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    told = subprocess.run(
        ["systemd-analyze", "verify", FLEET / "batchpol@.service"], capture_output=True, text=True, timeout=60
    )
    assert (told.returncode, [line for line in told.stderr.splitlines() if "batchpol@" in line]) == (0, [])


def test_the_image_runs_batchpol_as_nobody_special() -> None:
    lines = [line.partition(" ") for line in text("Dockerfile").splitlines() if line and not line.startswith("#")]
    said = {word: rest for word, _, rest in lines}
    assert set(said) <= {"FROM", "ARG", "RUN", "USER", "WORKDIR", "ENTRYPOINT"}
    assert json.loads(said["ENTRYPOINT"]) == ["batchpol"] and said["USER"] == "batchpol"
    uid = re.search(r"--uid (\d+)", said["RUN"])
    assert uid is not None and int(uid[1]) == job()["template"]["spec"]["securityContext"]["runAsUser"]
