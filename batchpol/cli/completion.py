"""Values that a shell may complete, by the option that takes them; what has them is imported when it is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from pkgutil import resolve_name

from batchpol.model import Status


def completing(setting: str, metavar: str) -> Callable[[str], list[str]] | None:
    """What completes the values of a setting; None where any text may stand. ``text|json`` are values by themselves."""
    values = _VALUES.get(setting)
    if values is None and not re.fullmatch(r"[a-z]+(?:\|[a-z]+)+", metavar):
        return None

    def complete(incomplete: str) -> list[str]:
        begun, comma, last = incomplete.rpartition(",")
        known = values() if values else metavar.split("|")
        return [f"{begun}{comma}{it}" for it in known if it.startswith(last)]

    return complete


def _names_in(place: str) -> Callable[[], Iterable[str]]:
    """The names in ``module:object``, which is imported only now: a command has no use for it."""
    return lambda: sorted(resolve_name(place))


def _regions() -> Iterable[str]:
    return sorted(region for regions in resolve_name("batchpol.identity.known:REGIONS").values() for region in regions)


def _profiles() -> Iterable[str]:
    """Those of AWS's two files, of which only the names are looked at."""
    found = dict[str, None]()
    for variable, name in (("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")):
        path = Path(os.environ.get(variable) or Path.home() / ".aws" / name)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        found |= dict.fromkeys(re.findall(r"^\[(?:profile +)?([^\]\s]+)\]", text, re.MULTILINE))
    return found


_VALUES: dict[str, Callable[[], Iterable[str]]] = {
    **dict.fromkeys(("select", "ignore", "explain"), _names_in("batchpol.batch.check:RULES")),
    **dict.fromkeys(("regions", "region", "to_region"), _regions),
    **dict.fromkeys(("refuse", "accept"), _names_in("batchpol.sandbox:DOUBTS")),
    "fault": _names_in("batchpol.sandbox:FAULTS"),
    "only": lambda: [it.value for it in Status],
    "profile": _profiles,
}
