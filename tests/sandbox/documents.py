"""Policies for the tests."""

from __future__ import annotations

import json
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-east-1"


def arn_of(identity: str, account: str = ACCOUNT, region: str = REGION, partition: str = "aws") -> str:
    return f"arn:{partition}:ses:{region}:{account}:identity/{identity}"


def statement_for(identity: str, **changes: Any) -> dict[str, Any]:
    """A good statement; a change to None removes an element."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": ["ses:SendEmail", "ses:SendRawEmail"],
        "Resource": arn_of(identity),
    }
    return {key: value for key, value in (statement | changes).items() if value is not None}


def policy_for(identity: str, **changes: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement_for(identity, **changes)]})
