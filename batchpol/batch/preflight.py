"""What is looked up in SES before the question is asked: identities that are not verified, names to prune."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from batchpol.batch.intake import Intake
from batchpol.errors import UsageError
from batchpol.model import MAX_POLICIES
from batchpol.sending.reads import Ownership, Reads, owners

MOST_LOOKED_UP = 1000
"""Identities of one target that are looked up before the question: ten calls. The lanes look up the rest."""

Names = Mapping[str, "set[str]"]
"""Policy names by identity."""


def check_certain(intake: Intake) -> None:
    """Refuse to prune what an input does not have as long as that is not certain.

    Raises:
        UsageError: a record was rejected.
    """
    if intake.first_rejected:
        line = intake.first_rejected[0].record.line
        raise UsageError(
            f"line {line} is rejected, and what the file does not have cannot be told from it",
            hint="mend the rejected records (batchpol validate lists them), then run with --prune again",
        )


class Prunable(NamedTuple):
    """A policy that is there and that the input does not have.

    ``first``: it has to go before the input's own are put, since the identity could not hold both.
    """

    identity: str
    policy_name: str
    first: bool


async def prunable(reads: Reads, kept: Names, prefix: str) -> list[Prunable]:
    """The policies that are there and not among ``kept``, whose name begins with ``prefix``.

    One call an identity, through its own gate. Raises :class:`~batchpol.errors.SesError`.
    """
    found = []
    for identity, names in kept.items():
        there = set(await reads.names(identity))
        first = len(there | names) > MAX_POLICIES
        found += [Prunable(identity, name, first) for name in sorted(there - names) if name.startswith(prefix)]
    return found


async def unverified(reads: Reads, ownership: Ownership, identities: Iterable[str]) -> list[str]:
    """Those of the first :data:`MOST_LOOKED_UP` identities that are not verified, in their order.

    What is found out stays in ``ownership``. Raises :class:`~batchpol.errors.SesError`.
    """
    wanted = [identity for identity, _ in zip(dict.fromkeys(identities), range(MOST_LOOKED_UP), strict=False)]
    await ownership.look_up(reads, set().union(*map(owners, wanted)))
    return [identity for identity in wanted if not ownership.verified(identity)]
