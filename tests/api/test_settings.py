"""What a type checker knows of the API's settings is what there is."""

from __future__ import annotations

from tests.api.settings import API, filled


def test_the_types_are_those_of_the_settings() -> None:
    text = API.read_text(encoding="utf-8")
    assert filled(text) == text, "run: python -m tests.api.settings"
