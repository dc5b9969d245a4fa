"""A record becomes a change, or has findings; offline.

============= ==================================================================================
``checker``   one record, and what is wrong with it
``ledger``    the batch so far: duplicates, conflicts, overfull identities
============= ==================================================================================
"""

from __future__ import annotations

from batchpol.validation.checker import (
    MAX_FINDINGS,
    MAX_NAMES,
    RULES,
    Amendment,
    Checked,
    Checker,
    Verdict,
    codes_of,
    has_error,
)

__all__ = [
    "MAX_FINDINGS",
    "MAX_NAMES",
    "RULES",
    "Amendment",
    "Checked",
    "Checker",
    "Verdict",
    "codes_of",
    "has_error",
]
