"""A new option is a field and the line that uses it: tried on a copy of the package."""

from __future__ import annotations

from pathlib import Path

from tests.edited import Edit, run_edited

FIELD: Edit = (
    "model/settings.py",
    """    fresh: bool = setting(False, "Set the journal aside and start over.")\n""",
    """    fresh: bool = setting(False, "Set the journal aside and start over.")\n"""
    """    left_behind: tuple[Path, ...] = setting((), "Files to make, not with `fresh`.", metavar="FILE")\n""",
)
USE: Edit = (
    "batch/batch.py",
    "        self._observer.begun(run)\n",
    "        self._observer.begun(run)\n        [path.touch() for path in options.keeping.left_behind]\n",
)
PROGRAM = """
import asyncio, json, os, pathlib
from typer.testing import CliRunner
import batchpol
from batchpol.cli import app
from batchpol.model.errors import UsageError
from batchpol.testing import Sandbox, SandboxOptions
from tests.api.settings import filled, API
from tests.readme_tables import options

def run(*arguments, **variables):
    ended = CliRunner().invoke(app, list(arguments), env=variables)
    assert ended.exit_code == 0, ended.output
    return ended.stdout

def made(name):
    assert pathlib.Path(name).exists(), name

pathlib.Path("one.csv").write_text("identity,policy_name,policy,action\\na.example,p,,delete\\n")
pathlib.Path("batchpol.toml").write_text("[tool.batchpol]\\nleft-behind = ['config']\\n")
assert "  --left-behind FILE          Files to make, not with --fresh." in run("apply", "--help")
run("apply", "one.csv", "--sandbox", "--left-behind", "a", "--left-behind", "b")
made("a"), made("b")
run("apply", "one.csv", "--sandbox", BATCHPOL_APPLY_LEFT_BEHIND="variable")
made("variable")
run("apply", "one.csv", "--sandbox", "--config", "batchpol.toml")
made("config")
assert "| `--left-behind` | Files to make, not with --fresh. |" in options()
assert "    left_behind: Iterable[str | os.PathLike[str]]" in filled(API.read_text())

async def api():
    async with Sandbox(SandboxOptions(rate=0)) as ses:
        os.environ.update(ses.environment())
        await batchpol.apply([], left_behind=["program"])
        try:
            await batchpol.plan([], left_behind=["program"])
        except UsageError as error:
            print(error)

asyncio.run(api())
made("program")
"""


def test_an_option_is_two_edits(tmp_path: Path) -> None:
    assert run_edited(tmp_path, [FIELD, USE], PROGRAM) == "plan has no setting left_behind\n"
