"""How long after a Put or a Delete do Get and List show what was before?

Five policies are put, and read by name and listed in turns until both show all of them; then they are deleted, and
read until none is shown. Of each, the last read that does not show the change and the first from which on all do bound
the lag. Where something kept an answer back these are far apart, and that lag is left out; it is repeated until three
of each kind are left. Told are the median, and the most that was seen. A lag of less than the two seconds between reads
may be none.

Batchpol trusts what it wrote itself rather than a read for two minutes (`staleness`), and longer is for whoever sees
more here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from typing import Any

import anyio

from batchpol.facts import Told
from batchpol.probe.asking import Asker
from batchpol.probe.place import PREFIX, Call
from batchpol.probe.question import Question, cannot_tell, told_of
from batchpol.probe.stored import PATIENCE

WRITES = [f"{PREFIX}stale-{number}" for number in range(1, 6)]
ROUNDS, SAMPLES, NEAR = 4, 3, 5.0
"""How often it is repeated, how many lags of a kind are enough, and how many seconds apart their bounds may be."""

Lags = dict[str, list[tuple[float, float]]]


async def ask(asker: Asker, known: Mapping[str, Any]) -> Told:
    lags: Lags = defaultdict(list)
    for _ in range(ROUNDS):
        for call, kind in ((asker.place.put, "put"), (asker.place.delete, "delete")):
            written = {}
            for name in WRITES:
                began = anyio.current_time()
                reply = await asker.told(call(name))
                if reply.taken:
                    written[name] = began, reply.back
            if not await _watch(asker, kind, written, lags):
                return cannot_tell("stale_by", why=f"after {PATIENCE:.0f} s reads still showed what was before")
        if len(lags) == 4 and min(map(len, lags.values())) >= SAMPLES:
            break
    else:
        return cannot_tell("stale_by", why="too many answers did not come")
    stale_by, says = {}, []
    for name, found in lags.items():
        seen = any(least > 0 for least, _ in found)
        stale_by[name] = round(max(most for _, most in found), 1) if seen else 0.0
        middle = median(most for _, most in found)
        says.append(f"{name}: {f'{middle:.0f} s, {stale_by[name]:.0f} s at most' if seen else 'no lag was seen'}")
    return told_of(*says, stale_by=stale_by)


async def _watch(asker: Asker, kind: str, written: Mapping[str, tuple[float, float]], lags: Lags) -> bool:
    """Read until both reads show all writes, and note by how much each lagged; False if they do not in time."""
    reads: dict[str, Call] = {"get": asker.place.policies(*WRITES), "list": asker.place.names()}
    before, since = dict[tuple[str, str], float](), dict[tuple[str, str], float]()
    deadline = anyio.current_time() + PATIENCE
    while len(since) < len(reads) * len(written):
        if anyio.current_time() > deadline:
            return False
        for read, call in reads.items():
            reply = await asker.told(call)
            shown = reply.answer.get("Policies") or reply.answer.get("PolicyNames") or ()
            for name in written if reply.taken else ():
                if (name in shown) is (kind == "put"):
                    since.setdefault((read, name), reply.back)
                else:
                    before[read, name] = reply.left
                    since.pop((read, name), None)
    for (read, name), first in since.items():
        began, ended = written[name]
        least, most = before.get((read, name), ended) - ended, first - began
        if most - least < NEAR:
            lags[f"{read}-after-{kind}"].append((least, most))
    return True


QUESTION = Question(
    "staleness", "how long reads show what was before a write", "what is believed of a read", 40, 60, ask
)
