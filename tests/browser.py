"""A real Chromium without a window, driven by Playwright; both are optional, and nothing is downloaded for them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

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


def violations(page: Page) -> list[tuple[str, str]]:
    """What axe-core finds against a page as it is shown: the rule, and the first element that breaks it."""
    try:
        from axe_playwright_python.base import AXE_SCRIPT
    except ImportError:
        raise NoBrowserError("axe-core is not installed (pip install -e '.[browser]')") from None
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate("axe.run({ resultTypes: ['violations'], iframes: false, preload: false })")
    return [(it["id"], it["nodes"][0]["html"]) for it in found["violations"]]


def address(path: Path) -> str:
    return path.resolve().as_uri()
