"""``batchpol probe``: what it says before it asks, what it writes, and that it cleans up when it is stopped."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from batchpol.probe import QUESTIONS
from batchpol.testing import SandboxOptions, running_sandbox
from tests.cli.conftest import Command
from tests.e2e.command import ACCOUNT, start

PROBE = ("probe", "--identity", "probe.example.com")


def test_what_it_finds_is_in_a_file_without_names_and_on_a_page(command: Command, folder: Path) -> None:
    ended = command(*PROBE, "--sandbox", "--only", "stored", "-o", "found.json")
    assert (ended.code, ended.out) == (0, "found.json has the facts, found.md has them for people\n")
    assert f"account {ACCOUNT}, us-east-1: policies batchpol-probe-* of probe.example.com" in ended.err
    facts, page = (folder / "found.json").read_text(), (folder / "found.md").read_text()
    seen = dict.fromkeys(("keeps_blanks", "sorts_keys", "accounts_as_roots", "principals_as_ids"), False)
    assert json.loads(facts)["known"] == seen | {"strict_principals": True}
    assert page.startswith("# What SES does in us-east-1\n")
    assert not [text for text in (facts, page) if ACCOUNT in text or "probe.example.com" in text]


def test_without_asking_anybody_it_lists_questions_and_permissions(command: Command) -> None:
    listed, planned = command("probe", "--list"), command(*PROBE, "--dry-run", "--only", "tolerance")
    assert all(f"\n{name} " in f"\n{listed.out}" for name in QUESTIONS)
    assert '"ses:PutIdentityPolicy"' in listed.out
    assert [line.split()[0] for line in planned.out.splitlines()[::2]] == ["burst", "refused", "tolerance", "3"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("probe", "--sandbox"), "there is no identity"),
        ((*PROBE, "--only", "speed", "--sandbox"), "there is no question 'speed'"),
        (PROBE, "there is no terminal to ask on"),
        ((*PROBE, "--sandbox", "--region", "eu-west-1", "--region", "us-east-1"), "one probe is of one Region"),
        (("probe", "--identity", "nonsense..example", "--sandbox"), "--identity"),
        (("probe", "--identity", "pending.invalid", "--sandbox"), "SES takes no policy for pending.invalid"),
    ],
)
def test_what_cannot_be_probed_is_told(command: Command, arguments: tuple[str, ...], said: str) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def test_interrupted_it_removes_what_it_made(tmp_path: Path) -> None:
    with running_sandbox(SandboxOptions()) as ses:
        running = start(*PROBE, "--only", "names", "--yes", cwd=tmp_path, env=ses.environment())
        while not any(it.operation == "PutIdentityPolicy" and it.applied for it in ses.arrivals):
            assert running.poll() is None
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
        assert (running.returncode, ses.store.policies) == (130, {})
