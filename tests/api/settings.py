"""The keyword arguments of the API as a type checker sees them: ``python -m tests.api.settings`` writes them anew.

They are those of :mod:`batchpol.model.settings`, with the types that a call takes; ``test_settings.py`` fails where
one is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import batchpol.api.settings
from batchpol.api.settings import _PAIRS, CONNECTING, EXPORTED, OFFLINE, PLANNED, RUN, SERVED
from batchpol.model import settings

API = Path(batchpol.api.settings.__file__)
PLACE = "str | os.PathLike[str]"
WIDER = {
    "Path | None": f"{PLACE} | None",
    "Path | Mapping[str, Any] | None": f"{PLACE} | Mapping[str, Any] | None",
    "tuple[str, ...]": "Iterable[str]",
    "tuple[Path, ...]": f"Iterable[{PLACE}]",
    "Shard | None": "str | tuple[int, int] | None",
}
"""What is taken where a room wants this."""

HEADINGS = [it for it in vars(settings).values() if hasattr(it, "HEADING")]
KINDS = {it.name: str(it.type) for heading in HEADINGS for it in fields(heading)}
WANTED = {
    "ValidateSettings": OFFLINE,
    "Connecting": CONNECTING,
    "Planning": [name for name in PLANNED if name not in CONNECTING],
    "Applying": [name for name in RUN if name not in PLANNED],
    "Exporting": EXPORTED,
    "Serving": [name for name in SERVED if name not in CONNECTING],
}


def _lines(names: Iterable[str]) -> str:
    named = dict.fromkeys(_PAIRS, "Mapping[str, str] | Iterable[str]")
    return "".join(f"    {name}: {named.get(name) or WIDER.get(KINDS[name], KINDS[name])}\n" for name in names)


def filled(text: str) -> str:
    """The module's text with the settings that there are."""
    for kind, names in WANTED.items():
        pattern = re.compile(rf"(class {kind}\(.*?    # python -m [^\n]*\n)(?:    \w+: [^\n]*\n)*\n*", re.DOTALL)
        text, count = pattern.subn(lambda match, names=names: match[1] + _lines(names) + "\n\n", text, 1)
        assert count == 1, kind
    return text


if __name__ == "__main__":
    API.write_text(filled(API.read_text(encoding="utf-8")), encoding="utf-8")
