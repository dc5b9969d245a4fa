"""The embedded SES: a server on loopback that speaks the real protocols of SES, SESv2 and STS.

boto3, the AWS CLI and any other client drive it unchanged. It is a double that refuses what SES refuses,
enforces SES's limits at its own door, writes down every arrival, and misbehaves where it is asked to.
It shares no rule with the rest of batchpol, so that an error there is not repeated here::

    async with Sandbox(SandboxOptions(rate=1, latency_ms=80)) as sandbox:
        client = boto3.client("ses", endpoint_url=sandbox.url, ...)

One request, from the wire to the answer, is :meth:`batchpol.sandbox.service.Service.answer`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchpol.sandbox.arrivals import Arrival
    from batchpol.sandbox.catalogue import SES_OPERATIONS, SESV2_OPERATIONS, STS_OPERATIONS
    from batchpol.sandbox.doubts import DOUBTS, Doubt
    from batchpol.sandbox.facts import LAGS, Facts
    from batchpol.sandbox.faults import FAULTS, Fault
    from batchpol.sandbox.options import SandboxOptions
    from batchpol.sandbox.server import Sandbox, serve
    from batchpol.sandbox.store import Owner, Store

_HOME = {
    "arrivals": ("Arrival",),
    "catalogue": ("SES_OPERATIONS", "SESV2_OPERATIONS", "STS_OPERATIONS"),
    "doubts": ("DOUBTS", "Doubt"),
    "facts": ("LAGS", "Facts"),
    "faults": ("FAULTS", "Fault"),
    "options": ("SandboxOptions",),
    "server": ("Sandbox", "serve"),
    "store": ("Owner", "Store"),
}
"""Imported when asked for: aiohttp's server takes a quarter of a second, and most runs have no embedded SES."""

__all__ = [
    "DOUBTS",
    "FAULTS",
    "LAGS",
    "SESV2_OPERATIONS",
    "SES_OPERATIONS",
    "STS_OPERATIONS",
    "Arrival",
    "Doubt",
    "Facts",
    "Fault",
    "Owner",
    "Sandbox",
    "SandboxOptions",
    "Store",
    "serve",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"batchpol.sandbox.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
