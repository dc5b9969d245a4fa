"""Defaults from a file: after the command line and the environment, before what is built in."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from batchpol.cli import app
from batchpol.cli.config import defaults_of
from batchpol.errors import UsageError
from tests.cli.conftest import Command
from tests.e2e.command import save_table, tenants

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def read(folder: Path, text: str, command: str = "apply") -> dict[str, object]:
    path = folder / "batchpol.toml"
    path.write_text(text)
    return defaults_of(path, command, COMMANDS)


def test_options_of_one_command_and_of_all_that_have_them(tmp_path: Path) -> None:
    text = """
    [project]
    name = "of a pyproject.toml"
    [tool.batchpol]
    region = ["eu-west-1", "us-east-1"]
    account = "123456789012"
    [tool.batchpol.apply]
    max-failures = 10
    max_outage = 30.5
    compare = false
    i-have-a-higher-quota = true
    region = "eu-central-1"
    """
    assert read(tmp_path, text) == {
        "regions": ["eu-central-1"],
        "max_failures": "10",
        "max_outage": "30.5",
        "blind": True,
        "higher_quota": True,
    }
    assert read(tmp_path, text, "plan") == {"regions": ["eu-west-1", "us-east-1"]}
    assert read(tmp_path, "[batchpol.validate]\naccount = '1'", "validate") == {"account": "1"}
    assert read(tmp_path, "[batchpol]\n", "undo") == {}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[tool.batchpol]\nregoin = 'x'", 'no option "regoin"', "did you mean region?"),
        ("[tool.batchpol.apply]\nprogess = true", 'no option "apply.progess"', "did you mean progress?"),
        ("[tool.batchpol.aply]\nlimit = 1", 'no option "aply"', "did you mean apply?"),
        ("[tool.batchpol.undo]\nlimit = 1", 'no option "undo.limit"', ""),
        ("[tool.batchpol.apply]\nconfig = 'x'", 'no option "apply.config"', ""),
        ("[tool.batchpol.apply]\nstrict = 'yes'", "strict is true or false", ""),
        ("[tool.batchpol.apply]\nprofile = ['a', 'b']", "profile takes one value", ""),
        ("[tool.batchpol.apply]\nregion = [1, [2]]", "region takes one value or a list", ""),
        ("[tool.other]\nx = 1", "no table [tool.batchpol] or [batchpol]", "put the options under"),
        ("region: x", "is no TOML", "toml.io"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, text)
    assert message in str(raised.value)
    assert hint in raised.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml cannot be read: No such file"):
        defaults_of(tmp_path / "none.toml", "apply", COMMANDS)


def test_the_command_line_comes_before_the_environment_before_the_file(folder: Path, command: Command) -> None:
    save_table(folder / "good.csv", tenants(1))
    (folder / "b.toml").write_text("[tool.batchpol.validate]\noutput = 'json'\naccount = '123456789012'\n")
    arguments = ("validate", "good.csv", "--region", "us-east-1")
    assert command(*arguments).out.startswith("1 valid")
    from_file = command(*arguments, "--config", "b.toml")
    assert (from_file.code, from_file.out[:1]) == (0, "{")
    assert command(*arguments, BATCHPOL_CONFIG="b.toml").out == from_file.out
    both = {"BATCHPOL_CONFIG": "b.toml", "BATCHPOL_VALIDATE_OUTPUT": "text"}
    assert command(*arguments, **both).out.startswith("1 valid")
    assert command(*arguments, "--output", "json", **both).out == from_file.out
    (folder / "b.toml").write_text("[tool.batchpol.validate]\noutput = 'yaml'\n")
    assert "text or json" in command(*arguments, "--config", "b.toml").err


def test_no_file_is_read_unasked(folder: Path, command: Command) -> None:
    (folder / "pyproject.toml").write_text("[tool.batchpol]\nnonsense = 1\n")
    assert command("validate", "--explain", "json-comma").code == 0
    assert command("validate", "--explain", "json-comma", "--config", "pyproject.toml").code == 2


def test_several_values_of_a_variable_are_separated_by_blanks(folder: Path, command: Command) -> None:
    save_table(folder / "good.csv", tenants(1))
    reports = {"BATCHPOL_APPLY_REPORT": "a.csv b.jsonl"}
    ended = command("apply", "good.csv", "--sandbox", **reports)
    assert ended.code == 0, ended.err
    assert {"a.csv", "b.jsonl"} <= {path.name for path in folder.iterdir()}
