"""The operations of SES and STS: a caller and a form in, the XML inside ``<…Result>`` out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping

from batchpol.sandbox import rules
from batchpol.sandbox.identities import Identities
from batchpol.sandbox.sessions import credentials_of, open_session
from batchpol.sandbox.store import Owner
from batchpol.sandbox.wire import Requester, ServiceError, element, list_of, map_of, members, text

Form = Mapping[str, str]


class Operations:
    """Everything that the sandbox can be asked in the Query protocol."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self.table: dict[str, Callable[[Requester, Form], str]] = {
            "PutIdentityPolicy": self._put_policy,
            "GetIdentityPolicies": self._get_policies,
            "ListIdentityPolicies": self._list_policies,
            "DeleteIdentityPolicy": self._delete_policy,
            "ListIdentities": self._list_identities,
            "VerifyDomainIdentity": self._verify_domain,
            "VerifyEmailIdentity": self._verify_address,
            "DeleteIdentity": self._delete_identity,
            "GetIdentityVerificationAttributes": self._verification_attributes,
            "GetIdentityNotificationAttributes": self._notification_attributes,
            "GetCallerIdentity": self._caller_identity,
            "AssumeRole": self._assume_role,
        }

    def _put_policy(self, caller: Requester, form: Form) -> str:
        self._identities.put(caller, self._identities.owner(caller, form), form)
        return ""

    def _get_policies(self, caller: Requester, form: Form) -> str:
        names = members(form, "PolicyNames")
        if len(names) > rules.MAX_NAMES:
            raise rules.too_many("policyNames", rules.MAX_NAMES)
        present = self._identities.policies(self._identities.owner(caller, form), "get")
        found = ((name, text(present[name])) for name in dict.fromkeys(names) if name in present)
        return map_of("Policies", found)

    def _list_policies(self, caller: Requester, form: Form) -> str:
        return list_of("PolicyNames", sorted(self._identities.policies(self._identities.owner(caller, form), "list")))

    def _delete_policy(self, caller: Requester, form: Form) -> str:
        self._identities.delete(self._identities.owner(caller, form), rules.required(form, "PolicyName"))
        return ""

    def _list_identities(self, caller: Requester, form: Form) -> str:
        kind = form.get("IdentityType", "")
        if kind not in ("", "EmailAddress", "Domain"):
            raise ServiceError("InvalidParameterValue", f"Invalid identity type: {kind}")
        page, token = self._identities.page(
            caller,
            form.get("MaxItems", "100"),
            form.get("NextToken", ""),
            lambda owner: not kind or ("@" in owner.identity) == (kind == "EmailAddress"),
        )
        return list_of("Identities", (it.identity for it in page)) + (element("NextToken", token) if token else "")

    def _verify_domain(self, caller: Requester, form: Form) -> str:
        owner = self._identities.owner(caller, form, "Domain")
        self._identities.store.registered.add(owner)
        return element("VerificationToken", _token(owner.identity))

    def _verify_address(self, caller: Requester, form: Form) -> str:
        address = rules.required(form, "EmailAddress")
        if "@" not in address:
            raise ServiceError("InvalidParameterValue", f"Invalid email address<{address}>.")
        self._identities.store.registered.add(self._identities.owner(caller, form, "EmailAddress"))
        return ""

    def _delete_identity(self, caller: Requester, form: Form) -> str:
        self._identities.store.forget(self._identities.owner(caller, form), self._identities.clock.monotonic())
        return ""

    def _verification_attributes(self, caller: Requester, form: Form) -> str:
        def attributes(owner: Owner, status: str) -> str:
            token = "" if "@" in owner.identity else element("VerificationToken", _token(owner.identity))
            return element("VerificationStatus", status) + token

        return map_of("VerificationAttributes", self._of_known(caller, form, attributes))

    def _notification_attributes(self, caller: Requester, form: Form) -> str:
        headers = "".join(
            element(f"HeadersIn{kind}NotificationsEnabled", "false") for kind in ("Bounce", "Complaint", "Delivery")
        )
        defaults = element("ForwardingEnabled", "true") + headers
        return map_of("NotificationAttributes", self._of_known(caller, form, lambda owner, status: defaults))

    def _of_known(
        self, caller: Requester, form: Form, attributes: Callable[[Owner, str], str]
    ) -> Iterable[tuple[str, str]]:
        """Each identity asked for that SES knows, as it was asked for, with its attributes."""
        asked = members(form, "Identities")
        if len(asked) > 100:
            raise rules.too_many("identities", 100)
        for identity in dict.fromkeys(asked):
            owner = self._identities.owner(caller, {"Identity": identity})
            status = self._identities.status(owner)
            if status:
                yield identity, attributes(owner, status)

    def _caller_identity(self, caller: Requester, form: Form) -> str:
        return element("Arn", caller.arn) + element("UserId", caller.user_id) + element("Account", caller.account)

    def _assume_role(self, caller: Requester, form: Form) -> str:
        options = self._identities.options
        role = rules.required(form, "RoleArn")
        if options.external_id not in (None, form.get("ExternalId")):
            raise ServiceError(
                "AccessDenied",
                f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {role}",
                403,
            )
        asked = form.get("DurationSeconds", "3600")
        if not asked.isdecimal() or not 900 <= int(asked) <= 43200:
            raise ServiceError("ValidationError", "DurationSeconds must be between 900 and 43200")
        lifetime = options.credential_seconds
        expires = self._identities.clock.wall() + (float(asked) if lifetime is None else lifetime)
        session = open_session(role, rules.required(form, "RoleSessionName"), expires)
        given = credentials_of(session)
        return (
            f"<AssumedRoleUser>{element('AssumedRoleId', session.user_id)}{element('Arn', session.arn)}"
            f"</AssumedRoleUser><Credentials>{element('AccessKeyId', given.access_key)}"
            f"{element('SecretAccessKey', given.secret_key)}{element('SessionToken', given.token)}"
            f"{element('Expiration', given.expiration)}</Credentials>"
        )


def _token(domain: str) -> str:
    """A domain's verification token: any, but always the same."""
    return base64.b64encode(hashlib.sha256(domain.encode()).digest()).decode()
