"""The real command, stopped and hindered from outside: signals, a terminal that goes away, closed outputs, a full disk.

The scenes are played side by side, since each waits most of its time; every test looks at one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import resource
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batchpol.testing import Sandbox, SandboxOptions, running_sandbox
from tests.runs import COMPARE, apply, check_truth, command, environment, row, statuses, write_input, writes

ROWS = [row(number) for number in range(24)]
PERIOD = 0.05
FAST = ["--rate", str(1 / PERIOD), "--i-have-a-higher-quota"]
TOLD = ["--report", "report.jsonl", "--journal", "run.journal.jsonl"]
APPLY = ["apply", "in.jsonl", *FAST, *TOLD]


@dataclass
class Scene:
    """One run of the command and all that is left of it."""

    folder: Path
    sandbox: Sandbox
    code: int = 0
    out: str = ""
    err: str = ""
    seconds: float = 0.0
    """From what hindered it to its end."""
    more: dict[str, Any] = field(default_factory=dict)

    def start(self, *arguments: str, **how: Any) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        where = {"cwd": self.folder, "env": environment(self.sandbox, self.folder)}
        line = command(*arguments, "--endpoint-url", self.sandbox.url)
        return subprocess.Popen(line, **(pipes | where | how))

    def wait_for_writes(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while len(writes(self.sandbox)) < count:
            assert time.monotonic() < deadline, "the command sends nothing"
            time.sleep(0.005)

    def end(self, process: subprocess.Popen[str]) -> None:
        began = time.monotonic()
        self.out, self.err = (text or "" for text in process.communicate(timeout=30))
        self.code, self.seconds = process.returncode, time.monotonic() - began

    def check(self) -> None:
        """Look at what the command left behind, before anything else happens."""
        self.more["statuses"] = statuses(self.folder)
        self.more["sent"] = len(writes(self.sandbox))
        check_truth(self.sandbox, self.folder, ROWS, period=PERIOD)

    def go_on(self) -> None:
        """Run the same batch again, unhindered."""
        self.check()
        again = asyncio.run(apply(self.sandbox, self.folder / "in.jsonl", conduct=COMPARE, period=PERIOD))
        assert again.exit_code == 0
        check_truth(self.sandbox, self.folder, ROWS, period=PERIOD)


def with_signal(*numbers: int) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        process = scene.start(*APPLY, "--yes")
        scene.wait_for_writes(5)
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.2)
        scene.end(process)
        scene.go_on()

    return play


def with_two_signals_and_a_silent_server(scene: Scene) -> None:
    scene.sandbox.change(faults_at={"stall_before@PutIdentityPolicy": {5}})
    with_signal(signal.SIGINT, signal.SIGINT)(scene)


def with_terminal(scene: Scene, *arguments: str) -> tuple[subprocess.Popen[str], int]:
    """The command on a terminal of its own; also the terminal's other end."""
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = scene.start(*arguments, start_new_session=True, preexec_fn=take_terminal, **streams)
    os.close(theirs)
    return process, ours


def a_terminal_that_goes_away(scene: Scene) -> None:
    process, terminal = with_terminal(scene, *APPLY, "--yes")
    scene.wait_for_writes(5)
    os.close(terminal)
    scene.end(process)
    scene.go_on()


def interrupted_at_the_question(scene: Scene) -> None:
    process, terminal = with_terminal(scene, *APPLY)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    with contextlib.suppress(OSError):
        while more := os.read(terminal, 4096):
            said += more
    scene.end(process)
    scene.out = said.decode()
    os.close(terminal)


def interrupted_at_a_silent_pipe(scene: Scene) -> None:
    process = scene.start("apply", "-", "--format", "jsonl", "--yes", *FAST, *TOLD, stdin=subprocess.PIPE)
    assert process.stdin is not None
    # Enough to be looked at and begun with, and then silence.
    process.stdin.write("".join(json.dumps(row(number)) + "\n" for number in range(2000)))
    process.stdin.flush()
    journal = scene.folder / "run.journal.jsonl"
    deadline = time.monotonic() + 30
    while not (journal.exists() and journal.stat().st_size):
        assert time.monotonic() < deadline, "the command reads nothing"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    scene.code = process.wait(timeout=30)
    scene.seconds = time.monotonic() - began
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


def a_reader_that_goes_away(scene: Scene) -> None:
    process = scene.start(*APPLY, "--yes")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    scene.end(process)
    scene.check()


def a_full_device_as_output(scene: Scene) -> None:
    with open("/dev/full", "w") as full:
        scene.end(scene.start(*APPLY, "--yes", stdout=full))
    scene.check()


def closed_outputs(scene: Scene) -> None:
    def close() -> None:
        for fd in range(3):
            os.close(fd)

    scene.end(scene.start(*APPLY, "--yes", stdin=None, stdout=None, stderr=None, preexec_fn=close))
    scene.check()


def a_disk_that_fills_up(scene: Scene) -> None:
    """The journal may grow to nine tenths of its final size; the report is smaller than that."""
    trial = scene.folder / "trial"
    trial.mkdir()

    async def rehearse() -> None:
        async with Sandbox(SandboxOptions(rate=0)) as elsewhere:
            await apply(elsewhere, write_input(trial / "in.jsonl", ROWS))

    asyncio.run(rehearse())
    size = (trial / "run.journal.jsonl").stat().st_size * 9 // 10
    process = scene.start(
        *APPLY,
        "--yes",
        "--blind",
        # Python does not see that a module which it compiles was written half: the next process could not import it.
        env=environment(scene.sandbox, scene.folder, PYTHONDONTWRITEBYTECODE="1"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    scene.end(process)
    scene.more["journal"] = (scene.folder / "run.journal.jsonl").stat().st_size, size
    scene.go_on()


SCENES: dict[str, Callable[[Scene], None]] = {
    "SIGINT": with_signal(signal.SIGINT),
    "SIGTERM": with_signal(signal.SIGTERM),
    "twice": with_two_signals_and_a_silent_server,
    "terminal": a_terminal_that_goes_away,
    "question": interrupted_at_the_question,
    "pipe": interrupted_at_a_silent_pipe,
    "reader": a_reader_that_goes_away,
    "device": a_full_device_as_output,
    "closed": closed_outputs,
    "disk": a_disk_that_fills_up,
}


def _played(name: str, folder: Path) -> Scene:
    folder.mkdir()
    write_input(folder / "in.jsonl", ROWS)
    with running_sandbox(SandboxOptions(rate=0)) as sandbox:
        scene = Scene(folder, sandbox)
        SCENES[name](scene)
        return scene


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Scene]]]:
    folder = tmp_path_factory.mktemp("scenes")
    with ThreadPoolExecutor(max_workers=4) as stage:
        yield {name: stage.submit(_played, name, folder / name) for name in SCENES}


@pytest.mark.parametrize(
    ("name", "code", "word"),
    [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")],
)
def test_a_stopped_run_says_how_to_go_on_and_goes_on(
    scenes: dict[str, Future[Scene]], name: str, code: int, word: str
) -> None:
    scene = scenes[name].result()
    assert scene.code == code
    assert f"the run ended early: {word}" in scene.err
    assert scene.err.splitlines()[-1].startswith("to go on, run the same command again")
    assert set(scene.more["statuses"]) == {"applied", "not_attempted"}
    assert len(writes(scene.sandbox)) == 24, "what was under way was finished, and none was written twice"


def test_a_second_signal_ends_a_run_that_waits_for_a_silent_server(scenes: dict[str, Future[Scene]]) -> None:
    scene = scenes["twice"].result()
    assert (scene.code, scene.seconds < 9) == (130, True)
    assert "unknown" in scene.more["statuses"]
    assert "once more to end at once" in scene.err


def test_a_terminal_that_goes_away_loses_nothing(scenes: dict[str, Future[Scene]]) -> None:
    scene = scenes["terminal"].result()
    assert scene.code == 143
    assert set(scene.more["statuses"]) == {"applied", "not_attempted"}
    assert len(writes(scene.sandbox)) == 24


def test_an_interrupt_at_the_question_sends_nothing(scenes: dict[str, Future[Scene]]) -> None:
    scene = scenes["question"].result()
    assert (scene.code, scene.seconds < 9) == (130, True)
    assert not writes(scene.sandbox)
    assert set(statuses(scene.folder)) == {"not_attempted"}


def test_an_interrupt_at_a_silent_standard_input_is_heard(scenes: dict[str, Future[Scene]]) -> None:
    scene = scenes["pipe"].result()
    assert (scene.code, scene.seconds < 9) == (130, True)
    assert not writes(scene.sandbox)


@pytest.mark.parametrize("name", ["reader", "device", "closed"])
def test_an_output_that_cannot_be_written_changes_nothing_about_the_run(
    scenes: dict[str, Future[Scene]], name: str
) -> None:
    scene = scenes[name].result()
    assert scene.code == 0
    assert scene.more["statuses"] == ["applied"] * 24
    assert scene.more["sent"] == 24
    assert "Traceback" not in scene.err


def test_a_full_disk_stops_the_run_before_anything_else_is_sent(scenes: dict[str, Future[Scene]]) -> None:
    scene = scenes["disk"].result()
    assert scene.code == 3
    assert "run.journal.jsonl cannot be written: File too large" in scene.err
    assert "Traceback" not in scene.err
    size, most = scene.more["journal"]
    assert size <= most
    answered = scene.more["statuses"].count("applied")
    assert 0 < answered < 24
    # What was under way when the disk was full has no outcome written down: the report says so.
    assert scene.more["sent"] - answered == scene.more["statuses"].count("unknown") <= 2
    assert scene.err.splitlines()[-1].startswith("to go on, run the same command again")
