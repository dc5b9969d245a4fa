"""What is public is a list, and stays what it is whatever else was imported."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
from enum import Enum

import batchpol
import batchpol.testing

PUBLIC = {
    "BatchpolError", "Change", "Client", "Finding", "InputError", "JournalError", "Outcome", "Pending", "QueueFull",
    "Record", "Result", "SesError", "Severity", "Status", "Summary", "Target", "UsageError", "__version__", "apply",
    "plan", "stream", "validate",
}  # fmt: skip

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
