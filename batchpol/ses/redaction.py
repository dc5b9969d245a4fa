"""What botocore would write into a log of requests and answers, made fit to be kept.

At level DEBUG it logs each request with its headers, what it signs, and each answer: session tokens, signatures,
external ids and the keys that STS hands out. A program that logs everything is not to have them from us.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar

_ours: ContextVar[bool] = ContextVar("batchpol_talks_to_aws", default=False)

_VERBATIM = ("auth", "endpoint", "parsers")
"""Modules of botocore that log requests and answers as they are (aiobotocore has loggers of either name)."""


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
    return True


def install() -> None:
    """Let no credentials of ours into anybody's log; once a process is enough."""
    for package in ("botocore", "aiobotocore"):
        for module in _VERBATIM:
            logging.getLogger(f"{package}.{module}").addFilter(_kept_back)
