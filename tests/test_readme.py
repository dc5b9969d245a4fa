"""The README and the manual say what the code does: their tables, commands, names and links."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from importlib.metadata import version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from batchpol.batch.check import RULES
from batchpol.cli import app
from batchpol.cli.config import defaults_of
from batchpol.cli.help import MANUAL, _contents, topics
from batchpol.sandbox import DOUBTS
from tests.readme_commands import README, commands, main_command
from tests.readme_tables import PAGES, TABLES, filled
from tests.test_floors import FLOORS, PACKAGE

GROUP: Any = typer.main.get_command(app)
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
    assert second.endswith("-m pytest -n 3")


@each_page
def test_every_code_in_the_text_exists(path: Path) -> None:
    kinds = {code.partition("-")[0] for code in RULES}
    named = {code for code in re.findall(r"`([a-z]+-[a-z-]+)`", TEXTS[path]) if code.partition("-")[0] in kinds}
    assert named <= RULES.keys() | DOUBTS.keys()


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
    assert all(len(line) <= 80 for line in _contents(known))
    for text in (TEXTS[MANUAL / f"{topic}.md"] for topic in known):
        assert text.startswith("# ")
        fenced = "".join(re.findall(r"^```(?:sh|python|toml)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
        assert all(len(line) <= 78 for line in fenced.splitlines())


@each_page
def test_examples_in_other_languages_are_sound(path: Path, tmp_path: Path) -> None:
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", TEXTS[path], re.DOTALL | re.MULTILINE):
        if language == "python":
            compile(text, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        elif language == "json":
            json.loads(text)
        elif language == "toml":
            (tmp_path / "example.toml").write_text(text, encoding="utf-8")
            assert defaults_of(tmp_path / "example.toml", "apply", GROUP.commands)
        else:
            assert language in {"sh", "console", "csv", "text", "dockerfile", "yaml"}


CONTRIBUTING = (README.parent / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_what_contributing_names_is_there() -> None:
    named = re.findall(r"`((?:\.ci|\.github|batchpol|samples|tests)/[\w./-]*)", CONTRIBUTING)
    assert len(named) > 60
    assert not [path for path in named if path != "batchpol/cli/NAME.py" and not (README.parent / path).exists()]
    modules = re.findall(r"`python -m (tests[\w.]*)`", CONTRIBUTING)
    assert len(modules) > 8
    assert all(find_spec(module) for module in modules)


def test_tests_that_the_code_names_are_there() -> None:
    """Also after they were moved."""
    for path in [*MANUAL.parent.rglob("*.py"), *(README.parent / "tests").rglob("*.py")]:
        named = re.findall(r"\btests/[\w/]+\.py\b", path.read_text(encoding="utf-8"))
        assert not [it for it in named if not (README.parent / it).exists()], path


def test_the_map_has_every_room_from_the_top_down() -> None:
    """Each room stands in one row, below those that may import it, and has its tests in a folder of its name."""
    rows = re.findall(r"^\| (`batchpol/.+?) \|", CONTRIBUTING, re.MULTILINE)
    rooms = [Path(path).stem for row in rows for path in re.findall(r"`(batchpol/[\w.]+/?)`", row)]
    assert sorted(rooms) == sorted(FLOORS)
    assert [FLOORS[room] for room in rooms] == sorted((FLOORS[room] for room in rooms), reverse=True)
    folders = re.findall(r"^\| `batchpol/(\w+)/`", CONTRIBUTING, re.MULTILINE)
    assert all((README.parent / "tests" / room).is_dir() for room in folders)
    alone = {path.stem for path in PACKAGE.glob("*.py") if "_" not in path.stem} - {"version"}
    assert all((README.parent / "tests" / f"test_{room}.py").is_file() for room in alone)


PROJECT = tomllib.loads((README.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_readme_is_short() -> None:
    assert len(TEXTS[README].splitlines()) <= 150


def test_what_reaches_into_aiobotocore_is_not_run_with_its_next_major_version() -> None:
    (bounds,) = (it for it in PROJECT["dependencies"] if it.startswith("aiobotocore"))
    assert bounds.endswith(f",<{int(version('aiobotocore').partition('.')[0]) + 1}")


@pytest.mark.parametrize(("workflow", "job"), [("ci", "run"), ("release", "wheel")])
def test_each_version_of_python_that_is_promised_is_tried(workflow: str, job: str) -> None:
    jobs = yaml.safe_load((README.parent / f".github/workflows/{workflow}.yml").read_text(encoding="utf-8"))["jobs"]
    promised = [it.rpartition(" ")[2] for it in PROJECT["classifiers"] if "Python :: 3." in it]
    assert jobs[job]["strategy"]["matrix"]["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_every_benchmark_says_what_it_guards() -> None:
    paths = (README.parent / "tests" / "bench").glob("*.py")
    found = {path.stem for path in paths if "ArgumentParser" in path.read_text(encoding="utf-8")} - {
        "clients",
        "server",
    }  # which others start
    assert found <= set(re.findall(r"`(?:python -m )?tests\.bench\.(\w+)`", CONTRIBUTING))


def test_the_dependencies_are_those_of_the_package() -> None:
    asked = [*PROJECT["dependencies"], *chain.from_iterable(PROJECT["optional-dependencies"].values())]
    listed = re.findall(r"^\| ([a-z0-9, -]+?)(?: \(.+?\))? \| ", CONTRIBUTING.partition("## Why each")[2], re.MULTILINE)
    named = {name for cell in listed for name in cell.split(", ")} - {"package", "---"}
    assert named == {re.split(r"[<>=!~\[ ]", it)[0] for it in asked}
