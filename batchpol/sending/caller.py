"""Where a run works and as whom: the Region, the caller, the endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from batchpol.identity import require_account, require_region
from batchpol.model import Target
from batchpol.model.errors import AccessRefused, SesError, TargetMismatch, UsageError
from batchpol.ses import Aws, Caller, in_the_clear


@dataclass(frozen=True, slots=True)
class Here:
    """Who somebody is, in which Region, and at which endpoint of SES (empty for AWS's own hosts)."""

    caller: Caller
    region: str
    endpoint: str
    also: tuple[str, ...] = ()
    """What the connection itself has to say."""

    @property
    def target(self) -> Target:
        """The target of whatever names none."""
        return Target(self.caller.account, self.region)

    @property
    def notes(self) -> list[str]:
        """Sentences for people about what is doubtful there."""
        found = [f"{self.endpoint} has no TLS: who is on the way can read and change requests"]
        return [*(found if in_the_clear(self.endpoint) else []), *self.also]


async def find_out(aws: Aws) -> Here:
    """Whose credentials these are, as STS says, and where they are used.

    Raises:
        UsageError: there is no Region or none of this name, the expected account is none, or the credentials are none.
        TargetMismatch: they are of another account than the expected one.
        NoAnswer, Throttled: AWS is out of reach.
    """
    expected, region = aws.connection.expect_account, aws.region()
    for account in expected:
        require_account(account, "expect_account")
    if not region:
        raise UsageError(
            "no AWS Region is set", hint="name one with `region`, AWS_REGION, AWS_DEFAULT_REGION or in the profile"
        )
    for name in aws.connection.regions or (region,):
        require_region(name)
    try:
        here = Here(await aws.caller(region), region, await aws.endpoint(region), tuple(aws.notes))
    except SesError as error:
        text = f"AWS did not say whose credentials these are: {error}"
        if isinstance(error, AccessRefused):
            raise UsageError(text, hint=error.hint) from error
        hint = error.hint or "check the network, `endpoint_url` and `region`, then run the same command again"
        raise type(error)(
            text, code=error.code, request_id=error.request_id, http_status=error.http_status, hint=hint
        ) from error
    caller = here.caller
    if expected and aws.connection.role_arn is None and caller.account not in expected:
        raise TargetMismatch(
            f"the credentials belong to account {caller.account} ({caller.arn}), not to the expected "
            f"{' or '.join(expected)}",
            hint="choose the right profile or credentials, or correct `expect_account`",
        )
    return here
