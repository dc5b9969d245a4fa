"""Whether an answer is SES's (or STS's), to the letter: somebody else's is no success, however much of it looks right.

botocore takes what it finds: a page of a proxy that is XML, an answer to another operation, or one of another service
come out as an empty answer, which of a write would be a success and of a read "there is nothing".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from xml.etree import ElementTree as Xml

from batchpol.ses.translation import UNKNOWN_OPERATION, foreign

_BEGINNING = 4096
"""Bytes of a foreign answer that are looked at for its words."""

_NOT_WORDS = re.compile(r"(?is)<(script|style)\b.*?(</\1\s*>|\Z)|<!--.*?(-->|\Z)|<[^>]*(>|\Z)")


def check(answer: Mapping[str, Any], operation: Any) -> None:
    """Let an answer of the service's own pass, a success or an error.

    Args:
        answer: ``status_code`` and ``body``, as botocore's parsers take them.
        operation: botocore's model of the operation that it answers.

    Raises:
        SesError: it is somebody else's, or broken off; what that means for the caller goes by the HTTP status.
    """
    status, body = int(answer["status_code"]), bytes(answer["body"])
    try:
        root = Xml.fromstring(body)  # noqa: S314 - as botocore reads them; they have a bound
    except Xml.ParseError:
        root = None
    known = root is not None and (_is_success(root, operation) if status < 300 else _is_error(root))
    if not known:
        told = words(body)
        code = next((it for it in re.findall(r"\w+", told) if it in UNKNOWN_OPERATION), "") if status >= 300 else ""
        service = operation.service_model.service_id
        raise foreign(service, operation.name, status, told, code=code, speaks=_speaks(root, body))


def plain_yes(operation: Any) -> re.Pattern[bytes] | None:
    """How SES says that it did what was asked and nothing more, around the request's id; None where it says more.

    All that matches is taken by :func:`check` and botocore's parser, which take a hundred times as long.
    """
    model, shape = operation.service_model, operation.output_shape
    if shape.members:
        return None
    name, result, blank = f"{operation.name}Response", shape.serialization["resultWrapper"], rb"[ \t\r\n]*"
    parts = (
        f'<{name} xmlns="{re.escape(model.metadata["xmlNamespace"])}">',
        f"<{result}(?:/>|></{result}>)",
        "<ResponseMetadata>",
        r"<RequestId>([\w-]+)</RequestId>",
        "</ResponseMetadata>",
        f"</{name}>",
    )
    return re.compile(blank + blank.join(part.encode() for part in parts) + blank)


def words(body: bytes) -> str:
    """What a foreign answer says, without its markup; nothing of one that could hold credentials."""
    if b"SecretAccessKey" in body or b"SessionToken" in body:
        return ""
    return " ".join(unescape(_NOT_WORDS.sub(" ", body[:_BEGINNING].decode("utf-8", "replace"))).split())


def _is_error(root: Xml.Element) -> bool:
    """``<ErrorResponse>`` with a code in it, in whatever namespace: AWS's front doors have one of their own."""
    return _name(root) == "ErrorResponse" and any((it.text or "").strip() for it in root.findall("{*}Error/{*}Code"))


def _is_success(root: Xml.Element, operation: Any) -> bool:
    """An answer to this operation in the form that the service's model gives it."""
    model, shape = operation.service_model, operation.output_shape
    names = [f"{{{model.metadata['xmlNamespace']}}}{name}" for name in (
        f"{operation.name}Response", shape.serialization["resultWrapper"], "ResponseMetadata", "RequestId"
    )]  # fmt: skip
    if root.tag != names[0] or sorted(it.tag for it in root) != sorted(names[1:3]) or _has_text(root):
        return False
    result, request_id = root.find(names[1]), root.find(f"{names[2]}/{names[3]}")
    return result is not None and _fits(result, shape) and request_id is not None and bool(request_id.text)


def _fits(node: Xml.Element, shape: Any) -> bool:
    """Whether an element has the form of this shape. A newer SES may say more than the model knows, but not junk."""
    if shape.type_name == "structure":
        found = {_name(it): it for it in node}
        required = set(shape.required_members)
        if _has_text(node) or len(found) != len(node) or not required <= set(found) or (found and not shape.members):
            return False
        return all(_fits(found[name], member) for name, member in shape.members.items() if name in found)
    if shape.type_name == "list":
        return not _has_text(node) and all(_name(it) == "member" and _fits(it, shape.member) for it in node)
    if shape.type_name == "map":
        return not _has_text(node) and all(_is_entry(it, shape) for it in node)
    return len(node) == 0


def _is_entry(node: Xml.Element, shape: Any) -> bool:
    if _name(node) != "entry" or sorted(map(_name, node)) != ["key", "value"] or _has_text(node):
        return False
    return all(_fits(it, shape.key if _name(it) == "key" else shape.value) for it in node)


def _has_text(node: Xml.Element) -> bool:
    """Whether there is text in an element that has only others in it."""
    return bool((node.text or "").strip()) or any((it.tail or "").strip() for it in node)


def _name(node: Xml.Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _speaks(root: Xml.Element | None, body: bytes) -> bool:
    """Whether this is how another service says no: S3's ``<Error>``, or JSON."""
    return body.lstrip()[:1] == b"{" or (root is not None and _name(root) == "Error")
