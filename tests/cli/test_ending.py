"""What is said at the end: did it work, and the command to type next."""

from __future__ import annotations

import gc
import re
import shlex
from pathlib import Path

import pytest

from batchpol.batch.observer import Result
from batchpol.cli.process import importing
from batchpol.cli.screen import commands, ending
from batchpol.cli.screen.ending import DRY_RUN, verdict
from batchpol.journal import FINISHED, FORMAT, Run
from batchpol.model import Outcome, Status
from batchpol.report import Summary
from batchpol.testing import Sandbox
from tests.cli.conftest import Command
from tests.e2e.command import FAST, save_table, tenants

TYPED = ("batchpol", "apply", "my tenants.csv", "--yes", "--fresh")


def outcomes(**counts: int) -> list[Outcome]:
    return [
        Outcome(
            number=0,
            line=2,
            identity="a.example",
            policy_name="n",
            status=Status(name),
            error_code="Code",
            message="why",
            retryable=name == "unknown",
        )
        for name, count in counts.items()
        for _ in range(count)
    ]


def result(reason: str = FINISHED, code: int = 0, **counts: int) -> Result:
    return Result(Summary.of(outcomes(**counts)), code, reason, (Path("my report.csv"),), Path("my journal.jsonl"))


def run(*, command: tuple[str, ...] = TYPED, sandbox: bool = False, **options: object) -> Run:
    given, name = options | {"command": command}, "my tenants.csv" if command else ""
    return Run(format=FORMAT, run_id="1", at="", input=name, sandbox=sandbox, options=given)


def next_steps(of: Result, header: Run) -> list[str]:
    """As people read them."""
    return [str(step) for step in ending.next_steps(of, header)]


UNDO = "batchpol undo 'my journal.jsonl' --last -o undo.jsonl"
AGAIN = "batchpol apply 'my tenants.csv' --yes"


def test_all_went_well() -> None:
    ended = result(applied=3, unchanged=1, duplicate=1)
    assert verdict(ended) == ["all went well: every record is as asked"]
    assert next_steps(ended, run()) == [f"to take back what this run did: {UNDO}"]


def test_some_failed() -> None:
    ended = result(code=1, applied=3, rejected=1, failed=2)
    assert verdict(ended) == ["over, but 3 of 6 records are not as asked"]
    mend, retry, back = next_steps(ended, run())
    assert mend.endswith("batchpol report 'my journal.jsonl' --only rejected,failed --report mend.csv")
    assert retry == f"to send again what SES refused: {AGAIN} --retry-failed"
    assert back.endswith(UNDO)


@pytest.mark.parametrize("code", [1, 3, 130, 143])
def test_how_to_go_on_comes_last(code: int) -> None:
    ended = result("interrupted", code, applied=1, unknown=1)
    assert verdict(ended) == ["the run ended early: interrupted"]
    assert next_steps(ended, run())[-1] == (
        f"to go on, run the same command again (what went through is in my journal.jsonl): {AGAIN}"
    )


def test_what_was_written_blindly_cannot_be_taken_back() -> None:
    assert next_steps(result(applied=1), run(compare=False)) == []


def test_a_list_whose_policies_a_template_makes_is_mended_itself() -> None:
    (mend,) = next_steps(result(code=1, rejected=1), run(template=True))
    assert mend == f"to mend what is rejected, mend my tenants.csv and run the same command again: {AGAIN}"


@pytest.mark.parametrize("limit", [("--limit", "3"), ("--limit=3",)])
def test_what_a_limit_left_is_gone_on_with(limit: tuple[str, ...]) -> None:
    ended = result("`limit=3` was reached", 3, not_attempted=494)
    assert next_steps(ended, run(command=(*TYPED[:3], *limit, *TYPED[3:]))) == [
        f"to go on with as many again, run the same command; with all that are left: {AGAIN}"
    ]


def test_what_was_meant_for_one_time_is_in_no_command_to_type_next() -> None:
    of = run(command=(*TYPED, "--retry-failed", "--dry-run"))
    assert commands.typed(commands.again(of, Path("j.jsonl"))) == AGAIN
    assert commands.typed(commands.retry(of, Path("j.jsonl"))) == f"{AGAIN} --retry-failed"
    assert commands.again(run(command=()), Path("j.jsonl")) == []
    unknown = Run(format=FORMAT, run_id="1", at="", input="my tenants.csv", options={})
    assert commands.again(unknown, Path("j.jsonl"))[1:] == ["apply", "my tenants.csv", "--journal", "j.jsonl"]


def test_nothing_was_sent() -> None:
    dry = result(DRY_RUN, not_attempted=2)
    assert verdict(dry) == ["dry run: nothing was sent"]
    assert next_steps(dry, run(command=(*TYPED, "--dry-run"))) == [f"to carry out the 2 that are valid: {AGAIN}"]
    assert verdict(result("not confirmed", 2, not_attempted=2)) == [
        "the run ended early: not confirmed; nothing was sent"
    ]


def test_an_embedded_ses_leaves_nothing_to_go_on_with() -> None:
    ended = result("interrupted", 130, applied=1, unknown=1)
    assert next_steps(ended, run(sandbox=True)) == [
        "the embedded SES is gone with all it had; the same command starts over"
    ]


def test_a_program_has_no_command_to_type_again() -> None:
    assert [
        it for it in next_steps(result(code=1, failed=1), run(command=())) if "apply " in it and "mend" not in it
    ] == []


def test_the_commands_are_those_to_type(folder: Path, command: Command, ses_sandbox: Sandbox) -> None:
    (folder / "a b").mkdir()
    save_table(folder / "a b" / "tenants.csv", tenants(2))
    typed = ("apply", "a b/tenants.csv", *FAST, "--journal", "a b/it's.jsonl")
    dry = command(*typed, "--dry-run", **ses_sandbox.environment())
    assert dry.code == 0
    assert "ended early" not in dry.err
    last = dry.err.splitlines()[-1]
    assert shlex.split(last.removeprefix("to carry out the 2 that are valid: "))[1:] == list(typed)
    done = command(*typed, **ses_sandbox.environment())
    assert "all went well" in done.err
    undo = shlex.split(done.err.splitlines()[-1].removeprefix("to take back what this run did: "))
    assert command(*undo[1:]).code == 0
    undone = command(*undo[1:-1], "a b/it's undone.jsonl").err.splitlines()[-1]
    carry_out = shlex.split(undone.removeprefix("to carry that out, and leave alone what somebody changed since: "))
    assert carry_out[2:] == ["a b/it's undone.jsonl", *FAST[1:]]
    back = command(*carry_out[1:], "--yes", **ses_sandbox.environment())
    redo = shlex.split(back.err.splitlines()[-1].removeprefix("to take back what this run did: "))
    assert redo[-1] == "undo-2.jsonl", "no output replaces the input that the first one wrote"
    assert command(*redo[1:]).code == 0


def test_what_a_limit_left_is_counted_and_gone_on_with_where_status_says(
    folder: Path, command: Command, ses_sandbox: Sandbox
) -> None:
    save_table(folder / "list.csv", tenants(5))
    ended = command("apply", "list.csv", *FAST, "--limit", "3", **ses_sandbox.environment())
    assert (ended.code, "3 applied (3 created), 2 not attempted" in ended.out) == (3, True)
    said = command("status", "list.journal.jsonl").out
    found = command("apply", "list.csv", *FAST, "--limit", "1", "--output", "json", **ses_sandbox.environment())
    undo, further = found.summary["next"]
    assert undo["command"] == ["batchpol", "undo", "list.journal.jsonl", "--last", "-o", "undo.jsonl"]
    assert further["command"][:3] == ["batchpol", "apply", "list.csv"] and "--limit" not in further["command"]
    assert "3 applied, 2 not attempted" in said and ": 3 created\n" in said
    (following,) = re.findall(r"next: .+: batchpol (apply .+)", said)
    assert "5 records" in command(*shlex.split(following), **ses_sandbox.environment()).out
    assert len(ses_sandbox.store.policies) == 5


def test_what_many_lanes_have_under_way_is_not_looked_through_as_garbage_again_and_again() -> None:
    found: list[str] = []
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)  # a command of an earlier test, in this process, may have set it

    def looked_for(bursts: int = 20) -> int:
        found.clear()
        for _ in range(bursts):
            under_way = [[number] for number in range(10_000)]
            del under_way
        return found.count("start")

    gc.callbacks.append(lambda phase, _: found.append(phase))
    try:
        assert looked_for() >= 20, "as Python does it by itself"
        with importing():
            pass
        assert looked_for() <= 1
    finally:
        gc.callbacks.pop()
        gc.set_threshold(*before)
        gc.unfreeze()
