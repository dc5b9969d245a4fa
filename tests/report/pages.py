"""Outcomes for pages: hostile ones, many, and the page's data read back out of its bytes."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from batchpol.model import Finding, Outcome, Severity, Status
from batchpol.policy.comparison import diff, document_lines
from batchpol.report import write_report

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
ABOUT = {
    "input": "tenants.csv",
    "account": "111122223333",
    "region": "eu-west-1",
    "caller": "arn:aws:sts::111122223333:assumed-role/Deploy/ada",
    "started_at": "2026-03-01T07:59:58.000+00:00",
    "ended_at": "2026-03-01T13:00:00.000+00:00",
    "reason": "finished",
    "command": "batchpol apply tenants.csv --report tenants.html",
    "run_id": "0123456789abcdef",
    "period": "1.0",
}
HOSTILE = (
    "<script>window.hit=1</script>",
    "</script><script>window.hit=1</script>",
    '"><img src=x onerror="window.hit=1">',
    "<!--<script>",
    "--><svg/onload=window.hit=1>",
    "]]></style></title></noscript><iframe srcdoc='<script>top.hit=1</script>'>",
    "javascript:window.hit=1",
    "' onmouseover='window.hit=1' x='",
    "\u2028window.hit=1\u2029",
    "{{script}}{{records}}",
    "${window.hit=1}`\\u003cscript>",
    "&lt;script&gt;&#x3c;",
    "\u202egpj.exe\x00\x1b[2J\r\n",
)
"""Each would do something if it were taken for anything but text."""


def applied(number: int, second: float, **more: Any) -> Outcome:
    """A record sent so many seconds after the start."""
    fields: dict[str, Any] = {
        "number": number,
        "line": number + 2,
        "identity": f"tenant-{number}.example",
        "policy_name": "sending",
        "status": Status.APPLIED,
        "region": "eu-west-1",
        "account": "111122223333",
        "attempts": 1,
        "request_id": f"request-{number}",
        "started_at": (START + timedelta(seconds=second)).isoformat(timespec="milliseconds"),
        "duration_ms": 81.5,
        "sha256": "ab" * 32,
    }
    return Outcome(**(fields | more))


def rejected(number: int, **more: Any) -> Outcome:
    error = Finding(Severity.ERROR, "action-useless", "/Statement/0/Action", "no such action", "ses:SendEmail?")
    unsent = {"attempts": 0, "request_id": "", "started_at": "", "duration_ms": None, "findings": (error,)}
    return applied(number, 0, **({"status": Status.REJECTED} | unsent | more))


def hostile() -> Iterator[Outcome]:
    """Every payload in every place that text can reach, in every status."""
    for number, payload in enumerate(HOSTILE):
        finding = Finding(Severity.ERROR, payload, payload, payload, payload)
        for place, status in enumerate(Status):
            yield applied(
                number * len(Status) + place,
                number * len(Status) + place,
                status=status,
                identity=payload,
                policy_name=payload,
                region=payload,
                account=payload,
                action=payload,
                error_code=payload,
                message=payload,
                request_id=payload,
                sha256=payload,
                findings=(finding,),
                extra={payload: payload, "tenant": payload},
            )


def hostile_about() -> dict[str, str]:
    return dict.fromkeys(ABOUT, "".join(HOSTILE))


def planned(count: int) -> Iterator[tuple[Outcome, list[str]]]:
    """What a plan does to so many records, as :func:`batchpol.report.write_plan_page` takes it."""
    would = {"status": Status.NOT_ATTEMPTED, "attempts": 0, "request_id": "", "started_at": "", "duration_ms": None}
    for number in range(count):
        name = f"tenant-{number}.example"
        text = document(name)
        if number % 50 == 3:
            yield rejected(number), []
        elif number % 30 == 5:
            goes = {"line": 0, "action": "delete", "effect": "delete", "policy_name": "old"}
            yield applied(number, 0, **would | goes), [f"-{line}" for line in document_lines(text)]
        elif number % 3 == 0:
            asked = document(name, Condition={"StringEquals": {"ses:FromAddress": "noreply@example.com"}})
            yield applied(number, 0, **would | {"effect": "update"}), diff(text, asked)
        elif number % 3 == 1:
            yield applied(number, 0, **would | {"effect": "create"}), [f"+{line}" for line in document_lines(text)]
        else:
            yield applied(number, 0, **would | {"effect": "unchanged", "status": Status.UNCHANGED}), []


def document(identity: str, **more: Any) -> str:
    """A policy of one statement."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:role/sender"},
        "Action": ["ses:SendEmail", "ses:SendRawEmail"],
        "Resource": f"arn:aws:ses:eu-west-1:111122223333:identity/{identity}",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | more]})


def many(count: int, lanes: int = 1) -> Iterator[Outcome]:
    """Records of every kind; the same ones each time."""
    chance, seconds = random.Random(1), dict.fromkeys(range(lanes), 0.0)
    for number in range(count):
        lane, kind = number % lanes, chance.random()
        place = {"region": f"eu-west-{lane % 3 + 1}", "account": f"{111122223333 + lane // 3}"}
        if kind < 0.05:
            yield rejected(number, **place)
            continue
        seconds[lane] += 1 + chance.expovariate(50)
        more: dict[str, Any] = place | {"duration_ms": round(80 + chance.expovariate(0.1), 1)}
        if kind < 0.07:
            more |= {"status": Status.FAILED, "error_code": "InvalidPolicy", "message": f"no principal {number:012}"}
        elif kind < 0.08:
            more |= {"status": Status.UNKNOWN, "error_code": "NoAnswer", "message": "no answer", "attempts": 4}
        yield applied(number, seconds[lane], **more)


def write(outcomes: Iterable[Outcome], path: Path, **more: Any) -> None:
    """Write a page with the requests that these outcomes tell of."""
    known = list(outcomes)
    write_report(known, path, sends=sends(known), **more)


def sends(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, str, str, int]]:
    """The last attempt of each."""
    for outcome in outcomes:
        if outcome.started_at:
            yield outcome.account, outcome.region, outcome.started_at, outcome.attempts


def embedded(path: Path, name: str) -> Any:
    """The JSON of one data block of a page."""
    text = path.read_text("utf-8")
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])
