"""Settings as options: dataclasses become arguments of a command, and the values given to it become dataclasses.

A command takes the headings that it has as parameters, whole or in :class:`Part`; those of the command line alone
stand here where several commands have them, else with their command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from functools import cache, wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

import typer

from batchpol.cli.completion import completing
from batchpol.cli.spelling import OPPOSITES, flag, opposite, spelled
from batchpol.fleet.engines import shard_of
from batchpol.model.errors import UsageError
from batchpol.model.settings import Patience, setting
from batchpol.model.shard import Shard

Input = Annotated[
    str, typer.Argument(metavar="INPUT", help="CSV, TSV or JSON Lines, also .gz, or - for stdin (JSON Lines).")
]
JournalFile = Annotated[Path, typer.Argument(metavar="JOURNAL", help="Of a run that ended, was killed or goes on.")]


class Part:
    """Some of a heading's settings, for an annotation.

    Args:
        only: names; without any, all.
        but: all but these.
        help: what a setting's help says here, where that is not what it says elsewhere.
    """

    def __init__(self, *only: str, but: tuple[str, ...] = (), **help: str) -> None:
        self._only, self._but, self.help = only, but, help

    def of(self, heading: Any) -> Iterator[Field[Any]]:
        for it in fields(heading):
            if "help" in it.metadata and it.name not in self._but and (not self._only or it.name in self._only):
                yield it


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How fast SES is asked, as people say it."""

    HEADING: ClassVar[str] = "Pace and patience"

    rate: float | None = setting(None, "Requests a second, if not one.", metavar="PER_SECOND", min=0.01, max=1000)
    higher_quota: bool = setting(False, "Allow a `rate` of more than one.")

    def paced(self, patience: Patience) -> Patience:
        """At this rate, if one was given; one of more than one a second has to be confirmed."""
        if self.rate is not None and self.rate > 1 and not self.higher_quota:
            raise UsageError(
                f"SES allows one request a second, and `rate` asks for {self.rate:g}",
                hint="add `higher_quota` if AWS raised the quota of this account",
            )
        return replace(patience, period=1 / self.rate) if self.rate else patience


@dataclass(frozen=True, kw_only=True)
class Embedded:
    HEADING: ClassVar[str] = "Where"

    sandbox: bool = setting(False, "Run against an embedded SES: no account, nothing real.")


@dataclass(frozen=True, kw_only=True)
class Form:
    HEADING: ClassVar[str] = "Journal, report and output"

    output: str = setting("text", "Form of the summary on standard output.", metavar="text|json")

    def __post_init__(self) -> None:
        *others, last = known = next(it for it in fields(self) if it.name == "output").metadata["metavar"].split("|")
        if self.output not in known:
            raise UsageError(f"`output` is {', '.join(others)} or {last}, not {self.output!r}")

    @property
    def is_json(self) -> bool:
        return self.output == "json"


@dataclass(frozen=True, kw_only=True)
class Lines:
    HEADING: ClassVar[str] = "Journal, report and output"

    output: str = setting("-", "JSON Lines; - is stdout.", metavar="FILE", short="o")


@dataclass(frozen=True, kw_only=True)
class Quiet:
    HEADING: ClassVar[str] = "Journal, report and output"

    quiet: bool = setting(False, "No progress; errors are shown all the same.", short="q")


@dataclass(frozen=True, kw_only=True)
class RowReport:
    HEADING: ClassVar[str] = "Journal, report and output"

    report: Path | None = setting(None, "One JSON line a record, *.jsonl.", metavar="FILE")

    @property
    def reports(self) -> tuple[Path, ...]:
        return (self.report,) if self.report is not None else ()


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer wants it: an option for each setting of the dataclasses among its parameters."""
    groups: dict[str, tuple[Any, list[Field[Any]]]] = {}
    parameters = []
    for name, hint in get_type_hints(command, include_extras=True).items():
        heading, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if is_dataclass(heading):
            part = next((it for it in marks if isinstance(it, Part)), Part())
            groups[name] = heading, list(part.of(heading))
            parameters += [_parameter(heading, it, part.help) for it in groups[name][1]]
        elif name != "return":
            parameters.append(signature(command).parameters[name].replace(annotation=hint))

    @wraps(command)
    def run(**given: Any) -> None:
        made = {name: heading(**_values(own, given)) for name, (heading, own) in groups.items()}
        command(**given, **made)

    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {it.name: it.annotation for it in parameters}
    return run


def _parameter(heading: Any, it: Field[Any], help: Mapping[str, str]) -> Parameter:
    """The parameter from which Typer makes the option of one setting."""
    more, kind, default = dict(it.metadata), _types(heading)[it.name], it.default
    names = [flag(it.name)]
    if it.name in OPPOSITES:
        names, default = [f"{opposite(it.name)}/{flag(it.name)}"], not default
    elif default is True:
        names = [f"{flag(it.name)}/{opposite(it.name)}"]
    names += more.pop("also", ())
    if short := more.pop("short", ""):
        names.append(f"-{short}")
    if get_origin(kind) is tuple:
        kind, default = list[get_args(kind)[0]] | None, None  # type: ignore[misc]
    elif Path in get_args(kind):
        kind = Path | None
    more["help"] = spelled(help.get(it.name, more["help"]))
    complete = completing(it.name, more.get("metavar", ""))
    more |= {"parser": _PARSERS.get(it.name), "autocompletion": complete, "rich_help_panel": heading.HEADING}
    option = typer.Option(*names, **more)
    return Parameter(_argument(it.name), Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


@cache
def _types(heading: Any) -> dict[str, Any]:
    return get_type_hints(heading)


def _argument(setting: str) -> str:
    """How the parameter of a setting is called: a switch that is typed to turn it off, after that."""
    return OPPOSITES.get(setting, setting)


def _values(own: list[Field[Any]], given: dict[str, Any]) -> dict[str, Any]:
    """The settings' values, taken out of the options given."""
    values = {it.name: given.pop(_argument(it.name)) for it in own}
    for it in own:
        if it.name in OPPOSITES:
            values[it.name] = not values[it.name]
        elif isinstance(it.default, tuple):
            values[it.name] = tuple(values[it.name] or ())
            if it.name in _LISTED:
                values[it.name] = tuple(one for some in values[it.name] for one in some.split(",") if one.strip())
    return values


_LISTED = frozenset({"select", "ignore", "regions", "accounts", "expect_account"})
"""Settings whose values hold no commas, so that several can be given in one option, with commas between them."""


def _failures(text: str) -> float:
    """A number of records, or a share of those attempted."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    if match and float(match[1]) <= 100:
        return float(match[1]) / 100
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    raise UsageError(f"`max_failures` is a number or a percentage, not {text!r}", hint="for instance 10 or 5%")


def _seconds(text: str) -> float:
    """Seconds of ``90``, ``90s``, ``30m``, ``2h`` or ``1h30m``."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    if not match or not any(match.groups()):
        raise UsageError(f"`max_duration` is a time like 90s, 30m or 2h, not {text!r}")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600.0 + minutes * 60.0 + seconds


def _shard(text: str) -> Shard:
    return shard_of(text, os.environ)


_PARSERS: dict[str, Callable[[str], Any]] = {"max_failures": _failures, "max_duration": _seconds, "shard": _shard}
"""What reads a value that people write otherwise than programs do."""
