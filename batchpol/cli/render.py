"""``batchpol render``: what would be sent, for review, offline."""

from __future__ import annotations

from typing import Annotated

import typer

from batchpol.cli.options import Input, Lines, Part, Quiet, flattened
from batchpol.model import Record, Target
from batchpol.model.settings import Assumed, Checks, Reading

EPILOG = (
    "Example:\n"
    "batchpol render samples/domains.csv --policy-template samples/policy-template.json "
    "--policy-name 'sending-{{tenant_id}}' --account 123456789012 --region us-east-1\n"
    "Exit: 0, 1 some records are rejected and left out, 2 unusable arguments or input."
)


@flattened
def render(
    input: Input,
    reading: Annotated[Reading, Part(but=("limit",))],
    assumed: Assumed,
    checks: Annotated[Checks, Part(but=("strict",))],
    lines: Lines,
    quiet: Annotated[Quiet, Part(quiet="Errors and the summary only.")],
) -> None:
    """Write the records that apply would send, as JSON Lines, for review; nothing is sent."""
    from batchpol.cli.output import check_output
    from batchpol.cli.rewriting import rewrite_input
    from batchpol.rewriting.template import Template
    from batchpol.source import RULES
    from batchpol.validation import Checker

    check_output(lines.output, {"the input": input, "the template": reading.policy_template})
    template = Template.of(reading)
    target = Target(assumed.account or "", assumed.region or "")
    checker = Checker(checks, target=target, also=RULES)
    fill = template.filler(target) if template else _as_it_is
    raise typer.Exit(rewrite_input(input, fill, checker, lines.output, reading, template, quiet=quiet.quiet))


def _as_it_is(record: Record) -> Record:
    return record
