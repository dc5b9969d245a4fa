"""Help that fits, is grouped and is true: every example in it runs."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from batchpol.cli import app
from batchpol.cli.command import EXAMPLE, HEADINGS, AsGiven
from batchpol.journal import Folder
from batchpol.model.errors import UsageError
from batchpol.testing import Sandbox, running_sandbox
from batchpol.version import __version__
from tests.cli.conftest import Command
from tests.e2e.command import SAMPLES, finish, policy, record, save_table, start

GROUP: Any = typer.main.get_command(app)
NAMES = list(GROUP.commands)
SHELLS = ("bash", "zsh", "fish")


def examples(name: str) -> list[str]:
    return [line for line in GROUP.commands[name].epilog.splitlines() if line.startswith(EXAMPLE)]


def test_the_first_help_fits_a_screen(command: Command) -> None:
    ended = command("--help")
    assert ended.code == 0
    assert len(ended.out.splitlines()) <= 24
    assert all(len(line) <= 80 for line in ended.out.splitlines())
    assert "..." not in ended.out.partition("Commands:")[2], "a command's line is cut off"
    assert all(f"  {name} " in ended.out for name in NAMES)


def test_help_waits_for_no_library_that_it_does_not_need() -> None:
    """Those take most of a second; the help itself takes a tenth of one."""
    first = "import sys, batchpol.cli, typer; group = typer.main.get_command(batchpol.cli.app)"
    assert "batchpol.cli.command" in (loaded := loaded_by(first))
    assert not any(f"batchpol.cli.{name}" in loaded for name in NAMES)
    loaded = loaded_by(f"{first}; list(group.commands.values())")
    assert {"batchpol.cli.apply", "batchpol.model.settings"} <= loaded
    assert not {"aiobotocore", "aiohttp", "aiolimiter", "anyio", "asyncio", "botocore", "rich"} & loaded


def test_what_typer_need_not_make_is_as_typer_would_make_it() -> None:
    arguments = ["apply", "no.csv", "--region", "eu-west-1", "--endpoint-url", "http://127.0.0.1:9", "--yes"]
    run = f"with contextlib.suppress(Exception): app({arguments}, standalone_mode=False)"
    assert "pydantic" not in loaded_by(f"import contextlib, sys; from batchpol.cli import app\n{run}\nassert True")
    for command in GROUP.commands.values():
        context = type(command).context_class(command, info_name="it")
        for param in command.get_params(context):
            texts: list[Any] = [("1", "x"), ["1"], "x"] if param.multiple or param.nargs == -1 else ["1", "x", ""]
            for value in [param.default, *texts]:
                ours = _made(AsGiven(), value, param, context)
                assert repr(ours) == repr(_made(type(param).get_runtime_param(param), value, param, context)), param


def _made(maker: Any, value: Any, param: Any, context: Any) -> Any:
    try:
        return maker.coerce(value, param=param, ctx=context)
    except (typer.BadParameter, UsageError) as error:
        return error


def loaded_by(program: str) -> set[str]:
    run = [sys.executable, "-c", f"{program}; print(*sys.modules)"]
    return set(subprocess.run(run, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("name", NAMES)
def test_a_commands_help_is_grouped_and_names_no_variables(name: str, command: Command) -> None:
    out = command(name, "--help").out
    assert "env var" not in out
    own = [line for line in out.splitlines() if not line.startswith(f"  {EXAMPLE}")]
    assert all(len(line) <= 80 for line in own)
    headings = [line.rstrip(":") for line in out.splitlines() if line.rstrip(":") in HEADINGS]
    assert headings == [heading for heading in HEADINGS if heading in headings]
    assert headings[-1] == "Of every command"
    assert examples(name)


def test_every_option_is_under_a_heading() -> None:
    for name, command in GROUP.commands.items():
        for param in command.params:
            if param.param_type_name == "option" and "--help" not in param.opts:
                assert param.rich_help_panel in HEADINGS, (name, param.opts)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_read_from_the_variable_of_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = GROUP.commands[name]
    context = type(command).context_class(command, info_name=name, auto_envvar_prefix=f"BATCHPOL_{name.upper()}")
    shared = {"config": "BATCHPOL_CONFIG"}
    for param in command.params:
        if param.param_type_name == "option":
            long = next(it[2:] for it in param.opts if it.startswith("--"))
            variable = shared.get(long, f"BATCHPOL_{name}_{long}".replace("-", "_").upper())
            monkeypatch.setenv(variable, "1")
            assert param.resolve_envvar_value(context) == "1", variable
            monkeypatch.delenv(variable)


def test_version(command: Command) -> None:
    assert command("--version").out == f"batchpol {__version__}\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_completion(shell: str, command: Command) -> None:
    """What the shell asks, in the form in which Typer's scripts ask it."""
    script = command(_BATCHPOL_COMPLETE=f"source_{shell}").out
    assert "_BATCHPOL_COMPLETE" in script
    words = {"COMP_WORDS": "batchpol pl", "COMP_CWORD": "1"}
    typed = words if shell == "bash" else {"_TYPER_COMPLETE_ARGS": "batchpol pl"}
    more = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}
    assert "plan" in command(_BATCHPOL_COMPLETE=f"complete_{shell}", **typed, **more).out


@pytest.fixture
def sandbox_elsewhere() -> Iterator[Sandbox]:
    """One that a profile names, and the environment does not."""
    with running_sandbox() as sandbox:
        yield sandbox


def test_every_example_runs(folder: Path, command: Command, sandbox_elsewhere: Sandbox) -> None:
    (folder / "samples").symlink_to(SAMPLES)
    name = "tenant.example"
    save_table(folder / "tenants.csv", [record(name, policy=policy(name, region="eu-west-1"))])
    (folder / "config").write_text(
        "[profile prod]\naws_access_key_id = x\naws_secret_access_key = y\nregion = eu-west-1\n"
        f"endpoint_url = {sandbox_elsewhere.url}\n"
    )
    (folder / "run1").mkdir()
    (folder / "run1" / "run.json").write_text('{"shards": 2, "account": "", "region": "", "endpoint": ""}')
    Folder(folder / "run1").stop(True)  # who follows it waits for workers for a minute else
    settings = {
        "AWS_CONFIG_FILE": str(folder / "config"),
        "BATCHPOL_APPLY_YES": "1",  # nobody is there to answer
        "BATCHPOL_APPLY_LIMIT": "1",  # the sample has 12 records, a second each
    }
    ran = 0
    for name in sorted(NAMES, key=lambda it: it != "apply"):  # the others read the journal that apply writes
        for line in examples(name):
            if line.startswith("batchpol sandbox --port"):
                continue
            ended = command(*shlex.split(line)[1:], **settings)
            assert ended.code == (3 if "apply samples/tenants.csv" in line else 0), (line, ended.err)  # the limit of 1
            ran += 1
    assert ran >= 10
    assert {"findings.jsonl", "plan.html", "tenants.plan", "undo.jsonl", "failed.csv"} <= {
        it.name for it in folder.iterdir()
    }


def test_the_example_of_a_server_serves(folder: Path) -> None:
    (line,) = [it for it in examples("sandbox") if "--port" in it]
    process = start(*shlex.split(line.replace("--port 4579", "--port 0"))[1:], cwd=folder)
    assert process.stdout is not None
    assert b"http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    finish(process)
