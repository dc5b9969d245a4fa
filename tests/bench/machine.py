"""What a benchmark ran on, in words: figures without their machine say little.

``python -m tests.bench.machine`` prints the line that every benchmark prints.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path

LIBRARIES = ("batchpol", "aiobotocore", "botocore", "aiohttp", "aiolimiter", "anyio", "uvloop", "boto3")
"""Distributions whose versions a figure depends on."""


def describe() -> str:
    """CPU, cores, memory, system, Python and libraries, as one paragraph of Markdown."""
    libraries = ", ".join(f"{name} {installed(name) or '(none)'}" for name in LIBRARIES)
    return (
        f"{_cpu()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB, {platform.system()} {platform.release()}; "
        f"{platform.python_implementation()} {platform.python_version()}; {libraries}"
    )


def installed(name: str) -> str:
    """The version of a distribution, empty if it is not installed."""
    # It takes 3 MB, which are not of a process that is measured.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def peak_mb() -> float:
    """The most memory that this process had since its program began. What ``getrusage`` tells on Linux is at least
    what the process had that started it."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 1024)
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _cpu() -> str:
    """The processor's name as Linux tells it, elsewhere as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return " ".join((names[0] if names else platform.processor() or platform.machine()).split())


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


if __name__ == "__main__":
    print(describe())
