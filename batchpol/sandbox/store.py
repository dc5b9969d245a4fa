"""What the sandbox remembers: identities and their policies, for each account and Region."""

from __future__ import annotations

from typing import NamedTuple


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

    def put(self, owner: Owner, name: str, document: str) -> None:
        self.policies.setdefault(owner, {})[name] = document

    def get(self, owner: Owner) -> dict[str, str]:
        """The policies of one identity by name; empty if there are none."""
        return dict(self.policies.get(owner, {}))

    def delete(self, owner: Owner, name: str) -> None:
        """Remove a policy; nothing happens if it is not there."""
        policies = self.policies.get(owner, {})
        policies.pop(name, None)
        if not policies:
            self.policies.pop(owner, None)

    def forget(self, owner: Owner) -> None:
        """Remove an identity with its policies."""
        self.policies.pop(owner, None)
        self.registered.discard(owner)

    def identities(self, account: str, region: str) -> list[str]:
        """Every identity of an account and Region, sorted: the registered ones, and those with policies."""
        owners = self.registered | self.policies.keys()
        return sorted(owner.identity for owner in owners if owner[:2] == (account, region))
