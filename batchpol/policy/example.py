"""Small whole documents for the rules to show."""

from __future__ import annotations

import json
from typing import Any

OWN_ARN = "arn:aws:ses:us-east-1:111122223333:identity/example.com"

STATEMENT: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"AWS": "444455556666"},
    "Action": "ses:SendEmail",
    "Resource": OWN_ARN,
}


def example(**elements: Any) -> str:
    """A policy for example.com whose one statement has these elements; ``None`` leaves one out."""
    statement = {key: value for key, value in {**STATEMENT, **elements}.items() if value is not None}
    return document(Statement=statement)


def document(**elements: Any) -> str:
    """A policy with these top-level elements; ``None`` leaves one out."""
    whole = {"Version": "2012-10-17", "Statement": STATEMENT, **elements}
    return json.dumps({key: value for key, value in whole.items() if value is not None}, ensure_ascii=False)
