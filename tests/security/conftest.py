"""A place to work in, and an environment without a trace of AWS."""

from __future__ import annotations

from tests.place import models, place

__all__ = ["models", "place"]
