"""A real Slurm on this machine: an array of two nodes, one task requeued, one node lost while its job runs on.

Debian has it as slurmctld, slurmd and slurm-client. Two ``slurmd`` are two nodes, and a ``munged`` of the test's own
says who somebody is.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batchpol.model import Target
from batchpol.model.shard import Shard
from batchpol.testing import Sandbox
from tests.e2e.command import ACCOUNT, COMMAND, lines, run, save_lines
from tests.fleet.runs import handed_over
from tests.fleet.test_shards import REGIONS
from tests.runs import row

os.environ["PATH"] += os.pathsep + "/usr/sbin"
MISSING = [
    name for name in ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue") if shutil.which(name) is None
]
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        bool(MISSING), reason=f"no Slurm here: {', '.join(MISSING)} (Debian: slurmctld slurmd slurm-client)"
    ),
]

PERIOD, RECORDS = 0.25, 140
"""Seconds between requests, and how many the lost node's job has: more than it can send until that counts as lost."""
LOST_AFTER = 3
"""Seconds after which a node that does not answer counts as lost."""

CONFIGURATION = """
ClusterName=trial
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SlurmdParameters=config_overrides
SlurmdTimeout={lost_after}
MessageTimeout=2
KillWait=2
ReturnToService=2
SchedulerType=sched/builtin
NodeName=n[1-2] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[{ports[1]}-{ports[2]}] CPUs=4 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""

JOB = """#!/bin/sh
#SBATCH --array=1-2
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=task-%a.txt
export AWS_ACCESS_KEY_ID=AKIATASK${{SLURM_ARRAY_TASK_ID}}START${{SLURM_RESTART_COUNT:-0}}
{command} apply in.jsonl --shard auto --journal run1/ --yes --rate 4 --i-have-a-higher-quota --no-share {regions}
code=$?
echo "start ${{SLURM_RESTART_COUNT:-0}} on $SLURMD_NODENAME ended with $code"
exit $code
"""


class Cluster:
    """Two nodes and their controller, for as long as the block lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, dict[str, subprocess.Popen[bytes]]()
        (folder / "state").mkdir(parents=True)
        (folder / "key").write_bytes(os.urandom(64))
        (folder / "key").chmod(0o600)
        self.file = folder / "slurm.conf"
        self.file.write_text(
            CONFIGURATION.format(folder=folder, user=getpass.getuser(), ports=free_ports(), lost_after=LOST_AFTER)
        )

    def __enter__(self) -> Cluster:
        of_munge = [f"--{name}-file={self.folder / name}" for name in ("key", "pid", "log", "seed")]
        self._start("munge", "munged", "--foreground", "--force", f"--socket={self.folder / 'munge'}", *of_munge)
        await_that((self.folder / "munge").exists, "a munged")
        self._start("slurmctld", "slurmctld", "-D", "-c", "-f", str(self.file))
        for node in ("n1", "n2"):
            self._start(node, "slurmd", "-D", "-N", node, "-f", str(self.file))
        await_that(lambda: self.told("sinfo", "-h", "-o", "%T %D").split() == ["idle", "2"], "two idle nodes")
        return self

    def __exit__(self, *_: object) -> None:
        if self.tasks():
            self.told("scancel", "--user", getpass.getuser(), "--signal", "KILL")
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            process.wait(10)

    def _start(self, name: str, *line: str) -> None:
        with (self.folder / f"{name}.out").open("wb") as out:
            self.processes[name] = subprocess.Popen(line, stdout=out, stderr=out)

    def told(self, *line: str, **how: object) -> str:
        """What one of Slurm's commands says."""
        environment = {**os.environ, "SLURM_CONF": str(self.file), **how.pop("env", {})}
        ended = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=30, **how)
        assert ended.returncode == 0, f"{line}: {ended.stderr}"
        return ended.stdout

    def go_on(self, task: str) -> None:
        """A job that was requeued waits two minutes; not here."""
        await_that(lambda: self.tasks()[task.partition("_")[2]].startswith("PENDING"), f"{task} being requeued")
        self.told("scontrol", "update", f"JobId={task}", "StartTime=now")

    def tasks(self) -> dict[str, str]:
        """State and node of each task that is not over."""
        found = self.told("squeue", "-h", "-r", "-o", "%K %T %N").splitlines()
        return {line.split(" ", 1)[0]: line.split(" ", 1)[1].strip() for line in found}


def free_ports() -> list[int]:
    """Three of them; the last two follow each other."""
    for first in range(20000 + os.getpid() % 10000, 32000, 3):
        try:
            for port in range(first, first + 3):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return list(range(first, first + 3))
    raise RuntimeError("no three free ports")


def await_that(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"it never came to {what}"
        time.sleep(0.1)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "slurm") as running:
        yield running


def records() -> list[dict[str, object]]:
    """Of one Region for each of two shards: of that of the lost node enough to outlast it."""
    found = []
    for number, few in ((1, RECORDS), (2, RECORDS // 4)):
        region = next(it for it in REGIONS if Shard.of(Target(ACCOUNT, it), 2) == Shard(number, 2))
        for n in range(few):
            it = row(n, region=region)
            found.append(it | {"policy": it["policy"].replace("us-east-1", region)})
    return found


def test_an_array_of_slurm_comes_through_a_requeue_and_a_lost_node(
    cluster: Cluster, ses_sandbox: Sandbox, tmp_path: Path
) -> None:
    asked = records()
    save_lines(tmp_path / "in.jsonl", asked)
    regions = " ".join(f"--region {it['region']}" for it in (asked[0], asked[-1]))
    (tmp_path / "job.sh").write_text(JOB.format(command=COMMAND, regions=regions))
    environment = {**ses_sandbox.environment(), "HOME": str(tmp_path), "BATCHPOL_APPLY_STALENESS": "0"}
    cluster.told("sbatch", "job.sh", cwd=tmp_path, env=environment)

    def sent(key: str) -> bool:
        return any(it.access_key == key and it.applied for it in list(ses_sandbox.arrivals))

    await_that(lambda: sent("AKIATASK1START0") and sent("AKIATASK2START0"), "both tasks sending")
    began = cluster.tasks()
    lost, job = began["1"].split()[1], cluster.told("squeue", "-h", "-o", "%F").split()[0]
    cluster.told("scontrol", "requeue", f"{job}_2")
    cluster.processes[lost].send_signal(signal.SIGKILL)
    cluster.go_on(f"{job}_2")
    cluster.go_on(f"{job}_1")
    held = re.compile(r"is held by another run \(process (\d+)")
    await_that(lambda: held.search((tmp_path / "task-1.txt").read_text()), "the lost node's shard being waited for")
    print("the lost node's job runs on, and another one waits:", began, cluster.tasks())
    os.kill(int(held.search((tmp_path / "task-1.txt").read_text())[1]), signal.SIGKILL)
    await_that(lambda: not cluster.tasks(), "the end of both tasks", 120)
    told = {number: (tmp_path / f"task-{number}.txt").read_text() for number in (1, 2)}
    print(*told.values(), sep="\n")
    arrivals = list(ses_sandbox.arrivals)
    print(Counter(it.access_key for it in arrivals if it.applied))
    found = list(handed_over(arrivals, PERIOD))
    print("hand-overs, in seconds:", [f"{seconds:.1f}" for seconds, _ in found])
    assert [wrong for _, wrong in found if wrong] == []
    assert len(found) == 2, "the requeued task went on, and so did the lost node's when it was dead at last"
    assert "start 1 on n2 ended with 0" in told[1] and "start 1 on" in told[2]
    env = ses_sandbox.environment()
    status = json.loads(run("status", "run1", "--output", "json", cwd=tmp_path, env=env).out)
    assert (status["records"], status["left"]) == (len(asked), 0)
    assert run("report", "run1", "--report", "all.jsonl", cwd=tmp_path, env=env).code == 0
    rows = lines(tmp_path / "all.jsonl")
    assert [it["identity"] for it in rows] == [it["identity"] for it in asked]
    assert {it["status"] for it in rows} <= {"applied", "unchanged"}
    taken = Counter((it.region, it.identity) for it in arrivals if it.applied)
    assert len(taken) == len(asked) and sum(taken.values()) <= len(asked) + 2, "at most those in flight go twice"
