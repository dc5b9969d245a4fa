"""What a service does on sign-up: it puts the new tenant's policy in place, one client for all its callers."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import batchpol

TEMPLATE = Path(__file__).with_name("policy-template.json")


def onboarding(**settings: Unpack[batchpol.ClientSettings]) -> batchpol.Client:
    """The client, to be open for as long as the service lives; ``settings`` are a Region, a session, a journal."""
    settings.setdefault("policy_template", TEMPLATE)
    settings.setdefault("policy_name", "sending-{{tenant_id}}")
    return batchpol.Client(**settings)


async def sign_up(client: batchpol.Client, domain: str, tenant_id: str, sender_account: str) -> batchpol.Outcome:
    """Put the policy of one tenant, when its turn comes, and return what came of it."""
    actions = "ses:SendEmail;ses:SendRawEmail"
    tenant = {"tenant_id": tenant_id, "sender_account": sender_account, "ses_actions": actions}
    return await client.put({"identity": domain, **tenant})
