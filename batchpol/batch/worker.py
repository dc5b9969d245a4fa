"""What a worker heeds of the folder that it shares with others: whose turn a shard is, which batch, whether to stop."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from batchpol.batch.observer import Result
from batchpol.batch.options import Options
from batchpol.errors import InputError
from batchpol.journal import FINISHED, Pins, outcomes, scan
from batchpol.model.settings import Conduct
from batchpol.report import Summary
from batchpol.sending.caller import Here

LOOKED_AT = 1.0
"""Seconds from one look at whether a shard is free to the next."""

STOPPED = "asked to stop: all workers of this folder are"

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
    found = reading | checks | conduct | {"regions": options.connection.regions}
    found["role_arn"] = options.connection.role_arn
    return {name: _text(value) for name, value in found.items() if value and name not in ordinary}


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _digest_of(template: Any) -> str:
    """What a template is known again by."""
    if template is None:
        return ""
    try:
        data = template.read_bytes() if isinstance(template, Path) else msgspec.json.encode(template)
    except OSError as error:
        raise InputError(f"the template {template} cannot be read: {error.strerror}") from error
    return sha256(data).hexdigest()[:12]
