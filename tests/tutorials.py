"""The tutorials of the manual, typed at a terminal: ``python -m tests.tutorials`` writes what it showed into them.

A tutorial is a page ``tutorial-NAME.md``. Its blocks of ``console`` are what a terminal of 80 columns shows: commands
behind ``$ `` (and ``> `` where one goes on), then what they said. All of a page are typed into one shell, in an empty
folder. A block behind ``<!-- file: NAME -->`` is saved there first, and each ``batchpol sandbox --port …`` in a block
of ``sh`` serves meanwhile. A question is answered as the page says, or else with yes.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE

from batchpol.cli.help import MANUAL
from tests.e2e.command import nothing_left_running, start
from tests.readme_commands import blocks
from tests.terminal import Terminal

TUTORIALS = sorted(MANUAL.glob("tutorial-*.md"))
_BLOCK = re.compile(r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.M)
_STEP = re.compile(r"^(\$ (.*(?:\n> .*)*)\n((?:(?!\$ ).*\n)*))", re.M)
_PROMPT, _QUESTION = "\x1e", "[y/N]:"
_SHELL = {
    "PS1": f"$ {_PROMPT}",
    "PS2": f"> {_PROMPT}",
    "HISTFILE": "/dev/null",
    "TERM": "dumb",  # on which nothing is drawn anew
    "BATCHPOL_APPLY_STALENESS": "120",  # as people have it
}
_VARYING = {
    r"(?m)^[\d,]+ of [\d,]+ records: .*\n": "",  # progress, of which a slow machine shows more
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:\+00:00|Z| UTC)?": "MOMENT",
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}": "ID",
    r"\([0-9a-f]{8}\)": "(RUN)",
    r"\b(?:\d+ (?:h|min) )?\d+(?:\.\d+)? m?s\b": "SECONDS",
    r"\b\d+(?:\.\d+)? a second\b": "PACE a second",
    r"\[\d+\] \d+|\b(?:[0-9a-f]{32}|[0-9a-f]{8})\b|\bkill \d+|process \d+ on \S+": "PROCESS OR RUN",
    r"\s+": " ",  # where a line is broken depends on the others
}
"""What no two runs have in common."""


def lasting(text: str) -> str:
    """What a command said, without what differs from run to run."""
    for pattern, name in _VARYING.items():
        text = re.sub(pattern, name, text)
    return text.strip()


def retold(page: Path, folder: Path) -> str:
    """The text of a page with what its commands say now; what they said only stays if nothing else was said."""
    with ExitStack() as stack:
        stack.enter_context(nothing_left_running())
        ports = {wanted: stack.enter_context(_serving(options)) for wanted, options in _servers(page).items()}
        shell = Terminal(
            "--noprofile", "--norc", "--noediting", "+H", "-i", command="/bin/bash", cwd=folder, env=_SHELL
        )
        shell.read_until(_PROMPT)
        shell.shown = ""

        def told(block: re.Match[str]) -> str:
            text = block["text"]
            if block["file"]:
                (folder / block["file"]).write_text(text, encoding="utf-8")
            if block["language"] != "console":
                return block[0]
            for page_port, port in ports.items():
                text = text.replace(page_port, port)
            said = _typed(shell, text, folder)
            for page_port, port in ports.items():
                said = said.replace(port, page_port)
            return f"```console\n{said}```"

        return _BLOCK.sub(told, page.read_text(encoding="utf-8"))


def _servers(page: Path) -> dict[str, list[str]]:
    """The options of each embedded SES that a page speaks of, by its port."""
    found = [re.fullmatch(r"batchpol sandbox --port (\d{5})(.*)", it.text) for it in blocks(page)]
    return {it[1]: it[2].split() for it in found if it}


@contextmanager
def _serving(options: list[str]) -> Iterator[str]:
    process = start("sandbox", *options, cwd=Path(tempfile.gettempdir()), stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    yield process.stdout.readline().decode().strip().rpartition(":")[2]


def _typed(shell: Terminal, text: str, folder: Path) -> str:
    """What the terminal shows of a block's commands; ``text`` is the block, with what it says that they said."""
    shown = ""
    for step, lines, before in _STEP.findall(text):
        answers = iter(re.findall(re.escape(_QUESTION) + " (.*)", before))
        now = "$ "
        for line in lines.split("\n> "):
            shell.type(line + "\n")
            now += _answered(shell, answers)
        now = now.removesuffix("$ ").replace("\r\n", "\n").replace(str(folder), "~")
        shown += step if lasting(now) == lasting(step) else now
    return shown


def _answered(shell: Terminal, answers: Iterator[str]) -> str:
    """What is shown until the shell asks for the next line."""
    shown = ""
    while True:
        shell.read_until(_PROMPT, _QUESTION)
        shown, shell.shown = shown + shell.shown, ""
        if shown.endswith(_PROMPT):
            return shown.replace(_PROMPT, "")
        shell.type(next(answers, "y") + "\n")


if __name__ == "__main__":
    for tutorial in TUTORIALS:
        if sys.argv[1:] in ([], [tutorial.stem]):
            with tempfile.TemporaryDirectory() as place:
                tutorial.write_text(retold(tutorial, Path(place)), encoding="utf-8")
