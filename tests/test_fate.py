"""What became of a record is written down as a list of fields once; whatever tells of it derives from that."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from batchpol.model import FATE
from tests.edited import PACKAGE, run_edited

TELLS_OF_A_NEW_FIELD = """
import contextlib, io, json
from batchpol.cli.screen.events import Events
from batchpol.journal import Intent, Journal, OutcomeEntry, Planned, RecordEntry, Run, outcomes
from batchpol.model import Outcome, Status
from batchpol.report import write_plan, write_report

known = {"number": 0, "line": 2, "identity": "a.example", "policy_name": "p"}
made = Outcome(**known, status=Status.APPLIED, weather="rain")
with Journal.create("j") as book:
    book.append(
        Run(format=1, run_id="r", at="2026-03-01T08:00:00Z"),
        RecordEntry(n=0, line=2, identity="a.example", policy_name="p", key="a.example"),
        Planned(records=1),
        Intent(n=0, attempt=1, at="2026-03-01T08:00:01Z"),
        OutcomeEntry.of(made),
    )
with Journal.resume("j") as book:
    carried = book.read_outcome(book.history.fate("", "", "a.example", "p", "put", "").offset)
(read,) = outcomes("j")
assert read == made, (read, made)
for name in ("r.csv", "r.jsonl", "r.html"):
    write_report([read], name)
write_plan([read], "plan.jsonl")
with contextlib.redirect_stderr(io.StringIO()) as told:
    Events(quiet=False, confirm=None).settled(read)
print(json.dumps({"carried": carried.weather, "event": json.loads(told.getvalue())}))
"""


def test_a_new_field_is_in_the_journal_and_in_every_report_when_it_is_written_once(tmp_path: Path) -> None:
    field = (
        "model/__init__.py",
        "\n    retryable: bool = False\n",
        '\n    weather: str = ""\n    retryable: bool = False\n',
    )
    said = json.loads(run_edited(tmp_path, [field], TELLS_OF_A_NEW_FIELD))
    assert said["carried"] == said["event"]["weather"] == "rain"
    heads, cells = (tmp_path / "r.csv").read_text("utf-8").splitlines()
    assert dict(zip(heads.split(","), cells.split(","), strict=True))["weather"] == "rain"
    for name in ("r.jsonl", "plan.jsonl"):
        assert json.loads((tmp_path / name).read_text("utf-8"))["weather"] == "rain"
    page = (tmp_path / "r.html").read_text("utf-8")
    assert '"duration_ms","weather"' in page
    assert '"rain"' in page


DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
MANY = len(FATE) // 2 + 2
"""So many fields in one place are a list of them, which would have to be kept in step."""


def places(tree: ast.Module) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Each class and function without those inside of it, and each other statement of the module."""
    for node in ast.walk(tree):
        if isinstance(node, DEFINITIONS):
            yield node.name, [part for part in node.body if not isinstance(part, DEFINITIONS)]
    yield from ((f"line {node.lineno}", [node]) for node in tree.body if not isinstance(node, DEFINITIONS))


def written_out(parts: Iterable[ast.stmt]) -> Iterator[str]:
    """The names that are declared, assigned, given as keywords or quoted."""
    for node in (node for part in parts for node in ast.walk(part)):
        match node:
            case ast.keyword(arg=str(name)) | ast.Constant(value=str(name)) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def test_the_fields_are_written_out_where_they_are_declared_and_where_a_lane_makes_them() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in PACKAGE.rglob("*.py")
        for name, parts in places(ast.parse(path.read_text("utf-8")))
        if len(set(FATE) & set(written_out(parts))) >= MANY
    }
    assert found == {"model/__init__.py: Fate", "sending/outcomes.py: outcome_of"}
