"""Every error of batchpol, one tree, ordered by what the caller can do.

::

    BatchpolError
    ├── UsageError          arguments or configuration unusable: change them; nothing was sent
    │   └── TargetMismatch  credentials belong to another account than expected
    ├── QueueFull           a client has too much to do already: ask again later
    ├── InputError          the input as a whole is unusable: mend the file; nothing was sent
    ├── JournalError        the journal cannot be used
    │   ├── JournalLocked   another run holds it: wait for that run, or give another ``journal``
    │   ├── JournalMismatch it belongs to another account, Region or endpoint: ``fresh``, or another ``journal``
    │   ├── JournalDamaged  it was altered further up than its last line, or is no journal at all
    │   ├── JournalUnwritable  disk full or the like: nothing more is sent; mend and run again
    │   └── JournalAltered  somebody altered, moved or removed it under a run: nothing more is sent; run again
    └── SesError            an answer (or none) to one request
        ├── PolicyRefused   SES says no to this record: outcome ``failed``
        ├── Throttled       too fast: back to the gate
        ├── NoAnswer        5xx, dropped or timed out: back to the gate, else outcome ``unknown``
        │   └── Unreachable never connected, so certainly not sent: back to the gate until the lane gives up
        └── AccessRefused   credentials expired, unknown or not allowed: the lane stops, resumable

A record's failure is a value (an :class:`~batchpol.model.Outcome`); only a run's failure leaves the API as an
exception. Foreign exceptions are translated at one border, :mod:`batchpol.ses`.

Messages and hints, of errors as of outcomes and findings, name a setting as the API spells it, in backticks:
```max_duration```, ```compare=False```. The command line spells it its own way where it shows it.
"""

from __future__ import annotations


class BatchpolError(Exception):
    """Base of everything batchpol raises. ``str(error)`` is one paragraph: what, where, why.

    ``hint`` says what to do, and is shown after it.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def in_full(self) -> str:
        """What happened and what to do, in one line."""
        return f"{self}; {self.hint}" if self.hint else str(self)


class UsageError(BatchpolError):
    """Arguments or configuration are unusable; nothing was sent."""


class TargetMismatch(UsageError):
    """The credentials belong to another account than the one expected; nothing was sent."""


class QueueFull(BatchpolError):
    """As much waits in a client as it may hold (``max_pending``); this was not taken."""


class InputError(BatchpolError):
    """The input as a whole is unusable (absent, empty, no header, binary …); nothing was sent."""


class JournalError(BatchpolError):
    """The journal cannot be used."""


class JournalLocked(JournalError):
    """Another run holds the journal."""


class JournalMismatch(JournalError):
    """The journal belongs to another account, Region or endpoint, or to a newer format."""


class JournalDamaged(JournalError):
    """The journal was altered further up than its last line, or is no journal at all."""


class JournalUnwritable(JournalError):
    """The journal could not be written (disk full, say); no further request is sent."""


class JournalAltered(JournalError):
    """Somebody else altered, moved or removed the journal while the run went on; no further request is sent."""


class SesError(BatchpolError):
    """An answer, or the lack of one, to one request.

    ``code`` is the error code in SES's words (``Throttling``, ``InvalidPolicy`` …) or ours where no answer came
    (``ConnectFailed``, ``ConnectionClosed``, ``Timeout``, ``UnreadableAnswer``, ``NoCredentials``, ``TLSRefused``,
    ``Configuration``); ``request_id`` is SES's, or empty; ``http_status`` 0 without an answer.
    """

    def __init__(self, message: str, *, code: str, request_id: str = "", http_status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.request_id = request_id
        self.http_status = http_status


class PolicyRefused(SesError):
    """SES refused this record; the same request will be refused again."""


class Throttled(SesError):
    """Too fast for SES: try again through the gate."""


class NoAnswer(SesError):
    """No usable answer (5xx, dropped, timed out, unreadable): it may or may not have taken effect."""


class Unreachable(NoAnswer):
    """No connection came about (name not resolved, refused, timed out), or no credentials to sign with just now
    (STS down): the request certainly was not sent."""


class AccessRefused(SesError):
    """Credentials expired, unknown or not allowed, TLS refused, or a configuration with which no request can be made:
    no record of this target can succeed until that is mended."""
