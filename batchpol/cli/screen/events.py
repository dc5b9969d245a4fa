"""A run told as events, for ``--log-format json``: what :class:`~batchpol.cli.screen.live.Screen` is for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batchpol.batch.observer import Observer, Preview, Result
from batchpol.cli.screen import log
from batchpol.cli.screen.ending import next_steps
from batchpol.cli.screen.question import Confirm, agreed
from batchpol.journal import Journal, Run
from batchpol.model import Change, Outcome, Status, Target
from batchpol.model.errors import PolicyRefused, SesError, Throttled
from batchpol.report.rows import COLUMNS, values
from batchpol.sending.contact import Contact
from batchpol.sending.observer import Attempted

_LEVELS = {Status.FAILED: "error", Status.UNKNOWN: "error", Status.REJECTED: "error", Status.NOT_ATTEMPTED: "warning"}

_FIRST = ("line", "identity", "policy_name", "account", "region", "action", "status", "effect", "attempt", "request_id",
          "error_code", "message")  # fmt: skip
"""The order in which an outcome's event has always had these; a column that reports gain stands behind them."""
_NOT_TOLD = ("started_at", "duration_ms", "policy_sha256")
"""Columns of a report that the event has not: those of its attempts tell when and how long."""


class Events(Observer):
    """Writes an event for everything that happens.

    Args:
        quiet: warnings and errors only.
        confirm: asks before the first write, or None to go on unasked.
    """

    def __init__(self, *, quiet: bool, confirm: Confirm | None) -> None:
        self._confirm, self.asks = confirm, confirm is not None
        if quiet:
            log.hush()
        self.run: Run | None = None
        self._contacts: dict[Target, Contact] = {}
        self._widened: set[Target] = set()

    def notes(self, notes: list[str]) -> None:
        for note in notes:
            log.event("note", message=note)

    async def show_progress(self) -> None:
        """Nothing beside the events."""

    def noted_of_run(self, text: str) -> None:
        log.event("note", message=text)

    def next_steps(self, result: Result) -> Sequence[tuple[str, str]]:
        return [step.as_typed() for step in next_steps(result, self.run)]

    def begun(self, run: Run) -> None:
        self.run = run
        log.of_run(run.run_id)
        log.event(
            "run_begun",
            input=run.input,
            version=run.version,
            pid=run.pid,
            host=run.host,
            sandbox=run.sandbox,
            endpoint=run.endpoint,
            account=run.options.get("account"),
            region=run.options.get("region"),
            caller=run.options.get("caller"),
            period=run.options.get("period"),
        )

    async def planned(self, preview: Preview, journal: Journal) -> bool:
        self.notes(preview.notes)
        log.event(
            "first_pass_over",
            records=preview.records,
            to_send=preview.to_send,
            deletes=preview.deletes,
            rejected=preview.rejected,
            duplicate=preview.duplicates,
            with_warnings=preview.warnings,
            done_before=preview.resumed.done,
            pruned=preview.pruned,
            targets=[_place(target) | {"changes": count} for target, count in preview.targets.items()],
            seconds=preview.seconds,
        )
        return await agreed(self._confirm, preview)

    def lane_started(self, contact: Contact) -> None:
        self._contacts[contact.target] = contact
        log.event("lane_started", **_place(contact.target), period=contact.gates.writes.period)

    def lane_ended(self, target: Target, error: SesError | None) -> None:
        contact = self._contacts.get(target)
        known = _place(target) | {"throttled": contact.throttled if contact else 0}
        if error is None:
            log.event("lane_ended", **known)
        else:
            log.event("lane_stopped", "error", **known, **_error(error), hint=error.hint)

    def noted(self, target: Target, text: str) -> None:
        gates = self._contacts[target].gates if target in self._contacts else None
        period = max(gates.writes.period, gates.reads.period) if gates else None
        if gates and (gates.writes.pace.widened or gates.reads.pace.widened) and target not in self._widened:
            self._widened.add(target)
            log.event("lane_widened", "warning", **_place(target), period=period, message=text)
        else:
            log.event("note", "warning", **_place(target), message=text)

    def attempted(self, target: Target, attempt: Attempted) -> None:
        known = _record(attempt.change) | _place(target)
        known |= {"attempt": attempt.number, "waited": round(attempt.waited, 3)}
        if not attempt.ended:
            log.event("attempt_sent", "debug", **known)
            return
        error = attempt.error
        known |= {"request_id": attempt.request_id, "duration_ms": attempt.duration_ms}
        if error is None:
            log.event("attempt_answered", "debug", **known)
        elif isinstance(error, Throttled | PolicyRefused):
            log.event("attempt_refused", "warning", **known, **_error(error), http_status=error.http_status)
        else:
            log.event("attempt_failed", "warning", **known, **_error(error), http_status=error.http_status or None)

    def settled(self, outcome: Outcome) -> None:
        row: dict[str, Any] = dict.fromkeys(_FIRST) | dict(zip(COLUMNS, values(outcome), strict=True))
        row |= dict.fromkeys(_NOT_TOLD) | {"effect": outcome.effect, "attempt": row.pop("attempts")}
        log.event("outcome", _LEVELS.get(outcome.status, "info"), **row)


def _place(target: Target) -> dict[str, Any]:
    return {"account": target.account, "region": target.region}


def _record(change: Change) -> dict[str, Any]:
    return {"line": change.line or None, "identity": change.identity, "policy_name": change.policy_name}


def _error(error: SesError) -> dict[str, Any]:
    return {"error_code": error.code, "message": str(error)}
