"""``batchpol plan``: know before you write."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from batchpol.cli.options import Embedded, Form, Input, Part, Quiet, Rate, RowReport, flattened
from batchpol.cli.process import importing
from batchpol.cli.screen.streams import drain_output, is_output_closed, output_lost
from batchpol.cli.screen.terminal import reserve_output
from batchpol.cli.spelling import harmless
from batchpol.model.errors import UsageError
from batchpol.model.settings import Checks, Conduct, Connection, Keeping, Patience, Reading, setting

if TYPE_CHECKING:
    from batchpol.source import Source

EPILOG = (
    "Examples:\n"
    "batchpol plan tenants.csv --profile prod --diff --report plan.html\n"
    "batchpol plan tenants.csv --profile prod --out tenants.plan\n"
    "batchpol apply tenants.plan --profile prod\n"
    "The last one carries out what the plan says, and nothing else.\n"
    "Exit: 0, with --detailed-exitcode 4 if there are changes; 1 some records are rejected, would fail or could not be "
    "read; 2 unusable arguments or input, 3 stopped early."
)

CHANGES = 4
"""Exit code of ``--detailed-exitcode`` when there is something to do."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    HEADING: ClassVar[str] = "Journal, report and output"

    diff: bool = setting(False, "Show how the documents differ.")
    all: bool = setting(False, "Name every record, those that are unchanged too.")
    out: Path | None = setting(None, "Save the plan, to be applied as it is; *.plan.", metavar="FILE")
    detailed_exitcode: bool = setting(False, "Exit 4 if there is something to do.")


@flattened
def plan(
    input: Input,
    reading: Annotated[Reading, Part(but=("limit",))],
    shown: Shown,
    rows: Annotated[RowReport, Part(report="*.jsonl, one line a record; or *.html, a page to agree on.")],
    form: Form,
    quiet: Annotated[Quiet, Part(quiet="The summary only; errors all the same.")],
    checks: Annotated[Checks, Part(but=("strict",))],
    conduct: Annotated[Conduct, Part("prune", "prune_prefix", prune="Show what apply `prune` would delete, too.")],
    connection: Annotated[Connection, Part(but=("accounts",))],
    embedded: Annotated[Embedded, Part(sandbox="Against an embedded SES, where nothing is yet.")],
    rate: Rate,
    patience: Annotated[Patience, Part("shared_quota", "share")],
) -> None:
    """Show what apply would do to what is there: create, update, unchanged, delete. Never writes."""
    from batchpol.outputs import check_outputs
    from batchpol.report import is_json_lines
    from batchpol.rewriting.saved import SUFFIX
    from batchpol.rewriting.template import Template, open_input

    if rows.report is not None and not is_json_lines(rows.report) and rows.report.suffix.lower() != ".html":
        hint = "let its name end in .jsonl or .html"
        raise UsageError(f"a plan's report is JSON Lines or a page: {rows.report}", hint=hint)
    inputs = {"the input": input, "the template": reading.policy_template}
    check_outputs(rows.reports, inputs)
    if shown.out is not None:
        if shown.out.suffix != SUFFIX:
            raise UsageError(f"a saved plan is no plan by its name: {shown.out}", hint=f"let its name end in {SUFFIX}")
        if embedded.sandbox:
            raise UsageError(
                "a plan of an embedded SES cannot be carried out: it is gone by then", hint="leave out `out`"
            )
        check_outputs([shown.out], inputs | {"the report": rows.report}, setting="out")
    reserve_output(rows.reports)
    # Arguments and input first: AWS's libraries take most of a second to import.
    template = Template.of(reading)
    settings = {
        "reading": reading, "checks": checks, "connection": connection, "conduct": replace(conduct, plan=True),
        "patience": rate.paced(patience), "keeping": Keeping(reports=rows.reports), "template": template,
        "sandbox": embedded.sandbox, "save": shown.out,
    }  # fmt: skip
    with open_input(input, reading, template) as source:
        code = _run(source, settings, shown, form, quiet=quiet.quiet)
    raise typer.Exit(code)


def _run(source: Source, settings: dict[str, Any], shown: Shown, form: Form, *, quiet: bool) -> int:
    """Plan an input that is open; returns the exit code."""
    with importing():
        from batchpol.batch.options import Options
        from batchpol.cli.running import run_batch
        from batchpol.cli.screen.planning import Comparisons
        from batchpol.files import STANDARD_OUTPUT

    options = Options(**settings, command=("batchpol", *harmless(sys.argv[1:])))
    screen = Comparisons(options, diff=shown.diff, everything=shown.all, quiet=quiet, as_json=form.is_json)
    screen.notes(source.notes)
    for_rows = options.keeping.reports in ((), (STANDARD_OUTPUT,)) and options.save is None
    result = run_batch(source, options, screen, beside=screen.show_progress, for_rows=for_rows)
    if not is_output_closed():  # whoever read it has had enough, and was told nothing wrong
        screen.end(result)
    if for_rows and drain_output(result.exit_code) and (error := output_lost()) is not None:
        raise error
    return result.exit_code or (CHANGES if shown.detailed_exitcode and screen.plan.to_do else 0)
