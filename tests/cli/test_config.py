"""Defaults from a file: after the command line and the environment, before what is built in."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from batchpol.cli import app
from batchpol.cli.config import defaults_of
from batchpol.cli.screen.terminal import fitted
from batchpol.model import Status
from batchpol.model.errors import UsageError
from batchpol.report.rows import COLUMNS
from tests.cli.conftest import Command
from tests.e2e.command import policy, record, save_table, tenants

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
    assert "text, json, github, sarif or junit" in command(*arguments, "--config", "b.toml").err


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


def test_a_misspelt_variable_is_an_error(folder: Path, command: Command) -> None:
    save_table(folder / "good.csv", tenants(1))
    ended = command("validate", "good.csv", BATCHPOL_APPLY_EXPECT_ACOUNT="123456789012")
    assert (ended.code, "BATCHPOL_APPLY_EXPECT_ACOUNT" in ended.err) == (2, True)
    assert "did you mean BATCHPOL_APPLY_EXPECT_ACCOUNT?" in ended.err
    assert command("validate", "good.csv", BATCHPOL_APPLY_EXPECT_ACCOUNT="123456789012").code == 0


def test_a_variable_without_a_command_is_for_all_that_have_the_option(folder: Path, command: Command) -> None:
    save_table(folder / "good.csv", tenants(1))
    elsewhere = {"BATCHPOL_REGION": "eu-west-1", "BATCHPOL_ACCOUNT": "123456789012"}
    assert "1 rejected" in command("validate", "good.csv", **elsewhere).out
    own = command("validate", "good.csv", **elsewhere, BATCHPOL_VALIDATE_REGION="us-east-1")
    assert "0 rejected" in own.out, "that of the command comes first"


def test_codes_may_stand_with_commas_between_them(folder: Path, command: Command) -> None:
    save_table(folder / "open.csv", [record("open.example", policy=policy("open.example", Principal="*"))])
    assert "risk-public" in command("validate", "open.csv", "--ignore", "json,name").out
    assert "risk-public" not in command("validate", "open.csv", "--ignore", "json,risk-public").out


def test_journal_and_report_go_to_the_folder_that_is_named(folder: Path, command: Command) -> None:
    save_table(folder / "good.csv", tenants(1))
    (folder / "state").mkdir()
    assert command("apply", "good.csv", "--sandbox", "-q", "--state-dir", "state").code == 0
    assert {it.name for it in (folder / "state").iterdir()} == {"good.journal.jsonl", "good.report.csv"}


@pytest.mark.parametrize(
    ("given", "variables", "coloured"),
    [
        ("auto", {}, False),
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("auto", {"CLICOLOR_FORCE": "1"}, True),
        ("auto", {"CLICOLOR": "1"}, False),
    ],
)
def test_colours_are_as_asked_for(
    given: str, variables: dict[str, str], coloured: bool, folder: Path, command: Command
) -> None:
    save_table(folder / "bad.csv", [record("late.invalid")])
    ended = command("apply", "bad.csv", "--sandbox", "--color", given, **variables)
    assert ("\x1b[31mfailed\x1b[0m" in ended.err) == coloured, ended.err


def test_what_is_too_long_for_a_terminal_is_broken_between_words_and_commands_are_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal: Any = SimpleNamespace(isatty=lambda: True)
    step = "to take back what this run did: batchpol undo a-long-name.journal.jsonl --last -o undo.jsonl"
    lines = fitted(f"{'word ' * 12}\n{step}", terminal).splitlines()
    assert lines == [
        "word word word word word word word word",
        "  word word word word",
        "to take back what this run did:",
        "  batchpol undo a-long-name.journal.jsonl --last -o undo.jsonl",
    ]
    assert fitted("1 unchanged, 2 failed; compared in 51.2 s", terminal).endswith("in\n  51.2 s")
    terminal.isatty = lambda: False
    assert fitted(step, terminal) == step


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("plan --ignore risk-p", "risk-public"),
        ("apply --region eu-central-", "eu-central-1"),
        ("sandbox --fault thrott", "throttle"),
        ("report --only fai", "failed"),
        ("apply --format ts", "tsv"),
        ("export --profile pro", "prod"),
        ("schema con", "config"),
    ],
)
def test_values_are_completed(words: str, wanted: str, folder: Path, command: Command) -> None:
    (folder / "config").write_text("[profile prod]\nregion = eu-west-1\n")
    settings = {"COMP_WORDS": f"batchpol {words}", "COMP_CWORD": str(len(words.split())), "AWS_CONFIG_FILE": "config"}
    assert wanted in command(_BATCHPOL_COMPLETE="complete_bash", **settings).out.splitlines()


def test_schemas_are_of_what_is_read_and_written(folder: Path, command: Command) -> None:
    found = {what: json.loads(command("schema", what).out) for what in ("record", "report", "config")}
    assert found["record"]["required"] == ["identity", "policy_name"]
    assert list(found["report"]["properties"]) == [*COLUMNS, "findings"]
    assert set(found["report"]["$defs"]["Status"]["enum"]) == set(Status)
    table = found["config"]["properties"]["batchpol"]["properties"]
    assert table["apply"]["properties"]["blind"] == table["blind"]
    assert table["blind"]["type"] == "boolean" and "anyOf" in table["ignore"]
    assert command("schema", "recrod").code == 2
