"""A Resource against the identity that its policy is attached to."""

from __future__ import annotations

from batchpol.identity.arn import NAMED, Identity, arn_of, canonical_name, read_arn, read_head
from batchpol.identity.place import OWN, partition_of
from batchpol.model import Finding, Rule, Severity, Target, rules_in, shown

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_ANATOMY = "SES Developer Guide, Policy anatomy"

RESOURCE_ARN = Rule(
    "resource-arn",
    _ERROR,
    "Resource is not the ARN of an SES identity",
    _ANATOMY,
    "Each policy has to specify one resource, and that has to be the ARN of the identity it is attached to.",
    bad="example.com",
    good=OWN,
)
RESOURCE_WILDCARD = Rule(
    "resource-wildcard",
    _ERROR,
    "A wildcard in Resource",
    _ANATOMY,
    "Resource has to be the one identity's own ARN, so neither * nor a pattern will do; in an address such as "
    "a*b@example.com they are characters like any other.",
    bad="*",
    good=OWN,
)
RESOURCE_MISMATCH = Rule(
    "resource-mismatch",
    _ERROR,
    "Resource is another identity, account, Region or partition",
    _ANATOMY,
    "Resource has to be the ARN of the very identity that the policy is attached to. Account and Region are "
    "compared where the record or the run says them.",
    bad=OWN.replace("com", "org"),
    good=OWN,
)
RESOURCE_CASE = Rule(
    "resource-case",
    _WARNING,
    "Resource spells the domain in another case",
    "SES Developer Guide: domains are case-insensitive; how Resource is compared is not documented",
    "Domains have no case, but SES may compare the ARN as text.",
    bad=OWN.replace("example", "Example"),
    good=OWN,
)

RULES = rules_in(vars())


class PolicyOwner:
    """The identity a policy is attached to, with as much of its account and Region as is known ("" for not).

    Without an identity (None: its own text is faulty) every identity's ARN will do. ``check`` is handed every
    Resource of the document and remembers in ``places`` which accounts and Regions they name, and in ``accepted``
    the last one that was right.
    """

    __slots__ = ("accepted", "account", "arn", "name", "partition", "places", "region")

    def __init__(self, identity: Identity | None, target: Target) -> None:
        self.account = account = target.account
        self.region = region = target.region
        self.name = identity.name if identity else None
        self.partition = (identity.partition if identity else "") or (partition_of(region) if region else "")
        self.places: set[tuple[str, str]] = set()
        self.arn = self.accepted = ""
        if identity and region and account and self.partition:
            self.arn = arn_of(self.partition, region, account, identity.name)

    def check(self, resource: str) -> tuple[Finding, ...]:
        """A Resource: the owner's own ARN, or what is wrong with it (``where`` is empty)."""
        if resource and resource == self.arn:
            return ()
        start, _, name = resource.partition(NAMED)
        head = read_head(start)
        # In the identity's own local part they are characters like any other.
        if ("*" in resource or "?" in resource) and not (head and name == self.name):
            return (RESOURCE_WILDCARD.at("", f"Resource {shown(resource)} has a wildcard", self._hint()),)
        if not head or not name or head.has_error:
            return self._unusable(resource)
        wrong = ""
        if name != self.name and self.name and canonical_name(name) != self.name:
            wrong = "identity"
        elif head.account != self.account and self.account:
            wrong = "account"
        elif head.region != self.region and self.region:
            wrong = "Region"
        elif head.partition != self.partition and self.partition:
            wrong = "partition"
        if wrong:
            return (RESOURCE_MISMATCH.at("", f"Resource {shown(resource)} is of another {wrong}", self._hint()),)
        self.places.add((head.account, head.region))
        self.accepted = resource
        doubts = () if head.region == self.region else head.findings
        return doubts if name == (self.name or name) else (*doubts, self._miscased(resource))

    def _unusable(self, resource: str) -> tuple[Finding, ...]:
        """A Resource that is no identity's ARN at all."""
        errors = [it.message for it in read_arn(resource)[1] if it.severity is _ERROR]
        message = f"Resource {shown(resource)} is no identity's ARN: {'; '.join(dict.fromkeys(errors))[:300]}"
        return (RESOURCE_ARN.at("", message, self._hint()),)

    def _miscased(self, resource: str) -> Finding:
        return RESOURCE_CASE.at("", f"Resource {shown(resource)} spells the domain in another case", self._hint())

    def _hint(self) -> str:
        region, account, name = self.region or "REGION", self.account or "ACCOUNT", self.name or "IDENTITY"
        return f"SES needs the Resource {arn_of(self.partition or 'aws', region, account, name)}"[:400]
