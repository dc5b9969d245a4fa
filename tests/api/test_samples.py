"""The samples of a service do what they say, and are typed: the sign-up, and FastAPI's example in the manual."""

from __future__ import annotations

import asyncio
import csv
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import indent
from types import ModuleType
from typing import Any

import pytest

import batchpol
from batchpol.cli.help import MANUAL
from batchpol.testing import Sandbox
from tests.api.conftest import ACCOUNT, SOON, item, policy, puts

SAMPLES = Path(__file__).parents[2] / "samples"
BLOCKS = re.findall(r"```python\n(.*?)```", (MANUAL / "service.md").read_text("utf-8"), re.DOTALL)
SERVE, AGAIN, MIGRATE, EXAMPLE = BLOCKS
IN_THE_MANUAL = f"""# pyright: reportUnusedVariable=false
import logging
from typing import Any

{SERVE}
{MIGRATE}
log = logging.getLogger(__name__)
policy: dict[str, Any] = {{}}


async def again(client: batchpol.Client) -> None:
{indent(AGAIN, "    ")}"""
"""What else the manual shows, with what it takes for granted."""


@pytest.fixture
def onboarding() -> ModuleType:
    return loaded("onboarding", SAMPLES / "onboarding.py")


def loaded(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_who_signs_up_gets_a_policy_and_an_answer(onboarding: ModuleType, ses_sandbox: Sandbox) -> None:
    names = [f"tenant-{number}.example" for number in range(4)]
    async with onboarding.onboarding(period=SOON) as client:
        signing = (onboarding.sign_up(client, name, f"t{n}", ACCOUNT) for n, name in enumerate(names))
        found = await asyncio.gather(*signing)
        again = await onboarding.sign_up(client, names[0], "t0", ACCOUNT)
        wrong = await onboarding.sign_up(client, "no domain", "t9", ACCOUNT)
    assert [(it.identity, it.status, it.policy_name) for it in found] == [
        (name, batchpol.Status.APPLIED, f"sending-t{n}") for n, name in enumerate(names)
    ]
    assert again.status is batchpol.Status.UNCHANGED
    assert wrong.status is batchpol.Status.REJECTED and wrong.findings
    assert puts(ses_sandbox) == names


@pytest.fixture
async def service(
    onboarding: ModuleType, ses_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[str]:
    """The address of the manual's example, which runs as a web server."""
    pytest.importorskip("fastapi")
    uvicorn: Any = pytest.importorskip("uvicorn")
    monkeypatch.setitem(sys.modules, "onboarding", onboarding)
    path = tmp_path / "service.py"
    path.write_text(EXAMPLE, encoding="utf-8")
    server = uvicorn.Server(uvicorn.Config(loaded("service", path).app, port=0, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


async def test_the_manuals_example_serves_sign_ups_at_once(service: str, ses_sandbox: Sandbox) -> None:
    httpx: Any = pytest.importorskip("httpx")
    async with httpx.AsyncClient(base_url=service, timeout=30, trust_env=False) as http:

        async def add(number: int, domain: str) -> Any:
            return await http.post(f"/tenants/t{number}", params={"domain": domain, "account": ACCOUNT})

        added = await asyncio.gather(*(add(number, f"tenant-{number}.example") for number in range(3)))
        wrong = await add(9, "no domain")
    assert [(it.status_code, it.json()) for it in added] == [(200, "applied")] * 3
    assert (wrong.status_code, "domain" in wrong.text) == (422, True)
    times = [it.at for it in ses_sandbox.arrivals if it.operation == "PutIdentityPolicy"]
    assert len(times) == 3
    assert times[-1] - times[0] >= 1.99


async def test_the_manuals_other_examples_do_what_they_say(
    ses_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    shown: dict[str, Any] = {}
    exec(IN_THE_MANUAL.replace('region="eu-west-1"', f'region="us-east-1", period={SOON}'), shown)
    shown["policy"] |= policy("example.com")
    await asyncio.to_thread(write_table, "tenants.csv", item("a.example"))
    await shown["serve"]()
    assert puts(ses_sandbox) == ["example.com", "a.example"]
    caplog.set_level("INFO")
    await shown["migrate"]("tenants.csv")
    assert "a.example unchanged" in caplog.messages
    async with batchpol.Client(period=0.5, staleness=0, drain=0, journal="left.jsonl") as client:
        asking = [asyncio.create_task(client.put(item(f"left{number}.example"))) for number in range(3)]
        await asyncio.sleep(0.01)
    await asyncio.wait(asking)
    async with batchpol.Client(period=SOON, staleness=0, journal="left.jsonl") as client:
        assert client.unfinished()
        await shown["again"](client)
        assert client.unfinished() == []
    assert puts(ses_sandbox)[2:] == [f"left{number}.example" for number in range(3)]


def write_table(path: str, record: dict[str, Any]) -> None:
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["identity", "policy_name", "policy"])
        rows.writerow([record["Identity"], record["PolicyName"], json.dumps(record["Policy"])])


@pytest.mark.parametrize(
    "checker", [["mypy", "--strict"], ["pyright", "--pythonpath", sys.executable]], ids=lambda it: it[0]
)
def test_they_are_typed(checker: list[str], tmp_path: Path) -> None:
    for needed in (checker[0], "fastapi"):
        pytest.importorskip(needed)
    root = SAMPLES.parent
    (tmp_path / "onboarding.py").write_text((SAMPLES / "onboarding.py").read_text("utf-8"), "utf-8")
    (tmp_path / "service.py").write_text(EXAMPLE, "utf-8")
    (tmp_path / "streaming.py").write_text(STREAMING, "utf-8")
    (tmp_path / "manual.py").write_text(IN_THE_MANUAL, "utf-8")
    (tmp_path / "pyrightconfig.json").write_text(f'{{"typeCheckingMode": "strict", "extraPaths": ["{root}"]}}', "utf-8")
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nmypy_path = {root}\n", "utf-8")
    command = [sys.executable, "-m", *checker, "onboarding.py", "service.py", "streaming.py", "manual.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


STREAMING = """
from contextlib import aclosing

import batchpol


async def migrate(path: str) -> list[batchpol.Outcome]:
    async with aclosing(batchpol.stream(path, region="eu-west-1")) as outcomes:
        return [outcome async for outcome in outcomes]


async def within(client: batchpol.Client, path: str) -> list[batchpol.Outcome]:
    async with aclosing(client.stream(path)) as outcomes:
        return [outcome async for outcome in outcomes]
"""
