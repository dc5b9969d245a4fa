"""What asking a target comes to, told to the log and to whoever wants to know."""

from __future__ import annotations

import logging
from collections.abc import Callable

from batchpol import exporting
from batchpol.batch.observer import Observer
from batchpol.model import Target
from batchpol.sending.observer import ContactObserver

LOG = logging.getLogger("batchpol")
"""Whoever wants it configures it: nothing is heard of it before."""
LOG.addHandler(logging.NullHandler())


class _Told(ContactObserver):
    """Tells the log, and an observer of the caller's own."""

    def __init__(self, observer: ContactObserver | None) -> None:
        self.own = observer or ContactObserver()

    def noted(self, target: Target, text: str) -> None:
        LOG.warning("%s: %s", target, text)
        self._tell(self.own.noted, target, text)

    def throttled(self, target: Target) -> None:
        LOG.info("%s: SES refused a request as too fast", target)
        self._tell(self.own.throttled, target)

    def paced(self, target: Target, period: float) -> None:
        LOG.info("%s: requests leave %.2f s apart from now on", target, period)
        self._tell(self.own.paced, target, period)

    def renewed(self, target: Target) -> None:
        LOG.info("%s: the credentials were renewed", target)
        self._tell(self.own.renewed, target)

    def _tell(self, what: Callable[..., None], *of: object) -> None:
        """A mistake in somebody's metrics stops nobody's records."""
        try:
            what(*of)
        except Exception:
            LOG.exception("the observer raised an error, which is passed over")


class ToldOfBatch(_Told, Observer):
    """Tells them of a batch."""


class ToldOfExport(_Told, exporting.ExportObserver):
    """Tells them of an export."""
