"""A real Chromium without a window, driven by Playwright; both are optional, and nothing is downloaded for them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


class NoBrowserError(Exception):
    """Why there is no browser, and how to get one."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, with a new empty profile; close it before an event loop is wanted in the same thread."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NoBrowserError("Playwright is not installed (pip install -e '.[browser]')") from None
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise NoBrowserError(
            f"no Chromium is on the PATH (looked for {', '.join(NAMES)}; Debian: apt install chromium)"
        )
    switches = [*SWITCHES, *(["--no-sandbox"] if os.geteuid() == 0 else [])]  # root has no sandbox there
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=switches)
        try:
            yield browser
        finally:
            browser.close()


def address(path: Path) -> str:
    return path.resolve().as_uri()
