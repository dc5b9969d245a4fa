"""Records of what SES had: the mark by which they are known, and why nothing of theirs is refused.

What SES took once, by whichever client, it takes again; our rules can only be wrong about it. So ``export`` and
``undo`` write a mark into their rows, and what would be an error of such a record is a warning. The mark is a digest of
the whole row, so that it holds for what SES had and for nothing else: whoever edits the row writes a record like any
other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

from batchpol.model import Finding, Rule, Severity, Target
from batchpol.policy.comparison import meaning_digest

COLUMN = "stored"
"""The key, or column, that holds the mark."""


def mark_of(target: Target, identity: str, policy_name: str, document: str) -> str:
    """The mark of a policy that was there: 64 hexadecimal digits.

    Args:
        identity: the bare name, a domain in lower case.
        document: in any spelling of the same meaning.
    """
    whole = "\0".join((target.account, target.region, identity, policy_name, meaning_digest(document)))
    return sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


def is_stored(extra: Mapping[str, str], target: Target, identity: str, policy_name: str, document: str) -> bool:
    """Whether a record with these extra columns is of what SES had in ``target``, and was not edited since."""
    said = extra.get(COLUMN, "").strip()
    return bool(said) and said == mark_of(target, identity, policy_name, document)


def as_warnings(findings: Iterable[Finding], rules: Mapping[str, Rule]) -> list[Finding]:
    """The findings of such a record: no error but those without which no request can be formed."""
    return [it if _is_final(it, rules) else as_warning(it) for it in findings]


def as_warning(it: Finding) -> Finding:
    """A finding that does not reject its record."""
    return Finding(Severity.WARNING, it.code, it.where, it.message, it.hint)


def _is_final(it: Finding, rules: Mapping[str, Rule]) -> bool:
    rule = rules.get(it.code)
    return it.severity is not Severity.ERROR or rule is None or rule.always or it.where in _OF_THE_ROW


_OF_THE_ROW = frozenset(("account", "region", "action", "if_match"))
"""Columns that say what is to be done, rather than what was there."""
