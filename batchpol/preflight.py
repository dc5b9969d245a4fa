"""What is looked up in SES before the question is asked: identities that are not verified, names to prune (floor 4)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from batchpol.errors import UsageError
from batchpol.journal import Journal, Section
from batchpol.model import Target
from batchpol.reads import Ownership, Reads, owners

MOST_LOOKED_UP = 1000
"""Identities of one target that are looked up before the question: ten calls. The lanes look up the rest."""

Names = Mapping[str, "set[str]"]
"""Policy names by identity."""


def names_in_file(journal: Journal, section: Section) -> dict[Target, dict[str, set[str]]]:
    """The policy names that the input has, by target and identity as it is sent.

    Raises:
        UsageError: a record was rejected, so that what the file means to keep is not certain.
    """
    found: dict[Target, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for offset in section.record_at:
        record = journal.read_record(offset)
        if record.verdict == "rejected":
            raise UsageError(
                f"line {record.line} is rejected, and what the file does not have cannot be told from it",
                hint="mend the rejected records (batchpol validate lists them), then run with --prune again",
            )
        if record.key:
            found[Target(record.account, record.region)][record.key].add(record.policy_name)
    return found


async def prunable(reads: Reads, kept: Names, prefix: str) -> list[tuple[str, str]]:
    """Identity and name of the policies that are there and not among ``kept``, whose name begins with ``prefix``.

    One call an identity, through its own gate. Raises :class:`~batchpol.errors.SesError`.
    """
    found = []
    for identity, names in kept.items():
        there = await reads.names(identity)
        found += [(identity, name) for name in sorted(there) if name not in names and name.startswith(prefix)]
    return found


async def unverified(reads: Reads, ownership: Ownership, identities: Iterable[str]) -> list[str]:
    """Those of the first :data:`MOST_LOOKED_UP` identities that are not verified, in their order.

    What is found out stays in ``ownership``. Raises :class:`~batchpol.errors.SesError`.
    """
    wanted = [identity for identity, _ in zip(dict.fromkeys(identities), range(MOST_LOOKED_UP), strict=False)]
    await ownership.look_up(reads, set().union(*map(owners, wanted)))
    return [identity for identity in wanted if not ownership.verified(identity)]
