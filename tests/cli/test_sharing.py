"""Every command that asks SES shares its second with others on this machine, unless it is told not to."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchpol.sending import sharing
from tests.place import Place
from tests.runs import row

COMMANDS = {
    "apply": ("apply", "in.jsonl"),
    "apply again": ("apply", "in.jsonl"),
    "plan": ("plan", "in.jsonl"),
    "export": ("export",),
}
NOT_KNOWN = "other runs on this machine are not known"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "machine"
    monkeypatch.setattr(sharing, "_folder", lambda: folder)
    return folder


def test_whatever_asks_ses_takes_turns(place: Place, folder: Path) -> None:
    place.save("in.jsonl", [row(0)])
    before = b""
    for name, command in COMMANDS.items():
        assert NOT_KNOWN not in place.run(*command).err
        (file,) = (it for it in folder.iterdir() if it.name != sharing.SWEPT)
        after = file.read_bytes()
        assert after != before, name
        place.run(*command, "--no-share", *(["--fresh"] if command[0] == "apply" else []))
        before = file.read_bytes()
        assert before == after, f"{name} was told not to share"


def test_an_ses_of_its_own_is_not_shared(place: Place, folder: Path) -> None:
    place.save("in.jsonl", [row(0)])
    place.run("apply", "in.jsonl", "--sandbox")
    assert not folder.exists()


def test_where_the_folder_cannot_be_used_a_run_says_so_once_and_goes_on(place: Place, folder: Path) -> None:
    place.save("in.jsonl", [row(number) for number in range(3)])
    folder.write_text("")
    for command in COMMANDS.values():
        said = place.run(*command).err
        assert said.count(NOT_KNOWN) == 1, command
        assert f"{folder} is no folder; remove it" in said.replace("\n", " ")
    assert place.run("apply", "in.jsonl", "--fresh", "--prune").err.count(NOT_KNOWN) == 1
    told = place.run("apply", "in.jsonl", "--fresh", "--log-format", "json").err
    assert [NOT_KNOWN in line for line in told.splitlines()].count(True) == 1
    assert NOT_KNOWN not in place.run("apply", "in.jsonl", "--no-share").err


def test_what_makes_the_file_unusable_during_a_run_is_said_once(
    place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.save("in.jsonl", [row(number) for number in range(3)])
    monkeypatch.setattr(sharing, "exchange", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
    said = place.run("apply", "in.jsonl").err
    assert said.count(NOT_KNOWN) == 1
    assert "No space left" in said
