"""Options of ``apply``, and where it takes its records and its Region from."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchpol.sandbox import Owner
from batchpol.testing import Sandbox
from tests.e2e.command import ACCOUNT, FAST, REGION, finish, policy, record, rows, run, save_lines, save_table, start


def in_region(identity: str, region: str) -> dict[str, Any]:
    return record(identity, policy=policy(identity, region=region))


def writes(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Region and identity of every write that arrived."""
    return [(it.region, it.identity) for it in sandbox.arrivals if it.operation == "PutIdentityPolicy"]


def without_region(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if "REGION" not in name}


def test_a_dry_run_writes_nothing_anywhere(tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]) -> None:
    table = save_table(tmp_path / "two.csv", [in_region(f"{name}.example", "eu-west-1") for name in "ab"])
    env = aws | {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "ap-south-1"}
    ended = run("apply", table, "--dry-run", cwd=tmp_path, env=env)
    assert ended.code == 0, ended.err
    assert "Region eu-west-1" in ended.err, "AWS_REGION comes before AWS_DEFAULT_REGION"
    assert "2 records: up to 2 to write" in ended.err
    assert writes(ses_sandbox) == []
    assert list(tmp_path.iterdir()) == [table]


def test_a_limit_sends_the_first_valid_ones_and_the_next_run_the_next(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    names = [f"{name}.example" for name in "abcde"]
    records = [in_region("not valid", "eu-central-1"), *(in_region(name, "eu-central-1") for name in names)]
    save_table(tmp_path / "six.csv", records)
    command = ("apply", "six.csv", *FAST, "--limit", "2", "--region", "eu-central-1")
    for count in (2, 4):
        ended = run(*command, cwd=tmp_path, env=aws | {"AWS_REGION": "eu-west-1"})
        assert ended.code == 3, ended.err
        assert writes(ses_sandbox) == [("eu-central-1", name) for name in names[:count]], "--region comes first"
        report = rows(tmp_path / "six.report.csv")
        expected = ["rejected"] + ["applied"] * count + ["not_attempted"] * (5 - count)
        assert [row["status"] for row in report] == expected
    assert "--limit 2 was reached" in ended.err


def test_records_come_from_a_pipe_or_compressed(tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]) -> None:
    """And the Region from the profile, or from AWS_DEFAULT_REGION."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[profile ops]\nregion = eu-north-1\n")
    (tmp_path / ".aws/credentials").write_text("[ops]\naws_access_key_id = AKIAOPS\naws_secret_access_key = s\n")
    tsv = save_table(tmp_path / "one.tsv", [in_region("piped.example", "eu-north-1")], delimiter="\t")
    plain = save_lines(tmp_path / "two.jsonl", [in_region("packed.example", "sa-east-1")])
    packed = tmp_path / "two.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    profile = {name: value for name, value in without_region(aws).items() if "ACCESS_KEY" not in name}
    with tsv.open("rb") as stdin:
        more = ("--profile", "ops", "--format", "tsv")
        piped = start("apply", "-", *FAST, *more, cwd=tmp_path, env=profile, stdin=stdin)
    unpacked = start(
        "apply", packed, *FAST, cwd=tmp_path, env=without_region(aws) | {"AWS_DEFAULT_REGION": "sa-east-1"}
    )
    for process in (piped, unpacked):
        ended = finish(process)
        assert ended.code == 0, ended.err
    assert sorted(writes(ses_sandbox)) == [("eu-north-1", "piped.example"), ("sa-east-1", "packed.example")]
    assert {it.access_key for it in ses_sandbox.arrivals if it.region == "eu-north-1"} == {"AKIAOPS"}
    assert rows(tmp_path / "stdin.report.csv")[0]["identity"] == "piped.example"
    assert rows(tmp_path / "two.report.csv")[0]["line"] == "1"


def test_what_is_there_decides_what_is_written(tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]) -> None:
    """--no-clobber only creates, --only-existing only replaces, equal is unchanged, --blind does not look."""
    for name in ("there.example", "equal.example"):
        present = policy(name) if name == "equal.example" else policy(name, Sid="Before")
        ses_sandbox.store.put(Owner(ACCOUNT, REGION, name), "tenant", json.dumps(present))
    names = ["there.example", "equal.example", "new.example"]
    save_table(tmp_path / "three.csv", [record(name) for name in names])

    expected: dict[str, tuple[int, list[str], list[str]]] = {
        "--no-clobber": (1, ["failed", "unchanged", "applied"], ["new.example"]),
        "--only-existing": (0, ["applied", "unchanged", "unchanged"], ["there.example"]),
        "--blind": (0, ["applied"] * 3, names),
    }
    for option, (code, statuses, written) in expected.items():
        before, arrived = len(writes(ses_sandbox)), len(ses_sandbox.arrivals)
        ended = run("apply", "three.csv", *FAST, "--fresh", option, cwd=tmp_path, env=aws)
        assert ended.code == code, ended.err
        report = rows(tmp_path / "three.report.csv")
        assert [row["status"] for row in report] == statuses, option
        assert [name for _, name in writes(ses_sandbox)[before:]] == written
        if option == "--no-clobber":
            assert "`no_clobber` keeps it" in report[0]["message"]
    asked = {it.operation for it in list(ses_sandbox.arrivals)[arrived:]}
    assert asked == {"GetCallerIdentity", "PutIdentityPolicy"}, "blind means one call a record and nothing else"


def test_only_existing_creates_nothing(tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]) -> None:
    save_table(tmp_path / "one.csv", [record("new.example")])
    ended = run("apply", "one.csv", *FAST, "--only-existing", cwd=tmp_path, env=aws)
    assert ended.code == 1
    assert "`only_existing` creates none" in rows(tmp_path / "one.report.csv")[0]["message"]
    assert writes(ses_sandbox) == []
