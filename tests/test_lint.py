"""What no linter of ours looks for: sizes, imports in the middle of a file, a garbage collector switched off."""

from __future__ import annotations

import ast
import re
from collections import Counter
from itertools import takewhile
from typing import Any

import pytest
import typer
import yaml

from batchpol.cli import app
from tests.bench.house import PACKAGE, bodies, classes, late_imports

LONGEST_BODY = 60
LONGEST_CLASS = 250
MOST_METHODS = 20

HANDED_OVER = {"_run", "_drive", "_draw", "_table"}
"""To what a command hands over: its work once its arguments are checked, and what few runs need, by other workers, with
a picture on a terminal, with a configuration."""


def test_no_body_is_too_long() -> None:
    assert [str(it) for it in bodies(PACKAGE) if it.size > LONGEST_BODY] == []


def test_no_class_is_too_long_or_has_too_many_methods() -> None:
    for lines, methods in classes(PACKAGE):
        assert lines.size <= LONGEST_CLASS, f"{lines} has that many lines"
        assert methods.size <= MOST_METHODS, f"{methods} has that many methods"


def test_imports_stand_at_the_top_but_in_commands() -> None:
    """Only the time to start is worth an import in the middle of a function."""
    assert {path.parts[0] for path, _ in late_imports(PACKAGE)} == {"cli"}


def test_what_a_command_needs_is_imported_where_it_begins() -> None:
    """At the top of the command's function, or of one to which it hands over."""
    group: Any = typer.main.get_command(app)
    runs = {*group.commands, *HANDED_OVER}
    for path in (PACKAGE / "cli").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                late = [it for it in ast.walk(function) if isinstance(it, ast.Import | ast.ImportFrom)]
                first = list(takewhile(_imports, function.body[1:]))
                assert len(late) == sum(len(getattr(it, "body", [it])) for it in first), f"{path}: {function.name}"
                assert not late or function.name in runs, f"{path}: {function.name}"


def _imports(statement: ast.stmt) -> bool:
    """Whether a statement is an import, or ``with importing()`` and nothing but imports."""
    if isinstance(statement, ast.With):
        return ast.unparse(statement.items[0]) == "importing()" and all(map(_imports, statement.body))
    return isinstance(statement, ast.Import | ast.ImportFrom)


def test_no_class_stands_in_a_function_and_nothing_is_let_in_to_be_asserted() -> None:
    for path in PACKAGE.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                inside = list(ast.walk(function))
                assert not [it for it in inside if isinstance(it, ast.ClassDef)], f"{path}: {function.name}"
                given = [*function.args.args, *function.args.kwonlyargs]
                objects = {it.arg for it in given if it.annotation and ast.unparse(it.annotation) == "object"}
                names = [it.id for check in inside if isinstance(check, ast.Assert) for it in ast.walk(check.test)
                         if isinstance(it, ast.Name)]  # fmt: skip
                assert objects.isdisjoint(names), f"{path}: {function.name}"


def test_the_garbage_collector_is_switched_off_where_that_was_measured() -> None:
    off = re.compile(r"gc=False|gc\.(?:disable|freeze)")
    assert {path.name for path in PACKAGE.rglob("*.py") if off.search(path.read_text("utf-8"))} == {"process.py"}


def test_one_name_stands_for_one_class() -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")]
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


ONCE = {
    r"\[0-9\]\{12\}|\\d\{12\}": {"model/__init__.py", "sandbox/wire.py"},
    r"f\"arn:[^\"]*:ses:": {"identity/arn.py", "sandbox/rules.py"},
    r"fcntl|mkstemp|O_EXCL|os\.link": {"files.py", "cli/screen/terminal.py"},
    r"isprintable": {"model/__init__.py"},
}
"""What would be written again before long: an account's digits, an identity's ARN, locks and whole files (but for the
trace of a fault), escaping for a terminal. The sandbox shares no rule with the product."""


@pytest.mark.parametrize("pattern", ONCE)
def test_what_stands_in_one_place_stays_there(pattern: str) -> None:
    found = {path for path in PACKAGE.rglob("*.py") if re.search(pattern, path.read_text("utf-8"))}
    assert {path.relative_to(PACKAGE).as_posix() for path in found} == ONCE[pattern]


def test_marks_of_a_merge_are_refused() -> None:
    """The hook looks at each line of each text file, as ``re`` does."""
    hooks = yaml.safe_load((PACKAGE.parent / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    (hook,) = (it for it in hooks if it["id"] == "merge-marks")
    assert hook["language"] == "pygrep" and hook["types"] == ["text"]
    lines = ["<<<<<<< HEAD", "=======", ">>>>>>> 4757659 (of a commit)", "========", "a ======= b"]
    assert [bool(re.search(hook["entry"], line)) for line in lines] == [True, True, True, False, False]
