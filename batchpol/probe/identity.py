"""Which identities does SES take a policy for: as an ARN, unverified ones, unknown ones, odd ones?

A Put for the probe's identity by its ARN; for one that was never named to SES, below the probe's own; and, where one
was given (`unverified`), for one of the account's that is not verified. Where unknown identities are taken, spellings
are tried that may be none, too: an underscore, a dot at the end, a single label. Refused is what is refused three
times; the policies are deleted again.

Batchpol sends the name even where an ARN was given, warns of what is not verified, and rejects a dot at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchpol.facts import Told
from batchpol.probe.asking import Asker, Reply
from batchpol.probe.place import PREFIX, Place
from batchpol.probe.question import Question, told_of, weighed

UNKNOWN = "batchpol-probe-unknown"


def others(place: Place) -> dict[str, str]:
    """The identities beside the probe's own that are asked for, by what is doubtful about them."""
    domain = place.identity.rpartition("@")[2]
    return {
        "": f"{UNKNOWN}.{domain}",
        "identity-underscore": f"batchpol_probe.{domain}",
        "identity-trailing-dot": f"{UNKNOWN}.{domain}.",
        "identity-unusual": UNKNOWN,
    }


async def ask(asker: Asker, known: Mapping[str, Any]) -> Told:
    place, name = asker.place, PREFIX + "01"

    async def takes(identity: str, sent_as: str = "") -> Reply:
        call = place.put(name, place.document(identity), sent_as or identity)
        reply = await asker.told(call)
        if reply.taken:
            await asker.told(place.delete(name, sent_as or identity))
        return reply

    doubts = {"identity-arn": await takes(place.identity, place.arn())}
    unknown, *odd = others(place).items()
    takes_unknown = (await takes(unknown[1])).taken
    if takes_unknown:
        doubts |= {doubt: await takes(identity) for doubt, identity in odd}
    unverified = (await takes(place.unverified)).taken if place.unverified else None
    facts = {"strict_identities": None if takes_unknown is None else not takes_unknown}
    if place.unverified:
        facts["require_verified"] = None if unverified is None else not unverified
    words = {True: "taken", False: "refused", None: "neither taken nor clearly refused"}
    says = [f"a policy for an identity that is unknown to SES is {words[takes_unknown]}"]
    says += [f"one for an identity that is not verified is {words[unverified]}"] if place.unverified else []
    return weighed(doubts, told_of(*says, **facts))


QUESTION = Question("identity", "which identities a policy is taken for", "what is said of identities", 12, 15, ask)
