"""Settings have one name for a program and one for the command line, and only ``cli/`` knows the second."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from batchpol.api.settings import ApplySettings
from batchpol.cli import app
from batchpol.cli.spelling import flag, opposite, spelled
from tests.test_floors import PACKAGE, module_of

GROUP: Any = typer.main.get_command(app)
FLAGS = {name for it in GROUP.commands.values() for param in it.params for name in (*param.opts, *param.secondary_opts)}
TEXTS = [path for path in sorted(PACKAGE.rglob("*")) if path.suffix in (".py", ".html", ".js")]


OF_OTHERS = {("ses/configuration.py", "--profile"), ("ses/aws.py", "--profile")}
"""Options of the AWS CLI's, in commands of its own that are to be typed."""


def test_no_flag_is_named_outside_cli() -> None:
    named = {
        (str(path.relative_to(PACKAGE)), flag)
        for path in TEXTS
        if module_of(path) != "cli"
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", path.read_text(encoding="utf-8"))
    }
    assert named == OF_OTHERS


def strings(path: Path) -> Iterator[str]:
    """What the code may say: its strings but for docstrings, with ``…`` for what is filled in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    quiet = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            quiet |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in quiet:
            yield node.value


def test_every_setting_that_a_text_names_is_an_option() -> None:
    named = {
        match
        for path in PACKAGE.rglob("*.py")
        if module_of(path) != "cli"
        for text in strings(path)
        for match in re.findall(r"`([a-z_]+)(?:=([^`]+))?`", text)
    }
    assert {("max_duration", ""), ("limit", "…")} <= named
    of_programs = {name for name in ApplySettings.__annotations__ if flag(name) not in FLAGS}
    assert of_programs == {"period", "session", "client", "observer"}
    of_programs |= {"max_pending", "drain"}  # of a client
    typed = {opposite(name) if value == "False" else flag(name) for name, value in named if name not in of_programs}
    assert typed <= FLAGS


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("give `max_duration`", "give --max-duration"),
        ("run with `compare=False`, without `verify=True`", "run with --blind, without --verify"),
        ("`defer=False`", "--no-defer"),
        ("`limit=2` was reached", "--limit 2 was reached"),
        ("`role_arn='arn:aws:iam::{account}:role/NAME'`", "--role-arn 'arn:aws:iam::{account}:role/NAME'"),
        ("`format='csv'` or `format=csv|tsv`", "--format csv or --format csv|tsv"),
        ("`batchpol help permissions` lists ``them``", "`batchpol help permissions` lists ``them``"),
    ],
)
def test_the_command_spells_settings_its_own_way(text: str, typed: str) -> None:
    assert spelled(text) == typed
