"""The README's two commands, read from the README: ``python -m tests.readme_commands run|tests`` prints one.

``run`` prints the main command without its set-up, for an environment in which batchpol is installed already;
``run-all`` and ``tests`` print a command exactly as it stands.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def commands() -> list[str]:
    """The contents of the README's first two code blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [block.strip() for block in blocks[:2]]


def main_command() -> str:
    """The main command from where set-up is done: ``batchpol apply …``."""
    return commands()[0].rpartition("&& ")[2].replace(".venv/bin/", "")


if __name__ == "__main__":
    first, second = commands()
    print({"run": main_command(), "run-all": first, "tests": second}[sys.argv[1]])
