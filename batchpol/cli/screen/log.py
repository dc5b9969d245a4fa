"""``--log-format json``: one JSON object an event on standard error, instead of lines for people.

Once :func:`begin` was called every line that the command would tell is such an object, so that whoever collects
standard error can parse all of it. Nothing secret is in any: events have the fields named where they are written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from batchpol.cli.spelling import spelled

_TEXTS = frozenset({"message", "hint", "reason"})
"""Fields that are texts, in which settings may be named."""


class _State:
    """Of this process: whether standard error has JSON, and of which run."""

    wanted = False
    quiet = False
    run_id = ""


def begin() -> None:
    """Write JSON from now on."""
    _State.wanted = True


def end() -> None:
    """Write for people again: for whoever runs several commands in one process."""
    _State.wanted, _State.quiet, _State.run_id = False, False, ""


def hush() -> None:
    """Leave out from now on what is neither a warning nor an error."""
    _State.quiet = True


def is_wanted() -> bool:
    """Whether standard error has JSON objects instead of lines for people."""
    return _State.wanted


def of_run(run_id: str) -> None:
    """Every event from now on is of this run."""
    _State.run_id = run_id


def event(name: str, level: str = "info", **fields: object) -> None:
    """Write one event; fields that are None or empty text are left out.

    Args:
        name: what happened; the manual (``apply``) lists the names.
        level: ``debug``, ``info``, ``warning`` or ``error``.
        fields: plain values.
    """
    if not (_State.quiet and level in ("debug", "info")):
        put(_line(name, level, fields))


def dropped(count: int) -> str:
    """The line that stands where others were left out, as nobody took them."""
    text = f"{count:,} lines are not here: whoever reads this was too slow"
    return (_line("dropped", "warning", {"lines": count, "message": text}) if _State.wanted else text) + "\n"


def _line(name: str, level: str, fields: Mapping[str, object]) -> str:
    known = {key: value for key, value in fields.items() if value is not None and value != ""}
    known |= {key: spelled(value) for key, value in known.items() if key in _TEXTS and isinstance(value, str)}
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    head = {"time": at, "run_id": _State.run_id or None, "event": name, "level": level}
    return json.dumps(head | known)


def put(line: str) -> None:
    """One line on standard error, in one write."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
