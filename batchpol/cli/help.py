"""``batchpol help``: the pages of the manual, which are shipped in the package (``batchpol/manual/``)."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from batchpol.cli.screen.terminal import write
from batchpol.model import did_you_mean
from batchpol.model.errors import UsageError

EPILOG = (
    "Examples:\n"
    "batchpol help\n"
    "batchpol help resume\n"
    "A terminal shows the page set out; a pipe or a file gets its Markdown. Exit: 0, or 2 for a topic there is not."
)

MANUAL = Path(__file__).parent.parent / "manual"


def topics() -> dict[str, str]:
    """Every topic with its sentence, in the order of the manual's contents."""
    contents = (MANUAL / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^- \[([a-z-]+)\]\(\1\.md\): (.+)$", contents, re.MULTILINE))


def page(topic: str) -> str:
    """A page's Markdown, for those who read it here: marks and pictures left out, links as commands to type."""
    text = (MANUAL / f"{topic}.md").read_text(encoding="utf-8")
    text = re.sub(r"^(?:<!--.*?-->|!\[.*?\]\(.*?\)\n)\n", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\[[^\]]+\]\(([a-z-]+)\.md(?:#[a-z0-9-]+)?\)", r"`batchpol help \1`", text)


def _completed(incomplete: str) -> list[tuple[str, str]]:
    return [(topic, sentence) for topic, sentence in topics().items() if topic.startswith(incomplete)]


def help(
    context: typer.Context,
    topic: Annotated[
        str | None, typer.Argument(metavar="TOPIC", help="Without one: which there are.", autocompletion=_completed)
    ] = None,
) -> None:
    """Show a page of the manual, or which pages there are."""
    from batchpol.cli.screen.page import show

    known = topics()
    if topic is None:
        write("\n".join(_contents(known)))
    elif topic in known and sys.stdout.isatty():
        show(page(topic))
    elif topic in known:
        write(page(topic).rstrip())
    else:
        _show_command(context, topic)


def _contents(known: dict[str, str]) -> list[str]:
    stories = {topic: sentence for topic, sentence in known.items() if topic.startswith("tutorial-")}
    subjects = {topic: sentence for topic, sentence in known.items() if topic not in stories}
    head = "The manual's topics, each shown by batchpol help TOPIC:"
    return [
        head,
        "",
        *_listed(subjects),
        "",
        "Whole stories, from their first command to their last:",
        "",
        *_listed(stories),
    ]


def _listed(known: dict[str, str]) -> list[str]:
    widest = max(map(len, known))
    return [f"  {topic:{widest}}  {sentence}" for topic, sentence in known.items()]


def _show_command(context: typer.Context, name: str) -> None:
    """The help of a command that has no page of its own."""
    commands = context.find_root().command.commands  # type: ignore[attr-defined]
    command = commands.get(name)
    if command is None:
        hint = did_you_mean(name, [*topics(), *commands], cutoff=0.6) or "see batchpol help"
        raise UsageError(f"the manual has no topic {name!r}", hint=hint)
    write(command.get_help(type(context)(command, info_name=name, parent=context.parent)))
