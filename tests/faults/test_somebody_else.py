"""Somebody who is not SES at SES's address: the target stops at the first answer, and nothing is burned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from batchpol.model.settings import Connection
from batchpol.testing import Sandbox, SandboxOptions
from tests.faults.credentials import keys_file
from tests.runs import BLIND, COMPARE, REGION, apply, check_truth, report, row, statuses, write_input, writes

INVALID_ACTION = (
    b"<ErrorResponse><Error><Code>InvalidAction</Code><Message>Could not find it</Message></Error></ErrorResponse>"
)
ANSWERS = {
    "InvalidAction": (400, INVALID_ACTION),
    "UnknownOperationException": (400, b'{"__type": "UnknownOperationException"}'),
    "HTTP404": (404, b"<html><title>Not Found</title></html>"),
    "HTTP405": (405, b"Method Not Allowed"),
    "HTTP501": (501, b""),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("conduct", [BLIND, COMPARE], ids=["blind", "compare"])
async def test_who_does_not_know_the_operation_is_asked_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, conduct: object
) -> None:
    rows = [row(number) for number in range(40)]
    source = write_input(tmp_path / "in.jsonl", rows)
    status, body = ANSWERS[answer]
    asked: list[str] = []

    async def say(request: web.BaseRequest) -> web.Response:
        if request.method == "POST":  # the connection is opened with a HEAD
            asked.append(request.path)
        return web.Response(status=status, body=body)

    runner = web.ServerRunner(web.Server(say))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with Sandbox(SandboxOptions(rate=0)) as sandbox:
        keys_file(monkeypatch, tmp_path, sandbox, AWS_ENDPOINT_URL_SES=site.name)
        choices: dict[str, Any] = {"connection": Connection(regions=(REGION,)), "own_session": True, "conduct": conduct}
        result = await apply(sandbox, source, **choices)
        assert (result.exit_code, result.summary.can_go_on) == (3, True)
        assert statuses(tmp_path) == ["not_attempted"] * 40
        assert len(asked) <= 2, "at most the one that was on its way already"
        message = report(tmp_path)[-1]["message"]
        operation = "PutIdentityPolicy" if conduct == BLIND else "GetIdentityPolicies"
        assert f"this endpoint does not know {operation}: is it SES's? (HTTP {status}" in message
        assert "AWS_ENDPOINT_URL" in message
        await runner.cleanup()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SES", sandbox.url)
        assert (await apply(sandbox, source, fresh=True, **choices)).exit_code == 0
        assert len(writes(sandbox)) == 40
        check_truth(sandbox, tmp_path, rows)
