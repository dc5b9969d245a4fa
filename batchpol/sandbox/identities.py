"""Identities and their policies as both of SES's APIs see them: one store, the same rules."""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Literal

from batchpol.sandbox import rules
from batchpol.sandbox.document import check_policy, with_ids
from batchpol.sandbox.options import SandboxOptions
from batchpol.sandbox.store import Owner, Store
from batchpol.sandbox.wire import Clock, Requester, ServiceError


class Identities:
    """What may be done with identities and policies, by the options in force. ``options`` can be set anew."""

    def __init__(self, store: Store, options: SandboxOptions, clock: Clock) -> None:
        self.store = store
        self.options = options
        self.clock = clock
        self._seen: Counter[str] = Counter()

    def owner(self, caller: Requester, form: Mapping[str, str], name: str = "Identity") -> Owner:
        """The identity that a parameter names, by name or ARN."""
        identity = rules.identity_name(rules.required(form, name), caller, self.options)
        return Owner(caller.account, caller.region, identity)

    def status(self, owner: Owner) -> Literal["Success", "Pending", ""]:
        """Whether an identity is verified; ``""`` for one that SES does not know."""
        verified = rules.is_verified(owner.identity) or not self.options.require_verified
        if owner in self.store.registered or (verified and not self.options.strict_identities):
            return "Success" if verified else "Pending"
        return ""

    def put(self, caller: Requester, owner: Owner, form: Mapping[str, str]) -> None:
        """Set a policy, unless SES refuses it."""
        name, document = rules.required(form, "PolicyName"), rules.required(form, "Policy")
        rules.check_name(name, self.options)
        kept, principals = check_policy(document, rules.identity_arn(owner.identity, caller), self.options)
        # The documentation promises an error for an identity that is not verified; its code and text are ours.
        if self.options.require_verified and not rules.is_verified(owner.identity):
            raise ServiceError("InvalidParameterValue", f"Identity {owner.identity} is not verified.")
        if self.options.strict_identities and owner not in self.store.registered:
            raise ServiceError("InvalidParameterValue", f"Identity {owner.identity} does not exist.")
        self._check_seen(principals)
        present = self.store.policies.get(owner, {})
        if name not in present and len(present) >= self.options.max_policies:
            full = f"Number of policies for <{owner.identity}> exceeds max allowed number of policies per resource"
            raise ServiceError("InvalidParameterValue", full, v2="LimitExceededException")
        self.store.put(owner, name, kept, self.clock.monotonic())

    def _check_seen(self, principals: set[str]) -> None:
        options = self.options
        for principal in sorted(principals):
            gone = options.strict_principals and (principal.endswith(".invalid") or principal in options.deleted)
            if gone or self._seen[principal] < options.late_principals.get(principal, 0):
                self._seen[principal] += 1
                raise ServiceError("InvalidPolicy", f"The policy contains an invalid principal: {principal}")

    def delete(self, owner: Owner, name: str) -> None:
        """Remove a policy, if it is there."""
        rules.check_name(name, self.options)
        self.store.delete(owner, name, self.clock.monotonic())

    def policies(self, owner: Owner, read: Literal["get", "list"]) -> Mapping[str, str]:
        """The policies as a read sees them, which may lag."""
        options = self.options
        lags = {write: options.lag(read, write) for write in ("put", "delete")}
        if any(lags.values()):
            found = self.store.seen(owner, self.clock.monotonic(), lags, at_random=options.stale_at_random)
        else:
            found = self.store.get(owner)
        if not (options.deleted and options.deleted_as_ids):
            return found
        return {name: with_ids(text, options.deleted, options) for name, text in found.items()}

    def page(
        self, caller: Requester, size: str, token: str, wanted: Callable[[Owner], bool]
    ) -> tuple[list[Owner], str]:
        """One page of the identities of an account and Region, and the token of the next, ``""`` after the last."""
        if not size.isdecimal() or not 1 <= int(size) <= 1000:
            raise ServiceError("InvalidParameterValue", "MaxItems must be between 1 and 1000.")
        names = self.store.identities(caller.account, caller.region)
        start = bisect_right(names, self._after(token)) if token else 0
        owners = (Owner(caller.account, caller.region, name) for name in names[start:])
        found = list(islice(filter(wanted, owners), int(size) + 1))
        page = found[: int(size)]
        return page, self._token(page[-1]) if len(found) > len(page) else ""

    def _token(self, last: Owner) -> str:
        return base64.urlsafe_b64encode(f"{self.clock.wall()} {last.identity}".encode()).decode()

    def _after(self, token: str) -> str:
        """The identity at which the page before ended."""
        try:
            at, _, identity = base64.urlsafe_b64decode(token).decode().partition(" ")
            old = self.clock.wall() - float(at)
        except ValueError:
            raise ServiceError("InvalidParameterValue", "Invalid NextToken") from None
        if self.options.token_seconds is not None and old > self.options.token_seconds:
            raise ServiceError("InvalidParameterValue", "The NextToken has expired")  # the text is ours
        return identity
