"""The AWS Query protocol: form-encoded requests in, XML answers out, and who signed them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

SES_VERSION: Final = "2010-12-01"
STS_VERSION: Final = "2011-06-15"
SES_NAMESPACE: Final = "http://ses.amazonaws.com/doc/2010-12-01/"
STS_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"

_CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([A-Za-z0-9_]+)/([0-9]{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request\b"
)
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# A bare carriage return would come back as a line feed: XML readers normalise line ends.
_ENTITIES = {"\r": "&#13;"}
_PARTITIONS = (("us-gov-", "aws-us-gov"), ("cn-", "aws-cn"), ("eusc-", "aws-eusc"), ("us-iso-", "aws-iso"))


class ServiceError(Exception):
    """An answer of SES or STS that is an error: HTTP status, code and message."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class Scope(NamedTuple):
    """What a signature says of its maker; the signature itself is not checked."""

    access_key: str
    region: str
    service: str


class Caller(NamedTuple):
    """Who is calling, and from where."""

    account: str
    region: str
    arn: str
    user_id: str

    @property
    def partition(self) -> str:
        return partition_of(self.region)


def partition_of(region: str) -> str:
    """The partition that a Region belongs to, by its prefix."""
    return next((partition for prefix, partition in _PARTITIONS if region.startswith(prefix)), "aws")


def scope_of(authorization: str) -> Scope | None:
    """The credential scope of an ``Authorization`` header, None if it is not one of Signature Version 4."""
    found = _CREDENTIAL.match(authorization)
    return Scope(found[1], found[3], found[4]) if found else None


def read_form(body: bytes) -> dict[str, str]:
    """The parameters of a request. Raises ServiceError if the body is not a form in UTF-8."""
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict"))
    except ValueError:
        raise ServiceError("MalformedQueryString", "The request body is not a form in UTF-8") from None


def members(form: Mapping[str, str], name: str) -> list[str]:
    """A list parameter: the values of ``name.member.1``, ``name.member.2`` … in that order."""
    prefix = f"{name}.member."
    found = [(key[len(prefix) :], value) for key, value in form.items() if key.startswith(prefix)]
    return [value for number, value in sorted(found, key=_number)]


def _number(item: tuple[str, str]) -> int:
    return int(item[0]) if item[0].isdecimal() else 0


def text(value: str) -> str:
    """``value`` as XML text; characters that XML cannot hold become ``?``."""
    return escape(_NOT_XML.sub("?", value), _ENTITIES)


def element(name: str, value: str) -> str:
    return f"<{name}>{text(value)}</{name}>"


def list_of(name: str, values: Iterable[str]) -> str:
    """A list of strings as the Query protocol writes it."""
    return f"<{name}>{''.join(element('member', value) for value in values)}</{name}>"


def map_of(name: str, entries: Iterable[tuple[str, str]]) -> str:
    """A map as the Query protocol writes it; the values are XML already."""
    inner = "".join(f"<entry>{element('key', key)}<value>{value}</value></entry>" for key, value in entries)
    return f"<{name}>{inner}</{name}>"


def result_xml(operation: str, result: str, request_id: str, namespace: str) -> bytes:
    """A successful answer; ``result`` is what stands inside ``<…Result>``."""
    return (
        f'<{operation}Response xmlns="{namespace}"><{operation}Result>{result}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    ).encode()


def error_xml(error: ServiceError, request_id: str, namespace: str) -> bytes:
    """An answer that is an error; one of the server's is of type Receiver, all others of type Sender."""
    kind = "Receiver" if error.status >= 500 else "Sender"
    return (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{kind}</Type>{element("Code", error.code)}'
        f"{element('Message', error.message)}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()
