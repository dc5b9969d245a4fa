"""``batchpol help``: topics, pages as a terminal and a pipe get them, and what is nearly a topic."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from batchpol.cli.help import page, topics
from tests.cli.conftest import Command
from tests.e2e.test_terminal import Terminal

TOPICS = list(topics())


def test_without_a_topic_every_topic_has_its_sentence(command: Command) -> None:
    ended = command("help")
    assert ended.code == 0
    assert all(f"  {topic} " in ended.out and sentence in ended.out for topic, sentence in topics().items())
    assert "resume" in TOPICS


@pytest.mark.parametrize("topic", TOPICS)
def test_a_pipe_gets_markdown_that_is_for_reading(topic: str, command: Command) -> None:
    ended = command("help", topic)
    assert ended.code == 0
    assert ended.out.startswith("# ")
    assert "<!--" not in ended.out and ".md)" not in ended.out and "![" not in ended.out
    assert "\x1b" not in ended.out


def test_a_link_to_another_page_is_a_command_to_type() -> None:
    assert "`batchpol help " in "".join(page(topic) for topic in TOPICS)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_gets_it_set_out(columns: int, folder: Path) -> None:
    terminal = Terminal("help", "resume", cwd=folder, env={}, columns=columns)
    terminal.end()
    assert "\x1b[1" in terminal.shown and "# " not in terminal.shown
    assert "```" not in terminal.shown and "**" not in terminal.shown


def test_no_figure_is_broken_where_a_table_is_wider_than_the_terminal(folder: Path) -> None:
    terminal = Terminal("help", "benchmarks", cwd=folder, env={"NO_COLOR": "1"}, columns=80)
    terminal.end()
    shown = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", terminal.shown).split())
    assert re.search(
        r"targets 300; requests 6,000; utilisation, worst lane 0\.\d{3} \(≥ 0\.97\); median 0\.\d{3};", shown
    )


@pytest.mark.parametrize(
    ("word", "hint"),
    [("resum", "did you mean resume?"), ("rendr", "did you mean render?"), ("xyzzy", "see batchpol help")],
)
def test_what_is_no_topic(word: str, hint: str, command: Command) -> None:
    ended = command("help", word)
    assert ended.code == 2
    assert f"no topic '{word}'" in ended.err and hint in ended.err


def test_a_command_without_a_page_shows_its_help(command: Command) -> None:
    assert "render" not in TOPICS
    assert command("help", "render").out.rstrip("\n") == command("render", "--help").out.rstrip("\n")


def test_topics_are_completed(command: Command) -> None:
    words = {"COMP_WORDS": "batchpol help re", "COMP_CWORD": "2"}
    offered = command(_BATCHPOL_COMPLETE="complete_bash", **words).out.split()
    assert offered == [topic for topic in TOPICS if topic.startswith("re")]


def test_the_topics_are_shown_without_what_sets_out_a_page(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [it for it in sys.modules if it.startswith(("rich", "markdown_it"))]:
        monkeypatch.delitem(sys.modules, name)
    command("help")
    command("help", "resume")
    assert not [it for it in sys.modules if it.startswith(("rich", "markdown_it"))]
