"""Which names may a policy have, and how many policies an identity?

Names of 64 and 65 characters, names with a dot, a blank and a letter that is not ASCII, and none at all; then policies
are added until one is refused. Refused is what is refused three times; an identity that has policies of its own already
has that many fewer to add.

Batchpol rejects a name of more than 64 characters or of others than letters, digits, dash and underscore, and the 21st
policy of an identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchpol.facts import Told
from batchpol.probe.asking import Asker, Reaction, Reply
from batchpol.probe.place import PREFIX
from batchpol.probe.question import Question, told_of, weighed

MOST = 30
"""Policies that are tried to be added."""

NUMBERED = [f"{PREFIX}{number:02}" for number in range(1, MOST + 1)]
LONG = [PREFIX.ljust(length, "x") for length in (64, 65)]
ODD = [f"{PREFIX}a.b", f"{PREFIX}a b", f"{PREFIX}ä"]


async def ask(asker: Asker, known: Mapping[str, Any]) -> Told:
    place = asker.place

    async def takes(name: str) -> Reply:
        reply = await asker.told(place.put(name))
        if reply.taken:
            await asker.told(place.delete(name))
        return reply

    at_64, at_65, none, *odd = [await takes(name) for name in (*LONG, "", *ODD)]
    doubts = {
        "name-long": at_65 if at_64.taken else at_65._replace(reaction=Reaction.NOTHING),
        "name-characters": max(odd, key=lambda it: (it.taken is True, it.taken is None)),
    }
    says = [f"a policy without a name is {'taken' if none.taken else 'refused'}"] if none.taken is not None else []
    listed = (await asker.told(place.names())).answer.get("PolicyNames", ())
    ours = {name for identity, name in asker.there if identity == place.identity} - set(NUMBERED)
    count = already = sum(not name.startswith(PREFIX) for name in listed) + len(ours)
    most = None
    for name in NUMBERED:
        taken = (await asker.told(place.put(name))).taken
        if not taken:
            most = count if taken is False and count > already else None
            break
        count += 1
    for name in NUMBERED[1 : count - already]:
        await asker.told(place.delete(name))
    says.append(f"an identity has {most} policies at most" if most else f"{count} policies are taken")
    return weighed(doubts, told_of(*says, max_policies=most))


QUESTION = Question("names", "which names, and how many policies", "which names are rejected", 40, 60, ask)
