"""The picture of a run in the README: ``python -m tests.pictures_terminal`` draws ``samples/run.svg`` anew.

A real run of the command on a terminal, against an embedded SES with faults, is stopped in its middle and what stands
on the screen then is drawn. It takes some ten seconds.
"""

from __future__ import annotations

import io
import re
import signal
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from batchpol.sandbox import SandboxOptions
from batchpol.testing import running_sandbox
from tests.e2e.command import policy, record, save_table
from tests.e2e.test_terminal import Terminal

PICTURE = Path(__file__).parent.parent / "samples" / "run.svg"
COLUMNS = 100
REGIONS = {"us-east-1": 60, "eu-west-1": 40, "ap-southeast-2": 12}
"""Lanes, and how many records each has."""

_MOVES = re.compile(r"\x1b\[([0-9;?]*)([A-Za-ln-z])|\r|\n|((?:\x1b\[[0-9;]*m|[^\x1b\r\n])+)")


def screen(shown: str) -> list[str]:
    """The lines on a terminal that was sent this, with their colours: as much of one as a redrawn picture needs."""
    lines, row = [""], 0
    for match in _MOVES.finditer(shown):
        if match[0] == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif match[2] == "A":
            row = max(0, row - int(match[1] or 1))
        elif match[2] == "K":
            lines[row] = ""
        elif match[3]:
            lines[row] += match[3]
    return lines


def tenants() -> list[dict[str, object]]:
    """Records in turn of every Region, some of identities that SES does not know."""
    found = []
    for number in range(max(REGIONS.values())):
        for region in (region for region, count in REGIONS.items() if number < count):
            identity = f"tenant-{1000 + number}.example" + (".invalid" if number % 8 == 5 else "")
            found.append(record(identity, "sending", region=region, policy=policy(identity, region=region)))
    return found


def shown_in_the_middle() -> str:
    """What a terminal was sent until the smallest lane had nearly all its records."""
    faults = {"throttle@PutIdentityPolicy": [5], "invalid_principal@PutIdentityPolicy": [8]}
    options = SandboxOptions(latency_ms=60, faults_at=faults)
    with tempfile.TemporaryDirectory() as folder, running_sandbox(options) as sandbox:
        save_table(Path(folder) / "tenants.csv", tenants())
        regions = [word for region in REGIONS for word in ("--region", region)]
        arguments = ("apply", "tenants.csv", *regions, "--no-defer", "--yes")
        terminal = Terminal(*arguments, cwd=Path(folder), env=sandbox.environment(), columns=COLUMNS)
        terminal.read_until(" 10/12")
        terminal.read_until(" so far")
        shown = terminal.shown
        terminal.process.send_signal(signal.SIGTERM)
        terminal.end()
    return shown


def picture(lines: list[str]) -> str:
    """The lines as an SVG that loads nothing from elsewhere."""
    console = Console(file=io.StringIO(), record=True, width=COLUMNS, force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, crop=True)
    drawn = console.export_svg(title="batchpol apply tenants.csv", unique_id="run")
    return re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)


if __name__ == "__main__":
    command = "$ batchpol apply tenants.csv --region us-east-1 --region eu-west-1 --region ap-southeast-2 --yes"
    PICTURE.write_text(picture([command, *screen(shown_in_the_middle())]), encoding="utf-8")
