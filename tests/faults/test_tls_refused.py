"""TLS refused, through a whole run: it stops with a clear message, sends nothing, and goes on when that is mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchpol.model.settings import Connection
from batchpol.testing import Sandbox, SandboxOptions
from tests.faults.credentials import keys_file
from tests.runs import COMPARE, REGION, apply, check_truth, report, row, statuses, write_input, writes
from tests.ses.test_tls import LOCALHOST, OTHER, tls_server


@pytest.mark.parametrize("authorities", ["", str(OTHER)], ids=["unknown", "others"])
async def test_tls_that_is_refused_stops_the_run_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authorities: str
) -> None:
    rows = [row(number) for number in range(4)]
    source = write_input(tmp_path / "in.jsonl", rows)
    async with Sandbox(SandboxOptions(rate=0)) as sandbox, tls_server(sandbox) as url:
        keys_file(monkeypatch, tmp_path, sandbox, AWS_ENDPOINT_URL_SES=url)
        if authorities:
            monkeypatch.setenv("AWS_CA_BUNDLE", authorities)
        choices = {"connection": Connection(regions=(REGION,)), "own_session": True, "conduct": COMPARE}
        result = await apply(sandbox, source, **choices)
        assert (result.exit_code, result.summary.can_go_on) == (3, True)
        assert statuses(tmp_path) == ["not_attempted"] * 4
        for line in report(tmp_path):
            assert line["error_code"] == "TLSRefused"
            assert "AWS_CA_BUNDLE" in line["message"]
        assert not [arrival for arrival in sandbox.arrivals if arrival.operation != "GetCallerIdentity"]
        check_truth(sandbox, tmp_path, rows)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(LOCALHOST))
        assert (await apply(sandbox, source, **choices)).exit_code == 0
        assert len(writes(sandbox)) == 4
        check_truth(sandbox, tmp_path, rows)
