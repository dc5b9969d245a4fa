"""The lane on a simulated network, for these tests too."""

from tests.lanes.conftest import bench

__all__ = ["bench"]
