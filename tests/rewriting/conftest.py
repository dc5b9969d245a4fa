"""A place to work in, as tests of plans have it."""

from __future__ import annotations

from tests.place import models, place

__all__ = ["models", "place"]
