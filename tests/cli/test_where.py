"""The places that a run writes to are said before the question, and held against the accounts that are expected."""

from __future__ import annotations

import re

import pytest

import batchpol
from batchpol.model import Target
from batchpol.model.errors import TargetMismatch
from batchpol.sandbox.store import Owner
from tests.e2e.command import ACCOUNT, policy, record
from tests.place import Place, Record

OTHER, THIRD = "222233334444", "333344445555"
ROLE = ("--role-arn", "arn:aws:iam::{account}:role/Writer")


def of(account: str, number: int = 0, region: str = "us-east-1") -> Record:
    identity = f"t{number}.example"
    document = policy(identity, account=account, region=region)
    return record(identity, policy=document, account=account, region=region)


@pytest.mark.parametrize("command", ["apply", "plan"])
def test_records_elsewhere_by_their_columns(place: Place, command: str) -> None:
    """All of them in eu-west-1, and it said "Region us-east-1"."""
    place.save("in.jsonl", [of(ACCOUNT, number, "eu-west-1") for number in range(3)])
    said = place.run(command, "in.jsonl").err
    assert f"\n  {ACCOUNT}/eu-west-1: 3\n" in said
    assert "Region us-east-1" not in said
    if command == "apply":
        assert f"\n  {ACCOUNT}/eu-west-1: 0 of 3 left\n" in place.run("status", "in.journal.jsonl").out


def test_the_caller_s_own_place_is_said_in_one_line(place: Place) -> None:
    place.save("in.jsonl", [of(ACCOUNT)])
    said = place.run("apply", "in.jsonl").err
    assert re.match(rf"account {ACCOUNT}, caller \S+, Region us-east-1 at ", said)
    assert f"{ACCOUNT}/us-east-1" not in said


def test_of_many_places_the_others_are_counted(place: Place) -> None:
    place.save("in.jsonl", [of(f"{number:012}", number) for number in range(1, 31)])
    said = place.run("plan", "in.jsonl", *ROLE).err
    assert said.count("/us-east-1: 1\n") == 20
    assert "  ... and 10 more\n" in said


@pytest.mark.parametrize("command", ["apply", "plan"])
def test_every_target_is_held_against_the_accounts_expected(place: Place, command: str) -> None:
    """With a role, an account that was not named was written to, and never shown."""
    place.save("in.jsonl", [of(OTHER), of(THIRD, 1)])
    for expected in (ACCOUNT, OTHER):
        ended = place.run(command, "in.jsonl", *ROLE, "--expect-account", expected, "--report", "r.jsonl", code=2)
        others = ", ".join(sorted({OTHER, THIRD} - {expected}))
        assert f"targets of account {others}, and expected is {expected}: nothing was sent" in ended.err
        assert not place.arrivals()
    both = ("--expect-account", OTHER, "--expect-account", THIRD)
    ended = place.run(command, "in.jsonl", *ROLE, *both)
    assert f"  {OTHER}/us-east-1: 1\n  {THIRD}/us-east-1: 1\n" in ended.err
    written = {it.account for it in place.writes}
    assert written == ({OTHER, THIRD} if command == "apply" else set())


def test_a_run_that_was_refused_has_ended(place: Place) -> None:
    place.save("in.jsonl", [of(OTHER)])
    place.run("apply", "in.jsonl", *ROLE, "--expect-account", THIRD, code=2)
    assert f"state:    there are targets of account {OTHER}" in place.run("status", "in.journal.jsonl").out
    place.run("apply", "in.jsonl", *ROLE, "--expect-account", OTHER)


def test_records_of_another_account_than_the_caller_s(place: Place) -> None:
    place.save("in.jsonl", [of(ACCOUNT), of(OTHER, 1)])
    ended = place.run("apply", "in.jsonl", "--expect-account", ACCOUNT, code=2)
    assert f"there are targets of account {OTHER}" in ended.err
    assert not place.writes


def test_an_export_of_an_account_not_expected(place: Place) -> None:
    place.sandbox.store.put(Owner(OTHER, "us-east-1", "t0.example"), "tenant", "{}")
    export = ("export", *ROLE, "--account", OTHER)
    assert "there are targets of account" in place.run(*export, "--expect-account", THIRD, code=2).err
    assert not place.arrivals()
    assert place.run(*export, "--expect-account", THIRD, "--expect-account", OTHER).out.count("\n") == 1


async def test_the_api_takes_one_account_or_several(place: Place) -> None:
    here = {"region": "us-east-1", "role_arn": ROLE[1], "period": 0.01}
    with pytest.raises(TargetMismatch, match=f"expected is {THIRD}"):
        await batchpol.apply([of(OTHER)], expect_account=THIRD, **here)
    result = await batchpol.apply([of(OTHER), of(THIRD, 1)], expect_account=[THIRD, OTHER], **here)
    assert result.exit_code == 0
    assert {Target(it.account, it.region) for it in place.writes} == {Target(it, "us-east-1") for it in (OTHER, THIRD)}
