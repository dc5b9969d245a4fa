"""batchpol: sending authorization policies for thousands of Amazon SES identities.

What is exported here is public; everything else is private and may change. Names are imported when they are first
used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from batchpol.version import __version__

if TYPE_CHECKING:
    from batchpol.api.calls import apply, plan, stream, validate
    from batchpol.api.client import Client
    from batchpol.batch.desk import Pending
    from batchpol.batch.observer import Result
    from batchpol.errors import (
        BatchpolError,
        InputError,
        JournalError,
        QueueFull,
        SesError,
        UsageError,
    )
    from batchpol.model import Change, Finding, Outcome, Record, Severity, Status, Target
    from batchpol.report import Summary

_HOME = {
    "api.calls": ("apply", "plan", "stream", "validate"),
    "api.client": ("Client",),
    "batch.desk": ("Pending",),
    "batch.observer": ("Result",),
    "errors": ("BatchpolError", "InputError", "JournalError", "QueueFull", "SesError", "UsageError"),
    "model": ("Change", "Finding", "Outcome", "Record", "Severity", "Status", "Target"),
    "report": ("Summary",),
}

__all__ = [
    "BatchpolError",
    "Change",
    "Client",
    "Finding",
    "InputError",
    "JournalError",
    "Outcome",
    "Pending",
    "QueueFull",
    "Record",
    "Result",
    "SesError",
    "Severity",
    "Status",
    "Summary",
    "Target",
    "UsageError",
    "__version__",
    "apply",
    "plan",
    "stream",
    "validate",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"batchpol.{module}"), name)
    raise AttributeError(f"module 'batchpol' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
