"""The map of foreign errors is complete: every class and code that botocore knows has its place in it."""

from __future__ import annotations

import gzip
import inspect
import json
import socket
import ssl
import string
from pathlib import Path
from typing import Any

import aiobotocore.response
import botocore
import botocore.exceptions as bx
import botocore.parsers
import pytest
from aiohttp import (
    ClientConnectionError,
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientOSError,
    ClientPayloadError,
    ConnectionTimeoutError,
    ServerDisconnectedError,
    SocketTimeoutError,
)
from aiohttp.client_reqrep import ConnectionKey
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from batchpol.model.errors import AccessRefused, NoAnswer, PolicyRefused, SesError, Throttled, Unreachable
from batchpol.ses import EXPIRED, translate
from batchpol.ses.translation import ACCESS_REFUSED, HINTS, THROTTLED, TRANSIENT, UNKNOWN_OPERATION


def words(text: str) -> list[str]:
    return text.split()


# --- exception classes: kind and code where no SES request was sent yet, and where one was

STOP = AccessRefused, "Configuration"
CREDENTIALS = AccessRefused, "NoCredentials"
TLS = AccessRefused, "TLSRefused"
CONNECT = Unreachable, "ConnectFailed"
LATER = Unreachable, "UnreadableAnswer"
CLOSED = NoAnswer, "ConnectionClosed"
CUT = Unreachable, "ConnectionClosed"
TIMEOUT = NoAnswer, "Timeout"
UNREADABLE = NoAnswer, "UnreadableAnswer"

CLASSES: dict[str, tuple[tuple[type[SesError], str], tuple[type[SesError], str]]] = {
    **dict.fromkeys(
        words(
            "CredentialRetrievalError InfiniteLoopConfigError LoginAuthorizationCodeError LoginError "
            "LoginInsufficientPermissions LoginRefreshRequired LoginTokenLoadError MetadataRetrievalError "
            "NoAuthTokenError NoCredentialsError PartialCredentialsError RefreshWithMFAUnsupportedError SSOError "
            "SSOTokenLoadError TokenRetrievalError UnauthorizedSSOTokenError UnknownCredentialError "
            "UnknownTokenProviderError"
        ),
        (CREDENTIALS, CREDENTIALS),
    ),
    "SSLError": (TLS, TLS),
    **dict.fromkeys(("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"), (CONNECT, CONNECT)),
    **dict.fromkeys(
        (
            "ConnectionClosedError",
            "ConnectionError",
            "HTTPClientError",
            "IncompleteReadError",
            "ResponseStreamingError",
        ),
        (CUT, CLOSED),
    ),
    **dict.fromkeys(("ReadTimeoutError", "AioReadTimeoutError"), ((Unreachable, "Timeout"), TIMEOUT)),
    **dict.fromkeys(("ResponseParserError", "ChecksumError", "FlexibleChecksumError"), (LATER, UNREADABLE)),
    # Not made before a request is sent; a request that was sent may have taken effect, whatever botocore then says.
    **dict.fromkeys(
        words(
            "AliasConflictParameterError ApiVersionNotFoundError AwsChunkedWrapperError BaseEndpointResolverError "
            "BotoCoreError CapacityNotAvailableError ConfigNotFound ConfigParseError DataNotFoundError "
            "EndpointProviderError EndpointResolutionError EndpointVariantError InvalidChecksumConfigError "
            "InvalidConfigError InvalidDNSNameError InvalidDefaultsMode InvalidEndpointConfigurationError "
            "InvalidEndpointDiscoveryConfigurationError InvalidExpressionError InvalidHostLabelError "
            "InvalidIMDSEndpointError InvalidIMDSEndpointModeError InvalidMaxRetryAttemptsError "
            "InvalidProxiesConfigError InvalidRegionError InvalidRetryConfigurationError InvalidRetryModeError "
            "InvalidS3AddressingStyleError InvalidS3UsEast1RegionalEndpointConfigError "
            "InvalidSTSRegionalEndpointsConfigError MD5UnavailableError MissingDependencyException "
            "MissingParametersError NoRegionError OperationNotPageableError PaginationError ParamValidationError "
            "ProfileNotFound RangeError ServiceNotInRegionError StubAssertionError StubResponseError "
            "UnStubbedResponseError UnknownClientMethodError UnknownEndpointError "
            "UnknownEndpointResolutionBuiltInName UnknownFIPSEndpointError UnknownKeyError UnknownParameterError "
            "UnknownRegionError UnknownServiceError UnknownServiceStyle UnknownSignatureVersionError "
            "UnseekableStreamError UnsupportedOutpostResourceError UnsupportedS3AccesspointConfigurationError "
            "UnsupportedS3ArnError UnsupportedS3ConfigurationError UnsupportedS3ControlArnError "
            "UnsupportedS3ControlConfigurationError UnsupportedServiceProtocolsError "
            "UnsupportedSignatureVersionError ValidationError WaiterConfigError WaiterError"
        ),
        (STOP, UNREADABLE),
    ),
}

ANSWERS = {"ClientError", "EventStreamError"}
"""Sorted by what AWS says in them, below."""

NEVER_RAISED = {"UndefinedModelAttributeError", "MissingServiceIdError"}
"""Of a service's model as it is loaded, which is botocore's own and complete."""


def classes() -> dict[str, type[BaseException]]:
    return {
        name: kind
        for module in (bx, botocore.parsers, aiobotocore.response)
        for name, kind in vars(module).items()
        if inspect.isclass(kind)
        and issubclass(kind, Exception)
        and not issubclass(kind, Warning)
        and kind.__module__ in (bx.__name__, botocore.parsers.__name__, aiobotocore.response.__name__)
    }


def made(kind: type[BaseException], **details: Any) -> BaseException:
    """One of this class, whatever it must be given."""
    if not issubclass(kind, bx.BotoCoreError):
        return kind("something")
    fields = {name for _, name, _, _ in string.Formatter().parse(kind.fmt) if name}
    given = dict.fromkeys(fields | set(inspect.signature(kind).parameters) - {"kwargs"}, "something")
    given.pop("error", None)
    if "error" in fields:
        given["error"] = None
    return kind(**(given | details))


def test_every_class_has_its_place() -> None:
    unknown = classes().keys() - CLASSES.keys() - ANSWERS - NEVER_RAISED
    assert not unknown, f"this botocore has new exceptions: say in CLASSES (and in translate) what they mean: {unknown}"


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_class_has_its_kind(name: str) -> None:
    kind = classes().get(name)
    if kind is None:
        pytest.skip("this version of botocore does not have it")
    unsent, sent = CLASSES[name]
    for error, expected in ((translate(made(kind), sent=False), unsent), (translate(made(kind)), sent)):
        assert (type(error), error.code) == expected
        assert str(error)
        assert bool(error.hint) == (error.code in ("NoCredentials", "TLSRefused", "Configuration"))


def test_what_is_not_botocores_is_told_apart_by_what_it_says_of_the_request() -> None:
    """An unreadable answer may have come after the write; a file that is not there came before anything."""
    assert kind_of(KeyError("PutIdentityPolicyResult")) == UNREADABLE
    assert kind_of(ConnectionResetError()) == CLOSED
    assert kind_of(TimeoutError()) == TIMEOUT
    assert kind_of(TimeoutError(), sent=False) == (Unreachable, "Timeout")
    assert kind_of(KeyError("AssumeRoleResult"), sent=False) == LATER
    assert kind_of(FileNotFoundError(2, "No such file", "/token"), sent=False) == CREDENTIALS
    assert kind_of(RuntimeError("the refreshed credentials are still expired"), sent=False) == STOP


def kind_of(error: BaseException, *, sent: bool = True) -> tuple[type[SesError], str]:
    found = translate(error, sent=sent)
    return type(found), found.code


# --- one class of botocore, several causes of aiohttp

KEY = ConnectionKey("host", 443, True, True, None, None, None)
URL = {"endpoint_url": "https://host/"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (bx.EndpointConnectionError(**URL, error=ClientConnectorError(KEY, OSError(111, "refused"))), CONNECT),
        (bx.EndpointConnectionError(**URL, error=ClientConnectorDNSError(KEY, OSError(-2, "unknown"))), CONNECT),
        (bx.EndpointConnectionError(**URL, error=socket.gaierror(-2, "unknown")), CONNECT),
        (bx.EndpointConnectionError(**URL, error=ClientOSError(104, "reset by peer")), CLOSED),
        (bx.EndpointConnectionError(**URL, error=ClientConnectionError("Connection lost")), CLOSED),
        (bx.ConnectTimeoutError(**URL, error=ConnectionTimeoutError("Connection timeout")), CONNECT),
        (bx.ReadTimeoutError(**URL, error=SocketTimeoutError("reading")), TIMEOUT),
        (bx.ConnectionClosedError(**URL, error=ServerDisconnectedError(), request=None), CLOSED),
        (bx.ConnectionClosedError(**URL, error=ClientPayloadError("not complete"), request=None), CLOSED),
        (bx.SSLError(**URL, error=ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "bad"))), TLS),
        (bx.SSLError(**URL, error=ClientConnectorSSLError(KEY, ssl.SSLError(1, "wrong version number"))), TLS),
        (bx.SSLError(**URL, error=ClientConnectorSSLError(KEY, ssl.SSLEOFError(8, "EOF occurred"))), CONNECT),
        (bx.HTTPClientError(error=FileNotFoundError(2, "No such file or directory")), TLS),
        (bx.HTTPClientError(error=ssl.SSLError(136, "no certificate or crl found")), TLS),
        (bx.HTTPClientError(error=bx.InvalidProxiesConfigError(error="x")), STOP),
        (bx.HTTPClientError(error=ValueError("anything")), CLOSED),
    ],
    ids=lambda value: (
        f"{type(value).__name__}-{type(value.kwargs['error']).__name__}" if hasattr(value, "kwargs") else ""
    ),
)
def test_the_cause_tells_what_may_have_been_sent(error: bx.BotoCoreError, expected: tuple[type[SesError], str]) -> None:
    assert kind_of(error) == expected


# --- what AWS answers


def answered(code: str, status: int = 400, message: str = "in SES's words", **more: Any) -> bx.ClientError:
    meta = {"HTTPStatusCode": status, "RequestId": "r-1"}
    return bx.ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": meta, **more}, "Any")


def modelled(service: str, version: str) -> list[tuple[str, int]]:
    """Every error of a service's model: its code and HTTP status."""
    file = Path(botocore.__file__).parent / "data" / service / version / "service-2.json.gz"
    shapes = json.loads(gzip.decompress(file.read_bytes()))["shapes"]
    errors = [(name, shape.get("error", {})) for name, shape in shapes.items() if shape.get("exception")]
    return sorted((error.get("code", name), error.get("httpStatusCode", 400)) for name, error in errors)


REFUSED_BY_SES = set(
    words(
        "AccountSendingPausedException AlreadyExists CannotDelete ConfigurationSetAlreadyExists "
        "ConfigurationSetDoesNotExist ConfigurationSetSendingPausedException "
        "CustomVerificationEmailInvalidContent CustomVerificationEmailTemplateAlreadyExists "
        "CustomVerificationEmailTemplateDoesNotExist EventDestinationAlreadyExists "
        "EventDestinationDoesNotExist FromEmailAddressNotVerified InvalidCloudWatchDestination "
        "InvalidConfigurationSet InvalidDeliveryOptions InvalidFirehoseDestination InvalidLambdaFunction "
        "InvalidPolicy InvalidRenderingParameter InvalidS3Configuration InvalidSNSDestination InvalidSnsTopic "
        "InvalidTemplate InvalidTrackingOptions LimitExceeded MailFromDomainNotVerifiedException "
        "MessageRejected MissingRenderingAttribute ProductionAccessNotGranted RuleDoesNotExist "
        "RuleSetDoesNotExist TemplateDoesNotExist TrackingOptionsAlreadyExistsException "
        "TrackingOptionsDoesNotExistException"
    )
)

SAID_BY_STS = {
    **dict.fromkeys(
        words(
            "ExpiredTokenException ExpiredTradeInTokenException IDPRejectedClaim "
            "InvalidAuthorizationMessageException InvalidIdentityToken JWTPayloadSizeExceededException "
            "MalformedPolicyDocument OutboundWebIdentityFederationDisabledException PackedPolicyTooLarge "
            "RegionDisabledException SessionDurationEscalationException"
        ),
        AccessRefused,
    ),
    "IDPCommunicationError": Unreachable,
}


def test_every_error_of_ses_is_the_records_fault() -> None:
    known = modelled("ses", "2010-12-01")
    assert {code for code, _ in known} <= REFUSED_BY_SES, "SES's model has other errors: say what they mean"
    for code, status in known:
        error = translate(answered(code, status))
        assert (type(error), error.code, error.http_status) == (PolicyRefused, code, status)
        assert (str(error), error.request_id) == ("in SES's words", "r-1")


def test_no_error_of_sts_is_a_records_fault() -> None:
    known = modelled("sts", "2011-06-15")
    assert {code for code, _ in known} <= SAID_BY_STS.keys(), "STS's model has other errors: say what they mean"
    for code, status in known:
        assert kind_of(answered(code, status), sent=False) == (SAID_BY_STS[code], code)


@pytest.mark.parametrize("code", sorted(THROTTLED))
def test_too_fast_goes_back_to_the_gate(code: str) -> None:
    assert kind_of(answered(code)) == (Throttled, code)


def test_all_that_botocore_would_try_again_is_tried_again() -> None:
    told = set(ThrottledRetryableChecker._THROTTLED_ERROR_CODES) - {"LimitExceededException"}
    assert told <= THROTTLED
    assert set(TransientRetryableChecker._TRANSIENT_ERROR_CODES) <= TRANSIENT | THROTTLED
    for code in TRANSIENT:
        assert kind_of(answered(code)) == (NoAnswer, code)


@pytest.mark.parametrize("code", sorted(ACCESS_REFUSED))
@pytest.mark.parametrize("status", [400, 403])
def test_refused_credentials_stop_the_lane(code: str, status: int) -> None:
    error = translate(answered(code, status))
    assert (type(error), error.code) == (AccessRefused, code)
    renewing = "renew the credentials, then run the same command again" if code in EXPIRED else ""
    assert error.hint == HINTS.get(code, renewing)


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("code", ["InvalidClientTokenId", "UnrecognizedClientException", "OptInRequired"])
def test_a_key_that_is_refused_may_be_right_in_a_region_that_is_not_enabled(code: str, sent: bool) -> None:
    """STS's own endpoint of another Region took the same key, perhaps."""
    hint = translate(answered(code, 403), sent=sent).hint
    assert "check the access key" in hint and "this Region is not enabled in the account" in hint


def test_what_can_be_mended_has_a_hint() -> None:
    assert EXPIRED <= ACCESS_REFUSED
    assert (
        {"InvalidClientTokenId", "AccessDenied", "SignatureDoesNotMatch", "RequestTimeTooSkewed"}
        <= HINTS.keys()
        <= ACCESS_REFUSED
    )


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("Whatever", 429, (Throttled, "Whatever")),
        ("429", 429, (Throttled, "HTTP429")),
        ("Whatever", 403, (AccessRefused, "Whatever")),
        ("401", 401, (AccessRefused, "HTTP401")),
        ("InternalFailure", 500, (NoAnswer, "InternalFailure")),
        ("ServiceUnavailable", 503, (NoAnswer, "ServiceUnavailable")),
        ("502", 502, (NoAnswer, "HTTP502")),
        ("", 504, (NoAnswer, "HTTP504")),
        ("", 400, (NoAnswer, "HTTP400")),
        ("404", 404, (AccessRefused, "HTTP404")),
        ("407", 407, (AccessRefused, "HTTP407")),
        ("Whatever", 404, (AccessRefused, "Whatever")),
        ("Whatever", 405, (AccessRefused, "Whatever")),
        ("InternalFailure", 501, (AccessRefused, "InternalFailure")),
        ("302", 302, (NoAnswer, "HTTP302")),
        ("NeverHeardOf", 400, (PolicyRefused, "NeverHeardOf")),
        ("InvalidParameterValue", 400, (PolicyRefused, "InvalidParameterValue")),
        ("ValidationError", 400, (PolicyRefused, "ValidationError")),
    ],
)
def test_other_codes_go_by_their_status(code: str, status: int, expected: tuple[type[SesError], str]) -> None:
    assert kind_of(answered(code, status)) == expected


def test_an_empty_answer_is_no_answer() -> None:
    assert kind_of(bx.ClientError({}, "PutIdentityPolicy")) == (NoAnswer, "HTTP0")
    assert "HTTP 0, without a word" in str(translate(bx.ClientError({}, "PutIdentityPolicy")))
    assert str(translate(answered("InvalidPolicy", message=""))) == "(SES gave no reason)"


@pytest.mark.parametrize("code", sorted(UNKNOWN_OPERATION))
@pytest.mark.parametrize("sent", [True, False])
def test_who_does_not_know_the_operation_is_somebody_else(code: str, sent: bool) -> None:
    """One error with one mend, whoever it is: no record after the first one is sent there."""
    error = translate(answered(code, 400, "Could not find operation"), sent=sent)
    whose = "SES's" if sent else "AWS's"
    assert (type(error), error.code, error.http_status) == (AccessRefused, code, 400)
    assert str(error) == f'this endpoint does not know Any: is it {whose}? (HTTP 400, "Could not find operation")'
    assert error.hint == translate(answered("404", 404)).hint != ""


# --- nothing secret, nothing endless

TOKEN = "FwoGZXIvYXdzEBYaDH" * 9


@pytest.mark.parametrize(
    "message",
    [
        "The request signature we calculated does not match the signature you provided. Check your key.\n\n"
        "The Canonical String for this request should have been\n'POST\n/\n\nhost:email.us-east-1.amazonaws.com\n"
        f"x-amz-date:20260101T000000Z\nx-amz-security-token:{TOKEN}\n\nhost;x-amz-date\n0123'",
        "Authorization header requires 'Signature' parameter. "
        f"Authorization=AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101, X-Amz-Security-Token={TOKEN}",
        f"unexpected header X-Amz-Security-Token: {TOKEN} from ASIAIOSFODNN7EXAMPLE",
    ],
)
def test_what_aws_quotes_of_the_request_is_left_out(message: str) -> None:
    text = str(translate(answered("SignatureDoesNotMatch", 403, message)))
    assert text
    for secret in (TOKEN, "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "\n"):
        assert secret not in text


def test_an_unreadable_answer_is_never_quoted() -> None:
    """AssumeRole's answer holds credentials, and botocore puts the whole of what it cannot read into its message."""
    error = botocore.parsers.ResponseParserError(f"Unable to parse response:\n<SecretAccessKey>{TOKEN}")
    for sent in (True, False):
        assert TOKEN not in str(translate(error, sent=sent))


def test_messages_are_bounded() -> None:
    assert len(str(translate(answered("InvalidPolicy", 400, "x" * 100_000)))) < 1100
