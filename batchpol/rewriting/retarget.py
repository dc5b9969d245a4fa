"""A record moved to another account, Region or identity.

Resource must be the identity's own ARN, so a move changes every document. Nothing else of a document is touched
unless it is asked for: its text is changed where such a string stands, and stays as it is everywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from batchpol import identity
from batchpol.identity import Identity
from batchpol.model import Finding, Record, Rule, Severity, Target, if_match_of, is_account_id, shown
from batchpol.model.errors import UsageError
from batchpol.policy import reader as grammar
from batchpol.policy.comparison import ABSENT
from batchpol.policy.text import Text, replaced, strings
from batchpol.rewriting.lines import marked
from batchpol.validation import stored

PLACE = Rule(
    "retarget-place",
    Severity.ERROR,
    "A Resource that cannot be moved with its identity",
    "batchpol; SES Developer Guide, Policy anatomy: Resource is the identity's own ARN",
    "retarget replaces the identity's own ARN in the old account and Region by its ARN in the new ones. What a "
    "Resource of another kind would have to become nobody knows: it has a wildcard, or belongs to another identity, "
    "account or Region than the record.",
    '{"identity": "example.com", "account": "111122223333", "policy": {… "Resource": "*" …}}',
    '{"identity": "example.com", "account": "111122223333", "policy": {… "Resource": '
    '"arn:aws:ses:us-east-1:111122223333:identity/example.com" …}}',
    always=True,
)
IF_MATCH = Rule(
    "retarget-if-match",
    Severity.ERROR,
    "A moved record expects what is in the old place",
    "batchpol",
    "The digests that batchpol undo writes into if_match are of documents in the old account and Region. None can be "
    "there in the new one, so the record would always fail.",
    '{"identity": "example.com", "policy_name": "a", "action": "delete", "if_match": "0123… (64 digits)"}',
    '{"identity": "example.com", "policy_name": "a", "action": "delete"}',
    always=True,
)
RULES = (PLACE, IF_MATCH)


@dataclass(frozen=True, slots=True)
class Moved:
    """One thing of a record that a move changed, or (``asked`` False) one that still names the old place.

    ``where`` is a column or a JSON pointer into the document. ``new`` is empty where no option would move it: an old
    account or Region within some name. ``places`` are what of the old place it still names.
    """

    where: str
    old: str
    new: str
    asked: bool = True
    places: tuple[str, ...] = ()

    @property
    def element(self) -> str:
        """Where that is in any document: ``Resource``, ``Principal`` or a key of conditions; or else the column."""
        path = self.where.split("/")
        if "Condition" in path:
            return path[path.index("Condition") + 2].replace("~1", "/").replace("~0", "~")
        return next((it for it in path if it in ("Resource", "Principal", "NotPrincipal")), self.where)


@dataclass(frozen=True, slots=True)
class Move:
    """Where records go. ``account`` and ``region`` are for records whose own are not in the maps; empty leaves them.

    ``identities`` maps bare domains or addresses; an address whose domain is mapped goes along. ``principals`` and
    ``conditions`` say that account ids, ARNs and Regions there are moved, too. ``here`` is where records are that say
    so neither in columns nor by an ARN. ``matched`` is what of the maps the records so far had.
    """

    account: str = ""
    region: str = ""
    accounts: Mapping[str, str] = field(default_factory=dict)
    regions: Mapping[str, str] = field(default_factory=dict)
    identities: Mapping[str, str] = field(default_factory=dict)
    principals: bool = False
    conditions: bool = False
    here: Target | None = None
    matched: set[str] = field(default_factory=set, compare=False)

    @classmethod
    def of(
        cls,
        account: str,
        region: str,
        pairs: Iterable[str],
        *,
        principals: bool = False,
        conditions: bool = False,
        here: Target | None = None,
    ) -> Move:
        """A move to ``account`` and ``region``, and of what each ``old=new`` names.

        Raises:
            UsageError: for no account, no Region, or a pair that names neither accounts, Regions nor identities.
        """
        if here is not None:
            identity.require_account(here.account)
            identity.require_region(here.region)
        identity.require_account(account, "to_account")
        identity.require_region(region, "to_region")
        maps: dict[str, dict[str, str]] = {"accounts": {}, "regions": {}, "identities": {}}
        for pair in pairs:
            old, equals, new = (part.strip() for part in pair.partition("="))
            kind = _kind(old)
            if not equals or kind is None or kind != _kind(new):
                raise UsageError(
                    f"`map` takes old=new, two accounts, two Regions or two identities, not {shown(pair)}",
                    hint="for instance `map=111122223333=444455556666` or `map=old.example=new.example`",
                )
            if kind == "regions":
                identity.require_region(old, "map")
                identity.require_region(new, "map")
            key = identity.canonical_name(old) if kind == "identities" else old
            if maps[kind].setdefault(key, new) != new:
                raise UsageError(f"`map` says two things of {shown(key)}: {shown(maps[kind][key])} and {shown(new)}")
        if not (account or region or any(maps.values())):
            raise UsageError("nothing says where the records go", hint="give `to_account`, `to_region` or `map`")
        accounts, regions, identities = maps.values()
        return cls(account, region, accounts, regions, identities, principals, conditions, here)

    def check_matched(self) -> None:
        """After the last record: refuse a map of what none of them had. Raises UsageError."""
        if missed := [
            shown(old) for old in (*self.accounts, *self.regions, *self.identities) if old not in self.matched
        ]:
            raise UsageError(
                f"`map` says where {' and '.join(missed)} goes, and no record of the input has that",
                hint="compare it with the input, letter by letter, or leave it out",
            )

    def record(self, record: Record) -> tuple[Record, list[Moved]]:
        """The record in its new place, and what was changed; what cannot be placed becomes a problem of it."""
        if self.here is not None and not record.identity.strip().startswith("arn:"):  # which names both
            account, region = record.account or self.here.account or None, record.region or self.here.region or None
            record = replace(record, account=account, region=region)
        named, faults = identity.read_identity(record.identity)
        target = Target((record.account or "").strip(), (record.region or "").strip())
        was_stored = stored.is_stored(record.extra, target, named.name, record.policy_name, record.policy)
        faults = () if was_stored else faults
        cells = *identity.check_cell("account", record.account), *identity.check_cell("region", record.region)
        if _is_wrong((*faults, *cells, *record.problems)) or _disagrees(record, named):
            return record, []  # rejected for that, whatever else it says
        return _Step(self, record, named, was_stored=was_stored).taken()


def _kind(text: str) -> str | None:
    if is_account_id(text):
        return "accounts"
    if _is_region(text):
        return "regions"
    return None if not text or identity.check_bare(text) else "identities"


def _is_region(text: str) -> bool:
    return bool(identity.partition_of(text))


class _Step:
    """One record on its way. An account id may stand in a document as a number; where it moves it becomes text."""

    def __init__(self, move: Move, record: Record, named: Identity, *, was_stored: bool) -> None:
        self._move, self._record, self._named, self._was_stored = move, record, named, was_stored
        self._texts = list(strings(record.policy, numbers=True)) if _is_object(record.policy) else []
        resources = [identity.read_arn(text.value) for text in self._texts if _part(text) == "Resource"]
        owned = next((it for it, faults in resources if not _is_wrong(faults)), None)
        self._account = named.account or (record.account or "").strip() or (owned.account if owned else "")
        self._region = named.region or (record.region or "").strip() or (owned.region if owned else "")
        self._to_account = self._mapped(move.accounts, self._account) or move.account or self._account
        self._to_region = self._mapped(move.regions, self._region) or move.region or self._region
        self._partition = identity.partition_of(self._region) or named.partition
        self._to_partition = identity.partition_of(self._to_region) or self._partition
        places = {self._account: self._to_account, self._region: self._to_region, **move.accounts, **move.regions}
        self._old_places = [old for old, new in places.items() if old and old != new]
        self._moved: list[Moved] = []
        self._problems: list[Finding] = []
        expected = if_match_of(record.extra)
        if expected and expected != ABSENT:
            hint = "leave if_match out, or run batchpol undo in the new place"
            self._problems.append(IF_MATCH.at("if_match", f"{shown(expected)} is of the old place", hint))

    def taken(self) -> tuple[Record, list[Moved]]:
        record = self._record
        named = self._named
        bare = named.text.partition(identity.NAMED)[2] if named.partition else named.text
        spelling = self._renamed(named.name, bare)
        new = self._arn(spelling) if named.partition else spelling
        self._note("identity", named.text, new)
        self._note("account", self._account, self._to_account)
        self._note("region", self._region, self._to_region)
        document = replaced(record.policy, self._changes())
        extra = record.extra
        if self._was_stored:
            # What SES took in the old place it takes in the new one, as far as anybody can know.
            target, name = Target(self._to_account, self._to_region), identity.canonical_name(spelling)
            extra = {**extra, **marked(target, name, record.policy_name, document)}
        moved = replace(
            record,
            identity=new,
            account=self._to_account or None,
            region=self._to_region or None,
            policy=document,
            extra=extra,
            problems=(*record.problems, *self._problems),
        )
        return moved, self._moved

    def _changes(self) -> Iterable[tuple[Text, str]]:
        move = self._move
        asked = {"Principal": move.principals, "NotPrincipal": move.principals, "Condition": move.conditions}
        for text in self._texts:
            part = _part(text)
            if part == "Resource":
                new = self._resource(text)
            elif part in asked:
                new = self._value(text.value)
            else:
                continue
            if new != text.value:
                is_asked = asked.get(part, True)
                named = tuple(old for old in self._old_places if _names(text.value, old)) or (text.value,)
                self._moved.append(Moved(text.pointer, text.value, new, is_asked, () if is_asked else named))
                if is_asked:
                    yield text, new
            if part in asked:
                self._moved += [
                    Moved(text.pointer, old, "", False, (old,)) for old in self._old_places if _names(new, old)
                ]
                if self._stays_behind(new):
                    arn = f"arn:{self._partition}:"
                    self._moved.append(Moved(text.pointer, new, "", False, (arn if new.startswith(arn) else new,)))

    def _stays_behind(self, value: str) -> bool:
        """Whether a value is of the old partition's own: ARNs reach into no other one, and services may be called
        otherwise there (``.amazonaws.com.cn``), each in its own way."""
        if self._partition == self._to_partition:
            return False
        return value.startswith(f"arn:{self._partition}:") or ".amazonaws." in value

    def _resource(self, text: Text) -> str:
        """The identity's own ARN in the new place."""
        owned, faults = identity.read_arn(text.value)
        wrong = "no ARN of an SES identity" if _is_wrong(faults) else ""
        if not wrong:
            for what, value, ours in (
                ("identity", owned.name, self._named.name),
                ("account", owned.account, self._account),
                ("Region", owned.region, self._region),
            ):
                wrong = wrong or (f"of another {what} than the record's, {shown(ours)}" if value != ours else "")
        if wrong:
            message = f"Resource {shown(text.value)} is {wrong}, so it has no place in the new account and Region"
            fault = PLACE.at(text.pointer, message)
            self._problems.append(stored.as_warning(fault) if self._was_stored else fault)
            return text.value
        return self._arn(self._renamed(owned.name, text.value.partition(identity.NAMED)[2]))

    def _renamed(self, name: str, spelling: str) -> str:
        """An identity's new name, or its old one as it was spelled."""
        if new := self._mapped(self._move.identities, name):
            return new
        local, at, domain = spelling.rpartition("@")
        new = self._mapped(self._move.identities, domain.lower()) if at else ""
        return f"{local}@{new}" if new else spelling

    def _arn(self, name: str) -> str:
        return identity.arn_of(self._to_partition, self._to_region, self._to_account, name)

    def _value(self, value: str) -> str:
        """An account id, a Region, an ARN or an address as it would be in the new place; any other text as it is."""
        if value == self._account or value in self._move.accounts:
            return self._account_of(value)
        if value == self._region or value in self._move.regions:
            return self._region_of(value)
        parts = value.split(":", 5)
        if len(parts) == 6 and parts[0] == "arn":
            place = parts[3], parts[4]
            parts[3], parts[4] = self._region_of(parts[3]), self._account_of(parts[4])
            if (parts[3], parts[4]) != place and parts[1] == self._partition:
                parts[1] = self._to_partition  # of what does not move, the partition does not either
            kind, slash, name = parts[5].partition("/")
            if parts[2] == "ses" and kind == "identity":
                parts[5] = kind + slash + self._renamed(identity.canonical_name(name), name)
            return ":".join(parts)
        return self._renamed(identity.canonical_name(value), value) if self._move.identities else value

    def _account_of(self, account: str) -> str:
        known = self._mapped(self._move.accounts, account)
        return known or (self._to_account if account == self._account else account)

    def _region_of(self, region: str) -> str:
        known = self._mapped(self._move.regions, region)
        return known or (self._to_region if region == self._region else region)

    def _mapped(self, known: Mapping[str, str], old: str) -> str:
        """Where a map says that this goes; empty if it says nothing."""
        if old in known:
            self._move.matched.add(old)
        return known.get(old, "")

    def _note(self, where: str, old: str, new: str) -> None:
        if old and old != new:
            self._moved.append(Moved(where, old, new))


def _names(value: str, place: str) -> bool:
    """Whether a value has an account or a Region somewhere within it, as a word of its own."""
    return place in value and re.search(rf"(?<![A-Za-z0-9]){re.escape(place)}(?![A-Za-z0-9])", value) is not None


def _is_wrong(faults: Iterable[Finding]) -> bool:
    return any(fault.severity is Severity.ERROR for fault in faults)


def _disagrees(record: Record, named: Identity) -> bool:
    """Whether the columns name another place than the identity's ARN: where it is now, nobody knows."""
    said = ((record.account or "").strip(), named.account), ((record.region or "").strip(), named.region)
    return any(column and of_arn and column != of_arn for column, of_arn in said)


def _is_object(text: str) -> bool:
    parsed = grammar.parse(text)
    return parsed.is_json and isinstance(parsed.value, dict)


def _part(text: Text) -> str:
    """The element of a statement whose value (never a key) this string belongs to."""
    path = text.path
    if text.is_key or len(path) < 2 or path[0] != "Statement":
        return ""
    element = path[2] if isinstance(path[1], int) and len(path) > 2 else path[1]
    return element if isinstance(element, str) else ""
