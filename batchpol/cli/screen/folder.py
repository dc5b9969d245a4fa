"""What people see of a run folder: how far each shard is, and all of them together."""

from __future__ import annotations

from typing import Any

from batchpol.cli.screen import commands
from batchpol.cli.screen.commands import Step
from batchpol.cli.screen.status import RunStatus, as_json, status_of
from batchpol.cli.screen.terminal import counts_line, duration, said
from batchpol.journal import FINISHED, Folder, Shards
from batchpol.model import Status, visible
from batchpol.model.shard import Shard

Standing = dict[Shard, RunStatus | None]
"""How far each shard is; None where it has not begun."""


def standing_of(shards: Shards) -> Standing:
    """How far each is by now. Raises JournalError: a journal cannot be read."""
    return {it: status_of(shards.journal(it)) if begun is not None else None for it, begun in shards.sections.items()}


def lines(shards: Shards, standing: Standing) -> list[str]:
    """For people."""
    folder = Folder(shards.path)
    pins = folder.pins()
    found = [f"folder:   {visible(str(folder.path))}"]
    if pins is not None:
        found += [f"input:    {visible(pins.input)}", f"place:    account {pins.account}, Region {pins.region}"]
    if folder.is_stopped:
        found.append("stop:     all workers are asked to stop")
    width = max(len(str(shard)) for shard in standing)
    found += [f"shard {shard!s:>{width}}: {_line(it)}" for shard, it in standing.items()]
    found.append(f"records:  {len(shards):,}: {counts_line(shards.counts())}")
    if (seconds := seconds_left(standing)) is not None:
        found.append(f"left:     {_left(standing):,} to send, about {duration(seconds)}")
    return [*found, f"next:     {next_step(shards, standing)}"]


def _line(found: RunStatus | None) -> str:
    if found is None:
        return "not begun"
    run = found.section.run
    by = f" (process {run.pid} on {visible(run.host)})" if found.held else ""
    left = f", {found.section.left:,} left" if found.section.left else ""
    return f"{said(found.state)}{by}: {counts_line(found.section.counts()) or 'no records'}{left}"


def seconds_left(standing: Standing) -> float | None:
    """How long the longest of those that run has yet, in seconds; None where none runs."""
    return max((it.seconds for it in standing.values() if it is not None and it.seconds is not None), default=None)


def _left(standing: Standing) -> int:
    return sum(it.section.left for it in standing.values() if it is not None)


def next_step(shards: Shards, standing: Standing) -> Step:
    """What to do now."""
    path = shards.path
    if Folder(path).is_stopped:
        return Step("to let the workers go on, and then start them again", commands.withdraw(path))
    if any(it is not None and it.held for it in standing.values()):
        return Step("to see how far it is", commands.status(path))
    ended = [
        it is not None and it.section.end is not None and it.section.end.reason == FINISHED for it in standing.values()
    ]
    if not all(ended):
        return Step("start the workers of the other shards again, each with the same command", [])
    if shards.counts().keys() & {Status.REJECTED, Status.FAILED}:
        return Step(f"to mend what went wrong, and then apply {commands.MEND}", commands.mend(path, shards.counts()))
    return Step("nothing is left to do; to write the report again", commands.report(path))


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
            {"shard": str(shard)} | (as_json(it) if it is not None else {"state": "not begun"})
            for shard, it in standing.items()
        ],
        "next": [next_step(shards, standing).as_json()],
    }
