"""``batchpol probe``: what SES really does, found out in an account of one's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from batchpol.cli.apply import Confirming
from batchpol.cli.options import Embedded, Part, flattened
from batchpol.cli.process import importing
from batchpol.cli.screen.terminal import duration, offer, said, tell
from batchpol.model.errors import UsageError
from batchpol.model.settings import Connection, setting

if TYPE_CHECKING:
    from batchpol.facts import Told
    from batchpol.probe import Probe, Question

EPILOG = (
    "Examples:\n"
    "batchpol probe --identity probe.example.com --list\n"
    "batchpol probe --identity probe.example.com --sandbox --only stored --yes\n"
    "Exit: 0 every question has its answer, 1 something cannot be told, 2 unusable arguments or configuration, 3 SES "
    "cannot be asked any longer, 130 interrupted, 143 terminated."
)


@dataclass(frozen=True, kw_only=True)
class Asking:
    HEADING: ClassVar[str] = "What is asked"

    identity: str | None = setting(None, "Verified identity for policies batchpol-probe-*.", metavar="IDENTITY")
    unverified: str = setting("", "Identity that is not verified, to be asked about, too.", metavar="IDENTITY")
    principal: str = setting("", "A role or user that exists, other than the caller.", metavar="ARN")
    deleted: str = setting("", "A role or user that was deleted after a policy named it.", metavar="ARN")
    only: tuple[str, ...] = setting((), "These questions only, e.g. quota,burst.", metavar="NAME")
    list: bool = setting(False, "List the questions and the permissions, and exit.")
    dry_run: bool = setting(False, "Say what would be asked, and exit.")


@dataclass(frozen=True, kw_only=True)
class FactsOutput:
    HEADING: ClassVar[str] = "Journal, report and output"

    output: Path | None = setting(
        None, "JSON; a page stands beside it as .md. Default: facts-REGION.json.", metavar="FILE", short="o"
    )
    named: bool = setting(False, "Write the account and the identity into it.")


@flattened
def probe(
    asking: Asking,
    question: Annotated[Confirming, Part(yes="Do not ask before the first request.")],
    connection: Annotated[Connection, Part("regions", "profile", "endpoint_url", "expect_account")],
    embedded: Embedded,
    written: FactsOutput,
) -> None:
    """Find out what SES does where nobody has published it, by policies of one identity that are removed again."""
    with importing():
        from batchpol.probe import Place, chosen, permissions

    questions = chosen(name for names in asking.only for name in names.split(",") if name)
    if asking.list or asking.dry_run:
        place = Place(asking.identity or "probe.example.com", "ACCOUNT", connection.region or "REGION")
        for it in questions:
            offer(f"{it.name:11} {it.asks}\n{'':11} {it.requests} requests, {duration(it.seconds)}: {it.matters}")
        offer(_cost(questions))
        if asking.list:
            offer(f"\nThe least that IAM has to allow:\n{json.dumps(permissions(place), indent=2)}")
        raise typer.Exit
    if not asking.identity:
        raise UsageError("there is no identity to put policies on", hint="name a verified one with `identity`")
    if len(connection.regions) > 1:
        raise UsageError("one probe is of one Region", hint="name one `region`")
    asks = not (question.yes or embedded.sandbox)
    if asks and not (sys.stdin and sys.stdin.isatty()):
        raise UsageError("there is no terminal to ask on", hint="look with `dry_run`, then confirm with `yes`")
    raise typer.Exit(_run(asking, connection, questions, written, asks=asks, sandbox=embedded.sandbox))


def _cost(questions: Sequence[Question]) -> str:
    requests, seconds = sum(it.requests for it in questions), sum(it.seconds for it in questions)
    return f"{len(questions)} questions, some {requests} requests, {duration(seconds)} or more; no mail is sent"


def _run(
    asking: Asking,
    connection: Connection,
    questions: Sequence[Question],
    written: FactsOutput,
    *,
    asks: bool,
    sandbox: bool,
) -> int:
    """Ask, and write down what came of it; returns the exit code."""
    with importing():
        import msgspec
        from anyio import to_thread

        from batchpol.cli.running import attended, embedded, on_loop
        from batchpol.cli.screen.question import confirmed
        from batchpol.files import Replacement
        from batchpol.outputs import check_outputs
        from batchpol.probe import Probe, page, reached

    async def asked() -> Probe:
        async with AsyncExitStack() as stack:
            there = await embedded(connection, stack) if sandbox else connection
            also = {name: getattr(asking, name) for name in ("unverified", "principal", "deleted")}
            place, gate, send = await stack.enter_async_context(reached(there, str(asking.identity), **also))
            tell(f"account {place.account}, {place.region}: policies batchpol-probe-* of {said(place.identity)}")
            tell(_cost(questions))
            # In a thread, since Ctrl-C is the event loop's to notice.
            if asks and not await to_thread.run_sync(confirmed, "Ask SES?", abandon_on_cancel=True):
                raise UsageError("not confirmed: nothing was asked")
            output.append(written.output or Path(f"facts-{place.region}.json"))
            output.append(output[0].with_suffix(".md"))
            check_outputs(output, {}, setting="output")
            work = Probe(send, place, questions, gate=gate, asking=tell, answered=_answered)
            await attended(work, work.run, None)
            return work

    output: list[Path] = []
    work = on_loop(asked)
    facts = work.facts(datetime.now(UTC).date(), named=written.named)
    texts = msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n", page(facts).encode()
    for path, text in zip(output, texts, strict=True):
        with Replacement(path) as target:
            target.file.write(text)
    offer(f"{output[0]} has the facts, {output[1]} has them for people")
    if work.left:
        tell(f"{len(work.left)} policies may be left; the next probe removes them")
    if work.stopped:
        return work.stopped[1]
    return int(any(told.open for told in facts.questions.values()))


def _answered(_: Question, told: Told) -> None:
    for it in told.says:
        tell(f"  {said(it)}")
