"""What all commands share: help that is grouped and fits a screen, and the options that each of them has.

``--config`` and ``--log-format`` act while the command line is read, so that no command has to know of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from batchpol.cli.config import defaults_of
from batchpol.cli.screen import log
from batchpol.cli.screen.terminal import COLOURS, Colours, tell
from batchpol.model import did_you_mean, shown
from batchpol.model.errors import UsageError

HEADINGS = (
    "Input",
    "Checks",
    "What is read",
    "What is asked",
    "Where",
    "What is written",
    "Pace and patience",
    "The move",
    "Journal, report and output",
    "The server",
    "Of every command",
)
"""Headings of the help in their order; options without one come first, under ``Options``."""

EXAMPLE = "batchpol "
"""How a line of an epilog begins that is a command to type; tests run them all."""


VARIABLE = "BATCHPOL_"
"""How the name of a variable begins that an option is read from."""


class State:
    """Of this process: whether errors come with their traceback."""

    debug = False


class Command(TyperCommand):
    """A command of batchpol: with the options of every command, and its help under headings."""

    common: ClassVar[frozenset[str]] = frozenset({"debug", "config", "log_format", "color"})

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params = [*self.params, *(copy(it) for it in _common() if it.name in self.common)]
        _hide_variables(self.params)
        for param in self.params:
            _name_variable(param, self.name or "")

    def get_params(self, ctx: Any) -> list[Any]:
        return _taken_as_given(super().get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        arguments: list[Any] = [it for it in self.params if _is_argument(it)]
        given = [(it.metavar or it.name.upper(), it.help or "") for it in arguments]
        if given:
            with formatter.section("Arguments"):
                formatter.write_dl(given)
        for heading, rows in _grouped(self.get_params(ctx), ctx).items():
            with formatter.section(heading):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_epilog(self.epilog or "", formatter)


class Undebugged(Command):
    """A command without ``--debug``."""

    common = frozenset({"config", "log_format", "color"})


class Commands(Mapping[str, Any]):
    """The commands by name, each imported and made when it is asked for: to make all takes longer than most of them.

    Args:
        short: the names, each with its line in the help of the whole. The command is the function of its name in the
            module of its name, which has its ``EPILOG`` beside it.
    """

    def __init__(self, short: Mapping[str, str]) -> None:
        self.short = short
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.short:
            raise KeyError(name)
        if name not in self._made:
            module, kind = import_module(f"batchpol.cli.{name}"), Undebugged if name in _UNDEBUGGED else Command
            apart = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            call = getattr(module, name)
            apart.command(name, cls=kind, short_help=self.short[name], epilog=module.EPILOG)(call)
            self._made[name] = typer.main.get_command(apart)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.short)

    def __len__(self) -> int:
        return len(self.short)


_UNDEBUGGED = frozenset({"sandbox", "schema", "help"})


@contextmanager
def _interrupted() -> Iterator[None]:
    """Say that somebody pressed Ctrl-C, where Typer would end without a word."""
    try:
        yield
    except KeyboardInterrupt:
        tell("interrupted")
        raise typer.Exit(130) from None


class Program(TyperGroup):
    """The command as a whole."""

    short: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = Commands(self.short)

    def get_params(self, ctx: Any) -> list[Any]:
        return _taken_as_given(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.short.items()))

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        with _interrupted():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: Any) -> Any:
        with _interrupted():
            self._check_variables()
            return super().invoke(ctx)

    def _check_variables(self) -> None:
        """Refuse a variable that no option is read from: misspelt, it would be overlooked. Raises UsageError."""
        if not any(name.startswith(VARIABLE) for name in os.environ):
            return
        params = [param for command in self.commands.values() for param in command.params]
        named = [[param.envvar] if isinstance(param.envvar, str) else param.envvar or [] for param in params]
        known = {name for names in named for name in names}
        for name in sorted(os.environ):
            if name.startswith(VARIABLE) and name not in known:
                hint = did_you_mean(name, known, cutoff=0.85) or "unset it; batchpol help options says what is read"
                raise UsageError(f"no option is read from the variable {shown(name)}", hint=hint)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        params: list[Any] = self.get_params(ctx)
        _hide_variables(params)
        for it in params:
            if {"--install-completion", "--show-completion"} & set(it.opts):
                it.hidden = True  # the manual has them; the first help is to fit a screen
        rows = [record for it in params if (record := it.get_help_record(ctx)) is not None]
        with formatter.section("Options"):
            formatter.write_dl(rows)
        self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_epilog(self.epilog or "", formatter)


def _write_epilog(text: str, formatter: Any) -> None:
    """Text is wrapped; commands stand as they are, on lines of their own, to be copied."""
    formatter.write_paragraph()
    for line in text.splitlines():
        if line.startswith(EXAMPLE):
            formatter.write(f"  {line}\n")
        else:
            formatter.write_text(line)


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def _hide_variables(params: Iterable[Any]) -> None:
    """Every option has a variable of the same form: said once, not thirty times."""
    for param in params:
        param.show_envvar = False


OF_ONE_COMMAND = frozenset({"--output", "--report"})
"""Options that mean something else with each command, so that no variable gives them to all."""


def _name_variable(param: Any, command: str) -> None:
    """Have an option read from the variable of its command and own name, or else from that of its name alone.

    Several values of it are separated by blanks.
    """
    long = next((it for it in param.opts if it.startswith("--")), "")
    if long and param.envvar is None:
        name = long[2:].replace("-", "_").upper()
        everywhere = [] if long in OF_ONE_COMMAND else [f"BATCHPOL_{name}"]
        param.envvar = [f"BATCHPOL_{command.upper()}_{name}", *everywhere]
    if getattr(param, "multiple", False):  # also where they are paths: Typer would look for colons
        param.value_from_envvar = lambda ctx: (param.resolve_envvar_value(ctx) or "").split() or None


class AsGiven:
    """Makes the values of a parameter: text stays text and a default what it is; all others are Typer's to make.

    Typer 0.29 has pydantic make even these, and to import that takes 40 ms. Older ones never ask for this.
    """

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        kind = param.type_descriptor.annotation
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if kind in (int, float) and value is param.default:
            return kind(value)
        if kind is str and isinstance(value, str):
            return value
        if kind == list[str] and isinstance(value, list | tuple) and all(isinstance(it, str) for it in value):
            return [*value]
        return type(param).get_runtime_param(param).coerce(value, param=param, ctx=ctx)


def _taken_as_given(params: list[Any]) -> list[Any]:
    for param in params:
        param.get_runtime_param = AsGiven
    return params


def _grouped(params: Iterable[Any], ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """The rows of the help under their headings, these in their order."""
    found: dict[str, list[tuple[str, str]]] = {heading: [] for heading in ("Options", *HEADINGS)}
    for param in params:
        record = None if _is_argument(param) else param.get_help_record(ctx)
        if record is not None:
            of_all = "--help" in param.opts
            found[HEADINGS[-1] if of_all else getattr(param, "rich_help_panel", None) or "Options"].append(record)
    return {heading: rows for heading, rows in found.items() if rows}


def _load_config(ctx: typer.Context, path: Path | None) -> None:
    if path is None or ctx.resilient_parsing:
        return
    group: Any = ctx.find_root().command
    ctx.default_map = {**(ctx.default_map or {}), **defaults_of(path, ctx.info_name or "", group.commands)}


def _show_traceback(ctx: typer.Context, wanted: bool) -> None:
    State.debug = wanted and not ctx.resilient_parsing


def _choose_log(ctx: typer.Context, form: str) -> None:
    if ctx.resilient_parsing:
        return
    if form not in ("text", "json"):
        raise typer.BadParameter(f"it is text or json, not {form!r}")
    if form == "json":
        log.begin()


def _choose_colours(ctx: typer.Context, when: str) -> None:
    if ctx.resilient_parsing:
        return
    if when not in COLOURS:
        raise typer.BadParameter(f"it is {', '.join(COLOURS[:-1])} or {COLOURS[-1]}, not {when!r}")
    Colours.when = when


_of_all = partial(typer.Option, is_eager=True, expose_value=False, rich_help_panel=HEADINGS[-1])


@cache
def _common() -> tuple[Any, ...]:
    """The options that every command has, made as Typer makes them."""
    apart = typer.Typer(add_completion=False, rich_markup_mode=None)

    @apart.command()
    def _holder(
        debug: Annotated[
            bool, _of_all("--debug", callback=_show_traceback, help="Show the traceback of an error.")
        ] = False,
        config: Annotated[
            Path | None,
            _of_all(
                "--config", callback=_load_config, envvar="BATCHPOL_CONFIG", metavar="FILE",
                help="Take defaults of options from this TOML file.",
            ),
        ] = None,
        log_format: Annotated[
            str,
            _of_all(
                "--log-format", callback=_choose_log, metavar="text|json",
                help="Form of standard error; json is one object an event.",
                autocompletion=lambda incomplete: [it for it in ("text", "json") if it.startswith(incomplete)],
            ),
        ] = "text",
        color: Annotated[
            str,
            _of_all(
                "--color", callback=_choose_colours, metavar="auto|always|never",
                help="Colours; auto heeds NO_COLOR, FORCE_COLOR and CLICOLOR.",
                autocompletion=lambda incomplete: [it for it in COLOURS if it.startswith(incomplete)],
            ),
        ] = "auto",
    ) -> None:  # fmt: skip
        """Never called: it holds the options."""

    command: Any = typer.main.get_command(apart)
    return tuple(it for it in command.params if "--help" not in it.opts)
