"""``batchpol apply``: arguments to one call of :mod:`batchpol.batch.batch`, and its result to an exit code."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from batchpol.cli.options import Embedded, Form, Input, Part, Quiet, Rate, flattened
from batchpol.cli.process import importing
from batchpol.cli.screen.terminal import reserve_output
from batchpol.cli.spelling import harmless
from batchpol.fleet.engines import check_alone
from batchpol.model.errors import UsageError
from batchpol.model.settings import Checks, Conduct, Connection, Keeping, Patience, Reading, setting

if TYPE_CHECKING:
    from batchpol.batch.options import Options
    from batchpol.rewriting.saved import SavedPlan
    from batchpol.source import Source

EPILOG = (
    "Examples:\n"
    "batchpol apply samples/tenants.csv --sandbox\n"
    "batchpol apply tenants.csv --profile prod --dry-run\n"
    "batchpol apply tenants.csv --profile prod --region eu-west-1 --expect-account 123456789012\n"
    "Run the same command again to go on where it stopped.\n"
    "Exit: 0 all applied or unchanged, 1 some rejected, failed or unknown, 2 unusable arguments or input (nothing "
    "sent), 3 stopped early (resumable), 130 interrupted, 143 terminated."
)


@dataclass(frozen=True, kw_only=True)
class Confirming:
    HEADING: ClassVar[str] = "What is written"

    yes: bool = setting(False, "Do not ask before the first write.", short="y")


@dataclass(frozen=True, kw_only=True)
class Progress:
    HEADING: ClassVar[str] = "Journal, report and output"

    progress: bool = setting(True, "A line every 30 s instead of a picture of the lanes.")
    state_dir: Path | None = setting(None, "Where journal and report go that are not named.", metavar="FOLDER")


@flattened
def apply(
    input: Input,
    reading: Reading,
    checks: Checks,
    connection: Annotated[Connection, Part(but=("accounts",))],
    embedded: Embedded,
    question: Confirming,
    conduct: Annotated[Conduct, Part(compare="Write without reading what is there.")],
    rate: Rate,
    patience: Annotated[Patience, Part(but=("period",), max_duration="Stop after this time, e.g. 90s, 30m, 2h.")],
    keeping: Annotated[
        Keeping,
        Part(
            journal="Default: INPUT's stem + .journal.jsonl, here.",
            reports="*.csv, *.jsonl, *.html or -, may be repeated. Default: stem + .report.csv.",
        ),
    ],
    form: Form,
    progress: Progress,
    quiet: Quiet,
) -> None:
    """Apply the policies of INPUT, one request a second, with a report row for every record."""
    from batchpol.outputs import check_run
    from batchpol.rewriting.saved import SUFFIX, SavedPlan
    from batchpol.rewriting.template import Template, open_input

    asks = not (question.yes or embedded.sandbox or conduct.dry_run)
    if embedded.sandbox and (connection.endpoint_url or connection.profile):
        raise UsageError("--sandbox brings its own SES and account", hint="leave out --endpoint-url and --profile")
    if asks:
        _check_can_ask(input)
    is_parted = keeping.shard is not None or keeping.on is not None
    unnamed = keeping.journal is None and not Path(input).is_file()  # standard input, or <(a command)
    if keeping.shard is None:
        check_alone(os.environ)
    patience, keeping = rate.paced(patience), _placed(keeping, input, progress.state_dir, reported=not conduct.dry_run)
    inputs = {"the input": input, "the template": reading.policy_template}
    check_run(inputs, None if is_parted else keeping.journal, keeping.reports)
    reserve_output(keeping.reports)
    # Arguments and input first: AWS's libraries take most of a second to import.
    template = Template.of(reading)
    settings = {
        "reading": reading, "checks": checks, "connection": connection, "conduct": conduct, "patience": patience,
        "keeping": keeping, "template": template, "sandbox": embedded.sandbox, "unnamed": unnamed,
    }  # fmt: skip
    with ExitStack() as stack:
        source: Source | SavedPlan
        if Path(input).suffix == SUFFIX:
            source = SavedPlan.open(input)
            settings |= _as_planned(source, reading, connection, conduct)
        else:
            source = stack.enter_context(open_input(input, reading, template))
        code = _run(source, settings, form, asks=asks, quiet=quiet.quiet, progress=progress.progress)
    raise typer.Exit(code)


def _as_planned(plan: SavedPlan, reading: Reading, connection: Connection, conduct: Conduct) -> dict[str, Any]:
    """What a saved plan decides: its own Region where none is named, and everything that makes records."""
    made_by = ("columns", "policy_template", "policy_name", "variables")
    given = {name: getattr(reading, name) for name in made_by} | {"prune": conduct.prune}
    if decided := [name for name, value in given.items() if value]:
        names = ", ".join(f"`{name}`" for name in decided)
        raise UsageError(f"the plan {plan.name} says what is to be done, and {names} has no say", hint="leave it out")
    regions = connection.regions or (str(plan.run.options.get("region", "")),)
    return {"saved": plan.run, "connection": replace(connection, regions=regions)}


def _run(
    source: Source | SavedPlan, settings: dict[str, Any], form: Form, *, asks: bool, quiet: bool, progress: bool
) -> int:
    """Apply an input that is open; returns the exit code."""
    with importing():
        from batchpol.batch.options import Options
        from batchpol.cli.running import run_batch
        from batchpol.cli.screen.ending import print_result
        from batchpol.cli.screen.live import observer_of
        from batchpol.cli.screen.question import ask

    options = Options(**settings, command=("batchpol", *harmless(sys.argv[1:])))
    if options.keeping.on is not None:
        return _drive(source.name, options, form, asks=asks, quiet=quiet, progress=progress)
    screen = observer_of(
        quiet=quiet, progress=progress, confirm=ask if asks else None, reported=bool(options.keeping.reports)
    )
    screen.notes([*source.notes])
    result = run_batch(source, options, screen, beside=screen.show_progress)
    print_result(result, screen.run, as_json=form.is_json)
    return result.exit_code


def _drive(input: str, options: Options, form: Form, **how: bool) -> int:
    """Have it applied by the workers of a scheduler; returns the exit code."""
    from batchpol.cli.driving import drive

    return drive(input, options, form, **how)


def _check_can_ask(input: str) -> None:
    hint = "look with --dry-run, then confirm with --yes"
    if input == "-":
        raise UsageError("standard input brings the records, so it cannot answer before the first write", hint=hint)
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
        raise UsageError("there is no terminal to ask on before the first write", hint=hint)


def _placed(keeping: Keeping, input: str, folder: Path | None, *, reported: bool) -> Keeping:
    """With journal and report in files that are called after the input, in ``folder`` or here, where others were not
    named."""
    if keeping.shard is not None:
        return keeping
    stem, folder = _stem(input), folder or Path()
    reports = (folder / f"{stem}.report.csv",) if reported else ()
    journal = keeping.journal or (folder / f"{stem}.journal.jsonl" if keeping.on is None else None)
    return replace(keeping, journal=journal, reports=keeping.reports or reports)


def _stem(input: str) -> str:
    """The input's name without its endings: ``tenants`` of ``lists/tenants.csv.gz``."""
    if input == "-":
        return "stdin"
    name = Path(input).name
    for ending in (".gz", ".csv", ".tsv", ".jsonl", ".ndjson"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name or "input"
