"""What of a policy is changed when it is read back: blanks, the order of its keys, its principals?

One is put with blanks, keys out of order and a bare account id, and read until the read shows it. What became of a
principal that was deleted meanwhile cannot be asked: it takes rights in IAM to delete one.

Batchpol compares policies by meaning, so that none of these is a difference to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio

from batchpol.facts import Told
from batchpol.probe.asking import Asker
from batchpol.probe.place import PREFIX
from batchpol.probe.question import Question, cannot_tell, told_of

NAMES = ("keeps_blanks", "sorts_keys", "accounts_as_roots")
STORED = PREFIX + "stored"
_ORDER = {True: "in alphabetical order", False: "as they were sent", None: "in another order"}
_ROOT = {True: "its root's ARN", False: "it is", None: "something else"}
PATIENCE = 180.0
"""Seconds that a read may lag behind."""


async def ask(asker: Asker, known: Mapping[str, Any]) -> Told:
    place, name = asker.place, STORED
    statement = place.statement() | {"Principal": {"AWS": place.account}}
    sent = json.dumps({"Version": "2012-10-17", "Statement": [statement], "Id": "stored"}, indent=1)
    if not (await asker.told(place.put(name, sent))).taken:
        return cannot_tell(*NAMES, why="SES does not take such a policy")
    found, deadline = "", anyio.current_time() + PATIENCE
    while not found and anyio.current_time() < deadline:
        found = (await asker.told(place.policies(name))).answer.get("Policies", {}).get(name, "")
    await asker.told(place.delete(name))
    try:
        read = json.loads(found)
        principal, keys = read["Statement"][0]["Principal"]["AWS"], list(read)
    except (ValueError, LookupError, TypeError):
        return cannot_tell(*NAMES, why="it did not come back, or not as a policy")
    blanks = found != json.dumps(read, separators=(",", ":"))
    root = f"arn:{place.partition}:iam::{place.account}:root"
    ordered = True if keys == sorted(keys) else False if keys == ["Version", "Statement", "Id"] else None
    as_root = {root: True, place.account: False}.get(principal) if isinstance(principal, str) else None
    return told_of(
        f"blanks are {'kept' if blanks else 'left out'}",
        f"keys come back {_ORDER[ordered]}",
        f"a bare account id comes back as {_ROOT[as_root]}",
        keeps_blanks=blanks,
        sorts_keys=ordered,
        accounts_as_roots=as_root,
    )


QUESTION = Question(
    "stored", "what of a policy is changed when it is read back", "how policies are compared", 3, 10, ask
)
