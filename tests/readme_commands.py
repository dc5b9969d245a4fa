"""The commands of the README and the manual, as they stand there.

``python -m tests.readme_commands run|run-all|tests`` prints one of the README's first two: ``run`` the main command
without its set-up, for an environment in which batchpol is installed already, ``run-all`` and ``tests`` a command
exactly as it stands.

Every other block of ``sh`` runs in a test, unless ``<!-- not run: why -->`` stands before it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).parent.parent / "README.md"


def commands() -> list[str]:
    """The contents of the README's first two code blocks."""
    return [block.text for block in blocks(README)[:2]]


class Block(NamedTuple):
    """A block of ``sh``; ``reason`` says why it is not run, and is empty if it is."""

    text: str
    reason: str


def blocks(page: Path) -> list[Block]:
    """Every block of ``sh`` of a page."""
    found = re.finditer(
        r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```sh\n(?P<text>.*?)^```$",
        page.read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    return [Block(match["text"].strip(), match["reason"] or "") for match in found]


def main_command() -> str:
    """The main command from where set-up is done: ``batchpol apply …``."""
    return commands()[0].rpartition("&& ")[2].replace(".venv/bin/", "")


if __name__ == "__main__":
    first, second = commands()
    print({"run": main_command(), "run-all": first, "tests": second}[sys.argv[1]])
