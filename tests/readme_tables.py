"""Tables of the README and the manual that the code knows better: ``python -m tests.readme_tables`` writes them anew.

Each stands between ``<!-- name -->`` and ``<!-- /name -->``; ``tests/test_readme.py`` fails where one is out of date.
"""

from __future__ import annotations

import asyncio
import csv
import re
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer
from aiobotocore.session import get_session

import batchpol
from batchpol.api.settings import OF_A_RUN, PLANNED, RUN
from batchpol.batch.check import RULES
from batchpol.cli import app
from batchpol.cli.help import MANUAL, topics
from batchpol.model import Status
from batchpol.probe import QUESTIONS
from batchpol.sandbox import DOUBTS, FAULTS, Sandbox, SandboxOptions
from tests.readme_commands import README

SAMPLES = README.parent / "samples"
PAGES = (README, README.parent / ".github" / "CONTRIBUTING.md", *sorted(MANUAL.glob("*.md")))
STATUS_WORDS = {
    Status.APPLIED: "SES took it: the policy is there (put) or gone (delete)",
    Status.UNCHANGED: "what was asked for is there already; nothing was written",
    Status.REJECTED: "invalid by our own check; never sent",
    Status.FAILED: "SES refused it, in its own words, or throttled it until the attempts were used up",
    Status.UNKNOWN: "sent, and no answer says whether it took effect; a resume sends it again",
    Status.DUPLICATE: "the same change as an earlier record; sent once, for that one",
    Status.NOT_ATTEMPTED: "valid, and never sent: the run ended before its turn",
}


def rows(head: tuple[str, ...], body: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *body]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in line)} |" for line in lines
    )


def codes() -> str:
    body = [
        (f"`{rule.code}`", rule.severity.value, rule.title) for rule in sorted(RULES.values(), key=lambda r: r.code)
    ]
    return rows(("code", "severity", "what it says"), body)


def statuses() -> str:
    return rows(("status", "meaning"), [(f"`{status}`", STATUS_WORDS[status]) for status in Status])


def faults() -> str:
    return rows(("fault", "what happens"), [(f"`{name}`", fault.title) for name, fault in FAULTS.items()])


def doubts() -> str:
    body = [(f"`{name}`", doubt.title, "refused" if doubt.refused else "accepted") for name, doubt in DOUBTS.items()]
    return rows(("doubt", "what it is", "unless told otherwise"), body)


def options() -> str:
    """Every option of every command, from the commands themselves; those that all have, once."""
    group: Any = typer.main.get_command(app)
    own = {
        name: {
            "`" + ", ".join([*param.opts, *param.secondary_opts]) + "`": param.help or ""
            for param in command.params
            if param.param_type_name == "option" and "--help" not in param.opts
        }
        for name, command in group.commands.items()
    }
    shared = dict(set.intersection(*(set(them.items()) for them in own.values())))
    parts = [f"### Every command\n\n{_options(dict(sorted(shared.items())))}"]
    for name, them in own.items():
        rest = {option: text for option, text in them.items() if option not in shared}
        if rest:
            parts.append(f"### batchpol {name}\n\n{group.commands[name].help}\n\n{_options(rest)}")
    return "\n\n".join(parts)


def _options(them: dict[str, str]) -> str:
    return rows(("option", "what it does"), list(them.items()))


def settings() -> str:
    """Every setting of the API's calls of a run."""
    known = {it.name: it for heading in OF_A_RUN for it in fields(heading)}
    body = [
        (f"`{name}`", f"`{known[name].default!r}`", "yes" if name in PLANNED else "", known[name].metadata["help"])
        for name in RUN
    ]
    return rows(("setting", "default", "`plan` has it", "what it does"), body)


async def _mistakes() -> list[dict[str, str]]:
    """The report of the samples' mistakes, from a run against the embedded SES at a high rate."""
    session = get_session()
    session.set_credentials("EMBEDDEDSES", "-")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.csv"
        async with Sandbox(SandboxOptions(rate=0)) as ses:
            await batchpol.apply(
                SAMPLES / "tenants-with-mistakes.csv",
                region="us-east-1", endpoint_url=ses.url, session=session, period=0.005, reports=[report],
            )  # fmt: skip
        with report.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


def mistakes() -> str:
    columns = ("line", "status", "error_code", "message")
    found = asyncio.run(_mistakes())
    return rows(columns, [tuple(row[name] for name in columns) for row in found[:16]])


def contents() -> str:
    """The manual's contents, for the README."""
    return rows(
        ("topic", "what it says"),
        [(f"[{topic}](batchpol/manual/{topic}.md)", sentence) for topic, sentence in topics().items()],
    )


def questions() -> str:
    """What a probe asks."""
    body = [(f"`{it.name}`", it.asks, f"{it.requests} in {it.seconds} s", it.matters) for it in QUESTIONS.values()]
    return rows(("question", "what is asked", "requests", "what it decides"), body)


TABLES = {
    "mistakes": mistakes,
    "codes": codes,
    "statuses": statuses,
    "faults": faults,
    "doubts": doubts,
    "options": options,
    "settings": settings,
    "topics": contents,
    "questions": questions,
}


def filled(text: str) -> str:
    """A page's text with every table as the code has it now."""
    for name, table in TABLES.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = pattern.sub(lambda match, table=table: f"{match[1]}{table()}\n{match[2]}", text)
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
