"""``--config FILE``: defaults of options from a TOML file, read only where it is asked for.

Under ``[tool.batchpol]`` or ``[batchpol]`` an option stands by its name without the dashes; in a table named after a
command it is for that command, outside of one for every command that has it. The command line and the environment
come before the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchpol.model import did_you_mean, shown
from batchpol.model.errors import UsageError

_NOT_HERE = frozenset({"config", "help"})


def defaults_of(path: Path, command: str, commands: Mapping[str, Any]) -> dict[str, Any]:
    """What the file gives as defaults of one command's parameters, by their names.

    Args:
        path: a TOML file, also a ``pyproject.toml``.
        command: the command's name.
        commands: all commands by name, each with its parameters.

    Raises:
        UsageError: the file cannot be read, or names an option or command that there is not, or a value does not fit.
    """
    table = _table(path)
    options = {name: _options(it.params) for name, it in commands.items()}
    everywhere = {key: value for key, value in table.items() if not (key in commands and isinstance(value, dict))}
    known = {key for of_one in options.values() for key in of_one}
    _check(path, everywhere, known, known | set(commands))
    for name, own in table.items():
        if name not in everywhere:
            _check(path, own, set(options[name]), set(options[name]), f"{name}.")
    mine = options.get(command, {})
    own = table.get(command)
    chosen = {key: value for key, value in everywhere.items() if _plain(key) in mine}
    chosen |= own if isinstance(own, dict) else {}
    return dict(_value(path, key, mine[_plain(key)], value) for key, value in chosen.items())


def _table(path: Path) -> dict[str, Any]:
    """All that is ours in the file."""
    import tomllib

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the configuration {path} cannot be read: {error.strerror}", hint="check --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        hint = "see toml.io for how such a file is written"
        raise UsageError(f"the configuration {path} is no TOML: {error}", hint=hint) from error
    tool = content.get("tool")
    table = tool.get("batchpol") if isinstance(tool, dict) else None
    table = content.get("batchpol") if table is None else table
    if not isinstance(table, dict):
        hint = "put the options under [tool.batchpol], or [tool.batchpol.apply] for one command"
        raise UsageError(f"the configuration {path} has no table [tool.batchpol] or [batchpol]", hint=hint)
    return table


def _plain(key: str) -> str:
    return key.replace("_", "-")


def _options(params: list[Any]) -> dict[str, tuple[Any, bool]]:
    """Options by name, each with whether the name says the opposite (``compare`` of ``--blind/--compare``)."""
    found: dict[str, tuple[Any, bool]] = {}
    for param in params:
        if param.param_type_name != "option":
            continue
        for names, opposite in ((param.opts, False), (param.secondary_opts, True)):
            found |= {it[2:]: (param, opposite) for it in names if it.startswith("--") and it[2:] not in _NOT_HERE}
    return found


def _check(path: Path, table: Any, known: set[str], near: set[str], before: str = "") -> None:
    for key in table:
        if _plain(key) not in known:
            hint = did_you_mean(_plain(key), near) or "options are named as on the command line, without the dashes"
            raise UsageError(f"the configuration {path}: there is no option {shown(before + key)}", hint=hint)


def _value(path: Path, key: str, option: tuple[Any, bool], value: Any) -> tuple[str, Any]:
    """The parameter's name and its default, as text where it is not a switch: so it is checked like an argument."""
    param, opposite = option
    if param.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"the configuration {path}: {key} is true or false, not {shown(value)}")
        return param.name, value is not opposite
    values = value if isinstance(value, list) else [value]
    if (isinstance(value, list) and not param.multiple) or any(isinstance(it, dict | list | bool) for it in values):
        expected = "one value or a list of them" if param.multiple else "one value"
        raise UsageError(f"the configuration {path}: {key} takes {expected}, not {shown(value)}")
    return param.name, [str(it) for it in values] if param.multiple else str(value)
