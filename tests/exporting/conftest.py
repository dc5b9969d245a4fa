"""A place to export from: a folder, a sandbox, and the command in this process."""

from __future__ import annotations

from tests.place import models, place

__all__ = ["models", "place"]
