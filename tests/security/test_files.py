"""What the commands write is its owner's alone, appears whole or not at all, and never through a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.place import Place
from tests.runs import row

JOURNAL = "in.journal.jsonl"
WRITTEN = {
    "journal": ("apply", "in.jsonl", "--journal", "{}.journal.jsonl"),
    "report.csv": ("apply", "in.jsonl", "--report", "{}.csv"),
    "report.jsonl": ("apply", "in.jsonl", "--report", "{}.jsonl"),
    "findings": ("validate", "in.jsonl", "--region", "us-east-1", "--report", "{}.jsonl"),
    "plan": ("plan", "in.jsonl", "--report", "{}.jsonl"),
    "undo": ("undo", JOURNAL, "--output", "{}.jsonl"),
    "report of a journal": ("report", JOURNAL, "--report", "{}.csv"),
    "input of what failed": ("report", JOURNAL, "--only", "applied", "--report", "{}.jsonl"),
}
"""Every file that a command writes, with {} for its stem."""

REPLACED = ("report.csv", "report.jsonl", "findings", "report of a journal")
"""Those that nobody reads with a command: they take the place of earlier ones."""


@pytest.fixture
def job(place: Place) -> Place:
    """An input, and the journal of a run of it."""
    place.save("in.jsonl", [row(0)])
    place.run("apply", "in.jsonl")
    return place


@pytest.fixture
def open_to_all() -> Iterator[None]:
    """A umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


def put(command: tuple[str, ...], stem: str) -> tuple[Path, list[str]]:
    """The file that a command is to write, and the command."""
    arguments = [argument.replace("{}", stem) for argument in command]
    return Path(next(given for given in arguments if given.startswith(stem))), arguments


def test_every_file_is_its_owner_s_alone(job: Place, open_to_all: None) -> None:
    for number, command in enumerate(WRITTEN.values()):
        job.run(*put(command, f"w{number}")[1])
    job.run("apply", "in.jsonl", "--fresh")
    found = {file.name: stat.S_IMODE(file.stat().st_mode) for file in job.folder.iterdir()}
    assert len(list(job.folder.glob(f"{JOURNAL}.2*"))) == 1, "the journal that --fresh set aside is among them"
    del found["in.jsonl"]
    assert len(found) > len(WRITTEN)
    assert {name: oct(mode) for name, mode in found.items() if mode != 0o600} == {}


def in_the_way(path: Path) -> Iterator[Callable[[], None]]:
    """What may stand in a file's place and is none."""
    victim = path.with_name("victim")
    yield lambda: path.symlink_to(victim)
    yield lambda: path.symlink_to("nowhere")
    yield lambda: path.symlink_to("/dev/null")
    yield lambda: os.mkfifo(path)
    yield path.mkdir


@pytest.mark.parametrize("what", WRITTEN)
def test_links_pipes_and_folders_in_its_place_are_refused(job: Place, what: str) -> None:
    path, arguments = put(WRITTEN[what], "w")
    victim = job.folder / "victim"
    victim.write_text("untouched")
    for stands in in_the_way(job.folder / path):
        stands()
        before = (job.folder / path).lstat()
        ended = job.run(*arguments, code=None)
        assert ended.code in (2, 3), ended.err
        assert path.name in ended.err
        assert os.path.samestat((job.folder / path).lstat(), before)
        (job.folder / path).rmdir() if path.is_dir() and not path.is_symlink() else (job.folder / path).unlink()
    assert victim.read_text() == "untouched"
    assert not (job.folder / "nowhere").exists()


def test_it_is_written_beside_under_a_name_that_nobody_can_foresee(job: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no link can wait there; and what stood in its place is whole until the new one is."""
    renamed: list[tuple[str, str, int]] = []
    replace = Path.replace

    def noted(self: Path, target: Path) -> Path:
        renamed.append((self.name, target.name, stat.S_IMODE(self.stat().st_mode)))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    for number, (name, command) in enumerate(WRITTEN.items()):
        path, arguments = put(command, f"w{number}")
        if name != "journal":
            job.run(*arguments)
            if name not in REPLACED:
                (job.folder / path).unlink()
            job.run(*arguments)
            parts = [part for part, place, mode in renamed if place == path.name and mode == 0o600]
            assert len(set(parts)) == 2, name
    assert not list(job.folder.glob("*.part")) + list(job.folder.glob(".*.part"))
