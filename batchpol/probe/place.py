"""Where a probe is made, and how SES is reached there."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from batchpol.identity import arn_of, partition_of, read_identity
from batchpol.model import Severity, Target
from batchpol.model.errors import UsageError
from batchpol.model.settings import Connection, Patience
from batchpol.sending.gate import Gate
from batchpol.sending.targets import Targets
from batchpol.ses import Attempt, Aws

PREFIX = "batchpol-probe-"
"""How the name of every policy begins that a probe puts."""


class Call(NamedTuple):
    operation: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a probe is made: one identity, by its name, of one account and Region."""

    identity: str
    account: str
    region: str
    partition: str = "aws"
    unverified: str = ""
    """An identity of the account's that is not verified, if one was named."""
    principal: str = ""
    """The ARN of a role or user that exists, if one is known."""
    deleted: str = ""
    """That of one which was deleted after a policy of the identity named it, if one was named."""

    def arn(self, identity: str = "") -> str:
        return arn_of(self.partition, self.region, self.account, identity or self.identity)

    def principal_arn(self, name: str) -> str:
        """The ARN of one of the account's principals, such as ``root``."""
        return f"arn:{self.partition}:iam::{self.account}:{name}"

    def statement(self, identity: str = "") -> dict[str, Any]:
        """A statement that allows nothing: its own account, and only from an address that nobody can send from."""
        return {
            "Sid": "probe",
            "Effect": "Allow",
            "Principal": {"AWS": self.principal_arn("root")},
            "Action": "ses:SendEmail",
            "Resource": self.arn(identity),
            "Condition": {"StringEquals": {"ses:FromAddress": "nobody@batchpol-probe.invalid"}},
        }

    def document(self, identity: str = "", **changes: Any) -> str:
        """A policy with that statement, changed; an element that is changed to None is left out."""
        statement = {name: it for name, it in (self.statement(identity) | changes).items() if it is not None}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))

    def put(self, name: str, document: str = "", identity: str = "") -> Call:
        identity = identity or self.identity
        named = {"Identity": identity, "PolicyName": name, "Policy": document or self.document(identity)}
        return Call("PutIdentityPolicy", named)

    def delete(self, name: str, identity: str = "") -> Call:
        return Call("DeleteIdentityPolicy", {"Identity": identity or self.identity, "PolicyName": name})

    def names(self) -> Call:
        return Call("ListIdentityPolicies", {"Identity": self.identity})

    def policies(self, *names: str) -> Call:
        return Call("GetIdentityPolicies", {"Identity": self.identity, "PolicyNames": list(names)})


@asynccontextmanager
async def reached(
    connection: Connection, identity: str, *, unverified: str = "", principal: str = "", deleted: str = ""
) -> AsyncIterator[tuple[Place, Gate, Callable[..., Any]]]:
    """The place of an identity, the gate that all who ask for something there pass, and what makes one attempt.

    Raises:
        UsageError: it is no identity, or of another account or Region than the credentials and the run are of.
        SesError: AWS is out of reach.
    """
    named, findings = read_identity(identity)
    for finding in findings:
        if finding.severity is Severity.ERROR:
            raise UsageError(f"`identity`: {finding.message}", hint=finding.hint)
    aws = Aws(connection)
    async with Targets(aws, Patience(shared_quota=True)) as targets:
        found = await targets.here()
        here = found.target
        if named.account and Target(named.account, named.region) != here:
            raise UsageError(f"{identity} is not of {here}", hint="use its account's credentials, and its `region`")
        v1, v2 = await targets.ses(here), await aws.ses(here, "sesv2")

        async def send(operation: str, arguments: Mapping[str, Any], departed: Callable[[], None]) -> Mapping[str, Any]:
            ses = v2 if "EmailIdentity" in arguments else v1
            return await ses.ask(operation, arguments, Attempt(_at_once, departed))

        principal = principal or principal_of(found.caller.arn)
        partition = partition_of(here.region)
        place = Place(named.name, here.account, here.region, partition, unverified, principal, deleted)
        yield place, targets.gates(here).writes, send


def principal_of(caller: str) -> str:
    """The caller as policies name it: a user, or the role of a session (without its path, which nobody tells)."""
    if session := re.fullmatch(r"(arn:[^:]+):sts::(\d+):assumed-role/([^/]+)/.+", caller):
        return f"{session[1]}:iam::{session[2]}:role/{session[3]}"
    return caller if ":user/" in caller else ""


async def _at_once() -> None:
    """Who asks waited already."""
