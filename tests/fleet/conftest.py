"""A place to work in, and a sandbox without a limit."""

from __future__ import annotations

from tests.place import models, place
from tests.runs import sandbox

__all__ = ["models", "place", "sandbox"]
