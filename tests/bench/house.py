"""Count the house: rooms, arrows, sizes, and what one more record costs in moves between files.

    python -m tests.bench.house [--package DIR] [--still]

DIR is a checkout, this one or an older one (whose tests say what counts as upward). A room is a
module or folder at the top of the package, an arrow an import from one room to another, under TYPE_CHECKING too. A move
is a call from a file of the package into another one, a form a class of the package of which one more record makes one
more object: both are watched (``sys.setprofile``) while a batch goes through the embedded SES, which itself is not
counted, and are the difference between a batch and one of a record more.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from types import CodeType, FrameType
from typing import Any, NamedTuple

PACKAGE = Path(__file__).parents[2] / "batchpol"
RECORDS = 20
"""Records of the smaller batch: as many as it takes until every document's shape is known."""
PERIOD = 0.05
"""Seconds between two requests: long enough that each record is on its way alone."""


class Sized(NamedTuple):
    """A class or function, and one of its sizes."""

    size: int
    name: str
    """With its file, relative to the package."""

    def __str__(self) -> str:
        return f"{self.size:>5}  {self.name}"


def trees(package: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Every module of the package, by its path within it."""
    for path in sorted(package.rglob("*.py")):
        yield path.relative_to(package), ast.parse(path.read_text(encoding="utf-8"))


def room_of(path: Path) -> str:
    """The room that a module is in."""
    return path.parts[0].removesuffix(".py")


def imported(node: ast.AST, package: str) -> list[str]:
    """The modules of the package that a statement imports; of ``from package import it``, ``package.it``."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module == package:
        names = [f"{package}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [str(node.module)]
    else:
        return []
    return [name for name in names if name.startswith(f"{package}.")]


def arrows(package: Path) -> dict[str, set[str]]:
    """The rooms that each room imports."""
    found: dict[str, set[str]] = {}
    for path, tree in trees(package):
        there = found.setdefault(room_of(path), set())
        there |= {name.split(".")[1] for node in ast.walk(tree) for name in imported(node, package.name)}
    return {here: {room for room in there if room in found and room != here} for here, there in found.items()}


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The rooms that reach each other, where there is more than one of them."""
    reach = {room: set(there) for room, there in graph.items()}
    for middle in reach:
        for there in reach.values():
            if middle in there:
                there |= reach[middle]
    found = [{room, *(it for it in there if room in reach[it])} for room, there in reach.items() if room in there]
    return [circle for at, circle in enumerate(found) if circle not in found[:at]]


def floors_of(package: Path) -> dict[str, int]:
    """Every room's floor, as the tests beside the package have them."""
    for node in ast.parse((package.parent / "tests/test_floors.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "FLOORS":
            floors: dict[str, int] = ast.literal_eval(node.value)
            return floors
    raise LookupError(f"{package.parent}/tests/test_floors.py has no FLOORS")


def defined(package: Path) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every class and function, however deep, with its file and name."""
    for path, tree in trees(package):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}:{node.lineno} {node.name}", node


def classes(package: Path) -> Iterator[tuple[Sized, Sized]]:
    """Every class by its lines and by its methods."""
    for name, node in defined(package):
        if isinstance(node, ast.ClassDef):
            methods = sum(isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef) for it in node.body)
            yield Sized((node.end_lineno or 0) - node.lineno + 1, name), Sized(methods, name)


def bodies(package: Path) -> Iterator[Sized]:
    """Every function by the lines of its body, its docstring not counted."""
    for name, node in defined(package):
        if not isinstance(node, ast.ClassDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield Sized((node.end_lineno or 0) - body[0].lineno + 1 if body else 0, name)


def parameters(package: Path) -> Iterator[Sized]:
    """Every function by its parameters, ``self`` and ``cls`` not counted."""
    for name, node in defined(package):
        if not isinstance(node, ast.ClassDef):
            given = node.args
            all_of = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            yield Sized(sum(it is not None and it.arg not in ("self", "cls") for it in all_of), name)


def late_imports(package: Path) -> Iterator[tuple[Path, int]]:
    """Every import inside of a function: its file and line."""
    for path, tree in trees(package):
        nodes = {
            it.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for it in ast.walk(node)
            if isinstance(it, ast.Import | ast.ImportFrom)
        }
        yield from ((path, line) for line in nodes)


class Watch:
    """A profile function that writes down calls between files of a package, and the objects of its classes."""

    def __init__(self, package: Path) -> None:
        self._start, self._left_out = f"{package}/", (f"{package}/sandbox/", f"{package}/testing.py")
        self._calls: Counter[tuple[str, CodeType, int]] = Counter()
        self._objects: dict[int, object] = {}

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        here = self._file(frame)
        if here is None or event not in ("call", "return"):
            return
        for it in [value] if event == "return" else frame.f_locals.values():
            if type(it).__module__.startswith("batchpol."):
                self._objects[id(it)] = it
        caller = frame.f_back
        while caller is not None and self._file(caller) is None:
            caller = caller.f_back
        if event == "call" and caller is not None and self._file(caller) != here:
            self._calls[caller.f_code.co_filename, frame.f_code, frame.f_lasti] += 1

    def result(self) -> dict[str, Any]:
        """How many moves, and how many objects of each class."""
        # A coroutine that goes on where it waited is "called", too: only its beginning counts.
        begins: dict[CodeType, int] = {}
        for _, code, at in self._calls:
            begins[code] = min(at, begins.get(code, at))
        moves = sum(count for (_, code, at), count in self._calls.items() if at == begins[code])
        kinds = (type(it) for it in self._objects.values())
        names = (f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
        return {"moves": moves, "forms": Counter(it for it in names if not it.startswith("batchpol.sandbox."))}

    def _file(self, frame: FrameType) -> str | None:
        name = frame.f_code.co_filename
        return name if name.startswith(self._start) and not name.startswith(self._left_out) else None


def watched(records: int) -> dict[str, Any]:
    """What a batch of so many records of one target takes, from a file to a journal and a report."""
    import batchpol
    from batchpol.testing import running_sandbox

    with tempfile.TemporaryDirectory() as name, running_sandbox() as sandbox:
        folder = Path(name)
        os.environ |= sandbox.environment() | {
            "AWS_CONFIG_FILE": str(folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        }
        lines = [
            json.dumps({"identity": f"t{n}.example", "policy_name": "p", "policy": _document(n)})
            for n in range(records)
        ]
        (folder / "batch.jsonl").write_text("\n".join(lines))
        watch = Watch(Path(batchpol.__file__).parent)

        async def run() -> Any:
            threading.setprofile(watch)
            sys.setprofile(watch)
            try:
                return await batchpol.apply(
                    folder / "batch.jsonl", period=PERIOD, journal=folder / "journal", reports=[folder / "report.csv"]
                )
            finally:
                sys.setprofile(None)
                threading.setprofile(None)  # type: ignore[arg-type]

        result = asyncio.run(run())
        assert result.exit_code == 0 and result.summary.records == records, result
        return watch.result()


def _document(number: int) -> dict[str, Any]:
    resource = f"arn:aws:ses:us-east-1:123456789012:identity/t{number}.example"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "444455556666"},
        "Action": "ses:SendEmail",
        "Resource": resource,
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def of_one_record(package: Path) -> tuple[float, list[str]]:
    """Moves between files, and the forms, of one more record: medians of three pairs of batches."""
    pairs = [[_apart(package, records) for records in (RECORDS, RECORDS + 1)] for _ in range(3)]
    forms = Counter(
        name for less, more in pairs for name, count in more["forms"].items() if count > less["forms"].get(name, 0)
    )
    return median(more["moves"] - less["moves"] for less, more in pairs), sorted(it for it in forms if forms[it] > 1)


def _apart(package: Path, records: int) -> dict[str, Any]:
    """One batch in a process of its own, whose batchpol is that package."""
    command = [sys.executable, str(Path(__file__)), "--watched", str(records)]
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    found: dict[str, Any] = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
    return found


def _print_counts(package: Path) -> None:
    graph, floors = arrows(package), floors_of(package)
    upward = [f"{here} -> {there}" for here in graph for there in graph[here] if floors[there] >= floors[here]]
    late = [path for path, _ in late_imports(package)]
    sizes = list(classes(package))
    print(f"{len(graph):>5}  rooms")
    print(f"{sum(map(len, graph.values())):>5}  arrows between rooms")
    print(f"{len(upward):>5}  of them not downward: {', '.join(sorted(upward)) or 'none'}")
    print(f"{len(circles(graph)):>5}  circles")
    print(f"{max(lines for lines, _ in sizes)}: longest class, in lines")
    print(f"{max(methods for _, methods in sizes)}: most methods")
    print(f"{max(bodies(package))}: longest body, in lines")
    print(f"{max(parameters(package))}: most parameters")
    print(f"{len(late):>5}  late imports, {sum(path.parts[0] != 'cli' for path in late)} of them outside of cli")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--package", type=Path, default=PACKAGE, metavar="DIR", help="a checkout, or its package (default: this one's)"
    )
    parser.add_argument("--still", action="store_true", help="count what can be read, and run nothing")
    parser.add_argument("--watched", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watched:
        print(json.dumps(watched(options.watched)))
        return
    package = options.package.resolve()
    package = package / "batchpol" if (package / "batchpol").is_dir() else package
    _print_counts(package)
    if not options.still:
        moves, forms = of_one_record(package)
        print(f"{moves:>5g}  moves between files for one more record")
        print(f"{len(forms):>5}  forms of one more record: {', '.join(it.rpartition('.')[2] for it in forms)}")


if __name__ == "__main__":
    main()
