"""The embedded SES: a server on loopback that speaks the real SES Query protocol, and STS's (floor 6).

boto3, the AWS CLI and any other client drive it unchanged. It is a double that refuses what SES refuses,
enforces SES's limits at its own door, writes down every arrival, and misbehaves where it is asked to.
It shares no rule with the rest of batchpol, so that an error there is not repeated here::

    async with Sandbox(SandboxOptions(rate=1, latency_ms=80)) as sandbox:
        client = boto3.client("ses", endpoint_url=sandbox.url, ...)

One request, from the wire to the answer, is :meth:`batchpol.sandbox.service.Service.answer`.
"""

from batchpol.sandbox.arrivals import Arrival
from batchpol.sandbox.faults import FAULTS, Fault
from batchpol.sandbox.options import SES_OPERATIONS, STS_OPERATIONS, SandboxOptions
from batchpol.sandbox.server import Sandbox, serve
from batchpol.sandbox.store import Owner, Store

__all__ = [
    "FAULTS",
    "SES_OPERATIONS",
    "STS_OPERATIONS",
    "Arrival",
    "Fault",
    "Owner",
    "Sandbox",
    "SandboxOptions",
    "Store",
    "serve",
]
