"""What a statement allows or denies: the rules of ``Action``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from batchpol.model import Finding, Rule, Severity, did_you_mean, placed, pointer, rules_in, shown
from batchpol.model.mends import slip_of
from batchpol.policy import known
from batchpol.policy.example import example

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_TABLE = "SES Developer Guide, Policy anatomy: the table of actions"

TYPE = Rule(
    "action-type",
    _ERROR,
    "Action is neither a string nor a list of strings",
    "SES Developer Guide, Policy anatomy; IAM policy grammar",
    "Action is one action or a list of them.",
    bad=example(Action={"ses": "SendEmail"}),
    good=example(Action=["ses:SendEmail"]),
)
EMPTY = Rule(
    "action-empty",
    _ERROR,
    "No action",
    "SES Developer Guide, Policy anatomy: Action is required",
    "A statement names at least one action.",
    bad=example(Action=[]),
    good=example(Action=["ses:SendEmail"]),
)
USELESS = Rule(
    "action-useless",
    _ERROR,
    "Every action is misspelt, or another service's",
    _TABLE + "; IAM service authorization reference",
    "Misspelt actions and those of other services do nothing on an SES identity, so the whole statement does nothing.",
    bad=example(Action=["ses:SendRawEmial", "s3:GetObject"]),
    good=example(Action=["ses:SendRawEmail"]),
)
UNKNOWN = Rule(
    "action-unknown",
    _WARNING,
    "An action that is misspelt, or another service's, beside others",
    _TABLE + "; IAM service authorization reference",
    "This one does nothing: it is misspelt, or belongs to another service.",
    bad=example(Action=["ses:SendEmail", "ses:SendRawEmial"]),
    good=example(Action=["ses:SendEmail", "ses:SendRawEmail"]),
)
UNLISTED = Rule(
    "action-unlisted",
    _WARNING,
    "An action outside the documented table",
    _TABLE + f"; Service Authorization Reference and SES's APIs, as of {known.MADE}",
    "SES has this action, but its guide does not list it for policies of identities; or none of this name was known "
    "when batchpol's list was made, and it resembles no known one: AWS adds actions.",
    bad=example(Action=["ses:SendEmail", "ses:SendBounce"]),
    good=example(Action=["ses:SendEmail"]),
)
CASE = Rule(
    "action-case",
    _WARNING,
    "An action in another case",
    _TABLE + "; only the prefix is known to have no case",
    "SES: and ses: mean the same; for the name itself SES documents nothing.",
    bad=example(Action="ses:sendemail"),
    good=example(Action="ses:SendEmail"),
)

RULES = rules_in(vars())


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SENDING = _words("SendEmail SendRawEmail SendTemplatedEmail SendBulkTemplatedEmail")
MANAGING = _words("""
    BatchGetMetricData CancelExportJob CreateDeliverabilityTestReport CreateEmailIdentityPolicy CreateExportJob
    DeleteEmailIdentity DeleteEmailIdentityPolicy GetDomainStatisticsReport GetEmailIdentity GetEmailIdentityPolicies
    GetExportJob ListExportJobs ListRecommendations PutEmailIdentityConfigurationSetAttributes
    PutEmailIdentityDkimAttributes PutEmailIdentityDkimSigningAttributes PutEmailIdentityFeedbackAttributes
    PutEmailIdentityMailFromAttributes TagResource UntagResource UpdateEmailIdentityPolicy
""")
LISTED = SENDING | MANAGING
_KEYS = {name: frozenset(keys.split()) for keys, names in known.BRINGS for name in names.split()}
ACTIONS = LISTED | _KEYS.keys() | frozenset(known.OTHER_OPERATIONS.split())
OF_ACTIONS = frozenset().union(*_KEYS.values()) - {"aws:ResourceTag/"}
"""Condition keys that some of SES's actions bring to a request and others do not (but the tags of the identity: it is
what all of them are about)."""
_BY_LOWER = {name.lower(): name for name in ACTIONS}
_LONGEST_PATTERN = 128


class Judged(NamedTuple):
    """A list of actions: what is wrong with it, whether it takes in managing the identity, whether everything.

    ``lacking`` has the condition keys that requests for one of the actions never have, and that action.
    """

    findings: tuple[Finding, ...] = ()
    manages: bool = False
    has_all: bool = False
    lacking: Mapping[str, str] = MappingProxyType({})


def check_action(value: Any, *, is_not: bool = False) -> Judged:
    """The value of ``Action`` (or, ``is_not``, of ``NotAction``)."""
    if type(value) is list:
        if not value:
            return Judged((EMPTY.at("", "Action is an empty list"),))
        for one in value:  # a loop, since a generator takes three times as long, and this is asked of every statement
            if type(one) is not str:
                return Judged(tuple(_odd_ones(value)))
        judged = _judge(tuple(value))
    elif type(value) is str:
        judged = _judge((value,))
    else:
        return Judged((TYPE.at("", f"Action is {shown(value)}"),))
    if not judged.findings or (not is_not and type(value) is list):
        return judged
    return judged._replace(findings=tuple(_restated(it, type(value) is str, is_not) for it in judged.findings))


def _odd_ones(value: list[Any]) -> list[Finding]:
    odd = ((index, one) for index, one in enumerate(value) if type(one) is not str)
    return [TYPE.at(pointer(index), f"The action {shown(one)} is no string") for index, one in odd]


def _restated(it: Finding, is_single: bool, is_not: bool) -> Finding:
    """A finding of a list's element, for a value that is no list, or for ``NotAction``.

    To except an action that does not exist is no error: all the others are meant.
    """
    rule = UNKNOWN if is_not and it.code == USELESS.code else None
    where = it.where.removeprefix("/0") if is_single else it.where
    return rule.at(where, it.message, it.hint) if rule else Finding(it.severity, it.code, where, it.message, it.hint)


class _One(NamedTuple):
    exists: bool
    finding: Finding | None = None
    manages: bool = False
    has_all: bool = False
    keys: frozenset[str] | None = None


@lru_cache(maxsize=1024)
def _judge(actions: tuple[str, ...]) -> Judged:
    ones = [_judge_one(action) for action in actions]
    found: list[Finding] = []
    useless = not any(one.exists for one in ones)
    for index, one in enumerate(ones):
        if one.finding is None:
            continue
        fault = one.finding
        if useless:
            fault = USELESS.at("", fault.message, fault.hint)
        found += placed(pointer(index), (fault,))
    lacking = {
        key: action
        for action, one in zip(actions, ones, strict=True)
        if one.keys is not None
        for key in OF_ACTIONS - one.keys
    }
    return Judged(tuple(found), any(one.manages for one in ones), any(one.has_all for one in ones), lacking)


@lru_cache(maxsize=4096)
def _judge_one(action: str) -> _One:
    prefix, _, name = action.partition(":")
    if action == "*":
        return _One(True, manages=True, has_all=True)
    if prefix.lower() != "ses":
        return _One(False, UNKNOWN.at("", f"{shown(action)} is no action of SES", _nearest(action)))
    if "*" in name or "?" in name:
        return _judge_pattern(action, re.sub(r"\*+", "*", name))
    keys = _KEYS.get(name)
    if name in LISTED:
        return _One(True, manages=name in MANAGING, keys=keys)
    if name in ACTIONS:
        fault = UNLISTED.at("", f"{shown(action)} is not in SES's table of actions for identities")
        return _One(True, fault, keys=keys)
    if right := _BY_LOWER.get(name.lower()):
        fault = CASE.at("", f"{shown(action)} is in another case", f"write ses:{right}")
        return _One(True, fault, right in MANAGING, keys=_KEYS.get(right))
    return _judge_unknown(action, name, slip_of(name[:200], LISTED) or slip_of(name[:200], ACTIONS))


def _judge_unknown(action: str, name: str, near: str) -> _One:
    """An action, or a pattern of them, that is not in the tables; ``near`` is what it is if it is misspelt."""
    if near or not _FORM.fullmatch(name):
        hint = f"did you mean ses:{near}?" if near in ACTIONS else _nearest(action)
        return _One(False, UNKNOWN.at("", f"SES has no action {shown(action)}", hint))
    return _One(True, UNLISTED.at("", f"No action of SES like {shown(action)} was known on {known.MADE}"))


_FORM = re.compile(r"[A-Za-z*?][A-Za-z0-9*?]{2,}")


def _judge_pattern(action: str, pattern: str) -> _One:
    if len(pattern) > _LONGEST_PATTERN:
        return _One(False, UNKNOWN.at("", f"{shown(action)} matches no action of SES"))
    low = pattern.lower()
    meant = {name for name in ACTIONS if _matches(low, name.lower())}
    if not meant:
        start = re.split(r"[*?]", pattern, maxsplit=1)[0]
        return _judge_unknown(action, pattern, slip_of(start, _starts(len(start))))
    listed = meant & LISTED
    finding = None
    if not listed:
        finding = UNLISTED.at("", f"{shown(action)} matches nothing in SES's table of actions for identities")
    elif not any(_matches(pattern, name) for name in meant):
        finding = CASE.at("", f"{shown(action)} matches actions in another case only")
    keys = frozenset().union(*(_KEYS.get(name, OF_ACTIONS) for name in meant))
    return _One(True, finding, bool(listed & MANAGING), listed == LISTED, keys)


@cache
def _starts(length: int) -> frozenset[str]:
    """How known actions begin, in some ``length`` letters; in three, their first words (Get, Put, Send)."""
    if length < 3:
        return frozenset()
    if length == 3:
        return frozenset(re.findall(r"\b[A-Z][a-z]+", " ".join(ACTIONS)))
    return frozenset(name[: length + more] for name in ACTIONS for more in (-1, 0, 1))


def _matches(pattern: str, name: str) -> bool:
    """Whether ``name`` fits ``pattern`` with its ``*`` and ``?``, in time of their lengths' product at most."""
    at = star = -1
    p = n = 0
    while n < len(name):
        if p < len(pattern) and pattern[p] == "*":
            star, at = p, n
            p += 1
        elif p < len(pattern) and pattern[p] in ("?", name[n]):
            p += 1
            n += 1
        elif star >= 0:
            at += 1
            p, n = star + 1, at
        else:
            return False
    return all(c == "*" for c in pattern[p:])


def _nearest(action: str) -> str:
    name = action.rpartition(":")[2]
    return did_you_mean(name, LISTED, before="ses:") or did_you_mean(name, ACTIONS, before="ses:", cutoff=0.8)
