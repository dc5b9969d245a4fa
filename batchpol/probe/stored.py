"""What of a policy is changed when it is read back: blanks, the order of its keys, its principals?

One is put with blanks, keys out of order, a bare account id and the ARN of a role or user that exists (the caller,
unless another is named), and read until the read shows it; another names a role that does not exist. What becomes of a
principal that is deleted cannot be brought about without rights in IAM, so it is read off a policy that stands already
and names one (`deleted`).

Batchpol compares policies by meaning, so that blanks, order and the spelling of an account are no difference to it. A
unique id is one, and has the finding `principal-id`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import anyio

from batchpol.facts import Told
from batchpol.model import MAX_POLICIES
from batchpol.probe.asking import Asker
from batchpol.probe.place import PREFIX
from batchpol.probe.question import Question, cannot_tell, told_of

NAMES = ("keeps_blanks", "sorts_keys", "accounts_as_roots", "principals_as_ids", "strict_principals")
STORED = [f"{PREFIX}stored{it}" for it in ("", "-account", "-unknown")]
_ORDER = {True: "in alphabetical order", False: "as they were sent", None: "in another order"}
_ROOT = {True: "its root's ARN", False: "it is", None: "something else"}
_ID = {True: "comes back as its unique id", False: "comes back as its ARN", None: "was not seen to come back"}
_STRICT = {True: "refused", False: "taken", None: "neither taken nor clearly refused"}
PATIENCE = 180.0
"""Seconds that a read may lag behind."""


async def ask(asker: Asker, known: Mapping[str, Any]) -> Told:
    place = asker.place
    found = await _read_back(asker, STORED[0], place.account, place.principal) if place.principal else ""
    found = found or await _read_back(asker, STORED[1], place.account)
    try:
        read = json.loads(found)
        principals, keys = set(_principals(read)), list(read)
    except (ValueError, LookupError, TypeError, AttributeError):
        return cannot_tell(*NAMES, why="no policy came back")
    blanks = found != json.dumps(read, separators=(",", ":"))
    root = place.principal_arn("root")
    ordered = True if keys == sorted(keys) else False if keys == ["Version", "Statement", "Id"] else None
    as_root = True if root in principals else False if place.account in principals else None
    as_id = _as_id(place.principal, principals)
    nobody = place.principal_arn("role/batchpol-probe.invalid")
    taken = (await asker.told(place.put(STORED[2], place.document(Principal={"AWS": nobody})))).taken
    await asker.told(place.delete(STORED[2]))
    strict = None if taken is None else not taken
    says = [
        f"blanks are {'kept' if blanks else 'left out'}",
        f"keys come back {_ORDER[ordered]}",
        f"a bare account id comes back as {_ROOT[as_root]}",
        f"a role or user {_ID[as_id]}",
        f"one that does not exist is {_STRICT[strict]}",
    ]
    facts: dict[str, bool | None] = {"keeps_blanks": blanks, "sorts_keys": ordered, "accounts_as_roots": as_root}
    facts |= {"principals_as_ids": as_id, "strict_principals": strict}
    if place.deleted:
        facts["deleted_as_ids"] = as_id = _as_id(place.deleted, await _standing(asker))
        says.append(f"one that was deleted {_ID[as_id]}")
    return told_of(*says, **facts)


async def _read_back(asker: Asker, name: str, *principals: str) -> str:
    """The text that comes back of a policy that names them; empty where SES does not take it."""
    place = asker.place
    statement = place.statement() | {"Principal": {"AWS": principals}}
    sent = json.dumps({"Version": "2012-10-17", "Statement": [statement], "Id": "stored"}, indent=1)
    found, deadline = "", anyio.current_time() + PATIENCE
    if (await asker.told(place.put(name, sent))).taken:
        while not found and anyio.current_time() < deadline:
            found = (await asker.told(place.policies(name))).answer.get("Policies", {}).get(name, "")
    await asker.told(place.delete(name))
    return found


async def _standing(asker: Asker) -> set[str]:
    """The principals of policies that are not the probe's."""
    place = asker.place
    listed = (await asker.told(place.names())).answer.get("PolicyNames", ())
    names = [it for it in listed if not it.startswith(PREFIX)][:MAX_POLICIES]
    found = (await asker.told(place.policies(*names))).answer.get("Policies", {}) if names else {}
    return {it for text in found.values() for it in _principals(json.loads(text))}


def _principals(policy: Any) -> Iterator[str]:
    """What a policy names under AWS."""
    statements = policy["Statement"]
    for statement in [statements] if isinstance(statements, dict) else statements:
        named = statement.get("Principal")
        named = named.get("AWS", []) if isinstance(named, dict) else []
        yield from [named] if isinstance(named, str) else named


def _as_id(arn: str, principals: set[str]) -> bool | None:
    """Whether there is a unique id among these where an ARN was put."""
    return False if arn in principals else True if any(it.startswith(("AROA", "AIDA")) for it in principals) else None


QUESTION = Question(
    "stored", "what of a policy is changed when it is read back", "how policies are compared", 8, 12, ask
)
