"""The embedded SES: a server on loopback that speaks the real protocols of SES, SESv2 and STS.

boto3, the AWS CLI and any other client drive it unchanged. It is a double that refuses what SES refuses,
enforces SES's limits at its own door, writes down every arrival, and misbehaves where it is asked to.
It shares no rule with the rest of batchpol, so that an error there is not repeated here::

    async with Sandbox(SandboxOptions(rate=1, latency_ms=80)) as sandbox:
        client = boto3.client("ses", endpoint_url=sandbox.url, ...)

One request, from the wire to the answer, is :meth:`batchpol.sandbox.service.Service.answer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchpol.sandbox.arrivals import Arrival
from batchpol.sandbox.catalogue import SES_OPERATIONS, SESV2_OPERATIONS, STS_OPERATIONS
from batchpol.sandbox.doubts import DOUBTS, Doubt
from batchpol.sandbox.facts import LAGS, Facts
from batchpol.sandbox.faults import FAULTS, Fault
from batchpol.sandbox.options import SandboxOptions
from batchpol.sandbox.store import Owner, Store

if TYPE_CHECKING:
    from batchpol.sandbox.server import Sandbox, serve

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
    # aiohttp's server takes a quarter of a second to import: only who runs a sandbox pays for it, not who
    # lists its options.
    if name in ("Sandbox", "serve"):
        from batchpol.sandbox import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
