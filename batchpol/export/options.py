"""Every choice of one export: from where, what, and where to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchpol.errors import UsageError
from batchpol.identity import Identity, read_identity, require_account
from batchpol.model import Severity, Target
from batchpol.sending.conduct import Patience
from batchpol.sending.gate import PERIOD
from batchpol.sending.targets import Targets
from batchpol.ses import Aws, Connection

DRAIN = 10.0
"""Seconds that identities begun are given to be read after an export was asked to stop."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What to export: of which accounts and Regions (none given: the caller's, the run's own), and which policies.

    ``identities`` are names or ARNs; without any, all that SES lists and that ``match`` fits. ``match_name`` is for
    names of policies. Both are patterns with ``*``, ``?`` and ``[…]``.
    """

    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    match: str = "*"
    match_name: str = "*"

    def named(self) -> list[Identity]:
        """The identities that are named. Raises UsageError if one, or an account, cannot be one."""
        for account in self.accounts:
            require_account(account)
        found = []
        for text in self.identities:
            identity, findings = read_identity(text)
            for finding in findings:
                if finding.severity is Severity.ERROR:
                    raise UsageError(f"`identities`: {finding.message}", hint=finding.hint)
            found.append(identity)
        return found


@dataclass(frozen=True, slots=True)
class Options:
    """Every choice of one export. Times are in seconds.

    ``output`` None keeps what is read in an unnamed temporary file, for whoever has the rows delivered.
    """

    connection: Connection = field(default_factory=Connection)
    scope: Scope = field(default_factory=Scope)
    output: Path | None = None
    fresh: bool = False
    expect_account: str | None = None
    period: float = PERIOD
    shared_quota: bool = False
    patience: Patience = field(default_factory=Patience)
    drain: float = DRAIN

    def targets(self, aws: Callable[[Connection], Aws] = Aws) -> Targets:
        """The targets of an export by itself; ``aws`` makes their connection. Raises UsageError as that does."""
        return Targets(
            aws(self.connection),
            regions=self.scope.regions,
            expect_account=self.expect_account,
            period=self.period,
            shared_quota=self.shared_quota,
        )

    def wanted(self, here: Target, named: Sequence[Identity]) -> list[Target]:
        """The targets to export.

        Args:
            here: the caller's, and the Region of the run.
            named: the identities that are named.

        Raises:
            UsageError: the credentials are not of all of them, or an identity is of another one.
        """
        accounts, role = set(self.scope.accounts) or {here.account}, self.connection.role_arn
        if role is None and accounts != {here.account}:
            raise UsageError(
                f"the credentials are of account {here.account}, and others are to be exported",
                hint="add `role_arn='arn:aws:iam::{account}:role/NAME'`, which is assumed in each of them",
            )
        if role is not None and len(accounts) > 1 and "{account}" not in role:
            raise UsageError("one role cannot be of several accounts", hint="write {account} where its account stands")
        targets = sorted(Target(account, it) for account in accounts for it in set(self.scope.regions) or {here.region})
        for identity in named:
            if identity.account and Target(identity.account, identity.region) not in targets:
                raise UsageError(
                    f"{identity.text} is of another account or Region than those to be exported",
                    hint="name them with `accounts` and `regions`",
                )
        return targets


def named_in(target: Target, named: Sequence[Identity]) -> list[str] | None:
    """Those of the identities named that are of this target, each once; None, for all there are, if none was named."""
    if not named:
        return None
    there = (it.name for it in named if Target(it.account, it.region) in (target, Target("", "")))
    return list(dict.fromkeys(there))
