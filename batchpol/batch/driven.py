"""A batch as tasks for workers elsewhere: what each is sent, what it does there, and what all of it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from os import PathLike
from pathlib import Path

import anyio

from batchpol.batch.batch import Batch
from batchpol.batch.observer import Result
from batchpol.batch.options import Options
from batchpol.batch.worker import add_missing, options_of
from batchpol.journal import FINISHED, End, Folder, Shards, runs
from batchpol.model.errors import BatchpolError, JournalAltered, JournalUnwritable, SesError, UsageError
from batchpol.model.shard import Shard
from batchpol.report import Summary, write_report
from batchpol.rewriting.template import open_input
from batchpol.version import __version__


def work_of(input: str | PathLike[str], options: Options) -> Callable[[Shard], End]:
    """What brings one shard to its end in a worker's process: settings alone, by value; keys are found there.

    Raises:
        UsageError: the input is no file, which the workers could read as well.
    """
    path = Path(input).absolute()
    if not path.is_file():
        raise UsageError(
            f"`on` needs an input that all workers can read, and {input} is no file", hint="write it to one"
        )
    reading, connection, keeping = options.reading, options.connection, options.keeping
    if isinstance(reading.policy_template, Path):
        reading = replace(reading, policy_template=reading.policy_template.absolute())
    if connection.facts is not None:
        connection = replace(connection, facts=connection.facts.absolute())
    assert keeping.journal is not None  # which the options ask for
    keeping = replace(keeping, on=None, shards=None, reports=(), journal=keeping.journal.absolute())
    sent = replace(options, reading=reading, connection=connection, keeping=keeping, outcomes=0)
    return partial(_work, str(path), sent, __version__)


def _work(input: str, options: Options, version: str, shard: Shard) -> End:
    """Run one shard, on an event loop of its own; what ends it early is no exception, for another worker to repeat."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    if version != __version__:
        return End(at=now, reason=f"this worker has batchpol {__version__}, and {version} is wanted", exit_code=2)
    try:
        result = anyio.run(_run, input, options.changed({"shard": shard}))
    except BatchpolError as error:
        stopped = isinstance(error, SesError | JournalAltered | JournalUnwritable)
        return End(at=now, reason=error.in_full, exit_code=3 if stopped else 2)
    return End(at=now, reason=result.reason, exit_code=result.exit_code)


async def _run(input: str, options: Options) -> Result:
    with open_input(input, options.reading, options.template) as source:
        batch = Batch(
            source,
            options,
            name=source.name,
            columns=lambda: source.columns,
            digest=lambda: source.sha256,
            sheet=source.sheet,
        )
        async with options.targets() as targets:
            return await batch.run(targets)


def merged(
    input: str | PathLike[str], options: Options, ended: Mapping[Shard, End], early: tuple[str, int] | None
) -> Result:
    """What all shards came to, with the reports of the whole input written.

    Args:
        ended: how each shard ended that did.
        early: why all of them were stopped, and the exit code for that.

    Raises:
        UsageError: no shard could begin.
    """
    folder = Path(options.keeping.journal or "")
    reason, code = early or _why(ended)
    if code == 2:
        raise UsageError(f"no shard could begin: {reason}")
    if Folder(folder).pins() is None:
        return Result(Summary(), code, reason, (), folder)
    shards, written = Shards(folder), list[Path]()
    with open_input(input, options.reading, options.template) as source:
        add_missing(shards, source, options_of(shards, options.reading.policy_template, options.connection.facts))
    for path in options.keeping.reports:
        started = [it.as_json() for book in shards.journals for it in runs(book)] if path.suffix == ".html" else ()
        try:
            write_report(
                shards,
                path,
                columns=shards.columns,
                sheet=shards.sheet,
                about=shards.about(),
                sends=shards.sends(),
                runs=started,
            )
            written.append(path)
        except BatchpolError as error:
            reason, code = error.in_full, code if code > 1 else 3
    outcomes = list(shards.outcomes()) if len(shards) <= options.outcomes else shards
    return Result(Summary.of(shards.outcomes()), code, reason, tuple(written), folder, outcomes)


def _why(ended: Mapping[Shard, End]) -> tuple[str, int]:
    """How all of them ended, as one run would say: early where any did."""
    early = [
        (shard, end) for shard, end in sorted(ended.items(), key=lambda it: it[0].number) if end.reason != FINISHED
    ]
    if not early:
        return FINISHED, max((end.exit_code for end in ended.values()), default=0)
    shard, end = early[0]
    others = f"; so did {len(early) - 1:,} other shards" if len(early) > 1 else ""
    code = 2 if all(end.exit_code == 2 for end in ended.values()) else 3
    return f"shard {shard}: {end.reason}{others}", code
