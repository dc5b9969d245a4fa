"""What every test shares: the choice of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
from hypothesis import settings

try:
    import uvloop
except ImportError:
    uvloop = None

pytest_plugins = ["batchpol.testing"]

# As often as usual, but not by the wall clock, which other processes share.
settings.register_profile("batchpol", deadline=None)
settings.load_profile("batchpol")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "virtual_clock: run on an event loop that jumps to its next timer instead of waiting"
    )
    config.addinivalue_line(
        "markers", "long: waits in real time for what takes long, such as engines; runs where it is asked for: -m long"
    )
    config.addinivalue_line("markers", "every_loop: run on asyncio's event loop, and on uvloop's where it is installed")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    # Not at the top: pytest imports its plugins itself, to rewrite their assertions.
    from batchpol.testing import VirtualClockLoop

    if item.get_closest_marker("virtual_clock"):
        return {"virtual": VirtualClockLoop}
    if item.get_closest_marker("every_loop") and uvloop is not None:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}
