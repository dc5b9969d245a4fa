"""``batchpol report`` and ``batchpol status``: what a journal says, whatever became of its run."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batchpol.cli import app
from batchpol.cli.screen.status import came_back
from batchpol.cli.screen.terminal import complain, exit_code_of
from batchpol.journal import Intent, OutcomeEntry
from batchpol.model import Status
from batchpol.model.errors import BatchpolError
from batchpol.testing import Sandbox
from tests.runs import (
    ACCOUNT,
    REGION,
    apply,
    check_truth,
    document,
    opened,
    row,
    run,
    statuses,
    write_input,
    writes,
)

BOOK = "run.journal.jsonl"
ROWS = [row(number, tenant=f"T-{number}") for number in range(6)]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_input(tmp_path / "in.jsonl", ROWS)


@pytest.fixture
def batchpol(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process; gives its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            # Not main(): it ends the process where threads are alive, and here the runs of the tests have some.
            app(arguments, prog_name="batchpol")
        except SystemExit as ending:
            code = int(ending.code or 0)
        except BatchpolError as error:
            complain(error)
            code = exit_code_of(error)
        return code, *capsys.readouterr()

    return run


Command = Callable[..., tuple[int, str, str]]


def content(name: str) -> bytes:
    return Path(name).read_bytes()


def put(name: str, data: bytes) -> None:
    Path(name).write_bytes(data)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def half_failed(sandbox: Sandbox, source: Path) -> None:
    """A run of which SES refused the second and the fifth record."""
    late = "444400004444"
    rows = [line | {"policy": document(str(line["identity"]), principal=late)} if n in (1, 4) else line
            for n, line in enumerate(ROWS)]  # fmt: skip
    sandbox.change(late_principals={late: 100})
    await apply(sandbox, write_input(source, rows), patience={"defer": False})
    sandbox.change(late_principals={})


async def test_the_report_of_a_finished_run_is_the_one_it_wrote(
    sandbox: Sandbox, source: Path, batchpol: Command
) -> None:
    await half_failed(sandbox, source)
    code, out, err = batchpol("report", BOOK, "--report", "again.jsonl", "--report", "again.csv")
    assert (code, out) == (0, "6 of 6 records: 4 applied, 2 failed\n")
    assert err.splitlines() == ["report: again.jsonl", "report: again.csv"]
    assert content("again.jsonl") == content("report.jsonl")
    assert [line["tenant"] for line in rows_of(Path("again.csv"))] == [f"T-{number}" for number in range(6)]


@pytest.mark.parametrize("name", ["failed.csv", "failed.jsonl"])
async def test_a_report_of_failed_rows_is_itself_an_input(
    sandbox: Sandbox, source: Path, batchpol: Command, tmp_path: Path, name: str
) -> None:
    await half_failed(sandbox, source)
    folder = tmp_path / "second"
    folder.mkdir()
    code, out, _ = batchpol("report", BOOK, "--report", str(folder / name), "--only", "failed,unknown")
    assert (code, out) == (0, "2 of 6 records: 2 failed\n")
    sent = len(writes(sandbox))
    assert (await apply(sandbox, folder / name)).exit_code == 0
    assert [it.identity for it in writes(sandbox, sent)] == ["tenant-1.example", "tenant-4.example"]
    asked = [row(number, principal="444400004444") for number in (1, 4)]
    check_truth(sandbox, folder, asked)
    lines = [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]
    assert [line["tenant"] for line in lines] == ["T-1", "T-4"]
    assert [line["input_line"] for line in lines] in (["2", "5"], [2, 5])


async def test_the_report_of_a_run_that_is_going_on_or_was_killed(
    sandbox: Sandbox, source: Path, batchpol: Command
) -> None:
    with opened(sandbox, source, period=0.1) as batch:
        running = asyncio.create_task(run(batch))
        while len(writes(sandbox)) < 3:
            await asyncio.sleep(0.005)
        code, _, _ = batchpol("report", BOOK, "--report", "now.csv")
        assert code == 0
        assert rows_of(Path("now.csv"))[0]["status"] == "applied"
        assert rows_of(Path("now.csv"))[5]["status"] == "not_attempted"
        lines = content(BOOK)
        await running
    put(BOOK, lines[:-7])
    code, _, err = batchpol("report", BOOK, "--report", "killed.jsonl")
    assert (code, "last line was incomplete" in err) == (0, True)
    assert len(content("killed.jsonl").splitlines()) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--report", "x.csv", "--only", "aplied"], "did you mean applied?"),
        (["--report", "x.pdf"], ".csv, .jsonl or .html"),
        (["--report", BOOK], "is the journal itself"),
        ([], "there is no place for the report"),
    ],
)
async def test_what_report_cannot_do(
    sandbox: Sandbox, source: Path, batchpol: Command, arguments: list[str], said: str
) -> None:
    await apply(sandbox, source)
    before = content(BOOK)
    code, _, err = batchpol("report", BOOK, *arguments)
    assert (code, said in err) == (2, True)
    assert content(BOOK) == before
    assert "x.csv" not in os.listdir()


@pytest.mark.parametrize("command", [["status"], ["report", "--report", "x.csv"]])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b'{"t":"run","format":1', "is empty"),
        (b"identity,policy\n", "is not a batchpol journal"),
        (b'{"t":"run","format":99,"run_id":"x","crc":"00000000"}\n', "written by a newer batchpol"),
    ],
)
def test_a_journal_that_is_none(
    source: Path, batchpol: Command, command: list[str], content: bytes | None, said: str
) -> None:
    if content is not None:
        put(BOOK, content)
    code, out, err = batchpol(command[0], BOOK, *command[1:])
    assert (code, out, said in err) == (2, "", True)
    assert "Traceback" not in err


async def test_status_of_a_run_that_is_going_on(sandbox: Sandbox, source: Path, batchpol: Command) -> None:
    with opened(sandbox, source, period=0.2) as batch:
        running = asyncio.create_task(run(batch))
        while len(writes(sandbox)) < 3:
            await asyncio.sleep(0.005)
        code, out, _ = batchpol("status", BOOK)
        found = json.loads(batchpol("status", BOOK, "--output", "json")[1])
        await running
    lines = dict(line.split(":", 1) for line in out.splitlines())
    assert code == 0
    assert lines["input"].strip() == str(source)
    assert f"by process {os.getpid()} on " in lines["run"]
    assert f"account {ACCOUNT}, Region {REGION} at {sandbox.url}" in lines["place"]
    assert lines["state"].strip() == "running"
    assert "to send, about 1 s" in lines["left"]
    assert lines["next"].endswith(f"batchpol status {BOOK} --follow")
    assert f"to stop it (it can be resumed): kill {os.getpid()}" in out
    assert [it["command"][:2] for it in found["next"]] == [["batchpol", "status"], ["kill", str(os.getpid())]]
    assert (found["running"], found["records"], found["pid"]) == (True, 6, os.getpid())
    assert found["counts"]["applied"] + found["counts"]["unknown"] + found["left"] == 6
    assert 0.15 < found["seconds_between_requests"] < 0.5
    assert found["targets"] == [{"target": f"{ACCOUNT}/{REGION}", "changes": 6, "left": found["left"]}]


async def test_status_of_a_run_that_ended_well(sandbox: Sandbox, source: Path, batchpol: Command) -> None:
    await apply(sandbox, source)
    code, out, _ = batchpol("status", BOOK)
    assert code == 0
    assert "state:    finished" in out
    assert "records:  6: 6 applied" in out
    assert "next:     nothing is left to do" in out
    assert "left:" not in out


async def test_status_of_an_interrupted_run_gives_its_own_command(
    sandbox: Sandbox, source: Path, batchpol: Command
) -> None:
    asked = ("batchpol", "apply", "my tenants.csv", "--fresh", "--yes")
    with opened(sandbox, source, command=asked) as batch:
        running = asyncio.create_task(run(batch))
        while len(writes(sandbox)) < 2:
            await asyncio.sleep(0.005)
        batch.stop("interrupted", 130)
        await running
    code, out, _ = batchpol("status", BOOK)
    assert (code, "state:    interrupted" in out) == (0, True)
    assert "next:     to go on (what went through is not sent again): batchpol apply 'my tenants.csv' --yes\n" in out, (
        "without what would start over"
    )


async def test_status_of_a_killed_run(sandbox: Sandbox, source: Path, batchpol: Command) -> None:
    await apply(sandbox, source)
    lines = content(BOOK).splitlines(keepends=True)
    put(BOOK, b"".join(lines[:-4]))
    _, out, _ = batchpol("status", BOOK)
    assert "state:    killed before its end" in out
    assert f"not sent again): batchpol apply {source} --journal {BOOK}\n" in out
    put(BOOK, b"".join(lines[:4]))
    _, out, _ = batchpol("status", BOOK)
    assert "state:    killed while it read the input" in out


async def test_status_of_failures_groups_them_and_says_how_to_mend_them(
    sandbox: Sandbox, source: Path, batchpol: Command
) -> None:
    await half_failed(sandbox, source)
    _, out, _ = batchpol("status", BOOK)
    assert "  2 failed InvalidPolicy: The policy contains an invalid principal: 444400004444" in out
    mend = f"batchpol report {BOOK} --only failed --report mend.csv"
    assert f"next:     to mend them, and then apply mend.csv: {mend}" in out
    found = json.loads(batchpol("status", BOOK, "--output", "json")[1])
    assert (found["can_go_on"], found["exit_code"]) == (False, 1)
    assert found["next"][0]["command"] == ["batchpol", "report", BOOK, "--only", "failed", "--report", "mend.csv"]
    assert found["causes"][0]["remedy"].startswith("Look at the principal first")
    batchpol("report", BOOK, "--report", "page.html")
    page = await asyncio.to_thread(Path("page.html").read_text, "utf-8")
    assert f"<p>To mend them, and then apply mend.csv</p><pre><code>{mend}</code></pre>" in page
    assert "<dt>Caller</dt><dd>arn:aws:" in page
    lines = batchpol("status", BOOK, "--failed")[1].splitlines()
    assert [line.split(":")[1].strip() for line in lines[:2]] == ["failed"] * 2
    assert " / sending: InvalidPolicy: " in lines[0] and " -> Look at the principal first" in lines[0]
    listed = json.loads(batchpol("status", BOOK, "--failed", "--output", "json")[1])["failed"]
    assert [it["error_code"] for it in listed] == ["InvalidPolicy"] * 2
    assert all("`" not in it["remedy"] and "--retry-failed" in it["remedy"] for it in (*listed, *found["causes"]))


async def test_a_run_is_followed_to_its_end(
    sandbox: Sandbox, source: Path, batchpol: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchpol.cli.screen.status.EVERY", 0.1)
    with opened(sandbox, source, period=0.2) as batch:
        running = asyncio.create_task(run(batch))
        while len(writes(sandbox)) < 2:
            await asyncio.sleep(0.005)
        _, out, _ = await asyncio.to_thread(batchpol, "status", BOOK, "--follow")
        await running
    first, *_ = out.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d UTC: running: .+; \d left, about \d s", first)
    assert "state:    finished" in out


def test_an_attempt_is_no_sign_of_an_answer() -> None:
    began = datetime(2026, 3, 1, 8, tzinfo=UTC)

    def after(*entries: tuple[type, int, int]) -> float:
        """Seconds after the beginning; of each entry its kind, when it was sent, and which attempt it is."""
        times = [(began + timedelta(seconds=second)).isoformat() for _, second, _ in entries]
        made = [
            Intent(n=n, attempt=attempt, at=at)
            if kind is Intent
            else OutcomeEntry(n=n, status=Status.APPLIED, attempts=attempt, started_at=at)
            for n, (at, (kind, _, attempt)) in enumerate(zip(times, entries, strict=True))
        ]
        return (came_back(made, began) - began).total_seconds()

    assert after((OutcomeEntry, 3, 1), (Intent, 70, 5)) == 3
    assert after((Intent, 60, 5), (Intent, 62, 5)) == 0, "nothing ever came back"
    assert after((Intent, 60, 1), (Intent, 62, 1)) == 60, "the input took a minute to read"


async def test_status_of_several_targets_shows_each(sandbox: Sandbox, source: Path, batchpol: Command) -> None:
    other = "999999999999"
    rows = [row(n) if n % 2 else row(n) | {"account": other, "policy": document(f"tenant-{n}.example", account=other)}
            for n in range(6)]  # fmt: skip
    await apply(sandbox, write_input(source, rows))
    assert set(statuses(source.parent)) == {"applied", "not_attempted"}
    _, out, _ = batchpol("status", BOOK)
    assert f"  {other}/{REGION}: 3 of 3 left" in out
    assert f"  {ACCOUNT}/{REGION}: 0 of 3 left" in out
    assert "next:     to go on (what went through is not sent again)" in out


async def test_nothing_in_a_journal_moves_the_terminal(sandbox: Sandbox, tmp_path: Path, batchpol: Command) -> None:
    hostile = tmp_path / "in\x1b[31m\u202e.jsonl"
    write_input(hostile, ROWS)
    await apply(sandbox, hostile, command=("batchpol", "apply", "\x1b]0;x\x07"), limit=2)
    book = tmp_path / BOOK
    for arguments in (["status", str(book)], ["report", str(book), "--report", str(tmp_path / "r\x1b[1m.csv")]):
        _, out, err = batchpol(*arguments)
        assert not set(out + err) & {"\x1b", "\x07", "\u202e"}
        assert "\\x1b" in out + err
