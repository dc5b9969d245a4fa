"""One journal, one report, one undo: those of one input, however many are called like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchpol import journal
from tests.e2e.command import FAST, finish, record, save_lines, start, tenants
from tests.place import Place


@pytest.fixture
def two(place: Place) -> Place:
    """``eu/tenants.jsonl`` and ``us/tenants.jsonl``, of which the first one was applied."""
    for number, region in enumerate(("eu", "us")):
        (place.folder / region).mkdir()
        place.save(f"{region}/tenants.jsonl", tenants(3)[number : number + 2])
    place.run("apply", "eu/tenants.jsonl")
    place.forget_arrivals()
    return place


def kept(place: Place) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_another_input_of_the_same_name_is_refused(two: Place, more: tuple[str, ...]) -> None:
    """The first report was overwritten, and ``undo`` covered both."""
    before = kept(two)
    ended = two.run("apply", "us/tenants.jsonl", *more, code=2)
    assert "tenants.journal.jsonl belongs to another input, eu/tenants.jsonl: this one is us/tenants.jsonl" in ended.err
    assert "name another file with --journal, or set this one aside with --fresh" in ended.err
    assert kept(two) == before
    assert not two.arrivals()


def test_the_mends(two: Place) -> None:
    two.run("apply", "us/tenants.jsonl", "--journal", "us.journal.jsonl", "--report", "us.report.csv")
    two.run("apply", "us/tenants.jsonl", "--fresh", "--report", "us2.report.csv")
    (aside,) = two.folder.glob("tenants.journal.jsonl.2*")
    assert {it.identity for it in journal.outcomes(aside)} == {"tenant000.example", "tenant001.example"}


def test_the_same_input_by_another_way(two: Place) -> None:
    (two.folder / "link").symlink_to("eu")
    (two.folder / "eu" / "tenants.jsonl").write_text((two.folder / "us" / "tenants.jsonl").read_text())  # edited
    for way in (two.folder / "eu" / "tenants.jsonl", "./eu/../eu/tenants.jsonl", "link/tenants.jsonl"):
        two.run("apply", way)


def test_journal_and_input_moved_together(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a checkout is, from one machine of a pipeline to the next."""
    elsewhere = two.folder / "elsewhere"
    elsewhere.mkdir()
    for name in ("eu", "tenants.journal.jsonl"):
        (two.folder / name).rename(elsewhere / name)
    monkeypatch.chdir(elsewhere)
    two.run("apply", "eu/tenants.jsonl")


def test_an_input_that_was_only_renamed(two: Place) -> None:
    (two.folder / "eu" / "tenants.jsonl").rename(two.folder / "tenants.jsonl")
    two.run("apply", "tenants.jsonl")


def test_a_journal_of_before_goes_on(two: Place) -> None:
    """One that does not say what it is of: an earlier batchpol wrote it."""
    entries = [entry for _, entry in journal.read("tenants.journal.jsonl")]
    run = entries[0]
    assert isinstance(run, journal.Run) and run.input_path == "eu/tenants.jsonl"
    run.input_path = ""
    Path("tenants.journal.jsonl").unlink()
    with journal.Journal.create("tenants.journal.jsonl") as book:
        book.append(*entries)
    two.run("apply", "us/tenants.jsonl")


def test_every_apply_of_standard_input(place: Place) -> None:
    first, second = (save_lines(place.folder / name, [record(f"{name}.example")]) for name in ("a", "b"))

    def piped(path: Path, *more: str) -> tuple[int, str]:
        ended = finish(start("apply", "-", *FAST, *more, cwd=place.folder, env=place.sandbox.environment(), stdin=-1),
                       path.read_bytes())  # fmt: skip
        return ended.code, ended.err

    assert piped(first)[0] == 0
    assert piped(first)[0] == 0, "it goes on, and looks at everything anew"
    report, writes = (place.folder / "stdin.report.csv").read_bytes(), len(place.writes)
    code, said = piped(second)
    assert code == 2
    assert "stdin.journal.jsonl belongs to another input: what came from standard input then had SHA-256" in said
    assert (place.folder / "stdin.report.csv").read_bytes() == report
    assert len(place.writes) == writes
    assert "and sent nothing; this is the run before it" in place.run("status", "stdin.journal.jsonl").err
    assert piped(first)[0] == 0, "that run has ended, and left nothing behind"
    assert piped(second, "--journal", "stdin.journal.jsonl")[0] == 0, "whoever names it knows what is in it"
    assert piped(first, "--fresh")[0] == 0
