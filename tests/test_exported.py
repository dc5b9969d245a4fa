"""What is public is a list, and stays what it is whatever else was imported."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
from enum import Enum
from typing import Any, get_args, get_type_hints

import batchpol
import batchpol.testing

PUBLIC = {
    "Action", "Amendment", "ApplySettings", "Applying", "BatchpolError", "Cause", "Change", "Checked", "Client",
    "ClientSettings", "ContactObserver", "Example", "ExportSettings", "Exported", "Exporting", "Finding", "Input",
    "InputError", "Item", "JournalError", "Outcome", "Pending", "PlanSettings", "Planning", "QueueFull", "Record",
    "Result", "SesError", "Severity", "Status", "Summary", "Target", "UsageError", "ValidateSettings", "Verdict",
    "__version__", "apply", "export", "plan", "stream", "validate",
}  # fmt: skip


def mentioned(kind: Any, seen: set[type]) -> None:
    """Add every class of ours in a type, in its fields and in what its public methods take and return."""
    for inner in get_args(kind):
        mentioned(inner, seen)
    if not inspect.isclass(kind) or not kind.__module__.startswith("batchpol") or kind in seen:
        return
    seen.add(kind)
    if not issubclass(kind, Exception):
        public = [it for name, it in vars(kind).items() if not name.startswith("_") or name == "__init__"]
        calls = [getattr(it, "fget", it) for it in public]
        for holder in (kind, *filter(inspect.isfunction, calls)):
            for name, hint in get_type_hints(holder).items():
                if not name.startswith("_"):
                    mentioned(hint, seen)


def test_every_type_that_a_call_takes_or_returns_is_public() -> None:
    seen: set[type] = set()
    for name in PUBLIC - {"__version__"}:
        value = getattr(batchpol, name)
        if inspect.isfunction(value):
            for hint in get_type_hints(value).values():
                mentioned(hint, seen)
        else:
            mentioned(value, seen)
    assert {kind.__name__ for kind in seen} <= PUBLIC


IMPORT_ALL = """
import importlib, pkgutil, batchpol
for module in pkgutil.walk_packages(batchpol.__path__, "batchpol."):
    if module.name != "batchpol.__main__":
        importlib.import_module(module.name)
for name in batchpol.__all__:
    print(name, getattr(batchpol, name).__class__.__name__)
"""


def test_the_public_names_are_these() -> None:
    assert set(batchpol.__all__) == PUBLIC
    assert list(batchpol.__all__) == sorted(batchpol.__all__)
    assert set(dir(batchpol)) == PUBLIC


def test_each_resolves_also_after_everything_was_imported() -> None:
    """A module of the same name would take an attribute's place when it is imported."""
    printed = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True).stdout
    kinds = dict(line.split() for line in printed.splitlines())
    assert kinds.keys() == PUBLIC
    assert "module" not in kinds.values()
    modules = {module.name for module in pkgutil.iter_modules(batchpol.__path__)}
    assert not modules & PUBLIC


def test_each_says_what_it_is() -> None:
    for module in (batchpol, batchpol.testing):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                own = value.__doc__ if not inspect.isclass(value) else value.__dict__.get("__doc__")
                assert own and not own.startswith(f"{name}("), f"{name} has no docstring of its own"
            else:
                assert not isinstance(value, Enum)


def test_importing_it_imports_next_to_nothing() -> None:
    script = "import sys, batchpol; print(sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "'aiobotocore'" not in loaded
    assert "'typer'" not in loaded
