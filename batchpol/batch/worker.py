"""What a worker heeds of the folder that it shares with others: whose turn a shard is, which batch, whether to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from batchpol.batch.intake import Intake, checking, default_of
from batchpol.batch.observer import Result
from batchpol.batch.options import Options
from batchpol.batch.resuming import begin
from batchpol.journal import FINISHED, End, Journal, Pins, Shards, outcomes, scan
from batchpol.model.errors import InputError
from batchpol.model.settings import Checks, Conduct, Connection, Reading
from batchpol.report import Summary
from batchpol.rewriting.template import Template
from batchpol.sending.caller import Here
from batchpol.ses import Caller
from batchpol.source import Source
from batchpol.validation import Sharding

LOOKED_AT = 0.5
"""Seconds from one look at whether a shard is free to the next."""

STOPPED = "all workers of this folder were asked to stop"

NEVER_BEGUN = "its shard has not begun"
"""Why records of a folder were not sent that no worker has come to."""

_OF_FILES = {"policy_template", "facts"}
"""What a folder knows by its digest alone."""

_FLEETING = {"dry_run", "staleness", "verify"}
"""What a run does besides writing that decides nothing of what is sent."""


def stays_over(options: Options) -> bool:
    """Whether a shard that came to its end is left as it is."""
    keeping = options.keeping
    looks = keeping.anew or keeping.fresh or keeping.retry_failed or options.conduct.dry_run
    return options.folder is not None and not looks


def already_over(options: Options) -> Result | None:
    """How the shard's run ended, if it came to its end and nobody wants to look again: no request is made for that.

    A dry run looks at each record all the same.
    """
    path = options.keeping.journal
    if path is None or not path.exists() or not stays_over(options):
        return None
    section = scan(path)
    if section is None or section.end is None or section.end.reason != FINISHED:
        return None
    return Result(Summary.of(outcomes(path, section)), section.end.exit_code, FINISHED, (), path)


def check_over(options: Options, digest: str) -> None:
    """Hold whoever starts a finished shard again to what it was finished with, as far as no request tells.

    Args:
        digest: the SHA-256 of the input, read to its end.

    Raises:
        JournalMismatch: another input, or other options that decide what is sent.
    """
    folder = options.folder
    there = folder.pins() if folder is not None else None
    if folder is not None and there is not None:
        folder.check(structs.replace(there, input_sha256=digest, options=_decisive(options)))


def pins_of(options: Options, here: Here, name: str, digest: str = "") -> Pins:
    """What the workers of one batch have in common; ``digest`` is the input's SHA-256, once it was read."""
    shard = options.keeping.shard
    assert shard is not None
    return Pins(
        shards=shard.count,
        account=here.caller.account,
        region=here.region,
        endpoint=here.endpoint,
        input=name,
        input_sha256=digest,
        options=_decisive(options),
    )


def _decisive(options: Options) -> dict[str, str]:
    """The settings that decide what is sent, but for those at their default."""
    conduct = {name: value for name, value in asdict(options.conduct).items() if name not in _FLEETING}
    ordinary = {name: value for name, value in asdict(Conduct()).items() if conduct.get(name) == value}
    reading, checks = asdict(options.reading), asdict(options.checks)
    reading["policy_template"] = _digest_of(reading["policy_template"])
    for name in _PAIRS:  # whose values may have commas
        reading[name] = msgspec.json.encode(sorted(reading[name])).decode() if reading[name] else ""
    found = reading | checks | conduct | {"regions": options.connection.regions}
    found["facts"] = _digest_of(options.connection.facts)
    found["role_arn"] = options.connection.role_arn
    return {name: _text(value) for name, value in found.items() if value and name not in ordinary}


_PAIRS = ("columns", "variables")


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _digest_of(file: Any) -> str:
    """What a template, or a file of facts, is known again by."""
    if file is None:
        return ""
    try:
        data = file.read_bytes() if isinstance(file, Path) else msgspec.json.encode(file)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    return sha256(data).hexdigest()[:12]


def options_of(shards: Shards, template: Path | Mapping[str, Any] | None, facts: Path | None) -> Options:
    """The options by which the workers of a folder read and check the records.

    Args:
        template, facts: what they had, of which the folder only has the digests.
    """
    assert shards.pins is not None  # or else it is no run folder
    said = shards.pins.options.get
    columns, variables = (msgspec.json.decode(said(name) or "[]", type=tuple[str, ...]) for name in _PAIRS)
    reading = Reading(
        format=said("format"),
        columns=columns,
        policy_name=said("policy_name"),
        policy_template=template,
        variables=variables,
    )
    return Options(
        reading=reading,
        checks=Checks(
            select=_words(said("select")),
            ignore=_words(said("ignore")),
            warnings_as_errors=said("warnings_as_errors") is not None,
        ),
        connection=Connection(regions=_words(said("regions")), facts=facts),
        template=Template.of(reading),
    )


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(", ")) if text else ()


def add_missing(shards: Shards, records: Source, options: Options) -> None:
    """Add the rows of the shards that have not begun: what one process writes that ends before it sends anything.

    Args:
        records: the input of the workers, which is read to its end.
        options: see :func:`options_of`.

    Raises:
        InputError: it is another input, or it is read otherwise.
    """
    pins = shards.pins
    assert pins is not None  # or else it is no run folder
    if not shards.missing:
        return
    here, now = Here(Caller(pins.account, ""), pins.region, pins.endpoint), datetime.now(UTC).isoformat()
    journal = Journal.temporary()
    run = begin(
        journal, options, here, options.patience.period, records.name, records.columns, sheet=records.sheet, at=now
    )
    ours = Sharding(shards.missing, default_of(options, here.target))
    intake = Intake(options, checking(options, here.target), journal, run, ours)
    for record in records:
        intake.take(record)
    decisive = {name: value for name, value in _decisive(options).items() if name in _OF_FILES}
    kept = {name: value for name, value in pins.options.items() if name not in _OF_FILES}
    found = structs.replace(pins, input_sha256=records.sha256, options=kept | decisive)
    if differs := pins.differences(found):
        text = f"{records.name} is not what the workers of {shards.path} read: {'; '.join(differs)}"
        raise InputError(text, hint=f"give what they had: {pins.input}, with the same files")
    intake.close(records.sha256)
    journal.append(End(at=now, reason=NEVER_BEGUN, exit_code=3))
    shards.complete(journal)
