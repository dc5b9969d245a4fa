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


PRECIOUS = {
    "its own input": "in.jsonl",
    "the journal of a run": JOURNAL,
    "somebody's list": "list.jsonl",
    "somebody's plan": "plan.jsonl",
    "what an export keeps": "half.jsonl.partial",
    "a policy": "policy.jsonl",
}
"""What no output takes the place of, whatever command writes it."""

OUTPUTS = WRITTEN | {
    "export": ("export", "--output", "{}.jsonl"),
    "render": ("render", "in.jsonl", "--output", "{}.jsonl"),
    "retarget": ("retarget", "in.jsonl", "--to-region", "eu-west-1", "--output", "{}.jsonl"),
    "arrivals": ("sandbox", "--log", "{}.jsonl"),
}


@pytest.fixture
def kept(job: Place) -> Place:
    """The same, with whatever could be an input."""
    job.save("list.jsonl", [row(7)])
    job.run("plan", "in.jsonl", "--report", "plan.jsonl")
    (job.folder / "half.jsonl.partial").write_text('{"batchpol_export":1,"begun":"2026-01-01"}\n')
    (job.folder / "policy.jsonl").write_text(row(0)["policy"])
    return job


@pytest.mark.parametrize("what", [name for name in OUTPUTS if name != "journal"])
def test_no_output_takes_the_place_of_what_could_be_an_input(kept: Place, what: str) -> None:
    """Told before anything is read: there need be no input, no journal and no SES."""
    kept.forget_arrivals()
    for number, name in enumerate(PRECIOUS.values()):
        place, arguments = put(OUTPUTS[what], f"w{number}")
        (kept.folder / place).write_bytes((kept.folder / name).read_bytes())
        ended = kept.run(*(f"no-{it}" if it in ("in.jsonl", JOURNAL) else it for it in arguments), code=2)
        assert f"{place} is " in ended.err and "which no output replaces" in ended.err
        assert (kept.folder / place).read_bytes() == (kept.folder / name).read_bytes()
    assert not kept.sandbox.arrivals


@pytest.mark.parametrize("what", [name for name, line in OUTPUTS.items() if {"in.jsonl", JOURNAL} & set(line)])
def test_no_output_is_the_input_itself_under_whatever_name(kept: Place, what: str) -> None:
    place, arguments = put(OUTPUTS[what], "w")
    read = next(it for it in arguments if it in ("in.jsonl", JOURNAL))
    before = (kept.folder / read).read_bytes()
    os.link(kept.folder / read, kept.folder / place)
    ended = kept.run(*arguments, code=2)
    assert f"{place} is the {'input' if read == 'in.jsonl' else 'journal'} itself" in ended.err
    assert (kept.folder / read).read_bytes() == before


def test_no_output_is_another_output(kept: Place) -> None:
    for command in (
        "apply in.jsonl --report r.csv --report ./r.csv",
        f"report {JOURNAL} --report r.csv --report r.csv",
    ):
        assert "r.csv is given for two outputs" in kept.run(*command.split(), code=2).err
    for line in ("apply in.jsonl --journal j.jsonl --report j.jsonl", "apply in.jsonl --journal in.jsonl"):
        assert "itself" in kept.run(*line.split(), code=2).err
    assert "is the template itself" in kept.run(
        "render", "in.jsonl", "--policy-template", "policy.jsonl", "-o", "policy.jsonl", code=2
    ).err  # fmt: skip


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
