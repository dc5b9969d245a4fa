"""Every setting of a run and of an export: a dataclass for each heading of the help, read by the rooms that act by it.

What :func:`setting` makes is anybody's to set: an argument of the API by its own name, and an option of the command,
a key of its configuration and a row of the manual's tables, spelled as :mod:`batchpol.cli.spelling` says. Other fields
are for the rooms among themselves. So a new option is a field here and the line that uses it.

Texts name other settings in backticks. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from batchpol.model.shard import Shard

Value = TypeVar("Value")

PERIOD = 1.0
"""Seconds between two requests of one operation: the quota of every SES action but sending (AWS's quota page)."""

FAILURES_COUNT_FROM = 20
"""Records that must have been attempted before a share of failures says anything."""


def setting(default: Value, help: str, **more: Any) -> Value:
    """A field that anybody may set.

    Args:
        help: what it does, for the command's help and the manual.
        more: what the command line wants to know besides: ``metavar``, ``min``, ``max``, ``short`` (a letter).
    """
    return field(default=default, metadata={"help": help, **more})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How the input is read, and what makes the policies or names of records that have none.

    ``columns`` says which column of a table, or key of an object, holds a field: ``field=column``, where ``template``
    is a policy, or a file of one, that is filled in. ``policy_template`` is a file, or the document itself. These and
    ``policy_name`` have columns as ``{{column}}``, and ``variables``, each ``name=value``, which all records share.
    """

    HEADING: ClassVar[str] = "Input"

    format: str | None = setting(None, "Format of INPUT, where its name does not say it.", metavar="csv|tsv|jsonl")
    columns: tuple[str, ...] = setting((), "Column or key of a field, e.g. identity=Domain.", metavar="FIELD=COLUMN")
    policy_template: Path | Mapping[str, Any] | None = setting(
        None, "JSON policy with {{column}} for records without one.", metavar="FILE"
    )
    policy_name: str | None = setting(None, "Name, also with {{column}}, of records without one.", metavar="TEXT")
    variables: tuple[str, ...] = setting((), "{{NAME}} in templates, the same for all records.", metavar="NAME=VALUE")
    limit: int | None = setting(None, "Send the first N valid changes only.", metavar="N", min=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checks:
    """Which findings count (codes or their first words), and what follows from them."""

    HEADING: ClassVar[str] = "Checks"

    strict: bool = setting(False, "Send nothing if any record is rejected.")
    select: tuple[str, ...] = setting((), "Only these findings count.", metavar="CODE")
    ignore: tuple[str, ...] = setting((), "These findings do not count.", metavar="CODE")
    warnings_as_errors: bool = setting(False, "A warning rejects its record.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What of all that is there an export reads.

    ``identities`` are names or ARNs; without any, all that SES lists and that ``match`` fits. ``match_name`` is for
    names of policies. Both are patterns with ``*``, ``?`` and ``[…]``.
    """

    HEADING: ClassVar[str] = "What is read"

    identities: tuple[str, ...] = setting((), "This identity only; may be repeated.", metavar="IDENTITY")
    match: str | None = setting(None, "Identities whose name fits only, e.g. '*.example.com'.", metavar="PATTERN")
    match_name: str | None = setting(None, "Policies whose name fits only, e.g. 'tenant-*'.", metavar="PATTERN")


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumed:
    """Where records belong that name no place, for whoever asks AWS nothing."""

    HEADING: ClassVar[str] = "Where"

    region: str | None = setting(None, "Region of records that name none.")
    account: str | None = setting(None, "Account of records that name none.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """Where SES is and as whom it is asked: what botocore would otherwise take from its environment.

    The first of ``regions`` is that of records that name none; with several, every record must name one of them.
    ``accounts`` are those of an export. The account of every target is held against ``expect_account``; the caller's
    too, where no role is assumed. ``endpoint_url`` goes to SES, and to STS too unless it is one of AWS's own hosts (a
    VPC endpoint of SES does not speak STS). ``access_key``/``secret_key`` are for an embedded SES only: with them no
    configuration file, profile or environment variable of AWS is read.
    """

    HEADING: ClassVar[str] = "Where"

    regions: tuple[str, ...] = setting(
        (), "Region, before AWS_REGION, AWS_DEFAULT_REGION and the profile's.", metavar="REGION"
    )
    accounts: tuple[str, ...] = setting(
        (), "Account in which `role_arn` is assumed; may be repeated.", metavar="ACCOUNT"
    )
    profile: str | None = setting(None, "Profile of the AWS configuration.", metavar="NAME")
    endpoint_url: str | None = setting(None, "Another SES than AWS's.", metavar="URL")
    role_arn: str | None = setting(None, "Role to assume for each account; {account} is filled in.", metavar="ARN")
    external_id: str | None = setting(None, "External id for `role_arn`.", metavar="ID")
    expect_account: tuple[str, ...] = setting((), "Refuse any other account; may be repeated.", metavar="ACCOUNT")
    facts: Path | None = setting(None, "What `batchpol probe` found out about SES in a Region.", metavar="FILE")
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    connect_timeout: float = 5.0
    read_timeout: float = 20.0

    def __post_init__(self) -> None:
        """What is empty is not set, as with an empty variable."""
        for name in ("profile", "endpoint_url", "role_arn", "external_id"):
            object.__setattr__(self, name, getattr(self, name) or None)
        for name in ("regions", "expect_account"):
            object.__setattr__(self, name, tuple(it for it in getattr(self, name) if it))

    @property
    def region(self) -> str | None:
        """The Region of the run, if one was named."""
        return self.regions[0] if self.regions else None

    @property
    def embedded(self) -> bool:
        """Whether an embedded SES is meant, so that nothing of AWS's environment counts."""
        return self.access_key is not None

    @property
    def call_timeout(self) -> float:
        """Bound on one whole attempt in seconds, name resolution and a dripping answer included."""
        return self.connect_timeout + self.read_timeout + 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Conduct:
    """What a run does besides writing, and what it leaves.

    ``compare`` reads what is there and writes only what differs. ``verify`` reads back what was written. ``staleness``
    is for how many seconds after a write reads may show what was before it. ``plan`` writes nothing.
    """

    HEADING: ClassVar[str] = "What is written"

    dry_run: bool = setting(False, "Stop before the first write.")
    compare: bool = setting(True, "Read what is there, and write only what differs.")
    no_clobber: bool = setting(False, "Create only; replace nothing.")
    only_existing: bool = setting(False, "Replace only; create nothing.")
    require_verified: bool = setting(False, "Send nothing for identities that are not verified.")
    prune: bool = setting(False, "Delete policies of INPUT's identities that INPUT does not have.")
    prune_prefix: str = setting("", "Prune only names that begin so.", metavar="PREFIX")
    verify: bool = setting(False, "Read back what was written before calling it applied.")
    staleness: float = setting(120, "How long SES's reads may show the past.", metavar="SECONDS", min=0)
    plan: bool = False

    @property
    def reads(self) -> bool:
        """Whether every change is compared with what is there."""
        return self.compare or self.no_clobber or self.only_existing or self.plan

    @property
    def only_compares(self) -> bool:
        """Whether what is read is only compared, so that a run without reading comes to the same."""
        return self.compare and not (self.plan or self.no_clobber or self.only_existing)

    @property
    def ownership(self) -> bool:
        """Whether identities are looked up, 100 a call, to tell which are not verified."""
        return self.compare or self.require_verified or self.plan


DEFERRALS = (15.0, 60.0, 180.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How fast SES is asked, how often again, and when to give up.

    ``period`` is 1 unless AWS gave the account another quota. ``max_failures`` is a number (int) or a share (float) of
    the records attempted. ``max_attempts`` are of one record (ten times as many where all that comes back is "too
    fast"), after which it is ``failed`` or ``unknown`` provided SES answers others or it is the last; ``max_outage``
    seconds in which SES takes nothing stop the lane, resumable. ``in_flight`` bounds the requests under way at once.
    """

    HEADING: ClassVar[str] = "Pace and patience"

    period: float = setting(PERIOD, "Seconds between two requests of one operation to one target.")
    shared_quota: bool = setting(False, "All operations share one limit.")
    share: bool = setting(True, "Take turns with other runs on this machine.")
    max_failures: float | None = setting(None, "Stop when more records than this failed.", metavar="N|N%")
    max_attempts: int = setting(8, "Attempts for one record.", min=1)
    max_outage: float = setting(120, "Stop when SES is silent so long.", metavar="SECONDS", min=0)
    max_duration: float | None = setting(None, "Stop after this time.", metavar="TIME")
    defer: bool = setting(True, "Try a principal that SES does not see yet again later.")
    in_flight: int = 8

    @property
    def deferrals(self) -> tuple[float, ...]:
        """Seconds after which a record is tried again whose principal SES does not see yet: it appears seconds to
        minutes after it was made."""
        return DEFERRALS if self.defer else ()

    def is_over(self, failed: int, attempted: int) -> bool:
        """Whether so many failures stop the run."""
        if self.max_failures is None or isinstance(self.max_failures, int):
            return self.max_failures is not None and failed > self.max_failures
        return attempted >= FAILURES_COUNT_FROM and failed > self.max_failures * attempted


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeping:
    """The journal and the reports of a run.

    ``journal`` None keeps the book in an unnamed temporary file: such a run cannot be resumed. With ``shard`` it is the
    folder that the workers of a batch share; with ``on``, too.
    """

    HEADING: ClassVar[str] = "Journal, report and output"

    journal: Path | None = setting(
        None, "What is written down of the run, so that the same call goes on later.", metavar="FILE"
    )
    fresh: bool = setting(False, "Set the journal aside and start over.")
    retry_failed: bool = setting(False, "Send again what SES refused.")
    reports: tuple[Path, ...] = setting((), "*.csv, *.jsonl, *.html or -, may be repeated.", metavar="FILE")
    shard: Shard | None = setting(
        None, "A part of the targets: auto, auto/N or K/N; `journal` is a folder.", metavar="K/N"
    )
    anew: bool = setting(False, "Look again at what a finished `shard` did.")
    on: str | None = setting(None, "Scheduler of Dask whose workers get the `shards`.", metavar="ADDRESS")
    shards: int | None = setting(None, "Parts for the workers of `on`.", metavar="N", min=1, max=100_000)
