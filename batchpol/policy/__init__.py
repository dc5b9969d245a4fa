"""A policy document: its text, what it says against the rules of SES and of IAM's grammar, and how two compare.

================================================ ===============================================================
``reader``, ``text``                             strict JSON with places; strings where they stand
``statement``, ``principal``, ``action``,        one element each, each rule as data beside the function that
``resource``, ``condition``                      applies it
``keys``, ``operators``, ``values``, ``window``  of a Condition: names of keys, operators, what never matches
``access``                                       whom an Allow lets in
``known``                                        actions and condition keys, as data
``shape``                                        documents that the rules cannot tell apart
``comparison``                                   whether two documents mean the same, and the way back
================================================ ===============================================================

Knows nothing of records or of the identity: whether a Resource is the identity's own ARN is the caller's to say.
"""

from __future__ import annotations

from batchpol.policy import access, action, condition, keys, operators, principal, resource, statement, values, window
from batchpol.policy.shape import Alike, Shapes
from batchpol.policy.statement import check_policy

_MODULES = (statement, principal, action, resource, condition, operators, keys, values, window, access)
RULES = tuple(rule for module in _MODULES for rule in module.RULES)

__all__ = ["RULES", "Alike", "Shapes", "check_policy"]
