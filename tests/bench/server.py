"""The measuring instrument: an embedded SES in a process of its own that writes down when requests arrive.

``python -m tests.bench.server --log FILE [--core N] …`` is that process; :func:`served` starts and ends it. It runs
on uvloop where that is installed and without the garbage collector, so that what is measured is the client.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import anyio

from batchpol.sandbox import SES_OPERATIONS, Arrival, SandboxOptions
from batchpol.sandbox.arrivals import read_arrivals
from batchpol.sandbox.server import serve

ACCOUNT = "123456789012"
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs: where, and where its log of arrivals is."""

    url: str
    log: Path

    def arrivals(self, operation: str | None = None) -> list[Arrival]:
        """What arrived so far, of one operation or of all of SES's (STS's are left out)."""
        wanted = {operation} if operation else SES_OPERATIONS
        return [arrival for arrival in read_arrivals(self.log) if arrival.operation in wanted]

    def environment(self) -> dict[str, str]:
        """The environment of a client: this server, made-up keys, and nothing of this machine's AWS configuration."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BATCHPOL_"))}
        return inherited | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIABENCHBENCHBENCHB",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }


@contextmanager
def served(
    log: Path,
    *,
    latency_ms: float,
    jitter_ms: float = 0.0,
    shared: bool = False,
    rate: float = 1.0,
    seed: int = 1,
    core: int | None = None,
) -> Iterator[Served]:
    """A fresh server for as long as the block lasts, kept on one processor core if one is named; with a ``rate`` of 0
    it takes any number of requests a second."""
    command = [sys.executable, "-m", "tests.bench.server", "--log", str(log), "--seed", str(seed)]
    command += ["--latency", str(latency_ms), "--jitter", str(jitter_ms), "--rate", str(rate)]
    command += ["--shared"] if shared else []
    command += ["--core", str(core)] if core is not None else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"the server did not start: {' '.join(command)}")
        try:
            yield Served(url, log)
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--core", type=int)
    given = parser.parse_args()
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})
    options = SandboxOptions(
        latency_ms=given.latency,
        jitter_ms=given.jitter,
        shared_quota=given.shared,
        rate=given.rate,
        seed=given.seed,
        log=given.log,
    )

    async def run() -> None:
        await serve(options, 0, ready=lambda url: print(url, flush=True))

    gc.disable()
    anyio.run(run, backend_options={"use_uvloop": find_spec("uvloop") is not None})


if __name__ == "__main__":
    main()
