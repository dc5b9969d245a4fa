"""The README and the manual say what the code does: their tables, commands, names and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batchpol.batch.check import RULES
from batchpol.cli.help import MANUAL, topics
from tests.readme_commands import commands, main_command
from tests.readme_tables import PAGES, TABLES, filled

TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES}
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem if path.parent == MANUAL else path.name)


@each_page
def test_tables_are_those_of_the_code(path: Path) -> None:
    assert filled(TEXTS[path]) == TEXTS[path], "run: python -m tests.readme_tables"


def test_every_table_stands_once() -> None:
    text = "".join(TEXTS.values())
    assert {name: text.count(f"<!-- {name} -->") for name in TABLES} == dict.fromkeys(TABLES, 1)


def test_the_first_two_code_blocks_are_the_two_commands() -> None:
    first, second = commands()
    assert "\n" not in first
    assert "\n" not in second
    assert main_command() == "batchpol apply samples/tenants.csv --sandbox"
    assert second.endswith("-m pytest -n 2")


@each_page
def test_every_code_in_the_text_exists(path: Path) -> None:
    kinds = {code.partition("-")[0] for code in RULES}
    named = {code for code in re.findall(r"`([a-z]+-[a-z-]+)`", TEXTS[path]) if code.partition("-")[0] in kinds}
    assert named <= RULES.keys()


def headings(text: str) -> set[str]:
    return {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
        for line in text.splitlines() if line.startswith("#")
    }  # fmt: skip


@each_page
def test_every_link_leads_somewhere(path: Path) -> None:
    for place, _, heading in re.findall(r"\]\((?!https?:)([^)#]*)(#([^)]+))?\)", TEXTS[path]):
        there = (path.parent / place).resolve() if place else path
        assert there.exists(), place
        assert not heading or heading in headings(there.read_text(encoding="utf-8")), heading


def test_every_page_is_in_the_contents_and_fits_a_terminal() -> None:
    known = topics()
    assert set(known) == {path.stem for path in MANUAL.glob("*.md")} - {"README"}
    widest = max(map(len, known))
    assert all(len(f"  {'':{widest}}  {sentence}") <= 80 for sentence in known.values())
    assert all(TEXTS[MANUAL / f"{topic}.md"].startswith("# ") for topic in known)
