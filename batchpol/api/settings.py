"""What the calls can be told: keyword arguments as a type checker sees them, and how they become a run's options."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar, get_type_hints

import msgspec

from batchpol import exporting
from batchpol.api.adopted import Adopted
from batchpol.batch.options import Options
from batchpol.fleet.engines import shard_of
from batchpol.identity import require_account
from batchpol.model import shown
from batchpol.model.errors import UsageError
from batchpol.model.settings import Assumed, Checks, Conduct, Connection, Keeping, Patience, Reading, Scope
from batchpol.model.shard import Shard
from batchpol.rewriting.template import Template
from batchpol.sending.observer import ContactObserver
from batchpol.ses import Aws

Heading = TypeVar("Heading", Connection, Scope, Patience)


def settings_of(*headings: Any, but: Collection[str] = (), only: Collection[str] = ()) -> dict[str, Any]:
    """The settings that stand under these headings, each with its type where it is acted by."""
    kinds = dict[str, Any]()
    for heading in headings:
        hints = get_type_hints(heading)
        kinds |= {it.name: hints[it.name] for it in fields(heading) if "help" in it.metadata}
    return {name: kind for name, kind in kinds.items() if name not in but and (not only or name in only)}


OF_A_RUN = (Reading, Checks, Connection, Conduct, Patience, Keeping)
RUN = settings_of(*OF_A_RUN, but={"accounts"})
"""What :func:`apply` and :func:`stream` have."""

PLANNED = settings_of(Reading, Checks, Connection, but={"limit", "strict", "accounts"}) | settings_of(
    Conduct, Patience, only={"prune", "prune_prefix", "period", "shared_quota", "share", "max_attempts", "max_outage"}
)
"""What :func:`plan` has of it."""

CONNECTING = settings_of(
    Connection, Patience, only={*settings_of(Connection), "period", "shared_quota", "share"} - {"accounts"}
)
"""What holds for all calls of a client."""

ELSEWHERE = {"on", "shards"}
"""What only :func:`apply` has, since what a client and a stream have is this process's."""

_OF_A_BATCH = {"format", "limit", "strict", "dry_run", "prune", "prune_prefix", "max_failures", "max_duration"} | {
    *("columns", "shard", "anew", *ELSEWHERE)
}
_OF_AN_EXPORT = {"accounts", "max_attempts", "max_outage", "fresh"}
SERVED = {name: kind for name, kind in RUN.items() if name not in _OF_A_BATCH | {"retry_failed", "reports"}}
"""What :class:`Client` has."""

EXPORTED = settings_of(Scope) | settings_of(Connection, Patience, Keeping, only=_OF_AN_EXPORT)
"""What :meth:`Client.export` has, and :func:`export` beside its client's."""

OFFLINE = settings_of(Assumed, Reading, Checks, but={"limit", "strict"}) | settings_of(Connection, only={"facts"})
"""What :func:`validate` has."""


class ValidateSettings(TypedDict, total=False):
    """What :func:`validate` can be told. ``region`` and ``account`` are of the records that name none."""

    # python -m tests.api.settings writes what follows, from batchpol.model.settings
    region: str | None
    account: str | None
    format: str | None
    columns: Mapping[str, str] | Iterable[str]
    policy_template: str | os.PathLike[str] | Mapping[str, Any] | None
    policy_name: str | None
    variables: Mapping[str, str] | Iterable[str]
    select: Iterable[str]
    ignore: Iterable[str]
    warnings_as_errors: bool
    facts: str | os.PathLike[str] | None


class Own(TypedDict, total=False):
    """What only a program has.

    ``session`` is the caller's own aiobotocore session, whose credentials and configuration are used. Or ``client``
    is an open SES client of aiobotocore's that does not retry by itself, with the ``account`` that it belongs to:
    all requests go through it, STS is not asked, and it stays open. ``region`` is the one of ``regions``, if it is one.
    ``observer`` is told what asking comes to, as the logger ``batchpol`` is.
    """

    session: Any
    client: Any
    account: str
    region: str | None
    observer: ContactObserver | None


class Connecting(Own, total=False):
    """Where SES is, as whom and how fast it may be asked: ``period`` is the time between two requests in seconds, 1
    unless AWS gave the account another quota."""

    # python -m tests.api.settings writes what follows, from batchpol.model.settings
    regions: Iterable[str]
    profile: str | None
    endpoint_url: str | None
    role_arn: str | None
    external_id: str | None
    expect_account: Iterable[str]
    facts: str | os.PathLike[str] | None
    period: float
    shared_quota: bool
    share: bool


class Planning(TypedDict, total=False):
    """What a plan in a client can be told: how the input is read, checked and compared.

    Times are in seconds. ``policy_template`` (a file, or the document itself) and ``policy_name``, both with
    ``{{column}}``, make what a record does not have.
    """

    # python -m tests.api.settings writes what follows, from batchpol.model.settings
    format: str | None
    columns: Mapping[str, str] | Iterable[str]
    policy_template: str | os.PathLike[str] | Mapping[str, Any] | None
    policy_name: str | None
    variables: Mapping[str, str] | Iterable[str]
    select: Iterable[str]
    ignore: Iterable[str]
    warnings_as_errors: bool
    prune: bool
    prune_prefix: str
    max_attempts: int
    max_outage: float


class Applying(Planning, total=False):
    """What a batch in a client can be told; times are in seconds.

    ``journal`` None (the default) keeps none: a run cannot be resumed then. ``compare`` (the default) reads what is
    there before it writes. ``max_failures`` is a number of records or, between 0 and 1, a share of those attempted.
    """

    # python -m tests.api.settings writes what follows, from batchpol.model.settings
    limit: int | None
    strict: bool
    dry_run: bool
    compare: bool
    no_clobber: bool
    only_existing: bool
    require_verified: bool
    verify: bool
    staleness: float
    max_failures: float | None
    max_duration: float | None
    defer: bool
    journal: str | os.PathLike[str] | None
    fresh: bool
    retry_failed: bool
    reports: Iterable[str | os.PathLike[str]]
    shard: str | tuple[int, int] | None
    anew: bool
    on: str | None
    shards: int | None


class Serving(TypedDict, total=False):
    """How a client puts and deletes, and what of it is written down, beside :class:`Connecting`.

    ``max_pending`` is how many changes may wait or be under way (10,000), ``drain`` how many seconds leaving the
    client's block gives them (10).
    """

    max_pending: int
    drain: float
    # python -m tests.api.settings writes what follows, from batchpol.model.settings
    policy_template: str | os.PathLike[str] | Mapping[str, Any] | None
    policy_name: str | None
    variables: Mapping[str, str] | Iterable[str]
    select: Iterable[str]
    ignore: Iterable[str]
    warnings_as_errors: bool
    compare: bool
    no_clobber: bool
    only_existing: bool
    require_verified: bool
    verify: bool
    staleness: float
    max_attempts: int
    max_outage: float
    defer: bool
    journal: str | os.PathLike[str] | None
    fresh: bool


class Exporting(TypedDict, total=False):
    """What an export in a client can be told: which identities, which policies, of which accounts.

    ``fresh`` reads anew what an export that was cut off has read already.
    """

    # python -m tests.api.settings writes what follows, from batchpol.model.settings
    identities: Iterable[str]
    match: str | None
    match_name: str | None
    accounts: Iterable[str]
    max_attempts: int
    max_outage: float
    fresh: bool


class PlanSettings(Connecting, Planning, total=False):
    """What :func:`plan` can be told."""


class ApplySettings(Connecting, Applying, total=False):
    """What :func:`apply` and :func:`stream` can be told: the options of ``batchpol apply``."""


class ExportSettings(Connecting, Exporting, total=False):
    """What :func:`export` can be told."""


class ClientSettings(Connecting, Serving, total=False):
    """What :class:`Client` can be told; it holds for what is called in it, too, unless that is told otherwise."""


_OF_OTHER_CONNECTIONS = {"session", "profile", "endpoint_url", "role_arn", "external_id", "region", "regions"}


def aws_of(settings: Own) -> Callable[[Connection], Aws]:
    client, account, session = settings.get("client"), settings.get("account", ""), settings.get("session")
    if session is not None and not hasattr(session, "create_client"):
        raise UsageError(f"`session` takes one of aiobotocore's, not {shown(session)}")
    if client is None:
        if account:
            raise UsageError("account is for client", hint="expect_account refuses any other than the one named")
        return partial(Aws, session=session)
    if beside := sorted(name for name in _OF_OTHER_CONNECTIONS if settings.get(name)):
        raise UsageError(f"client is a connection already, so {', '.join(beside)} has no effect", hint="leave it out")
    if not account:
        raise UsageError("with client, account must name the 12 digits of the account that it belongs to")
    require_account(account)
    return partial(Adopted, client=client, account=account)


def split(call: str, settings: Mapping[str, Any], known: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a call that stands alone: those of its client, and the others.

    Raises UsageError for one that is not known to the call.
    """
    ours = {*CONNECTING, *Own.__annotations__}
    _check_known(call, settings, {*known, *ours})
    of_client = {name: value for name, value in settings.items() if name in ours}
    return of_client, {name: value for name, value in settings.items() if name not in ours}


def options_of(call: str, settings: Mapping[str, Any], known: Collection[str], base: Options | None = None) -> Options:
    """Settings as a run's options; what is not given, or None, stays as in ``base``, or else the run's default.

    Raises UsageError for what is none of the settings known to the call, or cannot be one.
    """
    _check_known(call, settings, known)
    given = {name: _value(name, value) for name, value in settings.items() if value is not None}
    for name in {*Own.__annotations__, "max_pending", "drain"} - {"region"}:
        given.pop(name, None)
    if region := given.pop("region", None):
        given.setdefault("regions", (region,))
    options = (base or Options()).changed(given)
    return replace(options, template=Template.of(options.reading))


def export_options_of(settings: Mapping[str, Any], output: Any, base: Options) -> exporting.ExportOptions:
    """The options of an export to a file. Raises UsageError as :func:`options_of` does."""
    _check_known("export", settings, EXPORTED)
    given = {name: _value(name, value) for name, value in settings.items() if value is not None}

    def told(heading: Heading) -> Heading:
        of_it = {it.name for it in fields(heading)}
        return replace(heading, **{name: value for name, value in given.items() if name in of_it})

    path = _path("output", output, "a path")
    return exporting.ExportOptions(
        told(base.connection), told(Scope()), told(base.patience), path, fresh=given.get("fresh", False)
    )


def _check_known(call: str, settings: Mapping[str, Any], known: Collection[str]) -> None:
    if unknown := sorted(settings.keys() - set(known)):
        of_client = {*CONNECTING, *Own.__annotations__}.issuperset(unknown)
        hint = "give it to the client, for all its calls" if of_client else ""
        hint = "batchpol.apply has it" if ELSEWHERE.issuperset(unknown) else hint
        raise UsageError(f"{call} has no setting {', '.join(unknown)}", hint=hint)


_KINDS = {"region": str, "account": str, "max_pending": int, "drain": float, **RUN, **EXPORTED}
_LEAST = {"max_attempts": 1, "max_pending": 1}
_SEVERAL, _PATHS, _SHARE = (
    "text, or several in a list",
    "paths in a list",
    "a number of records or, between 0 and 1, a share of those attempted",
)
_PAIRS = {"columns", "variables"}
"""Settings of a name and a value each, which a program may give as a mapping."""
_TAKES = {bool: "True or False", int: "a whole number", float: "a number of seconds", str: "text"}


def _value(name: str, value: Any) -> Any:
    """A setting's value as the room has it that acts by it; the API takes more types than one.

    Raises UsageError for a value that it does not take.
    """
    kind = _KINDS.get(name, Any)
    if kind == tuple[Path, ...]:
        return tuple(_path(name, it, _PATHS) for it in _each(name, value, _PATHS))
    if kind == tuple[str, ...]:
        if isinstance(value, Mapping) and name in _PAIRS:
            value = [f"{key}={it}" for key, it in value.items()]
        values = (value,) if isinstance(value, str) else _each(name, value, _SEVERAL)
        return tuple(_converted(str, name, it, _SEVERAL) for it in values)
    if name == "policy_template":
        return value if isinstance(value, Mapping) else _path(name, value, "a path, or the document itself")
    if kind == Path | None:
        return _path(name, value, "a path")
    if kind == Shard | None:
        return shard_of(value, os.environ)
    if name == "max_failures":
        share = _converted(float, name, value, _SHARE)
        if 0 < share < 1:
            return share
        return _converted(Annotated[int, msgspec.Meta(ge=0)], name, int(share) if share % 1 == 0 else value, _SHARE)
    for plain, takes in _TAKES.items():
        if kind in (plain, plain | None):
            least = _LEAST.get(name, 0)
            if plain in (int, float):
                takes += f", at least {least}"
                return _converted(Annotated[plain, msgspec.Meta(ge=least)], name, value, takes)
            return _converted(plain, name, value, takes)
    return value


def _converted(kind: Any, name: str, value: Any, takes: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise UsageError(f"`{name}` takes {takes}, not {shown(value)}") from None


def _each(name: str, value: Any, takes: str) -> Iterable[Any]:
    if isinstance(value, str | os.PathLike | Mapping) or not isinstance(value, Iterable):
        raise UsageError(f"`{name}` takes {takes}, not {shown(value)}")
    return value


def _path(name: str, value: Any, takes: str) -> Path:
    try:
        if isinstance(value, str | os.PathLike) and b"\0" not in (os.fsencode(value) or b"\0"):
            return Path(value)
    except UnicodeEncodeError:
        pass
    raise UsageError(f"`{name}` takes {takes}, not {shown(value)}")
