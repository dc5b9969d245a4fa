"""``batchpol.validate``: the first pass alone, offline."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import batchpol
from batchpol.testing import Sandbox
from tests.api.conftest import ACCOUNT, item

RECORDS = [
    item("fine.example"),
    item("not an identity"),
    item("fine.example"),
    item("clash.example"),
    {**item("clash.example"), "Policy": item("clash.example")["Policy"] | {"Id": "other"}},
    {**item("open.example"), "Policy": json.dumps(item("open.example")["Policy"]).replace("SendEmail", "*")},
]
VERDICTS = ["valid", "rejected", "duplicate", "rejected", "rejected", "valid"]


async def fetched() -> AsyncIterator[dict[str, Any]]:
    for it in RECORDS:
        yield it


def saved(folder: Path) -> Path:
    path = folder / "records.jsonl"
    path.write_text("".join(json.dumps(it) + "\n" for it in RECORDS))
    return path


async def test_records_of_every_kind(tmp_path: Path, ses_sandbox: Sandbox) -> None:
    for records in (RECORDS, iter(RECORDS), fetched(), saved(tmp_path)):
        checked = await batchpol.validate(records, account=ACCOUNT, region="us-east-1")
        assert [it.status for it in checked] == VERDICTS
        assert [it.change is not None for it in checked] == [verdict == "valid" for verdict in VERDICTS]
        assert checked[3].findings[-1].code == checked[4].findings[-1].code == "batch-conflict"
        assert any(it.severity is batchpol.Severity.WARNING for it in checked[5].findings)
    assert not ses_sandbox.arrivals


async def test_it_needs_no_configuration_at_all(environment: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)
    assert [it.status for it in await batchpol.validate(RECORDS)] == VERDICTS


async def test_which_findings_count() -> None:
    strict = await batchpol.validate(RECORDS, warnings_as_errors=True)
    assert strict[5].status == "rejected"
    lax = await batchpol.validate(RECORDS, ignore=["risk"])
    assert not lax[5].findings
    with pytest.raises(batchpol.UsageError, match="no finding code"):
        await batchpol.validate(RECORDS, select=["nonsense"])


async def test_an_unusable_input() -> None:
    with pytest.raises(batchpol.InputError, match="no such file"):
        await batchpol.validate("none.csv")


@pytest.mark.parametrize(
    "settings, mend",
    [
        ({"account": "1234-5678-9012"}, "write 123456789012"),
        ({"account": " 123456789012"}, "write 123456789012"),
        ({"region": "us-east-1a"}, "did you mean us-east-1?"),
        ({"region": "us-esat-1"}, "did you mean us-east-1?"),
    ],
)
async def test_a_faulty_account_or_region_of_all_records(settings: dict[str, str], mend: str) -> None:
    with pytest.raises(batchpol.UsageError) as refused:
        await batchpol.validate(RECORDS, **settings)
    assert refused.value.hint == mend


async def test_columns_and_variables_as_a_program_gives_them(tmp_path: Path) -> None:
    """As a mapping or as text, of records and of files; a key that is not there is said."""
    rows = [{"Domain": "a.example", "PolicyName": "p", "env": "x"}]
    (tmp_path / "list.jsonl").write_text(json.dumps(rows[0]) + "\n")
    template = {"Id": "{{stage}}", "Statement": item("a.example")["Policy"]["Statement"]}
    made: Any = {"policy_template": template, "variables": {"stage": 1}, "account": ACCOUNT, "region": "us-east-1"}
    for records in (rows, tmp_path / "list.jsonl"):
        for columns in ({"identity": "domain"}, ["identity=Domain"]):
            [checked] = await batchpol.validate(records, columns=columns, **made)
            assert checked.change is not None and json.loads(checked.change.document)["Id"] == "1", checked.findings
    [checked] = await batchpol.validate(rows, columns={"identity": "Domain", "region": "Land"})
    assert 'there is no key "Land"' in [it.message for it in checked.findings]
    with pytest.raises(batchpol.UsageError, match="`columns` takes FIELD=COLUMN"):
        await batchpol.validate(rows, columns={"nonsense": "Domain"})
