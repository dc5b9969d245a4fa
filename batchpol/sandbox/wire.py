"""What arrives, who signed it, and the AWS Query protocol: form-encoded requests in, XML answers out."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote
from xml.sax.saxutils import escape

ACCOUNT_ID: Final = "[0-9]{12}"
SES_VERSION: Final = "2010-12-01"
STS_VERSION: Final = "2011-06-15"
SES_NAMESPACE: Final = "http://ses.amazonaws.com/doc/2010-12-01/"
STS_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"

_CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([A-Za-z0-9_]+)/([0-9]{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request\b"
)
_SIGNED_HEADERS = re.compile(r"SignedHeaders=([a-z0-9;-]+)")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# A bare carriage return would come back as a line feed: XML readers normalise line ends.
_ENTITIES = {"\r": "&#13;"}
_PARTITIONS = (
    ("us-gov-", "aws-us-gov"),
    ("cn-", "aws-cn"),
    ("eusc-", "aws-eusc"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
)


class ServiceError(Exception):
    """An answer of SES or STS that is an error: HTTP status, code and message.

    ``v2`` is SESv2's code, for errors whose code there does not follow from the one here.
    """

    def __init__(self, code: str, message: str, status: int = 400, *, v2: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.v2 = v2


@dataclass(frozen=True, slots=True)
class Request:
    """What of an HTTP request matters. Header names are in lower case; ``path`` is as it came, still quoted."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    path: str = "/"
    query: str = ""

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")

    @property
    def token(self) -> str:
        return self.headers.get("x-amz-security-token", "")


class Clock(NamedTuple):
    """What time it is: seconds of a clock that never goes back, and seconds since 1970."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class ApiCall(NamedTuple):
    """What a request asks for: an operation, ``""`` where it names none, and what is wrong with the asking."""

    operation: str
    form: Mapping[str, str]
    problem: ServiceError | None = None


class CredentialScope(NamedTuple):
    """What a signature says of its maker; the signature itself is not checked."""

    access_key: str
    date: str
    region: str
    service: str


class Requester(NamedTuple):
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


def scope_of(authorization: str) -> CredentialScope | None:
    """The credential scope of an ``Authorization`` header, None if it is not one of Signature Version 4."""
    found = _CREDENTIAL.match(authorization)
    return CredentialScope(found[1], found[2], found[3], found[4]) if found else None


def signature_told(request: Request, scope: CredentialScope) -> str:
    """What AWS adds to the message of a signature that does not match: all that was signed, as it was sent.

    A session token is a header that is signed, so it stands in there.
    """
    found = _SIGNED_HEADERS.search(request.authorization)
    names = found[1].split(";") if found else []
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names)
    query = "&".join(sorted(request.query.split("&")))
    body = hashlib.sha256(request.body).hexdigest()
    path = quote(request.path, safe="/~")
    canonical = f"{request.method}\n{path}\n{query}\n{headers}\n{';'.join(names)}\n{body}"
    to_sign = (
        f"AWS4-HMAC-SHA256\n{request.headers.get('x-amz-date', '')}\n{scope.date}/{scope.region}/{scope.service}"
        f"/aws4_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    )
    return (
        f"\n\nThe Canonical String for this request should have been\n'{canonical}'"
        f"\n\nThe String-to-Sign should have been\n'{to_sign}'\n"
    )


def read_call(body: bytes) -> ApiCall:
    """The operation and parameters of a form."""
    try:
        form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict"))
    except ValueError:
        return ApiCall("", {}, ServiceError("MalformedQueryString", "The request body is not a form in UTF-8"))
    return ApiCall(form.get("Action", ""), form)


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
