"""Where a run works and as whom: the Region, the caller, and whether the credentials are of the target (floor 3)."""

from __future__ import annotations

from collections.abc import Sequence

from batchpol.errors import AccessRefused, SesError, TargetMismatch, UsageError
from batchpol.model import Target
from batchpol.ses import Aws, Caller, Ses


def region_of(aws: Aws, regions: Sequence[str]) -> str:
    """The run's own Region: the first of those given, else what the environment and the profile say.

    Raises:
        UsageError: there is none.
    """
    region = regions[0] if regions else aws.region()
    if not region:
        raise UsageError(
            "no AWS Region is set", hint="name one with --region, AWS_REGION, AWS_DEFAULT_REGION or in the profile"
        )
    return region


async def identify(aws: Aws, region: str, expected: str | None) -> Caller:
    """Whose credentials these are, as STS says.

    Raises:
        UsageError: STS does not say.
        TargetMismatch: they are of another account than the ``expected`` one.
    """
    try:
        caller = await aws.caller(region)
    except SesError as error:
        raise UsageError(f"AWS did not say whose credentials these are: {error}", hint=error.hint) from error
    if expected and caller.account != expected:
        raise TargetMismatch(
            f"the credentials belong to account {caller.account} ({caller.arn}), not to the expected {expected}",
            hint="choose the right profile or credentials, or correct --expect-account",
        )
    return caller


async def enter(aws: Aws, target: Target, caller: Caller, *, assumes: bool) -> Ses:
    """SES of a target, once it is sure that the credentials are of its account.

    Args:
        caller: whose credentials these are.
        assumes: whether a role is assumed with them in each account.

    Raises:
        SesError: ``AccessRefused`` if they are of another one, or what STS answered.
    """
    if assumes:
        caller = await aws.caller(target.region, target.account)
    if caller.account != target.account:
        raise AccessRefused(
            f"the credentials are of account {caller.account}, the target is of {target.account}",
            code="WrongAccount",
            hint="use credentials of that account, or --role-arn with {account} in it",
        )
    return await aws.ses(target)
