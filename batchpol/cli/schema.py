"""``batchpol schema``: JSON Schemas, made from the types that the command itself reads and writes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import typer

from batchpol.cli.screen.terminal import write
from batchpol.model import Action, Finding, Outcome, Record, did_you_mean
from batchpol.model.errors import UsageError

EPILOG = (
    "Examples:\n"
    "batchpol schema record\n"
    "batchpol schema config\n"
    "For editors and for checks of your own. Exit: 0, or 2 for something that has no schema."
)

_OF = ("record", "report", "config")


def schema(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="|".join(_OF),
            help="A line of an input, a row of a report, or the configuration file.",
            autocompletion=lambda incomplete: [it for it in _OF if it.startswith(incomplete)],
        ),
    ],
) -> None:
    """Print the JSON Schema of an input's line, of a report's row, or of the configuration file."""
    from batchpol.report.rows import COLUMNS

    if what not in _OF:
        hint = did_you_mean(what, _OF) or f"there are {', '.join(_OF)}"
        raise UsageError(f"there is no schema of {what!r}", hint=hint)
    group: Any = context.find_root().command
    found = _record() if what == "record" else _row(COLUMNS) if what == "report" else _config(group.commands)
    write(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | found, indent=2))


def _schema_of(kind: Any) -> dict[str, Any]:
    (found,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    inlined = components.pop(str(found["$ref"]).rpartition("/")[2]) if "$ref" in found else found
    return dict(inlined) | ({"$defs": components} if components else {})


def _record() -> dict[str, Any]:
    """What a record has, but for what only the reader knows; any other member is an extra column."""
    documents = {"policy": str | dict[str, Any] | None, "action": Action}
    own = ("identity", "policy_name", "policy", "action", "region", "account")
    kinds = {it.name: it for it in msgspec.structs.fields(Record)}
    defaults = {name: () if kinds[name].required else (kinds[name].default,) for name in own}
    fields = [(name, documents.get(name, kinds[name].type), *defaults[name]) for name in own]
    return _schema_of(msgspec.defstruct("Record", fields))


def _row(columns: Iterable[str]) -> dict[str, Any]:
    """A row of a report in JSON Lines: what is absent is null there."""
    kinds = {it.name: it.type for it in msgspec.structs.fields(Outcome)} | {"policy_sha256": str}
    certain = ("status", "action", "attempts")
    fields = [(name, kinds[name] if name in certain else kinds[name] | None) for name in columns]
    return _schema_of(msgspec.defstruct("Row", [*fields, ("findings", list[Finding])]))


def _config(commands: dict[str, Any]) -> dict[str, Any]:
    """Every option by its name: for all commands that have it, and in a table for each of them."""
    tables = {name: _options(command.params) for name, command in commands.items()}
    everywhere = {option: kind for options in tables.values() for option, kind in options.items()}
    own = {
        name: {"type": "object", "properties": options, "additionalProperties": False}
        for name, options in tables.items()
        if options
    }
    table = {"type": "object", "properties": everywhere | own, "additionalProperties": False}
    tool = {"type": "object", "properties": {"batchpol": table}}
    return {"type": "object", "properties": {"batchpol": table, "tool": tool}}


def _options(params: Iterable[Any]) -> dict[str, Any]:
    found = dict[str, Any]()
    for param in params:
        if param.param_type_name == "option":
            for name in (*param.opts, *param.secondary_opts):
                if name.startswith("--") and name not in ("--help", "--config"):
                    found[name[2:]] = _kind(param) | ({"description": param.help} if param.help else {})
    return found


def _kind(param: Any) -> dict[str, Any]:
    """What the configuration's reader takes: it checks a value that is no switch as the command line's text."""
    if param.is_flag:
        return {"type": "boolean"}
    one: dict[str, Any] = {"type": ["string", "number"]}
    return {"anyOf": [one, {"type": "array", "items": one}]} if param.multiple else one
