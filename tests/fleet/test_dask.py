"""A Dask scheduler and two worker processes, for real: all shards come to their end, whatever happens to a worker."""

from __future__ import annotations

import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import pytest

import batchpol
from batchpol.batch.driven import merged, work_of
from batchpol.batch.options import Options
from batchpol.journal import End, Folder, Pins
from batchpol.model.errors import UsageError
from batchpol.model.settings import Connection, Keeping, Reading
from batchpol.model.shard import Shard
from batchpol.testing import Sandbox
from tests.e2e.command import await_that, environment, finish, lines, run, save_lines, start
from tests.fleet.test_shards import PASSING, REGIONS, batch_rows
from tests.runs import times_of, writes

dask = pytest.mark.skipif(
    not __import__("importlib").util.find_spec("distributed"), reason="no Dask here: pip install 'batchpol[dask]'"
)
PLACES = [word for region in REGIONS for word in ("--region", region)]
PERIOD = 0.25
PACED = ("--rate", f"{1 / PERIOD:g}", "--i-have-a-higher-quota", "--yes", "--report", "all.jsonl")
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAHARMLESSHARMLESS",
    "AWS_SECRET_ACCESS_KEY": "secret-" * 5,
    "AWS_SESSION_TOKEN": "token-" * 9,
}


@dataclass
class Cluster:
    """A scheduler and its workers, a process each."""

    address: str
    env: Mapping[str, str]
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, module: str, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{module}-{len(self.processes)}.log").open("wb") as log:
            line = [sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--no-dashboard"]
            found = subprocess.Popen(line, cwd=self.folder, env={**self.env, **env}, stdout=log, stderr=log)
        self.processes.append(found)
        return found

    def worker(self, **env: str) -> subprocess.Popen[bytes]:
        return self.start("dask_worker", self.address, "--nthreads", "4", "--no-nanny", **env)

    def apply(self, *more: str) -> subprocess.Popen[bytes]:
        line = ("apply", "in.jsonl", "--on", self.address, "--shards", "3", "--journal", "run1", *PLACES, *PACED)
        return start(*line, *more, cwd=self.folder, env=self.env)

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("dask_*.log"))

    def scheduler(self) -> subprocess.Popen[bytes]:
        port = self.address.rpartition(":")[2]
        return self.start("dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-show")

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def free_address() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{found.getsockname()[1]}"


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one that all tests of a module have."""
    folder = tmp_path_factory.mktemp("scheduler")
    made = Cluster(free_address(), environment(folder), folder)
    try:
        made.scheduler()
        yield made.address
    finally:
        made.end()


@pytest.fixture
def cluster(scheduler: str, tmp_path: Path, ses_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr("tests.e2e.command.PATIENCE", 240.0)  # four processes that import a lot, before anything begins
    made = Cluster(scheduler, environment(tmp_path, **ses_sandbox.environment()), tmp_path)
    save_lines(tmp_path / "in.jsonl", batch_rows())
    try:
        yield made
    finally:
        made.end()


def rows(path: Path) -> list[dict[str, object]]:
    return [it | dict.fromkeys(PASSING) for it in lines(path)]


@dask
def test_two_workers_bring_all_shards_to_their_end_and_the_report_is_that_of_one_process(
    cluster: Cluster, ses_sandbox: Sandbox
) -> None:
    cluster.worker()
    cluster.worker()
    quick = ("--rate", "100")
    ended = finish(cluster.apply(*quick))
    assert ended.code == 1, ended.err + cluster.log
    assert "over, but 4 of 30 records" in ended.err and "--only rejected" in ended.err
    ses_sandbox.store.policies.clear()
    alone = ("apply", "in.jsonl", *PLACES, *PACED[:-2], *quick, "--report", "one.jsonl")
    one = run(*alone, cwd=cluster.folder, env=cluster.env)
    assert one.code == 1
    assert rows(cluster.folder / "all.jsonl") == rows(cluster.folder / "one.jsonl")
    seen = len(ses_sandbox.arrivals)
    again = finish(cluster.apply(*quick))
    assert (again.code, again.out) == (ended.code, ended.out)
    assert len(writes(ses_sandbox)) == len(writes(ses_sandbox)[:seen]) and len(ses_sandbox.arrivals) == seen


@dask
def test_what_a_killed_worker_had_another_one_does(cluster: Cluster, ses_sandbox: Sandbox) -> None:
    killed, _ = cluster.worker(), cluster.worker()
    driver = cluster.apply()
    await_that(lambda: f"process {killed.pid}" in at_work(cluster.folder) and len(writes(ses_sandbox)) > 4, driver)
    killed.kill()
    ended = finish(driver)
    assert ended.code == 1, ended.err + cluster.log
    found = rows(cluster.folder / "all.jsonl")
    assert [it["line"] for it in found] == list(range(1, 31))
    assert sum(it["status"] in ("applied", "unchanged") for it in found) == 25
    by_target: dict[str, list[object]] = {}
    for arrival in writes(ses_sandbox):
        by_target.setdefault(arrival.region, []).append(arrival)
    for arrivals in by_target.values():
        for times in times_of(arrivals).values():
            assert (len(times) - 1) * PERIOD <= times[-1] - times[0] + 2 * PERIOD  # a machine may stand still


def at_work(folder: Path) -> str:
    return "".join(path.read_text() for path in (folder / "run1").glob("shard-*")).replace('"pid":', "process ")


@dask
@pytest.mark.long
def test_ctrl_c_stops_all_workers_and_the_same_command_goes_on(cluster: Cluster, ses_sandbox: Sandbox) -> None:
    cluster.worker()
    driver = cluster.apply()
    await_that(lambda: len(writes(ses_sandbox)) > 1, driver)
    driver.send_signal(signal.SIGINT)
    stopped = finish(driver)
    assert stopped.code == 130, stopped.err + cluster.log
    assert not Folder(cluster.folder / "run1").is_stopped
    left = rows(cluster.folder / "all.jsonl")
    assert len(left) == 30 and any(it["status"] == "not_attempted" for it in left)
    seen = len(writes(ses_sandbox))
    assert seen < 25
    assert finish(cluster.apply()).code == 1
    assert sum(it["status"] in ("applied", "unchanged") for it in rows(cluster.folder / "all.jsonl")) == 25


@dask
@pytest.mark.long
def test_a_scheduler_that_dies_leaves_a_run_that_the_same_command_resumes(
    cluster: Cluster, ses_sandbox: Sandbox
) -> None:
    cluster.address = free_address()
    mortal = cluster.scheduler()
    cluster.worker()
    driver = cluster.apply()
    await_that(lambda: len(writes(ses_sandbox)) > 1, driver)
    mortal.kill()
    ended = finish(driver)
    assert ended.code == 3, ended.err + cluster.log
    assert f"the scheduler {cluster.address} went away" in ended.err
    assert len(rows(cluster.folder / "all.jsonl")) == 30
    cluster.scheduler()
    cluster.worker()
    assert finish(cluster.apply()).code == 1
    assert sum(it["status"] in ("applied", "unchanged") for it in rows(cluster.folder / "all.jsonl")) == 25


@dask
@pytest.mark.long
def test_workers_with_another_version_are_named(cluster: Cluster, ses_sandbox: Sandbox, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "batchpol-0.0.9.dist-info").mkdir(parents=True)
    (other / "batchpol-0.0.9.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: batchpol\nVersion: 0.0.9\n"
    )
    # Dask asked the package itself before it asked for what is installed.
    (other / "sitecustomize.py").write_text("import batchpol\nbatchpol.__version__ = '0.0.9'\n")
    cluster.worker(PYTHONPATH=str(other))
    await_that(lambda: "Registered to" in cluster.log, cluster.processes[0])
    ended = finish(cluster.apply())
    assert ended.code == 2
    assert f"must have the batchpol that is here, {version('batchpol')}: tcp://127.0.0.1:" in ended.err
    assert "has 0.0.9" in ended.err
    assert writes(ses_sandbox) == []


def test_no_key_is_in_what_is_submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "in.csv").write_text("identity,policy_name,policy\n")
    options = Options(
        connection=Connection(profile="prod", role_arn="arn:aws:iam::{account}:role/Tenant", regions=("us-east-1",)),
        reading=Reading(policy_name="n"),
        keeping=Keeping(on="tcp://127.0.0.1:1", shards=3, journal=tmp_path / "run1", reports=(tmp_path / "r.csv",)),
    )
    sent = pickle.dumps(work_of(tmp_path / "in.csv", options))
    assert b"prod" in sent and b"role/Tenant" in sent
    assert not [value for value in KEYS.values() if value.encode() in sent]


def test_where_no_shard_could_begin_the_report_of_the_folder_is_left_alone(tmp_path: Path) -> None:
    folder, why = Folder(tmp_path / "run1"), "the run folder belongs to another run: shards 3 there, 2 here"
    folder.make()
    folder.pin(Pins(shards=3, account="123456789012", region="us-east-1", endpoint=""))
    options = Options(keeping=Keeping(on="tcp://s:1", shards=2, journal=folder.path, reports=(tmp_path / "r.csv",)))
    ended = {Shard(number, 2): End(at="", reason=why, exit_code=2) for number in (1, 2)}
    with pytest.raises(UsageError, match="no shard could begin: shard 1/2: the run folder belongs to another run"):
        merged(tmp_path / "in.csv", options, ended, None)
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shards": None}, "`on` needs `shards`"),
        ({"journal": None}, "`on` needs a folder as `journal`"),
        ({"limit": 3}, "`limit` is not for a batch"),
        ({"fresh": True}, "`fresh` is not for a batch"),
        ({"shard": (1, 3)}, "`shard` is not for a batch"),
        ({"client": object(), "account": "123456789012"}, "sends settings alone, and account, client"),
        ({"on": None}, "`shards` is the number of parts"),
    ],
)
async def test_what_does_not_go_with_it_is_refused(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    (tmp_path / "in.csv").write_text("identity,policy_name,policy\n")
    given = {"on": "tcp://127.0.0.1:1", "shards": 3, "journal": tmp_path / "run1"} | settings
    with pytest.raises(UsageError, match=message):
        await batchpol.apply(tmp_path / "in.csv", **given)  # type: ignore[arg-type]


async def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    (tmp_path / "in.csv").write_text("identity,policy_name,policy\n")
    with pytest.raises(UsageError, match="is not installed here") as refused:
        await batchpol.apply(tmp_path / "in.csv", on="tcp://127.0.0.1:1", shards=3, journal=tmp_path / "run1")
    assert refused.value.hint == "pip install 'batchpol[dask]'"
    with pytest.raises(UsageError, match="can read: a file"):
        await batchpol.apply([], on="tcp://127.0.0.1:1", shards=3, journal=tmp_path / "run1")
    async with batchpol.Client(region="us-east-1") as client:
        with pytest.raises(UsageError, match="apply has no setting on, shards"):
            await client.apply(tmp_path / "in.csv", on="tcp://127.0.0.1:1", shards=3, journal=tmp_path / "run1")
        with pytest.raises(UsageError, match="`shard` is for apply: a stream has no outcomes"):
            _ = [it async for it in client.stream([], shard=(1, 3), journal=tmp_path / "run1")]
