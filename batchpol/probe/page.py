"""The answers of a probe for people, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchpol.facts import FactsFile
from batchpol.probe.probe import QUESTIONS


def page(facts: FactsFile) -> str:
    """One page: what was asked, why it matters, and what came of it."""
    return "\n".join(_lines(facts)) + "\n"


def _lines(facts: FactsFile) -> Iterator[str]:
    answers = facts.questions.values()
    yield f"# What SES does in {facts.region}"
    yield ""
    requests, minutes = sum(it.requests for it in answers), sum(it.seconds for it in answers) / 60
    yield (
        f"Measured on {facts.measured} by batchpol {facts.batchpol}, with {requests:,} requests in {minutes:.1f} "
        "minutes. IDENTITY and ACCOUNT stand for those it was measured with."
    )
    for name, told in facts.questions.items():
        question = QUESTIONS[name]
        yield ""
        yield f"## {name}: {question.asks}?"
        yield ""
        yield f"It decides {question.matters}."
        yield ""
        yield from (f"- {_as_it_is(it)}" for it in told.says)
        yield ""
        sure = f" Sure to {int(1000 * told.confidence) / 10} %." if told.confidence is not None and told.known else ""
        yield f"{told.requests} requests, {told.seconds:.0f} s.{sure}"
    if opened := [name for told in answers for name in told.open]:
        yield ""
        yield f"Open: {_as_it_is(', '.join(opened))}."


def _as_it_is(text: str) -> str:
    """Markdown that shows a text as it is, whatever SES has in its words."""
    return re.sub(r"([\\`*_<>\[\]#|&])", r"\\\1", " ".join(text.split()))
