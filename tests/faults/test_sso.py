"""Credentials of an SSO login, renewed in mid-run under several lanes by a portal that is slow and fails once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web
from botocore.credentials import SSOProvider

from batchpol.model.settings import Connection
from batchpol.sandbox.sessions import credentials_of, open_session
from batchpol.testing import Sandbox
from tests.faults.credentials import ROLE, keys_file
from tests.runs import COMPARE, REGION, apply, row, sandbox, statuses, write_input, writes

__all__ = ["sandbox"]

REGIONS = (REGION, "us-west-2", "eu-west-1")
START = "https://corp.awsapps.com/start"
PROFILE = f"""[default]
sso_start_url = {START}
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = writer
"""


class Portal:
    """SSO's GetRoleCredentials: a second for each answer, the second one a failure, credentials of six seconds."""

    def __init__(self) -> None:
        self.asked = self.at_once = self.most_at_once = 0

    async def answer(self, request: web.Request) -> web.Response:
        assert request.headers["x-amz-sso_bearer_token"] == "of the login"
        self.asked, self.at_once = self.asked + 1, self.at_once + 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(1)
        self.at_once -= 1
        if self.asked == 2:
            return web.json_response({"message": "busy"}, status=503)
        until = time.time() + 6
        keys = credentials_of(open_session(ROLE, "test", until))
        found = {"accessKeyId": keys.access_key, "secretAccessKey": keys.secret_key, "sessionToken": keys.token}
        return web.json_response({"roleCredentials": found | {"expiration": int(until * 1000)}})


async def test_a_login_is_renewed_once_for_all_lanes_and_stops_none(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    for number in range(60):
        line, region = row(number), REGIONS[number % len(REGIONS)]
        rows.append({**line, "region": region, "policy": line["policy"].replace(REGION, region)})
    source, portal = write_input(tmp_path / "in.jsonl", rows), Portal()
    (tmp_path / "config").write_text(PROFILE)
    monkeypatch.setattr(SSOProvider, "_SSO_TOKEN_CACHE_DIR", str(tmp_path))
    token = {"startUrl": START, "accessToken": "of the login", "expiresAt": "2099-01-01T00:00:00Z"}
    (tmp_path / f"{hashlib.sha1(START.encode()).hexdigest()}.json").write_text(json.dumps(token))
    app = web.Application()
    app.router.add_get("/federation/credentials", portal.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        more = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_ENDPOINT_URL_SSO": f"http://127.0.0.1:{port}"}
        keys_file(monkeypatch, tmp_path, sandbox, "", **more)
        choices = {"patience": {"period": 0.5}, "connection": Connection(regions=(REGION,)), "conduct": COMPARE}
        result = await apply(sandbox, source, own_session=True, **choices)
    finally:
        await runner.cleanup()
    assert (result.exit_code, Counter(statuses(tmp_path))) == (0, {"applied": len(rows)})
    assert {arrival.error_code for arrival in sandbox.arrivals} == {""}
    assert len({arrival.access_key for arrival in writes(sandbox)}) >= 2
    assert 3 <= portal.asked <= 5
    assert portal.most_at_once == 1, "one at a time, for all lanes"
