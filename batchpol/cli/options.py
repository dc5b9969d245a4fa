"""Options that several commands have, each with one name, one meaning and one text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchpol.errors import UsageError

if TYPE_CHECKING:
    from batchpol.model import Target
    from batchpol.rewriting.template import Template
    from batchpol.ses import Connection
    from batchpol.validation import Checker

Input = Annotated[
    str, typer.Argument(metavar="INPUT", help="CSV, TSV or JSON Lines, also .gz, or - for stdin (JSON Lines).")
]
Format = Annotated[
    str | None, typer.Option("--format", metavar="csv|tsv|jsonl", help="Of INPUT, where its name does not say.")
]
PolicyTemplate = Annotated[
    Path | None,
    typer.Option("--policy-template", metavar="FILE", help="JSON policy with {{column}} for records without one."),
]
PolicyName = Annotated[
    str | None,
    typer.Option("--policy-name", metavar="TEXT", help="Name, also with {{column}}, of records without one."),
]
Select = Annotated[list[str] | None, typer.Option("--select", metavar="CODE", help="Only these findings count.")]
Ignore = Annotated[list[str] | None, typer.Option("--ignore", metavar="CODE", help="These findings do not count.")]
WarningsAsErrors = Annotated[bool, typer.Option("--warnings-as-errors", help="A warning rejects its record.")]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", metavar="REGION", help="Before AWS_REGION, AWS_DEFAULT_REGION and the profile's."),
]
Profile = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="AWS profile.")]
EndpointUrl = Annotated[str | None, typer.Option("--endpoint-url", metavar="URL", help="Another SES than AWS's.")]
RoleArn = Annotated[
    str | None,
    typer.Option("--role-arn", metavar="ARN", help="Role to assume for each account; {account} is filled in."),
]
ExternalId = Annotated[str | None, typer.Option("--external-id", metavar="ID", help="External id for --role-arn.")]
ExpectAccount = Annotated[
    str | None, typer.Option("--expect-account", metavar="ACCOUNT", help="Refuse any other account.")
]
Rate = Annotated[
    float | None,
    typer.Option("--rate", min=0.01, max=1000, metavar="PER_SECOND", help="Requests a second, if not one."),
]
HigherQuota = Annotated[bool, typer.Option("--i-have-a-higher-quota", help="Allow a --rate of more than one.")]
SharedQuota = Annotated[bool, typer.Option("--shared-quota", help="All operations share one limit.")]
DefaultRegion = Annotated[str | None, typer.Option("--region", help="Region of records that name none.")]
DefaultAccount = Annotated[str | None, typer.Option("--account", help="Account of records that name none.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="The summary only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def connection_of(
    profile: str | None,
    region: list[str] | None,
    endpoint_url: str | None,
    role_arn: str | None,
    external_id: str | None,
) -> Connection:
    """How to reach AWS, by the options above."""
    from batchpol.ses import Connection

    return Connection(
        profile=profile,
        region=region[0] if region else None,
        endpoint_url=endpoint_url,
        role_arn=role_arn,
        external_id=external_id,
    )


def template_of(policy_template: Path | None, policy_name: str | None) -> Template | None:
    """What makes the policies or names of records that have none, by the options above."""
    if policy_template is None and policy_name is None:
        return None
    from batchpol.rewriting.template import Template

    return Template.of(policy_template, policy_name)


def checker_of(
    target: Target,
    select: list[str] | None,
    ignore: list[str] | None,
    warnings_as_errors: bool,
    *,
    changes: bool = True,
) -> Checker:
    """The rules of an offline command, by the options above; ``changes`` False for those who want verdicts only."""
    from batchpol.source import RULES
    from batchpol.validation import Checker

    return Checker(
        target=target,
        select=tuple(select or ()),
        ignore=tuple(ignore or ()),
        warnings_as_errors=warnings_as_errors,
        changes=changes,
        also=RULES,
    )


def period_of(rate: float | None, higher_quota: bool) -> float:
    """Seconds between two requests; a rate of more than one a second has to be confirmed."""
    if rate is not None and rate > 1 and not higher_quota:
        raise UsageError(
            f"SES allows one request a second, and --rate asks for {rate:g}",
            hint="add --i-have-a-higher-quota if AWS raised the quota of this account",
        )
    return 1 / rate if rate else 1.0
