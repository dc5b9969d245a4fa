"""The tutorials of the manual show what a terminal shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tutorials import TUTORIALS, retold


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_terminal_shows_what_the_page_says(page: Path, tmp_path: Path) -> None:
    told = retold(page, tmp_path)
    assert told == page.read_text(encoding="utf-8"), f"run: python -m tests.tutorials {page.stem}"
    assert "Traceback" not in told
