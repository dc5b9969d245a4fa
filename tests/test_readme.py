"""The README says what the code does: its tables, its commands, its names."""

from __future__ import annotations

import re

from batchpol.batch.check import RULES
from tests.readme_commands import README, commands, main_command
from tests.readme_tables import TABLES, filled

TEXT = README.read_text(encoding="utf-8")


def test_tables_are_those_of_the_code() -> None:
    assert all(f"<!-- {name} -->" in TEXT for name in TABLES)
    assert filled(TEXT) == TEXT, "run: python -m tests.readme_tables"


def test_the_first_two_code_blocks_are_the_two_commands() -> None:
    first, second = commands()
    assert "\n" not in first
    assert "\n" not in second
    assert main_command() == "batchpol apply samples/tenants.csv --sandbox"
    assert second.endswith("-m pytest -n 2")


def test_every_code_in_the_text_exists() -> None:
    named = set(re.findall(r"`((?:record|json|policy|identity|name|statement|batch|target|risk)-[a-z-]+)`", TEXT))
    unknown = {code for code in named if code not in RULES and not code.endswith("-")}
    assert not unknown - {"identity-unverified"}


def test_every_link_inside_the_readme_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
        for line in TEXT.splitlines() if line.startswith("#")
    }  # fmt: skip
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings
