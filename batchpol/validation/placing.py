"""Where a record belongs, told without checking it: a worker passes over the records of all the others."""

from __future__ import annotations

from collections.abc import Collection

from batchpol.identity import NAMED, read_identity
from batchpol.model import Finding, Record, Target
from batchpol.model.shard import Shard
from batchpol.validation.rules import has_error, place_said

_SOME_NAME = "example.com"
"""The place of an ARN does not depend on whose it is."""


_MOST = 1 << 17
"""Places that are remembered at once: more than any batch has, with each spelled in three ways."""


class Sharding:
    """Tells the records of one shard, or of several, from all others.

    A record that is valid lies where its target does; one that cannot be read, or names a place that is none, lies in
    the first shard, so that each has its row in exactly one report.

    Args:
        default: account and Region of the records that name none.

    Attributes:
        nowhere: the first record met that may have been meant for any target.
    """

    def __init__(self, shards: Collection[Shard], default: Target) -> None:
        self._shards, self._default = frozenset(shards), default
        self._count = next(iter(shards)).count
        self._known: dict[tuple[str | None, str | None, str], bool] = {}
        self.nowhere: Record | None = None

    def has(self, record: Record) -> bool:
        """Whether the record is one of theirs."""
        if record.problems and has_error(record.problems):
            return self._has_of_nowhere(record)
        text = record.identity
        start = _start_of_arn(text) if ":" in text else ""
        key = record.region, record.account, start
        ours = self._known.get(key)
        if ours is not None:
            return ours
        target, findings = self._target_of(record, start)
        if has_error(findings) or not target.region:
            return self._has_of_nowhere(record)
        if len(self._known) >= _MOST:
            self._known.clear()
        ours = self._known[key] = Shard.of(target, self._count) in self._shards
        return ours

    def _has_of_nowhere(self, record: Record) -> bool:
        self.nowhere = self.nowhere or record
        return Shard(1, self._count) in self._shards

    def _target_of(self, record: Record, start: str) -> tuple[Target, list[Finding]]:
        """The target that the checker finds, and why it finds none."""
        named, found = read_identity(start + _SOME_NAME)
        findings = list(found) if start else []
        region = place_said(record.region, named.region, "region", findings) or self._default.region
        account = place_said(record.account, named.account, "account", findings) or self._default.account
        return Target(account, region), findings


def _start_of_arn(text: str) -> str:
    """All of an ARN but the identity's name; empty for what is no ARN."""
    if text.lstrip()[:4].lower() != "arn:":
        return ""
    start, named, _ = text.partition(NAMED)
    return start + named if named else ""
