"""``batchpol render`` and ``batchpol retarget``: from one input to another, offline."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchpol.cli import options
from batchpol.cli.output import Output, check_output, write_lines
from batchpol.cli.screen.terminal import finding_line, said, tell
from batchpol.model import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchpol.model import Finding, Record
    from batchpol.rewriting.retarget import Move
    from batchpol.rewriting.template import Template
    from batchpol.validation import Checker

RENDER_EPILOG = (
    "Example:\n"
    "batchpol render samples/domains.csv --policy-template samples/policy-template.json "
    "--policy-name 'sending-{{tenant_id}}' --account 123456789012 --region us-east-1\n"
    "Exit: 0, 1 some records are rejected and left out, 2 unusable arguments or input."
)
RETARGET_EPILOG = (
    "Example:\n"
    "batchpol retarget samples/tenants.jsonl --to-account 111122223333 --to-region eu-west-1 -o moved.jsonl\n"
    "Exit: 0, 1 some records cannot be moved and are left out, 2 unusable arguments or input."
)


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors and the summary only.")]


def render(
    input: options.Input,
    format: options.Format = None,
    policy_template: options.PolicyTemplate = None,
    policy_name: options.PolicyName = None,
    region: options.DefaultRegion = None,
    account: options.DefaultAccount = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    warnings_as_errors: options.WarningsAsErrors = False,
    output: Output = "-",
    quiet: Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write the records that apply would send, as JSON Lines, for review; nothing is sent."""
    from batchpol.model import Target

    template = options.template_of(policy_template, policy_name)
    target = Target(account or "", region or "")
    checker = options.checker_of(target, select, ignore, warnings_as_errors)
    change = template.filler(target) if template else _as_it_is
    _rewrite(input, format, template, change, checker, output, quiet=quiet)


def retarget(
    input: options.Input,
    format: options.Format = None,
    to_account: Annotated[str, typer.Option(metavar="ACCOUNT", help="Where the records go.")] = "",
    to_region: Annotated[str, typer.Option(metavar="REGION", help="Where the records go.")] = "",
    pairs: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OLD=NEW", help="Two accounts, Regions or identities; may be repeated."),
    ] = None,
    principals: Annotated[bool, typer.Option("--principals", help="Move accounts in Principal, too.")] = False,
    conditions: Annotated[
        bool, typer.Option("--conditions", help="Move accounts, Regions and ARNs in Condition values, too.")
    ] = False,
    region: options.DefaultRegion = None,
    account: options.DefaultAccount = None,
    output: Output = "-",
    quiet: Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Move records to another account or Region: Resource becomes the identity's ARN there, all else stays as it is."""
    from msgspec.structs import replace

    from batchpol.identity import require_account, require_region
    from batchpol.rewriting.retarget import Move
    from batchpol.validation import Checker

    require_account(account or "")
    require_region(region or "")
    move = Move.of(to_account, to_region, pairs or (), principals=principals, conditions=conditions)

    def change(record: Record) -> Record:
        if not record.identity.strip().startswith("arn:"):  # which names both
            record = replace(record, account=record.account or account, region=record.region or region)
        return _moved(move, record, quiet=quiet)

    _rewrite(input, format, None, change, Checker(), output, quiet=quiet)


def _rewrite(
    input: str,
    format: str | None,
    template: Template | None,
    change: Callable[[Record], Record],
    checker: Checker,
    output: str,
    *,
    quiet: bool,
) -> None:
    from batchpol.rewriting.rewrite import rewrite
    from batchpol.rewriting.template import open_input
    from batchpol.validation import Verdict

    if input != "-":
        check_output(output, Path(input), "the input")
    counts: Counter[Verdict] = Counter()
    with open_input(input, format=format, template=template, digest=False) as source:
        for note in source.notes:
            tell(f"note: {said(note)}")
        lines = rewrite(source, change, checker, found=_tell_errors if quiet else _tell, counts=counts)
        write_lines(lines, output)
    left_out = {word: counts[word] for word in (Verdict.REJECTED, Verdict.DUPLICATE) if counts[word]}
    what = "".join(f", {count:,} {word.value} and left out" for word, count in left_out.items())
    tell(f"{counts[Verdict.VALID]:,} records written{what}")
    raise typer.Exit(1 if counts[Verdict.REJECTED] else 0)


def _as_it_is(record: Record) -> Record:
    return record


def _tell_errors(record: Record, finding: Finding) -> None:
    """With --quiet, which hides no error."""
    from batchpol.model import Severity

    if finding.severity is Severity.ERROR:
        _tell(record, finding)


def _tell(record: Record, finding: Finding) -> None:
    tell(finding_line(record, finding))


def _moved(move: Move, record: Record, *, quiet: bool) -> Record:
    """The record in its new place; says what changed, and what still names the old one."""
    moved, changes = move.record(record)
    if not quiet:
        place = f"{record.file or 'input'}:{record.line}: {moved.identity} {moved.policy_name}"
        for change in changes:
            if change.asked:
                tell(visible(f"{place}: {change.where}: {change.old} -> {change.new}"))
            elif not change.new:
                tell(visible(f"{place}: {change.where} still says {change.old}"))
            else:
                option = "--conditions" if "/Condition" in change.where else "--principals"
                tell(visible(f"{place}: {change.where} still says {change.old} ({option} makes it {change.new})"))
    return moved
