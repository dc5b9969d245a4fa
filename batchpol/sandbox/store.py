"""What the sandbox remembers: identities and their policies, for each account and Region."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

_REMEMBERED: Final = 100_000


class Owner(NamedTuple):
    """An identity where it lives. ``identity`` is its canonical name: a domain in lower case, an address as is."""

    account: str
    region: str
    identity: str


class Store:
    """Policies and registered identities, readable and writable by tests as they are."""

    def __init__(self) -> None:
        self.policies: dict[Owner, dict[str, str]] = {}
        """Documents by policy name, compacted as SES keeps them."""
        self.registered: set[Owner] = set()
        """Identities that somebody asked to verify."""
        self._replaced: deque[tuple[float, Owner, str, str | None]] = deque(maxlen=_REMEMBERED)

    def put(self, owner: Owner, name: str, document: str, now: float = 0.0) -> None:
        """Set a policy; ``now`` is the time of it, for :meth:`get_as_of`."""
        self._remember(owner, name, now)
        self.policies.setdefault(owner, {})[name] = document

    def get(self, owner: Owner) -> dict[str, str]:
        """The policies of one identity by name; empty if there are none."""
        return dict(self.policies.get(owner, {}))

    def get_as_of(self, owner: Owner, then: float) -> dict[str, str]:
        """The policies of one identity as they were at the time ``then``, of the last 100,000 writes."""
        policies = self.get(owner)
        for written, whose, name, before in reversed(self._replaced):
            if written <= then or whose != owner:
                continue
            if before is None:
                policies.pop(name, None)
            else:
                policies[name] = before
        return policies

    def delete(self, owner: Owner, name: str, now: float = 0.0) -> None:
        """Remove a policy; nothing happens if it is not there."""
        self._remember(owner, name, now)
        policies = self.policies.get(owner, {})
        policies.pop(name, None)
        if not policies:
            self.policies.pop(owner, None)

    def _remember(self, owner: Owner, name: str, now: float) -> None:
        self._replaced.append((now, owner, name, self.policies.get(owner, {}).get(name)))

    def forget(self, owner: Owner) -> None:
        """Remove an identity with its policies."""
        self.policies.pop(owner, None)
        self.registered.discard(owner)

    def identities(self, account: str, region: str) -> list[str]:
        """Every identity of an account and Region, sorted: the registered ones, and those with policies."""
        owners = self.registered | self.policies.keys()
        return sorted(owner.identity for owner in owners if owner[:2] == (account, region))
