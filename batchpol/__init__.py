"""batchpol: sending authorization policies for thousands of Amazon SES identities.

What is exported here is public; everything else is private and may change. Names are imported when they are first
used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from batchpol.version import __version__

if TYPE_CHECKING:
    from batchpol.api.calls import apply, export, plan, stream, validate
    from batchpol.api.client import Client
    from batchpol.api.input import Input, Item
    from batchpol.api.settings import (
        Applying,
        ApplySettings,
        ClientSettings,
        Exporting,
        ExportSettings,
        Planning,
        PlanSettings,
        ValidateSettings,
    )
    from batchpol.batch.desk import Pending
    from batchpol.batch.observer import Result
    from batchpol.exporting.observer import Exported
    from batchpol.model import Action, Change, Finding, Outcome, Record, Severity, Status, Target
    from batchpol.model.errors import BatchpolError, InputError, JournalError, QueueFull, SesError, UsageError
    from batchpol.report import Cause, Example, Summary
    from batchpol.sending.observer import ContactObserver
    from batchpol.validation import Amendment, Checked, Verdict

_HOME = {
    "api.calls": ("apply", "export", "plan", "stream", "validate"),
    "api.client": ("Client",),
    "exporting.observer": ("Exported",),
    "api.input": ("Input", "Item"),
    "api.settings": (
        "ApplySettings",
        "Applying",
        "ClientSettings",
        "ExportSettings",
        "Exporting",
        "PlanSettings",
        "Planning",
        "ValidateSettings",
    ),
    "batch.desk": ("Pending",),
    "batch.observer": ("Result",),
    "model.errors": ("BatchpolError", "InputError", "JournalError", "QueueFull", "SesError", "UsageError"),
    "model": ("Action", "Change", "Finding", "Outcome", "Record", "Severity", "Status", "Target"),
    "report": ("Cause", "Example", "Summary"),
    "sending.observer": ("ContactObserver",),
    "validation": ("Amendment", "Checked", "Verdict"),
}

__all__ = [
    "Action",
    "Amendment",
    "ApplySettings",
    "Applying",
    "BatchpolError",
    "Cause",
    "Change",
    "Checked",
    "Client",
    "ClientSettings",
    "ContactObserver",
    "Example",
    "ExportSettings",
    "Exported",
    "Exporting",
    "Finding",
    "Input",
    "InputError",
    "Item",
    "JournalError",
    "Outcome",
    "Pending",
    "PlanSettings",
    "Planning",
    "QueueFull",
    "Record",
    "Result",
    "SesError",
    "Severity",
    "Status",
    "Summary",
    "Target",
    "UsageError",
    "ValidateSettings",
    "Verdict",
    "__version__",
    "apply",
    "export",
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
