"""What CI takes from here: the action's steps as GitHub's runner runs them, and the hook as pre-commit calls it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.command import COMMAND, SAMPLES, environment, run
from tests.readme_commands import README

ROOT = README.parent
ACTION = ROOT / ".github" / "actions" / "validate"
RUNNER = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
"""How GitHub's runner calls ``shell: bash``."""


def stepped(folder: Path, step: dict[str, Any], given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    own = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda match: given[match[1]], value)
        for name, value in step["env"].items()
    }
    assert not any(
        "${{" in it for it in (*own.values(), step["run"])
    )  # nothing that is given is ever a part of a script
    env = environment(folder, RUNNER_TEMP=str(folder / "temp"), **own)
    return subprocess.run([*RUNNER, step["run"]], cwd=folder, env=env, capture_output=True, text=True, timeout=60)


def test_the_action_validates_what_it_is_given(tmp_path: Path) -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    install, validate = action["runs"]["steps"]
    assert '"$GITHUB_ACTION_PATH/../../.."' in install["run"] and (ACTION / "../../../pyproject.toml").exists()
    (tmp_path / "temp" / "batchpol" / "bin").mkdir(parents=True)
    (tmp_path / "temp" / "batchpol" / "bin" / "batchpol").symlink_to(COMMAND)
    shutil.copytree(SAMPLES, tmp_path / "my lists")
    defaults = {name: it.get("default", "") for name, it in action["inputs"].items()}
    given = defaults | {"inputs": "my lists/tenants.csv\nmy lists/policies\n", "region": "us-east-1"}
    ended = stepped(tmp_path, validate, given)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert "valid, 0 rejected" in ended.stderr
    wrong = given | {"inputs": "my lists/tenants-with-mistakes.csv", "output": "sarif", "file": "found.sarif"}
    assert stepped(tmp_path, validate, wrong).returncode == 1
    assert '"ruleId": "json-comma"' in (tmp_path / "found.sarif").read_text()
    annotated = stepped(tmp_path, validate, wrong | defaults | {"inputs": wrong["inputs"]})
    assert annotated.stdout.startswith("::error file=my lists/tenants-with-mistakes.csv,line=3,title=json-comma::")


def test_the_hook_takes_lists_and_policies(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["id"], hook["language"]) == ("batchpol-validate", "python")
    shutil.copytree(SAMPLES, tmp_path / "samples", ignore=shutil.ignore_patterns("fleet"))
    files = sorted(str(it.relative_to(tmp_path)) for it in tmp_path.rglob("*") if re.search(hook["files"], it.name))
    assert {"samples/tenants.csv", "samples/tenants.jsonl", "samples/policies/newsletter.json"} < set(files)
    program, *words = shlex.split(hook["entry"])
    given = [it for it in files if not re.search("mistakes|domains|customers", it)]  # which need more said
    assert program == COMMAND.name and run(*words, *given, cwd=tmp_path).code == 0
    assert run(*words, *files, cwd=tmp_path).code == 2  # a list without policies needs its template
