"""A record becomes a change, or has findings; offline.

============= ==================================================================================
``checker``   one record, and what is wrong with it
``rules``     the rules of a record and its batch, and every code there is
``stored``    records of what SES had, which are never refused
``ledger``    the batch so far: duplicates, conflicts, overfull identities
``placing``   where a record belongs, for a worker that has only some of the targets
============= ==================================================================================
"""

from __future__ import annotations

from batchpol.validation.checker import Amendment, Checked, Checker, Verdict
from batchpol.validation.placing import Sharding
from batchpol.validation.rules import MAX_FINDINGS, RULES, codes_of, has_error

__all__ = [
    "MAX_FINDINGS",
    "RULES",
    "Amendment",
    "Checked",
    "Checker",
    "Sharding",
    "Verdict",
    "codes_of",
    "has_error",
]
