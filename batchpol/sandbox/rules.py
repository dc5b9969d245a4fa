"""What SES refuses of an identity, a policy's name and a policy: its answers, in its words where they are known.

The wording follows what others observed on real AWS; where nobody could be found who states it, the comment
says that the choice is ours. Nothing here is shared with batchpol's own validation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

from batchpol.sandbox.wire import Caller, ServiceError

MAX_POLICIES: Final = 20
# The documentation says 4 KB and not what it counts: 4,096 bytes of the compacted text is our reading.
MAX_BYTES: Final = 4096

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_ARN = re.compile(r"arn:([a-z-]+):ses:([a-z0-9-]+):([0-9]{12}):identity/(.+)", re.DOTALL)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,255}}\Z){_LABEL}(?:\.{_LABEL})*")
_LOCAL_PART = re.compile(r"[!-?A-~]{1,64}")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[ \t\n\r]+')
_REQUIRED = ("Effect", "Principal", "Action", "Resource")


def required(form: Mapping[str, str], name: str) -> str:
    """A parameter that must be there and not empty."""
    value = form.get(name, "")
    if not value:
        raise ServiceError("InvalidParameterValue", f"{name} is required.")
    return value


def check_name(name: str) -> None:
    """Refuse a policy name that SES refuses."""
    if len(name) > 64:
        raise ServiceError(
            "ValidationError",
            "1 validation error detected: Value at 'policyName' failed to satisfy constraint: "
            "Member must have length less than or equal to 64",
        )
    if not _NAME.fullmatch(name):
        raise ServiceError(
            "InvalidParameterValue",
            "PolicyName is invalid. Policy names must only include alpha-numeric characters, dashes, and underscores.",
        )


def canonical(identity: str) -> str:
    """An identity's one spelling: domains compare without case, addresses as they are."""
    return identity if "@" in identity else identity.lower()


def identity_name(identity: str, caller: Caller) -> str:
    """The canonical name behind a name or an ARN, which must be of the caller's account and Region."""
    if identity.startswith("arn:"):
        found = _ARN.fullmatch(identity)
        # What SES answers for somebody else's identity is not published; this choice is ours.
        if found is None or found.group(1, 2, 3) != (caller.partition, caller.region, caller.account):
            raise ServiceError("InvalidParameterValue", f"Identity {identity} does not belong to the caller.")
        identity = found[4]
    local, at, domain = identity.rpartition("@")
    if at and not (_LOCAL_PART.fullmatch(local) and _DOMAIN.fullmatch(domain)):
        raise ServiceError("InvalidParameterValue", f"Invalid email address<{identity}>.")
    if not at and not _DOMAIN.fullmatch(identity):
        raise ServiceError("InvalidParameterValue", f"Invalid domain name {identity}.")
    return canonical(identity)


def is_verified(identity: str) -> bool:
    """Whether an identity counts as verified here: every one does but those under ``.invalid``.

    An address counts with its domain.
    """
    return not ("." + identity.rpartition("@")[2].lower()).endswith(".invalid")


def check_verified(identity: str) -> None:
    """Refuse an identity that is not verified: the documentation promises an error, its code is our choice."""
    if not is_verified(identity):
        raise ServiceError("InvalidParameterValue", f"Identity {identity} is not verified.")


def identity_arn(identity: str, caller: Caller) -> str:
    return f"arn:{caller.partition}:ses:{caller.region}:{caller.account}:identity/{identity}"


def compact(document: str) -> str:
    """Valid JSON text without its insignificant whitespace, as SES keeps it.

    Nothing else changes: order of keys, spelling of numbers and strings.
    """
    return _TOKEN.sub(lambda token: token[0] if token[0][0] == '"' else "", document)


def _refuse(message: str) -> NoReturn:
    raise ServiceError("InvalidPolicy", message)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


# Python's reader takes NaN and Infinity, which are not JSON.
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _parse(document: str) -> dict[str, Any]:
    try:
        parsed = _DECODER.decode(document)
    except (ValueError, RecursionError):
        _refuse("Policy is not valid JSON.")
    if not isinstance(parsed, dict):
        _refuse("Policy must be a JSON object.")
    return parsed


def check_policy(document: str, identity: str, caller: Caller) -> tuple[str, set[str]]:
    """The document as SES keeps it, and the principals it names. Refuses what SES is documented to refuse."""
    parsed = _parse(document)
    kept = compact(document)
    if len(kept.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        _refuse("Policy exceeds the maximum size of 4 KB.")
    statements = parsed.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        _refuse("Policy must have at least one Statement.")
    arn = identity_arn(identity, caller)
    principals: set[str] = set()
    for statement in statements:
        if not isinstance(statement, dict):
            _refuse("Each Statement must be a JSON object.")
        _check_statement(statement, arn)
        principals.update(_strings(statement["Principal"]))
    return kept, principals


def _check_statement(statement: dict[str, Any], arn: str) -> None:
    for name in _REQUIRED:
        # NotAction and NotPrincipal are IAM's grammar; nobody says that SES refuses them.
        if name not in statement and f"Not{name}" not in statement:
            _refuse(f"Statement is missing the required element {name}.")
    if statement.get("Effect") not in ("Allow", "Deny"):
        _refuse("Effect must be Allow or Deny.")
    statement.setdefault("Principal", [])
    if not isinstance(statement["Principal"], dict | list) and statement["Principal"] != "*":
        _refuse("Principal must be * or an object.")
    resources = statement.get("Resource")
    for resource in resources if isinstance(resources, list) and resources else [resources]:
        if not isinstance(resource, str) or _comparable(resource) != _comparable(arn):
            _refuse(f"Expected the resource to be '{arn}' but was '{resource}'.")
    _check_conditions(statement.get("Condition", {}))


def _check_conditions(conditions: Any) -> None:
    if not isinstance(conditions, dict):
        _refuse("Condition must be an object.")
    for fields in conditions.values():
        for key in fields if isinstance(fields, dict) else ():
            # Seen on real AWS: unlike IAM, SES knows the prefix in lower case only.
            if key[:4].lower() == "aws:" and key[:4] != "aws:":
                _refuse(f"Unknown or unapplicable condition field '{key}'.")


def _comparable(arn: str) -> str:
    prefix, slash, identity = arn.partition("/")
    return prefix + slash + canonical(identity)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
