"""How hypothesis tries these: as often as usual, but not by the wall clock, which other processes share."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("validation", deadline=None)
settings.load_profile("validation")
