"""Every choice of one export: from where, what, and where to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchpol.identity import Identity, read_identity, require_account
from batchpol.model import Severity, Target
from batchpol.model.errors import UsageError
from batchpol.model.settings import Connection, Patience, Scope
from batchpol.sending.targets import Targets
from batchpol.ses import Aws

ANY = "*"
"""The pattern that every name fits."""

DRAIN = 10.0
"""Seconds that identities begun are given to be read after an export was asked to stop."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Every choice of one export. Times are in seconds.

    Without accounts and Regions in ``connection`` the caller's and the run's own are exported. ``output`` None keeps
    what is read in an unnamed temporary file, for whoever has the rows delivered; ``fresh`` reads anew what was kept.
    """

    connection: Connection = field(default_factory=Connection)
    scope: Scope = field(default_factory=Scope)
    patience: Patience = field(default_factory=Patience)
    output: Path | None = None
    fresh: bool = False
    drain: float = DRAIN

    def __post_init__(self) -> None:
        if self.scope.identities and self.scope.match is not None:
            text = "`identities` names what to export, and `match` picks from all that there is"
            raise UsageError(text, hint="use one")

    def named(self) -> list[Identity]:
        """The identities that are named. Raises UsageError if one, or an account, cannot be one."""
        for account in self.connection.accounts:
            require_account(account, "accounts")
        found = []
        for text in self.scope.identities:
            identity, findings = read_identity(text)
            for finding in findings:
                if finding.severity is Severity.ERROR:
                    raise UsageError(f"`identities`: {finding.message}", hint=finding.hint)
            found.append(identity)
        return found

    def targets(self, aws: Callable[[Connection], Aws] = Aws) -> Targets:
        """The targets of an export by itself; ``aws`` makes their connection. Raises UsageError as that does."""
        return Targets(aws(self.connection), self.patience)

    def wanted(self, here: Target, named: Sequence[Identity]) -> list[Target]:
        """The targets to export.

        Args:
            here: the caller's, and the Region of the run.
            named: the identities that are named.

        Raises:
            UsageError: the credentials are not of all of them, or an identity is of another one.
        """
        accounts, role = set(self.connection.accounts) or {here.account}, self.connection.role_arn
        if role is None and accounts != {here.account}:
            raise UsageError(
                f"the credentials are of account {here.account}, and others are to be exported",
                hint="add `role_arn='arn:aws:iam::{account}:role/NAME'`, which is assumed in each of them",
            )
        if role is not None and len(accounts) > 1 and "{account}" not in role:
            raise UsageError("one role cannot be of several accounts", hint="write {account} where its account stands")
        regions = set(self.connection.regions) or {here.region}
        targets = sorted(Target(account, region) for account in accounts for region in regions)
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
