"""A parsed policy document against the rules of SES and of IAM's grammar.

One module an element; each rule stands as data beside the function that applies it. Knows nothing of records, of
the document's text or of the identity: whether a Resource is the identity's own ARN is the caller's to say.
"""

from __future__ import annotations

from batchpol.policy import access, action, condition, keys, operators, principal, resource, statement, values, window
from batchpol.policy.shape import Alike, Shapes
from batchpol.policy.statement import check_policy

_MODULES = (statement, principal, action, resource, condition, operators, keys, values, window, access)
RULES = tuple(rule for module in _MODULES for rule in module.RULES)

__all__ = ["RULES", "Alike", "Shapes", "check_policy"]
