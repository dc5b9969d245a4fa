"""The map from botocore's exceptions and AWS's error codes to :class:`~batchpol.model.errors.SesError`.

What decides is what the caller can do: change the record, try again through the gate, or stop and mend something.
And whether the request can have taken effect: ``NoAnswer`` says that it may have, ``Unreachable`` that it has not.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from traceback import walk_tb
from typing import Any

import botocore.exceptions as bx
from aiohttp import ClientConnectorError, ClientSSLError
from botocore.parsers import ResponseParserError

from batchpol.model.errors import AccessRefused, NoAnswer, PolicyRefused, SesError, Throttled, Unreachable
from batchpol.ses.configuration import NOWHERE, WORDS, Setup, explained
from batchpol.ses.redaction import plain, scrub

THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""Too fast. SES says ``Throttling``; the others are what botocore's retries take for it, but for
``LimitExceededException``, which in SES is about how many there may be."""

TRANSIENT = frozenset({"IDPCommunicationError", "RequestTimeout", "RequestTimeoutException"})
"""Come with a status of 400 and are worth another try all the same (botocore's retries say so)."""

ACCESS_REFUSED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "RegionDisabledException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""No record of this target can succeed (common errors of the SES v1 API Reference, and what STS says)."""

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
"""Fresh credentials would help."""

TOO_OLD = frozenset({"RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"})
"""What a signature is refused with whose time is not the server's: SES says ``SignatureDoesNotMatch`` ("Signature
expired: … is now earlier than …", IAM User Guide, "Troubleshoot AWS API requests")."""

UNKNOWN_OPERATION = frozenset(
    {
        "InvalidAction",
        "InvalidActionException",
        "MethodNotAllowed",
        "NotImplemented",
        "NotImplementedException",
        "OperationNotSupportedException",
        "UnknownOperation",
        "UnknownOperationException",
        "UnsupportedOperation",
        "UnsupportedOperationException",
    }
)
"""Whoever answers so does not know the operation (AWS's front doors, and emulators that do not have it)."""

NOT_THERE = frozenset({404, 405, 501})
"""HTTP statuses that SES has for nothing: whoever answers so is somebody else."""

_AGAIN = "then run the same command again"
_IS_IT_SES = (
    "see who answers there: `endpoint_url`, a variable AWS_ENDPOINT_URL… or the profile may name something else, "
    "or a proxy answers in its place"
)
_NAME_TO_PROXY = "give the proxy's user name and password in HTTPS_PROXY (http://user:password@host:port)"
_NAME_AUTHORITIES = "check the endpoint, or name your certificate authorities in AWS_CA_BUNDLE"

HINTS = {
    "AccessDenied": f"give the caller the permissions that `batchpol help permissions` lists, {_AGAIN}",
    "AccessDeniedException": f"give the caller the permissions that `batchpol help permissions` lists, {_AGAIN}",
    **dict.fromkeys(
        ("InvalidClientTokenId", "OptInRequired", "RegionDisabledException", "UnrecognizedClientException"),
        "check the access key (or profile); where it is right, this Region is not enabled in the account: enable it "
        f"(aws account enable-region), or name another with `region`, {_AGAIN}",
    ),
    "RequestTimeTooSkewed": f"set this machine's clock, {_AGAIN}",
    "SignatureDoesNotMatch": f"check the secret key and this machine's clock, {_AGAIN}",
}


def _known(*names: str) -> tuple[type[Exception], ...]:
    """botocore's exceptions of these names, those that the installed version has."""
    return tuple(getattr(bx, name) for name in names if hasattr(bx, name))


_CREDENTIALS = _known(*(name for name, said in WORDS.items() if said.code == "NoCredentials"))
_NEVER_CONNECTED = (bx.ConnectTimeoutError, bx.ProxyConnectionError)
_BROKEN_OFF = (bx.HTTPClientError, bx.ConnectionError, bx.ResponseStreamingError, bx.IncompleteReadError)
_UNREADABLE = (ResponseParserError, bx.ChecksumError, bx.FlexibleChecksumError)
_FILE_TROUBLE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ssl.SSLError)
_TLS_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)

_BUGS = (AttributeError, TypeError, NameError)


def translate(error: BaseException, *, sent: bool = True, setup: Setup = NOWHERE) -> SesError:
    """The :class:`~batchpol.model.errors.SesError` that says what ``error`` of botocore means for a record or a run.

    Args:
        sent: whether a request to SES was handed to the network. What goes wrong before (signing, and what STS or
            a login service answers) means that nothing can be sent, or not now: ``AccessRefused``, ``Unreachable``.
        setup: the profile in use, for the words.

    Raises:
        AttributeError, TypeError, NameError: where that is what went wrong, in a line of ours; it is a bug then.
    """
    for it in (error, _cause(error)):
        if it is not None and is_bug(it):
            raise it
    scrub(error)
    if isinstance(error, bx.ClientError):
        found = _of_answer(error, "SES" if sent else "AWS")
        if found.code in EXPIRED:
            found.hint = f"{setup.login()}, {_AGAIN}"
    else:
        found = _of_failure(error, sent, setup)
    return found if sent else unsent(found)


def unsent(found: SesError) -> SesError:
    """The same of a request to STS or a login service: nothing was sent to SES, and no record is to blame."""
    if isinstance(found, AccessRefused | Unreachable):
        return found
    kind = AccessRefused if isinstance(found, PolicyRefused) else Unreachable
    return kind(
        str(found), code=found.code, request_id=found.request_id, http_status=found.http_status, hint=found.hint
    )


def is_bug(error: BaseException) -> bool:
    """Whether this is a mistake in a line of this package, and no answer of anybody's."""
    innermost = list(walk_tb(error.__traceback__))[-1:] if isinstance(error, _BUGS) else []
    return any(str(frame.f_globals.get("__name__")).startswith("batchpol.") for frame, _ in innermost)


def _of_answer(error: bx.ClientError, service: str) -> SesError:
    answer: Mapping[str, Any] = error.response
    told: Mapping[str, Any] = answer.get("Error") or {}
    meta: Mapping[str, Any] = answer.get("ResponseMetadata") or {}
    status = int(meta.get("HTTPStatusCode") or 0)
    code = str(told.get("Code") or "")
    if code.isdigit():  # botocore's stand-in where the answer is not AWS's, but a proxy's, say
        code = ""
    message = plain(str(told.get("Message") or ""))
    if code in UNKNOWN_OPERATION or status in NOT_THERE or not code:
        return foreign(service, error.operation_name, status, message, code=code, speaks=bool(code))
    details: dict[str, Any] = {
        "code": code or f"HTTP{status}",
        "request_id": str(meta.get("RequestId") or ""),
        "http_status": status,
        "hint": HINTS.get(code, ""),
    }
    message = message or f"({service} gave no reason)"
    if code in THROTTLED or status == 429:
        return Throttled(message, **details)
    if code in TRANSIENT:
        return NoAnswer(message, **details)
    if code in ACCESS_REFUSED or status in (401, 403):
        return AccessRefused(message, **details)
    if status >= 500 or status < 400:
        return NoAnswer(message, **details)
    return PolicyRefused(message, **details)


def foreign(service: str, operation: str, status: int, words: str, *, code: str = "", speaks: bool = False) -> SesError:
    """The error of an answer that is not the service's own: a proxy's, a portal's, another service's.

    Args:
        status: the HTTP status.
        words: what it says, as far as it can be told.
        code: the error code in it, if there is one.
        speaks: whether a service says no there, in its own form, and not a page on the way.
    """
    said = f'HTTP {status}, "{_beginning(words)}"' if words else f"HTTP {status}, without a word"
    details: dict[str, Any] = {"code": code or f"HTTP{status}", "http_status": status, "hint": _IS_IT_SES}
    if code in UNKNOWN_OPERATION or status in NOT_THERE:
        return AccessRefused(f"this endpoint does not know {operation}: is it {service}'s? ({said})", **details)
    text = f"this is no answer of {service}'s to {operation}: {said}"
    if status == 429:
        return Throttled(text, **details)
    if status == 407:
        return AccessRefused(text, **details | {"hint": _NAME_TO_PROXY})
    if status in (401, 403) or (speaks and 400 <= status < 500 and status not in (408, 425)):
        return AccessRefused(text, **details)
    return NoAnswer(text, **details | ({"code": "UnreadableAnswer"} if 200 <= status < 300 else {}))


def _beginning(text: str) -> str:
    """The first words of a text, at most 100 characters, with no credentials in them."""
    text = plain(text)
    return text if len(text) <= 100 else text[:100].rpartition(" ")[0] + " …"


def _of_failure(error: BaseException, sent: bool, setup: Setup) -> SesError:
    """Where no answer came, or none that botocore could read."""
    cause = _cause(error)
    text = plain(str(error))
    if isinstance(error, _CREDENTIALS) and (found := explained(error, setup)) is not None:
        return _plainly(found)
    if isinstance(error, bx.SSLError):
        return _of_tls(cause, text)
    if isinstance(error, _NEVER_CONNECTED) or (isinstance(error, bx.EndpointConnectionError) and _refused(cause)):
        return Unreachable(f"no connection: {text}", code="ConnectFailed")
    if isinstance(error, bx.ReadTimeoutError | TimeoutError):
        return NoAnswer("no answer within the time allowed", code="Timeout")
    if isinstance(cause, bx.BotoCoreError):  # of a proxy's configuration, found out while sending
        return translate(cause, sent=False)
    if isinstance(cause, _FILE_TROUBLE):
        text = f"the file of certificate authorities cannot be used: {plain(str(cause))}"
        return AccessRefused(text, code="TLSRefused", hint="check AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE and ca_bundle")
    if isinstance(error, bx.EndpointConnectionError):  # aiobotocore says "could not connect" of a reset, too
        return NoAnswer("the connection was reset before an answer came", code="ConnectionClosed")
    if isinstance(error, (*_BROKEN_OFF, ConnectionError)):
        return NoAnswer(f"the connection ended before the answer did: {text}", code="ConnectionClosed")
    if not isinstance(error, _UNREADABLE) and not sent and (found := explained(error, setup)) is not None:
        return _plainly(found)
    # Never the text: botocore quotes the whole answer, and the answer of STS holds credentials.
    return NoAnswer(f"the answer cannot be read as AWS's ({type(error).__name__})", code="UnreadableAnswer")


def _cause(error: BaseException) -> BaseException | None:
    """What botocore wraps into an exception of its own."""
    found = error.kwargs.get("error") if isinstance(error, bx.BotoCoreError) else None
    return found if isinstance(found, BaseException) else None


def _of_tls(cause: object, text: str) -> SesError:
    """A certificate is refused for good; a handshake that broke off may succeed the next time."""
    reason = getattr(cause, "os_error", None) if isinstance(cause, ClientSSLError) else cause
    if isinstance(reason, _TLS_BROKEN_OFF):
        return Unreachable(f"no connection: {text}", code="ConnectFailed")
    return AccessRefused(f"the TLS connection was refused: {text}", code="TLSRefused", hint=_NAME_AUTHORITIES)


def _refused(cause: object) -> bool:
    """Whether no connection came about (name not resolved, refused); anything else may have happened later."""
    return cause is None or isinstance(cause, ClientConnectorError | socket.gaierror)


def _plainly(found: AccessRefused) -> AccessRefused:
    """The same, with nothing in it that a program or a file may have said of keys."""
    return AccessRefused(plain(str(found)), code=found.code, hint=plain(found.hint))
