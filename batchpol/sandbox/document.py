"""What SES refuses of a policy, and what it makes of the text: in its words where they are known.

The wording follows what others observed on real AWS; where nobody could be found who states it, it is ours.
Nothing here is shared with batchpol's own validation.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, NoReturn

from batchpol.sandbox.doubts import DOUBTS, doubts_of
from batchpol.sandbox.facts import Facts
from batchpol.sandbox.wire import ACCOUNT_ID, ServiceError

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[ \t\n\r]+')
_REQUIRED = ("Effect", "Principal", "Action", "Resource")
_ACCOUNT = re.compile(ACCOUNT_ID)
_KIND = re.compile(r"arn:[a-z-]+:iam::\d+:(role|user)/(?!.*\.invalid$)")


def compact(document: str) -> str:
    """Valid JSON text without its insignificant whitespace, as SES keeps it.

    Nothing else changes: order of keys, spelling of numbers and strings.
    """
    return _TOKEN.sub(lambda token: token[0] if token[0][0] == '"' else "", document)


def refuse(message: str) -> NoReturn:
    raise ServiceError("InvalidPolicy", message)


def check_policy(document: str, arn: str, facts: Facts) -> tuple[str, set[str]]:
    """The document as SES keeps it, and the principals it names. Refuses what SES is documented to refuse.

    ``arn`` is the identity's.
    """
    repeated: list[str] = []
    parsed = _parse(document, repeated)
    compacted = compact(document)
    counted = document if facts.length_with_blanks else compacted
    length = len(counted) if facts.length_unit == "characters" else len(counted.encode("utf-8", "surrogatepass"))
    if length > facts.max_length:
        refuse("Policy exceeds the maximum size of 4 KB.")
    statements = parsed.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        refuse("Policy must have at least one Statement.")
    principals: set[str] = set()
    for statement in statements:
        _check_statement(statement, arn)
        principals.update(_strings(statement.get("Principal", [])))
    for name, about in (*(("json-duplicate-key", key) for key in repeated), *doubts_of(parsed, arn)):
        if name in facts.refused:
            _refuse_doubt(name, about)
    if facts.sorts_keys or facts.accounts_as_roots or facts.principals_as_ids:
        return _rebuilt(parsed, partial(_read_back, arn.split(":")[1], facts), facts), principals
    return document if facts.keeps_blanks else compacted, principals


def _refuse_doubt(name: str, about: str) -> NoReturn:
    match name:
        case "effect-case":
            refuse("Effect must be Allow or Deny.")
        case "resource-wildcard" | "resource-mismatch":
            refuse(about)
        case "condition-key-prefix" | "condition-key" | "condition-key-case" | "condition-key-unlisted":
            refuse(f"Unknown or unapplicable condition field '{about}'.")  # seen on real AWS
    refuse(f"Policy has {DOUBTS[name].title}: '{about}'.")


def _parse(document: str, repeated: list[str]) -> dict[str, Any]:
    """The document as an object; keys that an object has twice are added to ``repeated``."""

    def no_constant(name: str) -> NoReturn:
        raise ValueError(name)  # Python's reader takes NaN and Infinity, which are not JSON.

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated.extend(key for number, key in enumerate(keys) if key in keys[:number])
        return made

    try:
        parsed = json.loads(document, parse_constant=no_constant, object_pairs_hook=object_of)
    except (ValueError, RecursionError):
        refuse("Policy is not valid JSON.")
    if not isinstance(parsed, dict):
        refuse("Policy must be a JSON object.")
    return parsed


def _check_statement(statement: Any, arn: str) -> None:
    """What is refused whatever the doubts."""
    if not isinstance(statement, dict):
        refuse("Each Statement must be a JSON object.")
    for name in _REQUIRED:
        # NotAction and NotPrincipal are IAM's grammar; nobody says that SES refuses them.
        if name not in statement and f"Not{name}" not in statement:
            refuse(f"Statement is missing the required element {name}.")
    if str(statement.get("Effect")).lower() not in ("allow", "deny"):
        refuse("Effect must be Allow or Deny.")
    principal = statement.get("Principal", [])
    if not isinstance(principal, dict | list) and principal != "*":
        refuse("Principal must be * or an object.")
    resources = statement.get("Resource")
    for resource in resources if isinstance(resources, list) and resources else [resources]:
        if not isinstance(resource, str):
            refuse(f"Expected the resource to be '{arn}' but was '{resource}'.")
    if not isinstance(statement.get("Condition", {}), dict):
        refuse("Condition must be an object.")


def with_ids(document: str, deleted: Collection[str], facts: Facts) -> str:
    """A policy as it comes back once these principals are deleted."""
    if not any(it in document for it in deleted):
        return document
    return _rebuilt(json.loads(document), lambda it: _unique_id(it) if it in deleted else it, facts)


def _rebuilt(parsed: dict[str, Any], read_back: Callable[[str], str], facts: Facts) -> str:
    """The text that comes back of an SES that writes policies anew, and principals as ``read_back`` says."""
    statements = parsed["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        named = statement.get("Principal")
        if isinstance(named, dict) and isinstance(named.get("AWS"), list):
            named["AWS"] = [read_back(it) if isinstance(it, str) else it for it in named["AWS"]]
        elif isinstance(named, dict) and isinstance(named.get("AWS"), str):
            named["AWS"] = read_back(named["AWS"])
    separators = None if facts.keeps_blanks else (",", ":")
    return json.dumps(parsed, separators=separators, sort_keys=facts.sorts_keys, ensure_ascii=False)


def _read_back(partition: str, facts: Facts, principal: str) -> str:
    if facts.accounts_as_roots and _ACCOUNT.fullmatch(principal):
        return f"arn:{partition}:iam::{principal}:root"
    return _unique_id(principal) if facts.principals_as_ids else principal


def _unique_id(principal: str) -> str:
    """Of a role or user, by its ARN; what is neither has none."""
    kind = _KIND.match(principal)
    digest = base64.b32encode(hashlib.sha256(principal.encode()).digest()).decode()
    return f"{'AROA' if kind[1] == 'role' else 'AIDA'}{digest[:17]}" if kind else principal


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
