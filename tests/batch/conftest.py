"""A place to work in."""

from __future__ import annotations

from tests.place import models, place

__all__ = ["models", "place"]
