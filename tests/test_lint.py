"""What no linter of ours looks for: sizes, imports in the middle of a file, a garbage collector switched off."""

from __future__ import annotations

import re
from pathlib import Path

from tests.bench.house import PACKAGE, bodies, classes, late_imports

LONGEST_BODY = 60
LONGEST_CLASS = 250
MOST_METHODS = 20

LATE = {Path("sandbox/__init__.py")}
"""Its server takes a quarter of a second to import, and ``batchpol --help`` lists its options."""


def test_no_body_is_too_long() -> None:
    assert [str(it) for it in bodies(PACKAGE) if it.size > LONGEST_BODY] == []


def test_no_class_is_too_long_or_has_too_many_methods() -> None:
    for lines, methods in classes(PACKAGE):
        assert lines.size <= LONGEST_CLASS, f"{lines} has that many lines"
        assert methods.size <= MOST_METHODS, f"{methods} has that many methods"


def test_imports_stand_at_the_top_but_in_commands() -> None:
    """Only ``batchpol --help`` is worth an import in the middle of a function."""
    assert {path for path, _ in late_imports(PACKAGE) if path.parts[0] != "cli"} == LATE


def test_the_garbage_collector_is_switched_off_where_that_was_measured() -> None:
    off = re.compile(r"gc=False|gc\.(?:disable|freeze)")
    assert {path.name for path in PACKAGE.rglob("*.py") if off.search(path.read_text("utf-8"))} == {"process.py"}
