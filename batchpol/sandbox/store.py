"""What the sandbox remembers: identities and their policies, for each account and Region."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

_REMEMBERED: Final = 100_000


class Owner(NamedTuple):
    """An identity where it lives. ``identity`` is its canonical name: a domain in lower case, an address as is."""

    account: str
    region: str
    identity: str


class _Write(NamedTuple):
    """A write that reads may not show yet: when, what it was, what was there before, and its part of the lag."""

    at: float
    owner: Owner
    name: str
    kind: Literal["put", "delete"]
    before: str | None
    part: float


class Store:
    """Policies and registered identities, readable and writable by tests as they are."""

    def __init__(self, seed: int = 0) -> None:
        self.policies: dict[Owner, dict[str, str]] = {}
        """Documents by policy name, compacted as SES keeps them."""
        self.registered: set[Owner] = set()
        """Identities that somebody asked to verify."""
        self._writes: deque[_Write] = deque(maxlen=_REMEMBERED)
        self._random = random.Random(seed)  # noqa: S311  (repeatable on purpose; keeps no secret)

    def put(self, owner: Owner, name: str, document: str, now: float = 0.0) -> None:
        """Set a policy; ``now`` is the time of it, for :meth:`seen`."""
        self._remember(owner, name, "put", now)
        self.policies.setdefault(owner, {})[name] = document

    def get(self, owner: Owner) -> dict[str, str]:
        """The policies of one identity by name; empty if there are none."""
        return dict(self.policies.get(owner, {}))

    def seen(self, owner: Owner, now: float, lags: Mapping[str, float], *, at_random: bool = False) -> dict[str, str]:
        """The policies of one identity as a read at ``now`` sees them, of the last 100,000 writes.

        ``lags`` are the seconds after which a ``put`` and a ``delete`` can be seen, ``at_random`` a part of it.
        """
        policies, settled, longest = self.get(owner), set(), max(lags.values())
        for write in reversed(self._writes):
            if write.at + longest <= now:
                break
            if write.owner != owner or write.name in settled:
                continue
            if write.at + lags[write.kind] * (write.part if at_random else 1) <= now:
                settled.add(write.name)  # whoever sees it sees nothing older
            elif write.before is None:
                policies.pop(write.name, None)
            else:
                policies[write.name] = write.before
        return policies

    def delete(self, owner: Owner, name: str, now: float = 0.0) -> None:
        """Remove a policy; nothing happens if it is not there."""
        self._remember(owner, name, "delete", now)
        policies = self.policies.get(owner, {})
        policies.pop(name, None)
        if not policies:
            self.policies.pop(owner, None)

    def _remember(self, owner: Owner, name: str, kind: Literal["put", "delete"], now: float) -> None:
        before = self.policies.get(owner, {}).get(name)
        self._writes.append(_Write(now, owner, name, kind, before, self._random.random()))

    def forget(self, owner: Owner, now: float = 0.0) -> None:
        """Remove an identity with its policies."""
        for name in list(self.policies.get(owner, ())):
            self.delete(owner, name, now)
        self.registered.discard(owner)

    def identities(self, account: str, region: str) -> list[str]:
        """Every identity of an account and Region, sorted: the registered ones, and those with policies."""
        owners = self.registered | self.policies.keys()
        return sorted(owner.identity for owner in owners if owner[:2] == (account, region))
