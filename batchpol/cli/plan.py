"""``batchpol plan``: know before you write."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from batchpol.cli.options import Embedded, Input, Part, Rate, Rows, flattened
from batchpol.cli.process import importing
from batchpol.cli.screen.terminal import reserve_output, said, tell
from batchpol.errors import UsageError
from batchpol.model.settings import Checks, Conduct, Connection, Keeping, Patience, Reading, setting

if TYPE_CHECKING:
    from batchpol.source import Source

EPILOG = (
    "Example:\n"
    "batchpol plan tenants.csv --profile prod --diff --report plan.jsonl\n"
    "Exit: 0, with --detailed-exitcode 4 if there are changes; 1 some records are rejected, would fail or could not be "
    "read; 2 unusable arguments or input, 3 stopped early."
)

CHANGES = 4
"""Exit code of ``--detailed-exitcode`` when there is something to do."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    HEADING: ClassVar[str] = "Journal, report and output"

    diff: bool = setting(False, "Show how the documents differ.")
    detailed_exitcode: bool = setting(False, "Exit 4 if there is something to do.")


@flattened
def plan(
    input: Input,
    reading: Annotated[Reading, Part(but=("limit",))],
    shown: Shown,
    rows: Rows,
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
    from batchpol.rewriting.template import Template, open_input

    if rows.report is not None and not is_json_lines(rows.report):
        raise UsageError(f"a plan's report is JSON Lines: {rows.report}", hint="let its name end in .jsonl")
    check_outputs(rows.reports, {"the input": input, "the template": reading.policy_template})
    reserve_output(rows.reports)
    # Arguments and input first: AWS's libraries take most of a second to import.
    template = Template.of(reading.policy_template, reading.policy_name)
    settings = {
        "reading": reading, "checks": checks, "connection": connection, "conduct": replace(conduct, plan=True),
        "patience": rate.paced(patience), "keeping": Keeping(reports=rows.reports), "template": template,
        "sandbox": embedded.sandbox,
    }  # fmt: skip
    with open_input(input, format=reading.format, template=template) as source:
        code = _run(source, settings, shown)
    raise typer.Exit(code)


def _run(source: Source, settings: dict[str, Any], shown: Shown) -> int:
    """Plan an input that is open; returns the exit code."""
    with importing():
        from batchpol.batch.options import Options
        from batchpol.cli.running import run_batch
        from batchpol.cli.screen.planning import Comparisons
        from batchpol.cli.screen.streams import is_output_closed
        from batchpol.files import STANDARD_OUTPUT

    for note in source.notes:
        tell(f"note: {said(note)}")
    options, screen = Options(**settings), Comparisons(diff=shown.diff)
    result = run_batch(source, options, screen, for_rows=options.keeping.reports in ((), (STANDARD_OUTPUT,)))
    if not is_output_closed():  # whoever read it has had enough, and was told nothing wrong
        screen.end(result, options.patience.period)
    return result.exit_code or (CHANGES if shown.detailed_exitcode and screen.to_do else 0)
