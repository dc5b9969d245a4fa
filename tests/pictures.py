"""The manual's picture of a report: ``python -m tests.pictures`` renders a real run against the embedded SES.

It needs a Chromium and Playwright (see :mod:`tests.browser`) and takes about half a minute.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.browser import address, chromium
from tests.e2e.command import COMMAND, environment, record, save_lines, tenants

PICTURE = Path(__file__).parent.parent / "samples" / "report.png"


def run(folder: Path) -> Path:
    """A run of some records, not all of them good; the page it writes."""
    records = tenants(24)
    records[4]["policy"]["Statement"][0]["Action"] = "ses:SendRawEmial"
    records[9]["policy"]["Statement"][0]["Action"] = "ses:SendEmial"
    records[15] = record("not-yet-verified.invalid")
    save_lines(folder / "tenants.jsonl", records)
    page = folder / "report.html"
    subprocess.run(
        [COMMAND, "apply", "tenants.jsonl", "--sandbox", "--quiet", "--report", page.name],
        cwd=folder,
        env=environment(folder),
        check=False,
        stdout=subprocess.DEVNULL,
    )
    return page


def main() -> None:
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 1290})
        page.goto(address(run(Path(name))))
        page.screenshot(path=PICTURE)
    sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
