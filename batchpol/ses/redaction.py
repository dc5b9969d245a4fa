"""What people and logs get of text that is not ours: without access keys, tokens, signatures and passwords.

Whatever AWS, a login service or a helper that brings credentials says passes :func:`plain` where it enters, in an
exception and in whatever caused it (:func:`scrub`): a traceback prints causes. botocore logs some of it before we have
it, requests and answers too at level DEBUG, so that its loggers pass the same. A program that logs everything is not to
have secrets from us.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import botocore.exceptions as bx
from botocore.parsers import ResponseParserError

_ours: ContextVar[bool] = ContextVar("batchpol_talks_to_aws", default=False)

_VERBATIM = ("auth", "endpoint", "parsers")
"""Modules of botocore that log requests and answers as they are (aiobotocore has loggers of either name)."""

_TELLING = ("credentials", "hooks", "httpsession", "retryhandler", "session", "tokens", "utils")
"""Modules of botocore that log what went wrong, with the exception."""

LONGEST = 1000
"""Characters of foreign text that are kept."""

_NAMED = r"""(?i)((?:secret|token|passw(?:or)?d|passphrase|signature|api_?key|private_?key)\w*["']?\s*"""
_SECRETS = (
    # AWS quotes the request it saw, session token and all, where a signature does not match or is incomplete.
    (re.compile(r"\s*The Canonical String for this request should have been.*"), ""),
    (re.compile(r"\s*Authorization=.*"), ""),
    (re.compile(r"(?i)(x-amz-security-token\W+)\S+"), r"\1…"),
    (re.compile(r"\b(A[KS]IA)[A-Z0-9]{8,}\b"), r"\1…"),
    (re.compile(r"(?i)\b((?:bearer|basic) +)[\w+/=.~-]{8,}"), r"\1…"),
    (re.compile(r"(://)[^/@\s]+:[^/@\s]*(?=@)"), r"\1…"),
    (re.compile(_NAMED + r"""=\s*["']?)[^\s"',;&]+"""), r"\1…"),
    # Not in "ExpiredToken: The security token ...".
    (re.compile(_NAMED + r""":\s*(?:["']|(?=[^\s"',;&]*\d)))[^\s"',;&]+"""), r"\1…"),
)
_OPAQUE = re.compile(r"(?=[\w+/=-]*\d)(?=[\w+/=-]*[a-z])(?=[\w+/=-]*[A-Z])[\w+/=-]{20,}")
"""What keys and tokens look like, and some good names too."""


def plain(text: str) -> str:
    """``text`` in one line of bounded length, without access keys, session tokens, signatures and passwords."""
    text = " ".join(text.split())
    for pattern, kept in _SECRETS:
        text = pattern.sub(kept, text)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def scrub(error: BaseException) -> None:
    """Take secrets out of an exception and of all that caused it."""
    for it in _causes(error):
        if isinstance(it, bx.ClientError):
            told: dict[str, Any] = it.response.get("Error") or {}
            told |= {name: plain(value) for name, value in told.items() if isinstance(value, str)}
        if isinstance(it, ResponseParserError):  # botocore quotes the whole answer, and that of STS holds credentials
            it.args = ("the answer cannot be read as AWS's",)
        it.args = tuple(_clean(it, value) for value in it.args)
        if isinstance(it, bx.BotoCoreError):
            it.kwargs = {name: _clean(it, value) for name, value in it.kwargs.items()}


def _clean(error: BaseException, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    tells = isinstance(error, bx.BotoCoreError) and "error_msg" in error.kwargs  # what a helper or a service said
    return _OPAQUE.sub("…", plain(value)) if tells else plain(value)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, what it wraps, and what it was raised from, each once."""
    pending, seen = [error], set[int]()
    while pending:
        it = pending.pop()
        if id(it) not in seen:
            seen.add(id(it))
            yield it
            wrapped = it.kwargs.get("error") if isinstance(it, bx.BotoCoreError) else None
            pending += [one for one in (it.__cause__, it.__context__, wrapped) if isinstance(one, BaseException)]


def begin() -> None:
    """From here on in this task, and in what it starts, requests and answers are ours."""
    _ours.set(True)


def end() -> None:
    """What this task logs from here on is its own again."""
    _ours.set(False)


def _kept_back(record: logging.LogRecord) -> bool:
    """Leave of our records what happened, without what was sent or answered; others are none of our business."""
    if _ours.get() and record.args:
        record.msg = f"{str(record.msg).partition('%')[0].strip()} (not shown: it may hold credentials)"
        record.args = ()
    return _cleaned(record)


def _cleaned(record: logging.LogRecord) -> bool:
    """Take secrets out of our records, and out of the exceptions that come with them."""
    if _ours.get():
        if record.args:
            record.msg, record.args = plain(record.getMessage()), ()
        if record.exc_info and record.exc_info[1] is not None:
            scrub(record.exc_info[1])
    return True


def install() -> None:
    """Let no credentials of ours into anybody's log; once a process is enough."""
    for package in ("botocore", "aiobotocore"):
        for modules, kept in ((_VERBATIM, _kept_back), (_TELLING, _cleaned)):
            for module in modules:
                logging.getLogger(f"{package}.{module}").addFilter(kept)
