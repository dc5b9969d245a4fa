"""SESv2's operations on identities and their policies: a caller and parameters in, an answer's members out.

They work on what SES's own operations work on. Unlike those they refuse an identity that SES does not know, and
a policy that is there (Create) or is not (Update, Delete).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from batchpol.sandbox import rules
from batchpol.sandbox.identities import Identities
from batchpol.sandbox.store import Owner
from batchpol.sandbox.wire import Requester, ServiceError

Form = Mapping[str, str]


class OperationsV2:
    """Everything that the sandbox can be asked in SESv2's protocol."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self.table: dict[str, Callable[[Requester, Form], dict[str, Any]]] = {
            "CreateEmailIdentityPolicy": self._create_policy,
            "UpdateEmailIdentityPolicy": self._update_policy,
            "DeleteEmailIdentityPolicy": self._delete_policy,
            "GetEmailIdentityPolicies": self._get_policies,
            "ListEmailIdentities": self._list_identities,
            "GetEmailIdentity": self._get_identity,
        }

    def _create_policy(self, caller: Requester, form: Form) -> dict[str, Any]:
        owner, name = self._known(caller, form), form["PolicyName"]
        if name in self._identities.store.policies.get(owner, {}):
            raise ServiceError("AlreadyExistsException", f"Policy <{name}> already exists")
        self._identities.put(caller, owner, form)
        return {}

    def _update_policy(self, caller: Requester, form: Form) -> dict[str, Any]:
        self._identities.put(caller, self._with_policy(caller, form), form)
        return {}

    def _delete_policy(self, caller: Requester, form: Form) -> dict[str, Any]:
        self._identities.delete(self._with_policy(caller, form), form["PolicyName"])
        return {}

    def _get_policies(self, caller: Requester, form: Form) -> dict[str, Any]:
        return {"Policies": self._identities.policies(self._known(caller, form), "get")}

    def _list_identities(self, caller: Requester, form: Form) -> dict[str, Any]:
        size, token = form.get("PageSize", "100"), form.get("NextToken", "")
        page, token = self._identities.page(caller, size, token, lambda owner: self._passes(owner, form))
        return {"EmailIdentities": [self._described(owner) for owner in page]} | ({"NextToken": token} if token else {})

    def _passes(self, owner: Owner, form: Form) -> bool:
        """Whether an identity is one of those that the filters ask for."""
        described = self._described(owner)
        return (
            form.get("IDENTITY_NAME_CONTAINS", "") in owner.identity
            and form.get("IDENTITY_TYPE") in (None, described["IdentityType"])
            and form.get("VERIFICATION_STATUS") in (None, described["VerificationStatus"])
        )

    def _described(self, owner: Owner) -> dict[str, Any]:
        status = self._identities.status(owner) or "Pending"
        return {
            "IdentityType": _kind(owner),
            "IdentityName": owner.identity,
            "SendingEnabled": status == "Success",
            "VerificationStatus": status.upper(),
        }

    def _get_identity(self, caller: Requester, form: Form) -> dict[str, Any]:
        owner = self._known(caller, form)
        status = self._identities.status(owner) or "Pending"
        return {
            "IdentityType": _kind(owner),
            "FeedbackForwardingStatus": True,
            "VerifiedForSendingStatus": status == "Success",
            "DkimAttributes": {"SigningEnabled": False, "Status": "NOT_STARTED"},
            "MailFromAttributes": {"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"},
            "Policies": self._identities.policies(owner, "get"),
            "Tags": [],
            "VerificationStatus": status.upper(),
        }

    def _known(self, caller: Requester, form: Form) -> Owner:
        """The identity asked for, which must be one that SES knows: a registered one, or one with policies."""
        owner = self._identities.owner(caller, form)
        if not self._identities.status(owner) and owner not in self._identities.store.policies:
            raise ServiceError("NotFoundException", f"Email identity <{form['Identity']}> does not exist.", 404)
        return owner

    def _with_policy(self, caller: Requester, form: Form) -> Owner:
        """The identity asked for, which must have the policy that is asked for."""
        owner, name = self._known(caller, form), form["PolicyName"]
        rules.check_name(name, self._identities.options)
        if name not in self._identities.store.policies.get(owner, {}):
            raise ServiceError("NotFoundException", f"Policy <{name}> does not exist", 404)
        return owner


def _kind(owner: Owner) -> str:
    return "EMAIL_ADDRESS" if "@" in owner.identity else "DOMAIN"
