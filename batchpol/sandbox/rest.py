"""SESv2's protocol: an operation is a method and a path, parameters and answers are JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from batchpol.sandbox.wire import ApiCall, Request, ServiceError

ROOT: Final = "/v2/email/"
"""Where SESv2's operations begin; whatever else is not the root is nothing that SES knows."""

_CODES: Final = {
    "InvalidPolicy": ("BadRequestException", 400),
    "InvalidParameterValue": ("BadRequestException", 400),
    "ValidationError": ("BadRequestException", 400),
    "Throttling": ("TooManyRequestsException", 429),
    "AccessDenied": ("AccessDeniedException", 403),
    "ExpiredToken": ("ExpiredTokenException", 403),
    "InvalidClientTokenId": ("UnrecognizedClientException", 403),
    "SignatureDoesNotMatch": ("InvalidSignatureException", 403),
    "RequestTimeTooSkewed": ("InvalidSignatureException", 403),
    "MissingAuthenticationToken": ("MissingAuthenticationTokenException", 403),
    "IncompleteSignature": ("IncompleteSignatureException", 400),
    "InternalFailure": ("InternalServiceErrorException", 500),
    "ServiceUnavailable": ("ServiceUnavailableException", 503),
}
"""What SES's codes are called in SESv2, and with which status."""


def read_call(request: Request) -> ApiCall:
    """The operation of a method and path, and its parameters, called as SES calls them."""
    inside = request.path.startswith(ROOT)
    match request.method, [unquote(part) for part in request.path.removeprefix(ROOT).split("/")] if inside else []:
        case "GET", ["identities"]:  # as it was asked until 2026
            return ApiCall("ListEmailIdentities", dict(parse_qsl(request.query)))
        case "POST", ["list-identities"]:
            return _read("ListEmailIdentities", {}, request.body, _listing)
        case "GET", ["identities", identity]:
            return ApiCall("GetEmailIdentity", {"Identity": identity})
        case "GET", ["identities", identity, "policies"]:
            return ApiCall("GetEmailIdentityPolicies", {"Identity": identity})
        case "DELETE", ["identities", identity, "policies", name]:
            return ApiCall("DeleteEmailIdentityPolicy", {"Identity": identity, "PolicyName": name})
        case ("POST" | "PUT") as method, ["identities", identity, "policies", name]:
            operation = "CreateEmailIdentityPolicy" if method == "POST" else "UpdateEmailIdentityPolicy"
            return _read(operation, {"Identity": identity, "PolicyName": name}, request.body, _policy)
    return ApiCall("", {}, ServiceError("UnknownOperationException", "", 404))


def _read(
    operation: str, named: dict[str, str], body: bytes, parameters: Callable[[dict[str, Any]], dict[str, str]]
) -> ApiCall:
    """A call with the parameters that its body holds, too."""
    try:
        return ApiCall(operation, named | parameters(msgspec.json.decode(body or b"{}", type=dict[str, Any])))
    except ServiceError as problem:
        return ApiCall(operation, named, problem)
    except (msgspec.MsgspecError, ValueError):
        return ApiCall(operation, named, _unreadable("The request body is not a JSON object"))


def _unreadable(message: str) -> ServiceError:
    return ServiceError("SerializationException", message)


def _policy(body: dict[str, Any]) -> dict[str, str]:
    policy = body.get("Policy")
    if policy is None:
        missing = "Value at 'policy' failed to satisfy constraint: Member must not be null"
        raise ServiceError("ValidationError", f"1 validation error detected: {missing}")
    if not isinstance(policy, str):
        raise _unreadable("Policy is not a string")
    return {"Policy": policy}


def _listing(body: dict[str, Any]) -> dict[str, str]:
    """Page and filter, which are flat here."""
    filtered = body.pop("Filter", None) or {}
    if not isinstance(filtered, dict):
        raise _unreadable("Filter is not an object")
    return {name: str(value) for name, value in (body | filtered).items() if value is not None}


def result_json(result: dict[str, Any]) -> bytes:
    return msgspec.json.encode(result)


def error_json(error: ServiceError) -> tuple[int, str, bytes]:
    """Status, code (it travels in a header) and body of an answer that is an error."""
    code, status = _CODES.get(error.code, (error.code, error.status))
    return status, error.v2 or code, msgspec.json.encode({"message": error.message.encode("utf-8", "replace").decode()})
