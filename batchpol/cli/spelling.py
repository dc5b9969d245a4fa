"""How the command line spells settings: ``--max-duration`` for what a program calls ``max_duration``.

Everywhere else a setting is named as the API spells it, in backticks where it stands in a text for people.
"""

from __future__ import annotations

import ast
import re
import shlex

EXCEPTIONS = {
    "accounts": "account",
    "columns": "column",
    "higher_quota": "i-have-a-higher-quota",
    "identities": "identity",
    "regions": "region",
    "reports": "report",
    "variables": "var",
}
"""Settings whose option is not called like them: most may be given several times, with one value each time."""

OPPOSITES = {"compare": "blind"}
"""Switches that are on unless an option of another name is given; the others' is called ``no-…``."""

_SETTING = re.compile(r"(?<!`)`([a-z_]+)(?:=([^`]+))?`(?!`)")


def flag(setting: str) -> str:
    """The option of a setting."""
    return "--" + EXCEPTIONS.get(setting, setting.replace("_", "-"))


def opposite(setting: str) -> str:
    """The option that switches off what is on by default."""
    return "--" + OPPOSITES.get(setting, "no-" + setting.replace("_", "-"))


def spelled(text: str) -> str:
    """A text with each setting in it as it is typed: `` `format='csv'` `` is ``--format csv``."""
    return _SETTING.sub(lambda match: _typed(match[1], match[2]), text)


def _typed(setting: str, value: str | None) -> str:
    if value == "False":
        return opposite(setting)
    if value is None or value == "True":
        return flag(setting)
    return f"{flag(setting)} {shlex.quote(ast.literal_eval(value)) if value[0] == value[-1] == chr(39) else value}"


def harmless(arguments: list[str]) -> list[str]:
    """The arguments as the journal may keep them: an external id is a shared secret of two accounts."""
    secret, kept, before = flag("external_id"), [], ""
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if before == secret:
            kept.append("EXTERNAL_ID")
        else:
            kept.append(f"{secret}=EXTERNAL_ID" if name == secret and equals else argument)
        before = argument
    return kept
