"""Imports point down only, and modules of one floor never import each other (TYPE_CHECKING imports too)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "batchpol"

FLOORS = {
    "version": 0, "model": 0,
    "files": 1, "facts": 1,
    "source": 2, "identity": 2, "policy": 2, "ses": 2,
    "validation": 3, "journal": 3, "report": 3,
    "outputs": 4, "rewriting": 4, "sending": 4,
    "batch": 5, "exporting": 5, "fleet": 5, "probe": 5,
    "cli": 6, "api": 6, "sandbox": 6,
    "__init__": 7, "__main__": 7, "testing": 7,
}  # fmt: skip

FOREIGN = {
    "aiobotocore": {"ses"},
    "botocore": {"ses"},
    "aiolimiter": {"sending"},
    "typer": {"cli"},
    "aiohttp": {"ses", "sandbox"},
    "fcntl": {"files"},
    "asyncio": {"sandbox", "testing", "api", "ses"},
}
"""What may be imported in these modules only."""

EXCEPTIONS = {("cli", "sandbox")}
"""The CLI's ``--sandbox``, and nothing else, reaches across its floor."""


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(str(node.module))
            if node.module == "batchpol":
                found |= {f"batchpol.{alias.name}" for alias in node.names}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_module_has_its_floor() -> None:
    assert {module_of(path) for path in FILES} == set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = module_of(path)
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "batchpol" and rest:
            there = rest.split(".")[0]
            if there != here and (here, there) not in EXCEPTIONS:
                assert FLOORS[there] < FLOORS[here], f"{here} (floor {FLOORS[here]}) imports {there}"
        elif package in FOREIGN:
            assert here in FOREIGN[package], f"{here} imports {package}"


def test_product_code_is_quiet_and_holds_no_sleep_of_its_own() -> None:
    for path in FILES:
        if module_of(path) in ("cli", "sandbox", "testing"):
            continue
        names = {node.func.id for node in ast.walk(ast.parse(path.read_text("utf-8")))
                 if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
        assert "print" not in names, f"{path} prints"
