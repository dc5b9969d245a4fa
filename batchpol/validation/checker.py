"""Records checked, one by one and against each other: what is valid becomes a change.

Everything is offline: no network, no clock, no files. :class:`Checker` composes the rules of ``identity``,
``policy`` and ``rules`` for one record and remembers the batch in a ``Ledger``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from batchpol import identity, policy
from batchpol.identity import Identity, PolicyOwner, is_usual_domain, is_usual_name
from batchpol.model import MAX_POLICIES, Action, Change, Finding, Record, Rule, Severity, Target, if_match_of, shown
from batchpol.model.mends import is_nothing
from batchpol.model.settings import Checks
from batchpol.validation.ledger import NEW, Ledger, Noted, Relation, place_of
from batchpol.validation.rules import (
    CONFLICT,
    DUPLICATE,
    LIMIT,
    LIMIT_LIKELY,
    POLICY_MISSING,
    RULES,
    SURELY_FITS,
    TARGET_OTHER,
    TARGET_UNKNOWN,
    action_of,
    capped,
    check_document,
    check_if_match,
    codes_of,
    decided,
    fitted,
    has_error,
    place_said,
)
from batchpol.validation.stored import as_warnings, is_stored

_ERROR = Severity.ERROR
_MAX_PLACES = 1 << 15
"""Places that are remembered, at half a kilobyte each: all of a thousand accounts with twenty Regions."""


class Verdict(StrEnum):
    """What validation makes of a record."""

    VALID = "valid"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


_VALID = Verdict.VALID


class Amendment(NamedTuple):
    """An earlier record (by number) whose verdict a later one changed, and the finding that says why."""

    number: int
    status: Verdict
    finding: Finding


class Checked(msgspec.Struct):
    """A record and the verdict on it.

    ``change`` is what to send, only where ``status`` is valid. ``amends`` are earlier records that this one takes
    down with it.
    """

    number: int
    record: Record
    status: Verdict
    change: Change | None = None
    findings: tuple[Finding, ...] = ()
    amends: tuple[Amendment, ...] = ()


class Checker:
    """Checks the records of one batch in their order.

    ``target`` is the run's account and Region, as far as known ("" for not); records may name others by their ARN
    or columns. With ``require_target`` the Region of each record must be known, with ``require_account`` its
    account; with ``regions`` it must be one of them. Findings that ``checks`` does not select, or ignores, are not
    reported and reject nothing, except those without which no request could be formed (``Rule.always``). Without
    ``changes`` nothing is made to be sent, for those who only want the verdicts. With ``alone`` each record is checked
    by itself, whatever came before it, and nothing of it is kept. ``also`` are the rules behind the
    problems that records bring along from where they were read; ``checks`` is for their codes, too. ``doubts`` say by
    Region and code what SES is known to refuse, which is an error there, or to take, of which nothing is said.

    Raises UsageError for codes that do not exist, and for a ``target`` whose account or Region is none; checking never
    raises.
    """

    def __init__(
        self,
        checks: Checks | None = None,
        *,
        target: Target | None = None,
        require_target: bool = False,
        require_account: bool = False,
        regions: frozenset[str] = frozenset(),
        changes: bool = True,
        alone: bool = False,
        also: Iterable[Rule] = (),
        doubts: Mapping[str, Mapping[str, bool]] = MappingProxyType({}),
    ) -> None:
        checks = checks or Checks()
        self._target = target or Target("", "")
        identity.require_account(self._target.account)
        identity.require_region(self._target.region)
        rules = RULES | {rule.code: rule for rule in also}
        selected = codes_of(checks.select, rules) if checks.select else rules.keys()
        wanted = selected - codes_of(checks.ignore, rules)
        self._unwanted = frozenset(code for code, rule in rules.items() if code not in wanted and not rule.always)
        self._limit = MAX_POLICIES if LIMIT.code not in self._unwanted else None
        self._warnings_as_errors = checks.warnings_as_errors
        self._require_target = require_target
        self._require_account = require_account
        self._regions = regions
        self._doubts = doubts
        self._changes = changes
        self._note = _as_new if alone else Ledger().note
        self._shapes = policy.Shapes()
        self._alike = self._shapes.match
        self._places: dict[tuple[str | None, str | None, str, bool], tuple[Target, int, int | None]] = {}
        self._count = 0

    def check(self, record: Record) -> Checked:
        """The verdict on the next record of the batch."""
        number = self._count
        self._count = number + 1
        text = record.policy
        alike = self._alike(text)
        if alike is None or (known := self._known(record, alike[0])) is None:
            return self._examined(number, record, alike)
        target, place, limit, key = known
        findings: Sequence[Finding] = alike[1]
        if findings or len(text) > SURELY_FITS:
            if len(text) > SURELY_FITS:
                text, findings = fitted(text, True, findings)
            if self._doubts:
                findings = decided(findings, self._doubts.get(target.region))
            findings = self._sifted(findings)
            if has_error(findings):
                return Checked(number, record, Verdict.REJECTED, None, capped(findings))
        if self._changes or findings:
            return self._entered(number, record, target, place, record.identity, key, Action.PUT, text, findings)
        noted = self._note(number, record.line, key, record.policy_name, text, place, True, limit)
        checked = Checked(number, record, _VALID)
        return checked if noted is NEW else self._judged(record, key, noted, checked, True, findings)

    def _known(self, record: Record, arn: str) -> tuple[Target, int, int | None, str] | None:
        """Target, place, limit and bare identity of a record whose document has a known shape, with ``arn`` its own.

        None unless nothing can be wrong with the record: its identity and name are plain, and an earlier record
        with the same region, account and beginning of the ARN was right. ``_examined`` comes to the same verdict.
        """
        text, name = record.identity, record.policy_name
        is_arn = text == arn
        bare = arn[arn.rfind("/") + 1 :] if is_arn else text
        known = self._places.get((record.region, record.account, arn[: -len(bare)], is_arn))
        # Cut and compared, not only cut: an ARN that ends before the name is no known beginning with that name.
        if known is None or not arn.endswith(bare) or not (is_usual_domain(bare) or identity.is_plain(bare)):
            return None
        if not is_usual_name(name) and identity.check_name(name):
            return None
        if record.problems or record.action != "put" or (record.extra and if_match_of(record.extra)):
            return None
        return *known, bare

    # One record

    def _examined(self, number: int, record: Record, alike: policy.Alike | None) -> Checked:
        """The verdict on a record about which anything may be new; ``alike`` is what its document's shape says."""
        findings = [*self._sifted(record.problems)] if record.problems else []
        if has_error(findings):
            return Checked(number, record, Verdict.REJECTED, None, capped(findings))
        named, faults = identity.read_identity(record.identity)
        findings += faults
        findings += identity.check_name(record.policy_name)
        if record.extra:
            findings += check_if_match(record.extra)
        target = self._target_of(record, named, findings)
        action = Action.PUT if record.action == "put" else action_of(record, findings)
        if action is Action.DELETE:
            document, place = "", _place_of(target)
        else:
            document, place = self._document_of(record, named, target, alike, findings)
        findings = [*decided(findings, self._doubts.get(target.region))]
        if has_error(findings) and is_stored(record.extra, target, named.name, record.policy_name, record.policy):
            findings = as_warnings(findings, RULES)
        sifted = self._sifted(findings)
        if has_error(sifted):
            return Checked(number, record, Verdict.REJECTED, None, capped(sifted))
        return self._entered(number, record, target, place, named.text, named.name, action, document, sifted)

    def _target_of(self, record: Record, named: Identity, findings: list[Finding]) -> Target:
        """Where the record belongs; empty for what is not known, or said in a way that is itself an error."""
        run = self._target
        if not (named.account or record.region or record.account):
            account, region = run.account, run.region
        else:
            region = place_said(record.region, named.region, "region", findings) or run.region
            account = place_said(record.account, named.account, "account", findings) or run.account
        faulty = self._faulty(findings) if findings else ()
        is_named = "identity" not in faulty
        if "region" in faulty or (named.region and not is_named):
            region = ""
        elif is_named and self._require_target and not region:
            findings.append(TARGET_UNKNOWN.at("region", "Neither the record nor the run says the Region"))
        elif is_named and self._regions and region not in self._regions:
            message = f"Region {shown(region)} is none of the run's: {', '.join(sorted(self._regions))}"
            findings.append(TARGET_OTHER.at("region", message, "add it to `regions`, or give none"))
        if "account" in faulty or (named.account and not is_named):
            account = ""
        elif is_named and self._require_account and not account:
            findings.append(TARGET_UNKNOWN.at("account", "Neither the record nor the run says the account"))
        return run if (account, region) == (run.account, run.region) else Target(account, region)

    def _document_of(
        self, record: Record, named: Identity, target: Target, alike: policy.Alike | None, findings: list[Finding]
    ) -> tuple[str, int]:
        """The document as it will be sent, and where it belongs."""
        text = record.policy
        faulty = self._faulty(findings) if findings else ()
        owner = PolicyOwner(None if "identity" in faulty else named, target)
        is_json = True
        if not text or text.isspace():
            if "action" not in faulty:  # else nobody knows whether it needs one
                findings.append(POLICY_MISSING.at("policy", "The policy is empty"))
        elif text[0] != "{" and is_nothing(text):
            message = f"The policy is {shown(text)}, as programs write an empty cell"
            findings.append(POLICY_MISSING.at("policy", message, "give the document, or leave the cell empty"))
        elif alike and owner.name and not owner.check(alike[0]):
            if not findings:
                self._keep_place(record, alike[0], owner, target)
            findings += alike[1]
        else:
            found, is_json = check_document(text, owner)
            self._shapes.learn(text, owner.arn or owner.accepted, found)
            findings += found
        if len(text) > SURELY_FITS:
            text, findings[:] = fitted(text, is_json, findings)
        return text, _place_of(target, *owner.places)

    def _keep_place(self, record: Record, arn: str, owner: PolicyOwner, target: Target) -> None:
        """Remember where such records belong: with nothing wrong but, at most, in the document."""
        name, is_arn = str(owner.name), record.identity == arn
        if arn.endswith(identity.NAMED + name) and (is_arn or record.identity == name):
            if len(self._places) >= _MAX_PLACES:
                self._places.clear()
            key = (record.region, record.account, arn.removesuffix(name), is_arn)
            self._places[key] = target, _place_of(target, *owner.places), self._limit_of(target)

    # Findings

    def _sifted(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """Without what was ignored; warnings made errors where that was asked."""
        if self._unwanted:
            findings = [it for it in findings if it.code not in self._unwanted]
        if self._warnings_as_errors:
            findings = [Finding(_ERROR, it.code, it.where, it.message, it.hint) for it in findings]
        return findings

    def _faulty(self, findings: list[Finding]) -> set[str]:
        """The columns that have an error that counts: nothing is concluded from what they say."""
        return {it.where for it in findings if it.severity is _ERROR and it.code not in self._unwanted}

    # The batch

    def _entered(
        self,
        number: int,
        record: Record,
        target: Target,
        place: int,
        sent_as: str,
        key: str,
        action: Action,
        document: str,
        findings: Sequence[Finding],
    ) -> Checked:
        """The verdict on a record that is right by itself, beside the earlier ones."""
        is_put = action is Action.PUT
        limit = self._limit_of(target)
        noted = self._note(number, record.line, key, record.policy_name, document, place, is_put, limit)
        change = None
        if self._changes:
            digest = sha256(document.encode()).hexdigest()
            change = Change(number, record.line, target, sent_as, key, record.policy_name, action, document, digest)
        checked = Checked(number, record, _VALID, change, capped(findings) if findings else ())
        return checked if noted is NEW else self._judged(record, key, noted, checked, is_put, findings)

    def _limit_of(self, target: Target) -> int | None:
        """Names that an identity may have in a place that is known."""
        return self._limit if target.account and target.region else None

    def _judged(
        self, record: Record, key: str, noted: Noted, checked: Checked, is_put: bool, findings: Sequence[Finding]
    ) -> Checked:
        """The verdict on a record of an identity that was there before."""
        if noted.relation is not Relation.NEW or (is_put and noted.names > MAX_POLICIES):
            return self._met(record, key, noted, checked, findings)
        return checked

    def _met(self, record: Record, key: str, noted: Noted, checked: Checked, findings: Sequence[Finding]) -> Checked:
        """The verdict on a record that meets an earlier one, or comes as one too many."""
        what = f"policy {shown(record.policy_name)} of {shown(key)}"
        if noted.relation is Relation.DUPLICATE:
            new = DUPLICATE.at("record", f"The same as line {noted.line}; sent once, for that line")
            checked.status = Verdict.DUPLICATE
        elif noted.relation is Relation.CONFLICT:
            new = CONFLICT.at("record", f"Line {noted.line} has another change of {what}", "keep one of the two")
            other = CONFLICT.at("record", f"Line {record.line} has another change of {what}", "keep one of the two")
            checked.amends = tuple(Amendment(it, Verdict.REJECTED, other) for it in noted.amends)
        else:
            rule = LIMIT if noted.relation is Relation.OVERFULL else LIMIT_LIKELY
            new = rule.at("record", f"Policy number {noted.names} of {shown(key)}, more than {MAX_POLICIES}")
        findings = [*findings, *self._sifted([new])]
        if has_error(findings):
            checked.status = Verdict.REJECTED
        if checked.status is not Verdict.VALID:
            checked.change = None
        checked.findings = capped(findings)
        return checked


def _place_of(target: Target, *said: tuple[str, str]) -> int:
    """A target for the ledger; ``said`` are the accounts and Regions that the document's Resources name."""
    stated = (target.account, target.region)
    account, region = said[0] if len(said) == 1 else ("", "")
    return place_of(stated, (target.account or account, target.region or region))


def _as_new(*_: object) -> Noted:
    return NEW
