"""The manual's picture of a report: ``python -m tests.pictures`` renders a real run against the embedded SES.

``python -m tests.pictures FOLDER`` makes pictures of a report's page and a plan's there, at three widths, in light and
dark and on paper, and prints what axe-core finds against each, and how large pages are. It ends with 1 if axe-core
finds anything.

It needs a Chromium, Playwright and axe-core (see :mod:`tests.browser`) and takes about half a minute.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from batchpol.report import write_plan_page
from tests.browser import address, chromium, violations
from tests.e2e.command import COMMAND, environment, record, save_lines, tenants
from tests.report.pages import ABOUT, many, planned, write

PICTURE = Path(__file__).parent.parent / "samples" / "report.png"
WIDTHS = (360, 768, 1440)
SIZES = (1, 5_000, 100_000)


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


def shots(pages: list[Path], folder: Path) -> Iterator[tuple[str, int]]:
    """Pictures of whole pages, and what axe-core finds against each."""
    with chromium() as browser:
        for page, width in ((page, width) for page in pages for width in WIDTHS):
            for scheme, medium in (("light", "screen"), ("dark", "screen"), ("light", "print")):
                context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
                shown = context.new_page()
                shown.emulate_media(media=medium)
                shown.goto(address(page))
                name = f"{page.stem}-{width}-{scheme if medium == 'screen' else medium}.png"
                shown.screenshot(path=folder / name, full_page=True)
                yield name, len(violations(shown))
                context.close()


def main(folder: Path | None = None) -> int:
    with tempfile.TemporaryDirectory() as name:
        report, plan = run(Path(name)), Path(name) / "plan.html"
        if folder is None:
            with chromium() as browser:
                page = browser.new_page(viewport={"width": 1000, "height": 1870})
                page.goto(address(report))
                page.screenshot(path=PICTURE)
            sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes\n")
            return 0
        folder.mkdir(parents=True, exist_ok=True)
        write_plan_page(planned(240), plan, about=ABOUT)
        found = 0
        for shot, count in shots([report, plan], folder):
            sys.stdout.write(f"{shot}: axe-core finds {count}\n")
            found += count
        for count in SIZES:
            write(many(count), plan, about=ABOUT)
            sys.stdout.write(f"a page of {count:,}: {plan.stat().st_size:,} bytes\n")
        return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
