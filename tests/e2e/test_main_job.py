"""The main job: records in, one policy a second to SES, a report out."""

from __future__ import annotations

import csv
import json
import re
import shutil
import stat
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from batchpol.sandbox import Owner
from batchpol.testing import Sandbox
from tests.e2e.command import ACCOUNT, FAST, REGION, SAMPLES, lines, policy, record, rows, run
from tests.e2e.conftest import LongRun

COLUMNS = [
    "line", "identity", "policy_name", "region", "account", "action", "status", "error_code", "message",
    "attempts", "request_id", "started_at", "duration_ms", "policy_sha256",
]  # fmt: skip


def test_what_was_sent_is_what_was_written(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str], read_back: Callable[[str, str], str]
) -> None:
    """Byte for byte, but for white space where SES or the limit of 4 KB take it out."""
    condition = (
        '{"NumericLessThan":{"aws:MultiFactorAuthAge":[1.0,1e3,-0.50E+2,123456789012345678901234567890]},'
        r'"StringLike":{"ses:FromAddress":"caf\u00e9\u002f*@odd.example","ses:FeedbackAddress":"\"\\\t\/é😀"}}'
    )
    nested = json.dumps(policy("odd.example"))[:-3] + f', "Condition" :{condition} }}  ]}}'
    roomy = json.dumps(policy("roomy.example"), indent=200)
    (tmp_path / "from-file.json").write_text(json.dumps(policy("file.example"), indent=4))
    text = [
        '{"identity":"odd.example","policy_name":"odd","policy": ' + nested + ',"note":"é"}\n',
        json.dumps({"Identity": "text.example", "PolicyName": "text", "Policy": json.dumps(policy("text.example"))}),
        json.dumps(record("roomy.example", "roomy", policy=roomy)),
        json.dumps(record("file.example", "file", policy="file://from-file.json")),
        json.dumps(record("gone.example", "old", policy="", action="delete")),
        json.dumps(record("Odd.Example", "odd") | {"policy": "@"}).replace('"@"', nested),
    ]
    source = tmp_path / "records.jsonl"
    source.write_text("\n".join(line.rstrip("\n") for line in text) + "\n", encoding="utf-8")

    gone = Owner(ACCOUNT, REGION, "gone.example")
    ses_sandbox.store.put(gone, "old", json.dumps(policy("gone.example")))
    ended = run("apply", source, *FAST, "--report", "out.jsonl", cwd=tmp_path, env=aws)

    assert ended.code == 0, ended.err
    report = lines(tmp_path / "out.jsonl")
    assert [row["status"] for row in report] == ["applied"] * 5 + ["duplicate"]
    writes = [it for it in ses_sandbox.arrivals if it.operation in ("PutIdentityPolicy", "DeleteIdentityPolicy")]
    assert [it.policy_name for it in writes] == ["odd", "text", "roomy", "file", "old"], "a duplicate is sent once"
    assert [it.sha256 for it in writes[:4]] == [row["policy_sha256"] for row in report[:4]]
    assert [row["note"] for row in report[:2]] == ["é", None], "other fields are carried to the report"

    written = {"odd": nested, "text": json.dumps(policy("text.example")), "roomy": roomy}
    written["file"] = (tmp_path / "from-file.json").read_text()
    for row in report[:4]:
        stored = read_back(row["identity"], row["policy_name"])
        assert _bare(stored) == _bare(written[row["policy_name"]])
    assert ses_sandbox.store.get(gone) == {}


def _bare(document: str) -> str:
    """A document without the white space between its tokens."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+', r"\1", document)


def test_the_twin_of_the_samples_has_the_same_outcomes(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str], read_back: Callable[[str, str], str]
) -> None:
    shutil.copytree(SAMPLES, tmp_path / "samples")
    ended = run("apply", "samples/tenants.jsonl", *FAST, cwd=tmp_path, env=aws)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("12 records in ") and ended.out.endswith(": 12 applied (12 created)\n")
    report = rows(tmp_path / "tenants.report.csv")
    with (SAMPLES / "tenants.csv").open(encoding="utf-8", newline="") as file:
        twin = list(csv.DictReader(file))
    for row, other in zip(report, twin, strict=True):
        given = other["policy"]
        document = (SAMPLES / given.removeprefix("file://")).read_text() if given.startswith("file:") else given
        assert (row["identity"], row["policy_name"], row["status"]) == (
            other["identity"],
            other["policy_name"],
            "applied",
        )
        assert json.loads(read_back(row["identity"], row["policy_name"])) == json.loads(document)


def test_the_readmes_main_command(long_runs: dict[str, LongRun]) -> None:
    for name in ("first", "again"):
        folder, ended = long_runs[name].folder, long_runs[name].ended
        assert ended.code == 0, ended.err
        assert ended.out.splitlines()[-1].endswith(": 12 applied (12 created)")
        report = rows(folder / "tenants.report.csv")
        assert list(report[0])[: len(COLUMNS)] == COLUMNS
        assert list(report[0])[len(COLUMNS) :] == ["tenant_id", "contact"]
        assert [row["line"] for row in report] == [str(number) for number in range(2, 14)]
        assert {row["status"] for row in report} == {"applied"}
        assert all(row["request_id"] and row["started_at"] and row["duration_ms"] for row in report)
        for left in ("tenants.report.csv", "tenants.journal.jsonl"):
            assert stat.S_IMODE((folder / left).stat().st_mode) == 0o600
        assert "up to 12 to write" in ended.err
        assert "arn:aws:iam::123456789012:user/sandbox, Region us-east-1" in ended.err
        assert "about 11 s" in ended.err
        assert "report: tenants.report.csv" in ended.err
    assert "was set aside" in long_runs["again"].ended.err


MISTAKES = {
    "fine": {"applied"},
    "fine, and given again on the next line": {"applied"},
    "fine, behind a quote that is not closed": {"applied"},
    "legal, but anybody may send": {"applied"},
    "never verified: SES refuses it": {"rejected", "failed"},
    "the same by its ARN: sent once": {"duplicate"},
}
"""What becomes of a row of the sample with mistakes, by its last column; of all others: ``rejected``."""


def test_every_line_of_the_sample_with_mistakes_is_accounted_for(long_runs: dict[str, LongRun]) -> None:
    run = long_runs["mistakes"]
    assert run.ended.code == 1, run.ended.err
    report = rows(run.folder / "tenants-with-mistakes.report.csv")
    lines_of_file = (SAMPLES / "tenants-with-mistakes.csv").read_bytes().count(b"\n")
    assert [int(row["line"]) for row in report] == list(range(2, lines_of_file + 1))
    for row in report:
        assert row["status"] in MISTAKES.get(row["contact"], {"rejected"}), row
        assert bool(row["message"]) == bool(row["error_code"]) == (row["status"] != "applied"), row
        assert (row["attempts"] == "0") == (row["status"] in ("rejected", "duplicate"))
    conflict = [row for row in report if row["contact"] == "two policies of one name: which one?"]
    assert [f"ine {other['line']} " in row["message"] for row, other in zip(conflict, conflict[::-1], strict=True)]
    (refused,) = (row for row in report if row["status"] == "failed")
    assert (refused["error_code"], refused["message"]) == (
        "InvalidParameterValue",
        "Identity mail.pemberton.invalid is not verified.",
    )
    causes = {(row["status"], row["error_code"]) for row in report if row["status"] in ("rejected", "failed")}
    for status, code in causes:
        assert re.search(rf"^\d+ {status}, {code}$", run.ended.out, re.MULTILINE), run.ended.out


def test_ten_records_arrive_a_second_apart(paced_run: tuple[LongRun, Sandbox]) -> None:
    run, sandbox = paced_run
    assert run.ended.code == 0, run.ended.err
    assert run.ended.summary["counts"]["applied"] == 10
    arrivals = [it for it in sandbox.arrivals if it.operation == "PutIdentityPolicy" and it.accepted]
    assert len(arrivals) == 10
    refused = [it for it in sandbox.arrivals if not it.accepted]
    assert len(refused) <= 3, "a busy machine may take one in late, and refuse the next for it; a burst is more"
    gaps = [later.at - earlier.at for earlier, later in pairwise(arrivals)]
    assert min(gaps) >= 1
    assert sum(gaps) < 13, "what it wastes is measured in tests/bench, on a machine that does nothing else"
    assert 9 <= run.ended.summary["seconds"] < 16
