"""What a run believes, by the installed command: a read is what SES said then, and nothing is claimed on its word."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from batchpol.sandbox import Owner
from batchpol.testing import Sandbox
from tests.e2e.command import (
    ACCOUNT,
    FAST,
    REGION,
    Ended,
    arrived,
    await_that,
    finish,
    kill,
    policy,
    record,
    rows,
    run,
    save_lines,
    start,
    tenants,
)
from tests.e2e.conftest import LongRun

PUT, READ = "PutIdentityPolicy", "GetIdentityPolicies"


def names(sandbox: Sandbox, identity: str) -> set[str]:
    return set(sandbox.store.get(Owner(ACCOUNT, REGION, identity)))


def there(sandbox: Sandbox, identity: str, *policies: str, **elements: Any) -> None:
    for name in policies:
        sandbox.store.put(Owner(ACCOUNT, REGION, identity), name, json.dumps(policy(identity, **elements)))


def statuses(report: Path) -> Counter[str]:
    return Counter(row["status"] for row in rows(report))


def refused(identity: str, name: str, **elements: Any) -> dict[str, Any]:
    """A record that SES refuses: nobody sees its principal."""
    return record(identity, name, policy=policy(identity, Principal={"AWS": "999999999999"}, **elements))


def while_reads_lag(sandbox: Sandbox, *arguments: str, cwd: Path, env: dict[str, str]) -> Ended:
    """Run the command; its first read shows the past, and what comes later shows what is so."""
    before = sum(it.operation == READ for it in sandbox.arrivals)
    sandbox.change(stale_seconds=60.0)
    process = start(*arguments, cwd=cwd, env=env | {"BATCHPOL_APPLY_STALENESS": "60"})
    await_that(arrived(sandbox, READ, before + 1), process)
    sandbox.change(stale_seconds=0.0)
    return finish(process)


def test_an_undo_right_after_the_run_undoes_it_while_reads_show_the_past(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    save_lines(tmp_path / "in.jsonl", [record("a.example", f"tenant-{number}") for number in range(3)])
    for arguments in (("apply", "in.jsonl", *FAST), ("undo", "in.journal.jsonl", "-o", "undo.jsonl")):
        assert run(*arguments, cwd=tmp_path, env=aws).code == 0
    ended = while_reads_lag(ses_sandbox, "apply", "undo.jsonl", *FAST, cwd=tmp_path, env=aws)
    assert ended.code == 0, ended.err
    assert statuses(tmp_path / "undo.report.csv") == {"applied": 3}
    assert not ses_sandbox.store.policies, "the grants are gone"


def test_an_edit_taken_back_is_written_while_reads_show_the_past(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    there(ses_sandbox, "a.example", "tenant")
    save_lines(tmp_path / "in.jsonl", [record("a.example", policy=policy("a.example", Sid="Edited"))])
    assert run("apply", "in.jsonl", *FAST, cwd=tmp_path, env=aws).code == 0
    save_lines(tmp_path / "in.jsonl", [record("a.example")])
    ended = while_reads_lag(ses_sandbox, "apply", "in.jsonl", *FAST, cwd=tmp_path, env=aws)
    assert ended.code == 0, ended.err
    assert statuses(tmp_path / "in.report.csv") == {"applied": 1}
    assert "Edited" not in str(ses_sandbox.store.policies)


def test_nothing_is_pruned_whose_replacement_was_refused_or_still_waits(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    ses_sandbox.change(late_principals={"999999999999": float("inf")})
    there(ses_sandbox, "a.example", "old")
    there(ses_sandbox, "full.example", *(f"old-{number}" for number in range(20)))
    save_lines(tmp_path / "in.jsonl", [refused("a.example", "new"), refused("full.example", "new")])
    ended = run("apply", "in.jsonl", *FAST, "--prune", "--no-defer", cwd=tmp_path, env=aws)
    assert ended.code == 1, ended.err
    assert names(ses_sandbox, "a.example") == {"old"}
    assert len(names(ses_sandbox, "full.example")) == 20, "what was deleted to make room is back"
    assert statuses(tmp_path / "in.report.csv") == {"failed": 2, "not_attempted": 21}
    assert "still be needed" in rows(tmp_path / "in.report.csv")[2]["message"]


def test_one_bad_row_does_not_switch_drift_off_for_the_others(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    save_lines(tmp_path / "in.jsonl", [*tenants(2), record("not valid")])
    for _ in range(2):
        ended = run("apply", "in.jsonl", *FAST, cwd=tmp_path, env=aws)
        assert ended.code == 1, ended.err
        assert statuses(tmp_path / "in.report.csv") == {"applied": 2, "rejected": 1}
        assert names(ses_sandbox, "tenant001.example") == {"tenant"}
        ses_sandbox.store.delete(Owner(ACCOUNT, REGION, "tenant001.example"), "tenant")
        ses_sandbox.store.delete(Owner(ACCOUNT, REGION, "tenant000.example"), "tenant")


def test_unsure_then_refused_is_not_called_failed_and_is_undone(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    """SES answers 500 to a write that takes effect, and refuses the next attempt."""
    ses_sandbox.change(faults_at={f"error_after@{PUT}": {1}, f"invalid_principal@{PUT}": {2}})
    save_lines(tmp_path / "in.jsonl", tenants(1))
    ended = run("apply", "in.jsonl", *FAST, "--no-defer", "--staleness", "2", cwd=tmp_path, env=aws)
    assert ended.code == 0, ended.err
    assert "what is there is read in 2 s" in ended.err
    assert statuses(tmp_path / "in.report.csv") == {"applied": 1}, "a read tells what became of it"
    ended = run("undo", "in.journal.jsonl", "-o", "undo.jsonl", cwd=tmp_path, env=aws)
    assert len((tmp_path / "undo.jsonl").read_text().splitlines()) == 1, ended.err


def test_what_we_refused_ourselves_is_sent_when_it_may_be(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    there(ses_sandbox, "a.example", "tenant", Sid="Before")
    save_lines(tmp_path / "in.jsonl", [record("a.example")])
    assert run("apply", "in.jsonl", *FAST, "--no-clobber", cwd=tmp_path, env=aws).code == 1
    ended = run("apply", "in.jsonl", *FAST, cwd=tmp_path, env=aws)
    assert ended.code == 0, ended.err
    assert statuses(tmp_path / "in.report.csv") == {"applied": 1}
    assert "Before" not in str(ses_sandbox.store.policies)


def test_a_first_refusal_counts_for_max_failures_although_it_is_tried_again(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    ses_sandbox.change(late_principals={"999999999999": float("inf")})
    save_lines(tmp_path / "in.jsonl", [refused("wrong.example", "tenant"), *tenants(59)])
    ended = run("apply", "in.jsonl", *FAST, "--max-failures", "0", cwd=tmp_path, env=aws)
    assert ended.code == 3, ended.err
    assert "1 of" in ended.err and "--max-failures" in ended.err
    assert sum(it.operation == PUT for it in ses_sandbox.arrivals) < 20, "and not all of 60"


def test_what_was_unknown_stays_so_where_nothing_is_sent(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    ses_sandbox.change(faults={f"stall_after@{PUT}": 1.0})
    save_lines(tmp_path / "in.jsonl", tenants(3))
    process = start("apply", "in.jsonl", "--yes", "--blind", cwd=tmp_path, env=aws)
    await_that(arrived(ses_sandbox, PUT), process)
    kill(process)
    ended = run("apply", "in.jsonl", *FAST, "--limit", "0", cwd=tmp_path, env=aws)
    assert ended.code == 3, ended.err
    assert [row["status"] for row in rows(tmp_path / "in.report.csv")] == ["unknown", "not_attempted", "not_attempted"]


def test_one_identity_that_is_denied_is_its_own_failure_and_all_are_the_run_s(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    records = tenants(12)
    save_lines(tmp_path / "in.jsonl", records)
    ses_sandbox.change(denied={"tenant003.example"})
    ended = run("apply", "in.jsonl", *FAST, "--blind", cwd=tmp_path, env=aws)
    assert ended.code == 1, ended.err
    assert statuses(tmp_path / "in.report.csv") == {"applied": 11, "failed": 1}
    denied = next(row for row in rows(tmp_path / "in.report.csv") if row["status"] == "failed")
    assert (denied["error_code"], int(denied["attempts"]) > 0) == ("AccessDenied", True), "it was sent"
    ses_sandbox.change(denied={it["identity"] for it in records})
    ended = run("apply", "in.jsonl", *FAST, "--blind", "--fresh", cwd=tmp_path, env=aws)
    assert ended.code == 3, ended.err


def test_what_waited_for_over_half_a_minute_is_compared_again(slept_run: tuple[LongRun, Sandbox, float]) -> None:
    """A machine that slept: here a process that is stopped, while somebody else wrote."""
    run, sandbox, stopped = slept_run
    time.sleep(max(0.0, stopped + 31 - time.time()))
    sandbox.change(faults={})
    run.wake()
    assert run.ended.code == 1, run.ended.err
    first, second = rows(run.folder / "in.report.csv")
    assert (first["status"], first["error_code"], second["status"]) == ("failed", "Changed", "applied")
    assert "Somebody" in str(sandbox.store.get(Owner(ACCOUNT, REGION, "a.example")))
