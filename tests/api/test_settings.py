"""The settings of the API are those of the command, by their own names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import batchpol
from batchpol.sandbox import Owner
from batchpol.testing import Sandbox
from tests.api.conftest import ACCOUNT, SOON, item
from tests.api.settings import API, filled


def test_the_types_are_those_of_the_settings() -> None:
    text = API.read_text(encoding="utf-8")
    assert filled(text) == text, "run: python -m tests.api.settings"


async def test_a_program_prunes_as_the_command_does(ses_sandbox: Sandbox) -> None:
    await batchpol.apply([item("a.example"), item("a.example", "tenant-old"), item("a.example", "other")], period=SOON)
    pruning = {"prune": True, "prune_prefix": "tenant", "period": SOON}
    planned = await batchpol.plan([item("a.example")], **pruning)
    assert [(it.effect, it.policy_name) for it in planned] == [("unchanged", "tenant"), ("delete", "tenant-old")]
    await batchpol.apply([item("a.example")], **pruning)
    assert set(ses_sandbox.store.get(Owner(ACCOUNT, "us-east-1", "a.example"))) == {"tenant", "other"}


async def test_the_format_of_a_file_whose_name_does_not_say_it(tmp_path: Path) -> None:
    (tmp_path / "records").write_text('{"identity": "a.example", "policy_name": "n", "action": "delete"}\n')
    (checked,) = await batchpol.validate(tmp_path / "records", format="jsonl", region="us-east-1", account=ACCOUNT)
    assert checked.change is not None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prune": True, "compare": False}, "`prune` deletes what is there, and with `compare=False` no copy"),
        ({"prune_prefix": "x"}, "nothing is pruned without `prune`"),
        ({"plan": True}, "apply has no setting plan"),
        ({"access_key": "x", "accounts": ["1"]}, "apply has no setting access_key, accounts"),
        ({"period": -1}, "`period` takes a number of seconds, at least 0, not -1"),
    ],
)
async def test_an_error_names_the_setting_as_it_was_given(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(batchpol.UsageError, match=said):
        await batchpol.apply([], **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_duration": "5m"}, '`max_duration` takes a number of seconds, at least 0, not "5m"'),
        ({"region": ["eu-west-1"]}, "`region` takes text, not a list"),
        ({"regions": 7}, "`regions` takes text, or several in a list, not 7"),
        ({"reports": "x.csv"}, '`reports` takes paths in a list, not "x.csv"'),
        ({"reports": [7]}, "`reports` takes paths in a list, not 7"),
        ({"expect_account": 123456789012}, "`expect_account` takes text, or several in a list, not 123456789012"),
        ({"expect_account": [123456789012]}, "`expect_account` takes text, or several in a list, not 123456789012"),
        ({"max_failures": "5%"}, '`max_failures` takes a number of records or, between 0 and 1, a share .* not "5%"'),
        ({"max_failures": 2.5}, "`max_failures` takes a number of records or, between 0 and 1"),
        ({"limit": -1}, "`limit` takes a whole number, at least 0, not -1"),
        ({"limit": True}, "`limit` takes a whole number, at least 0, not true"),
        ({"limit": 1.5}, "`limit` takes a whole number, at least 0, not 1.5"),
        ({"max_attempts": 0}, "`max_attempts` takes a whole number, at least 1, not 0"),
        ({"max_outage": float("nan")}, "`max_outage` takes a number of seconds, at least 0, not nan"),
        ({"compare": "no"}, '`compare` takes True or False, not "no"'),
        ({"journal": 7}, "`journal` takes a path, not 7"),
        ({"policy_template": 7}, "`policy_template` takes a path, or the document itself, not 7"),
        ({"profile": b"mine"}, "`profile` takes text, not"),
        ({"journal": ""}, '`journal` takes a path, not ""'),
        ({"journal": "a\0b"}, "`journal` takes a path, not"),
        ({"facts": "\ud800"}, "`facts` takes a path, not"),
        ({"limit": "\ud800"}, "`limit` takes a whole number, at least 0, not"),
        ({"session": 7}, "`session` takes one of aiobotocore's, not 7"),
        ({"period": float("inf")}, "`period` is a time in seconds, more than 0"),
        ({"observer": print}, "observer takes a batchpol.ContactObserver"),
    ],
)
async def test_a_value_of_a_wrong_type_is_told_what_the_setting_takes(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(batchpol.UsageError, match=said):
        await batchpol.apply([], **settings)
