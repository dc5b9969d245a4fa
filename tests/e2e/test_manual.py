"""Every block of commands in the README and the manual, typed as it stands, in the order of its page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchpol.sandbox.store import Owner
from batchpol.source import open_source
from batchpol.testing import Sandbox, SandboxOptions, running_sandbox
from tests.e2e.command import ACCOUNT, REGION, SAMPLES, environment, policy
from tests.readme_commands import README, blocks
from tests.readme_tables import PAGES

RUN = {page: [it.text for it in blocks(page)[2 if page == README else 0 :] if not it.reason] for page in PAGES}
"""By page; the README's first two install, and have tests of their own."""

WITHOUT_A_QUESTION = {
    "BATCHPOL_APPLY_YES": "1",
    **{f"BATCHPOL_{it}_RATE": "500" for it in ("APPLY", "PLAN", "EXPORT")},
    **{f"BATCHPOL_{it}_I_HAVE_A_HIGHER_QUOTA": "1" for it in ("APPLY", "PLAN", "EXPORT")},
}
"""Nobody is there to answer, and the servers have no limit."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """What the pages speak of: a folder with the samples, and profiles of two accounts."""
    shutil.copytree(SAMPLES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "samples").symlink_to(SAMPLES)
    with running_sandbox() as here, running_sandbox(SandboxOptions(rate=0, account="444455556666")) as there:
        config = tmp_path / "config"
        config.write_text(
            _profile("default", here) + _profile("profile prod", here) + _profile("profile old", here)
            + _profile("profile new", there, region="eu-west-1")
        )  # fmt: skip
        _put_older(here)
        yield tmp_path, environment(tmp_path, AWS_CONFIG_FILE=str(config), **WITHOUT_A_QUESTION)


def _profile(name: str, sandbox: Sandbox, region: str = "us-east-1") -> str:
    keys = "aws_access_key_id = any\naws_secret_access_key = any\n"
    return f"[{name}]\n{keys}region = {region}\nendpoint_url = {sandbox.url}\n"


def _put_older(sandbox: Sandbox) -> None:
    """What the samples' tenants had before: as many policies, each a plainer one."""
    with open_source(SAMPLES / "tenants.jsonl") as tenants:
        for it in tenants:
            identity = it.identity.rpartition("identity/")[2]
            sandbox.store.put(Owner(ACCOUNT, REGION, identity), it.policy_name, json.dumps(policy(identity)))


@pytest.mark.parametrize("page", [page for page in PAGES if RUN[page]], ids=lambda page: page.stem)
def test_commands_run_as_they_stand(page: Path, place: tuple[Path, dict[str, str]]) -> None:
    folder, variables = place
    for text in RUN[page]:
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert ended.returncode == 0, f"{text}\n{ended.stdout}\n{ended.stderr}"
        assert "Traceback" not in ended.stderr, ended.stderr


def test_every_command_of_the_manual_is_run_or_says_why_not() -> None:
    """No block of another language hides a command, and a reason is one."""
    for page in PAGES:
        fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        assert not [
            body for language, body in fenced if language != "sh" and re.search(r"^batchpol ", body, re.MULTILINE)
        ]
        assert all(len(it.reason) > 10 for it in blocks(page) if it.reason)
    assert sum(map(len, RUN.values())) >= 15
