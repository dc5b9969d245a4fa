"""What people see of a run folder: how far each shard is, and all of them together."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from batchpol.cli.screen import commands
from batchpol.cli.screen.commands import NextStep
from batchpol.cli.screen.status import EVERY, RunStatus, failed_line, find_status
from batchpol.cli.screen.status import as_json as json_of_run
from batchpol.cli.screen.status import failed as failed_of
from batchpol.cli.screen.terminal import counts_line, duration, said, tell, write
from batchpol.cli.spelling import spelled
from batchpol.journal import FINISHED, Folder, Shards, is_held
from batchpol.model import Status, visible
from batchpol.model.shard import Shard

Standing = dict[Shard, RunStatus | None]
"""How far each shard is; None where it has not begun."""


IDLE = 60.0
"""Seconds without anybody at work after which a folder is not followed any more: engines take a while to start again
what they lost."""


def show(shards: Shards, *, follow: bool, failed: bool, as_json: bool) -> None:
    """All of it on standard output; if wanted, what is new of it now and then until all shards are over."""
    standing, before, idle = standing_of(shards), Standing(), 0.0
    while (
        follow
        and not is_over(standing)
        and idle < IDLE
        and (is_at_work(standing) or not Folder(shards.path).is_stopped)
    ):
        write("\n".join(followed(shards, standing, before)))
        time.sleep(EVERY)
        before, shards = standing, Shards(shards.path)
        standing = standing_of(shards, before)
        idle = 0.0 if is_at_work(standing) else idle + EVERY
    for note in shards.notes:
        tell(f"note: {said(note)}")
    bad = (it for found in standing.values() if found is not None and failed for it in failed_of(found))
    if as_json:
        write(spelled(json.dumps(json_of(shards, standing) | ({"failed": [*bad]} if failed else {}))))
        return
    for it in bad:
        write(failed_line(it))
    write("\n".join(lines(shards, standing)))


def standing_of(shards: Shards, before: Standing | None = None) -> Standing:
    """How far each is by now; what was over ``before`` is not read again.

    Raises JournalError: a journal cannot be read.
    """
    standing, known = Standing(), before or {}
    for shard in shards.all:
        path, last = shards.journal(shard), known.get(shard)
        standing[shard] = last if _is_over(last) and not is_held(path) else find_status(path)
    shards.sections = {shard: it.section if it is not None else None for shard, it in standing.items()}
    return standing


def _is_over(found: RunStatus | None) -> bool:
    end = found.section.end if found is not None and not found.held else None
    return end is not None and end.reason == FINISHED


def is_over(standing: Standing) -> bool:
    """Whether each shard came to its end."""
    return all(map(_is_over, standing.values()))


def is_at_work(standing: Standing) -> bool:
    """Whether anybody has one of them."""
    return any(map(_is_held, standing.values()))


def followed(shards: Shards, standing: Standing, before: Standing) -> list[str]:
    """For whoever follows them: what is new of single shards, then all of them in one line."""
    new = [f"shard {shard}: {_who(it)}" for shard, it in standing.items() if _who(it) != _who(before.get(shard))]
    states = Counter("at work" if it.held else "over" if _is_over(it) else "stopped" for it in standing.values() if it)
    states["not begun"] = len(standing) - states.total()
    told = ", ".join(f"{count:,} {state}" for state, count in states.items() if count)
    left = f"; {_left(standing):,} left" if _left(standing) else ""
    if left and (seconds := seconds_left(standing)) is not None:
        left += f", about {duration(seconds)}"
    line = f"{datetime.now(UTC):%H:%M:%S} UTC: {len(standing):,} shards: {told}: {counts_line(shards.counts())}{left}"
    return [*new, line]


def lines(shards: Shards, standing: Standing, most: int | None = None) -> list[str]:
    """For people; with ``most`` that many shards, those at work first, where a screen has no room for all."""
    folder = Folder(shards.path)
    pins = folder.pins()
    found = [f"folder:   {visible(str(folder.path))}"]
    if pins is not None:
        found += [f"input:    {visible(pins.input)}", f"place:    account {pins.account}, Region {pins.region}"]
    if folder.is_stopped:
        found.append("stop:     all workers are asked to stop")
    width = max(len(str(shard)) for shard in standing)
    told = standing if most is None or len(standing) <= most else _busiest(standing, most)
    found += [f"shard {shard!s:>{width}}: {_line(it)}" for shard, it in told.items()]
    found += [f"... and {len(standing) - len(told):,} more shards"] if len(told) < len(standing) else []
    found.append(f"records:  {len(shards):,}: {counts_line(shards.counts())}")
    if (seconds := seconds_left(standing)) is not None:
        found.append(f"left:     {_left(standing):,} to send, about {duration(seconds)}")
    return [*found, f"next:     {next_step(shards, standing)}"]


def _busiest(standing: Standing, most: int) -> Standing:
    """Those at work, then those that stopped, then all others, each in their order."""
    order = sorted(
        standing, key=lambda it: (not _is_held(standing[it]), standing[it] is None or _is_over(standing[it]))
    )
    return {shard: standing[shard] for shard in order[: max(0, most)]}


def _is_held(found: RunStatus | None) -> bool:
    return found is not None and found.held


def _who(found: RunStatus | None) -> str:
    """What a shard does, or how it ended; and who has it."""
    if found is None:
        return "not begun"
    run = found.section.run
    return said(found.state) + (f" (process {run.pid} on {visible(run.host)})" if found.held else "")


def _line(found: RunStatus | None) -> str:
    if found is None:
        return _who(found)
    left = f", {found.section.left:,} left" if found.section.left else ""
    return f"{_who(found)}: {counts_line(found.section.counts()) or 'no records'}{left}"


def seconds_left(standing: Standing) -> float | None:
    """How long the longest of those that run has yet, in seconds; None where none runs."""
    return max((it.seconds for it in standing.values() if it is not None and it.seconds is not None), default=None)


def _left(standing: Standing) -> int:
    return sum(it.section.left for it in standing.values() if it is not None)


def next_step(shards: Shards, standing: Standing) -> NextStep:
    """What to do now."""
    path = shards.path
    if Folder(path).is_stopped:
        return NextStep("to let the workers go on, and then start them again", commands.withdraw(path))
    if is_at_work(standing):
        return NextStep("to follow it", commands.follow(path))
    if not is_over(standing):
        return NextStep("start the workers of the other shards again, each with the same command", [])
    if shards.counts().keys() & {Status.REJECTED, Status.FAILED}:
        return commands.mend("what went wrong", path, shards.counts())
    return NextStep("nothing is left to do; to write the report again", commands.report(path))


def json_of(shards: Shards, standing: Standing) -> dict[str, Any]:
    """For programs: plain values."""
    counts = shards.counts()
    return {
        "folder": str(shards.path),
        "stopped": Folder(shards.path).is_stopped,
        "records": len(shards),
        "counts": {status.value: counts.get(status, 0) for status in Status},
        "left": _left(standing),
        "seconds_left": seconds_left(standing),
        "shards": [
            {"shard": str(shard)} | (json_of_run(it) if it is not None else {"state": "not begun"})
            for shard, it in standing.items()
        ],
        "next": [next_step(shards, standing).as_json()],
    }
