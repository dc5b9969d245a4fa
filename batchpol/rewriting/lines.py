"""Records as JSON Lines, as ``source`` reads them back: what commands hand to each other."""

from __future__ import annotations

import msgspec

from batchpol.model import Action, Change, Record, Target
from batchpol.source import ORIGIN
from batchpol.validation import stored

_encode = msgspec.json.Encoder().encode


def record_line(record: Record, change: Change) -> bytes:
    """One line: what is to be sent, the record's extra columns, and the file and line it came from.

    A column of the user's that has the name of that last one is the user's.
    """
    fields: dict[str, object] = {"identity": change.identity, "policy_name": change.policy_name}
    if change.action is Action.DELETE:
        fields["action"] = change.action.value
    else:
        fields["policy"] = embedded(change.document)
    target = {"account": change.target.account, "region": change.target.region}
    fields |= {name: value for name, value in target.items() if value}
    fields |= record.extra
    if record.line and ORIGIN not in record.extra:
        fields[ORIGIN] = {"file": record.file, "line": record.line}
    return _encode(fields) + b"\n"


def marked(target: Target, identity: str, name: str, document: str) -> dict[str, str]:
    """What makes a row one of a policy that was there, which is never refused.

    Args:
        identity: the bare name, a domain in lower case.
    """
    return {stored.COLUMN: stored.mark_of(target, identity, name, document)}


def embedded(document: str) -> msgspec.Raw | str:
    """A document as the value of a line: an object with its bytes as they are; as text where it has line breaks,
    which no line can have, or is no JSON."""
    try:
        if "\n" not in document and "\r" not in document and isinstance(msgspec.json.decode(document), dict):
            return msgspec.Raw(document.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        pass
    return document
