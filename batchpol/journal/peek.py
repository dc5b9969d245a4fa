"""As much of each kind of line as is looked at without decoding it whole: every start goes through all of a journal.

History, section and sends read these, each what it needs; documents are skipped. A line of which more is wanted is
read again at its offset, as the entry that it is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from batchpol.journal.entries import End, Intent, Number, Planned, Run, Same


class _Peek(msgspec.Struct, tag_field="t"):
    """Some members of a line."""


class _RecordPeek(_Peek):
    n: Number
    verdict: str = ""


class RecordColumns(_RecordPeek, tag="record"):
    """Its place, and the names of its extra columns."""

    extra: dict[str, msgspec.Raw] = {}


class RecordChange(_RecordPeek, kw_only=True, tag="record"):
    """Its place, which change it is, and where that goes."""

    policy_name: str
    key: str = ""
    account: str = ""
    region: str = ""
    action: str = "put"
    sha256: str = ""


class OutcomePeek(_Peek, tag="outcome"):
    """What it came to, as text: hashing an enum's member takes a Python call."""

    n: Number
    status: str
    retryable: bool = False
    attempts: int = 0
    carried: bool = False


class OutcomeEffect(OutcomePeek, tag="outcome"):
    """The same, and what it did."""

    effect: str = ""


class BeforePeek(_Peek, tag="before"):
    """Nothing: only the way back reads before-images."""


class NotePeek(_Peek, tag="note"):
    """What is said, and of what."""

    text: str = ""
    kind: str = ""
    data: dict[str, Any] = {}


_Common = Run | Same | Planned | End | Intent | BeforePeek | NotePeek
"""Of which every reader wants the same. What has no more members than are wanted, or stands but once in a section, is
read whole."""

# Apart, since all members for all readers would take a tenth longer.
ColumnsLine = _Common | OutcomePeek | RecordColumns
ChangeLine = _Common | OutcomePeek | RecordChange
EffectLine = _Common | OutcomeEffect | RecordChange
decode_columns = msgspec.json.Decoder(ColumnsLine).decode_lines
decode_changes = msgspec.json.Decoder(ChangeLine).decode_lines
decode_effects = msgspec.json.Decoder(EffectLine).decode_lines
