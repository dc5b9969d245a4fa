"""The operations of SES and STS: a caller and a form in, the XML inside ``<…Result>`` out."""

from __future__ import annotations

import base64
import hashlib
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from batchpol.sandbox import rules
from batchpol.sandbox.options import SandboxOptions
from batchpol.sandbox.sessions import credentials_of, open_session
from batchpol.sandbox.store import Owner, Store
from batchpol.sandbox.wire import Caller, ServiceError, element, list_of, map_of, members, text

Form = Mapping[str, str]
WRITES: Final = frozenset(
    {
        "PutIdentityPolicy",
        "DeleteIdentityPolicy",
        "VerifyDomainIdentity",
        "VerifyEmailIdentity",
        "DeleteIdentity",
    }
)


class Operations:
    """Everything that the sandbox can be asked, against one store."""

    def __init__(self, store: Store, options: SandboxOptions) -> None:
        self.options = options
        self._store = store
        self._seen: Counter[str] = Counter()
        self.table: dict[str, Callable[[Caller, Form], str]] = {
            "PutIdentityPolicy": self._put_policy,
            "GetIdentityPolicies": self._get_policies,
            "ListIdentityPolicies": self._list_policies,
            "DeleteIdentityPolicy": self._delete_policy,
            "ListIdentities": self._list_identities,
            "VerifyDomainIdentity": self._verify_domain,
            "VerifyEmailIdentity": self._verify_address,
            "DeleteIdentity": self._delete_identity,
            "GetIdentityVerificationAttributes": self._verification_attributes,
            "GetCallerIdentity": self._caller_identity,
            "AssumeRole": self._assume_role,
        }

    def _put_policy(self, caller: Caller, form: Form) -> str:
        owner = _owner(caller, form)
        name = rules.required(form, "PolicyName")
        document = rules.required(form, "Policy")
        rules.check_name(name)
        kept, principals = rules.check_policy(document, owner.identity, caller)
        if self.options.require_verified:
            rules.check_verified(owner.identity)
        self._check_seen(principals)
        present = self._store.policies.get(owner, {})
        if name not in present and len(present) >= rules.MAX_POLICIES:
            raise ServiceError(
                "InvalidParameterValue",
                f"Number of policies for {owner.identity} exceeds max allowed number of policies per resource",
            )
        self._store.put(owner, name, kept, time.monotonic())
        return ""

    def _check_seen(self, principals: set[str]) -> None:
        for principal in sorted(principals & self.options.late_principals.keys()):
            if self._seen[principal] < self.options.late_principals[principal]:
                self._seen[principal] += 1
                raise ServiceError("InvalidPolicy", f"The policy contains an invalid principal: {principal}")

    def _get_policies(self, caller: Caller, form: Form) -> str:
        names = members(form, "PolicyNames")
        if len(names) > rules.MAX_POLICIES:
            raise _too_many("policyNames", rules.MAX_POLICIES)
        present = self._visible(_owner(caller, form))
        found = ((name, text(present[name])) for name in dict.fromkeys(names) if name in present)
        return map_of("Policies", found)

    def _visible(self, owner: Owner) -> Mapping[str, str]:
        stale = self.options.stale_seconds
        return self._store.get_as_of(owner, time.monotonic() - stale) if stale else self._store.get(owner)

    def _list_policies(self, caller: Caller, form: Form) -> str:
        return list_of("PolicyNames", sorted(self._visible(_owner(caller, form))))

    def _delete_policy(self, caller: Caller, form: Form) -> str:
        owner = _owner(caller, form)
        name = rules.required(form, "PolicyName")
        rules.check_name(name)
        self._store.delete(owner, name, time.monotonic())
        return ""

    def _list_identities(self, caller: Caller, form: Form) -> str:
        kind = form.get("IdentityType", "")
        if kind not in ("", "EmailAddress", "Domain"):
            raise ServiceError("InvalidParameterValue", f"Invalid identity type: {kind}")
        size = form.get("MaxItems", "100")
        if not size.isdecimal() or not 1 <= int(size) <= 1000:
            raise ServiceError("InvalidParameterValue", "MaxItems must be between 1 and 1000.")
        identities = self._store.identities(caller.account, caller.region)
        if kind:
            identities = [name for name in identities if ("@" in name) == (kind == "EmailAddress")]
        start = bisect_right(identities, _after(form["NextToken"])) if form.get("NextToken") else 0
        page = identities[start : start + int(size)]
        more = start + len(page) < len(identities)
        token = element("NextToken", base64.urlsafe_b64encode(page[-1].encode()).decode()) if more else ""
        return list_of("Identities", page) + token

    def _verify_domain(self, caller: Caller, form: Form) -> str:
        domain = rules.identity_name(rules.required(form, "Domain"), caller)
        self._store.registered.add(Owner(caller.account, caller.region, domain))
        return element("VerificationToken", _token(domain))

    def _verify_address(self, caller: Caller, form: Form) -> str:
        address = rules.required(form, "EmailAddress")
        if "@" not in address:
            raise ServiceError("InvalidParameterValue", f"Invalid email address<{address}>.")
        name = rules.identity_name(address, caller)
        self._store.registered.add(Owner(caller.account, caller.region, name))
        return ""

    def _delete_identity(self, caller: Caller, form: Form) -> str:
        self._store.forget(_owner(caller, form))
        return ""

    def _verification_attributes(self, caller: Caller, form: Form) -> str:
        asked = members(form, "Identities")
        if len(asked) > 100:
            raise _too_many("identities", 100)
        answers = []
        for identity in dict.fromkeys(asked):
            name = rules.identity_name(identity, caller)
            verified = rules.is_verified(name) or not self.options.require_verified
            if verified or Owner(caller.account, caller.region, name) in self._store.registered:
                status = element("VerificationStatus", "Success" if verified else "Pending")
                token = "" if "@" in name else element("VerificationToken", _token(name))
                answers.append((identity, status + token))
        return map_of("VerificationAttributes", answers)

    def _caller_identity(self, caller: Caller, form: Form) -> str:
        return element("Arn", caller.arn) + element("UserId", caller.user_id) + element("Account", caller.account)

    def _assume_role(self, caller: Caller, form: Form) -> str:
        role = rules.required(form, "RoleArn")
        if self.options.external_id not in (None, form.get("ExternalId")):
            raise ServiceError(
                "AccessDenied",
                f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {role}",
                403,
            )
        asked = form.get("DurationSeconds", "3600")
        if not asked.isdecimal() or not 900 <= int(asked) <= 43200:
            raise ServiceError("ValidationError", "DurationSeconds must be between 900 and 43200")
        lifetime = self.options.credential_seconds
        expires = time.time() + (float(asked) if lifetime is None else lifetime)
        session = open_session(role, rules.required(form, "RoleSessionName"), expires)
        given = credentials_of(session)
        return (
            f"<AssumedRoleUser>{element('AssumedRoleId', session.user_id)}{element('Arn', session.arn)}"
            f"</AssumedRoleUser><Credentials>{element('AccessKeyId', given.access_key)}"
            f"{element('SecretAccessKey', given.secret_key)}{element('SessionToken', given.token)}"
            f"{element('Expiration', given.expiration)}</Credentials>"
        )


def _owner(caller: Caller, form: Form) -> Owner:
    identity = rules.identity_name(rules.required(form, "Identity"), caller)
    return Owner(caller.account, caller.region, identity)


def _token(domain: str) -> str:
    """A domain's verification token: any, but always the same."""
    return base64.b64encode(hashlib.sha256(domain.encode()).digest()).decode()


def _after(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError:
        raise ServiceError("InvalidParameterValue", "Invalid NextToken") from None


def _too_many(name: str, most: int) -> ServiceError:
    return ServiceError(
        "ValidationError",
        f"1 validation error detected: Value at '{name}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {most}",
    )
