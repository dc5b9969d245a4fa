"""The command, run in this process against a sandbox: the round trip, what is picked, what goes wrong, going on."""

from __future__ import annotations

import json
import re
import shlex
import stat
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from batchpol.sandbox.store import Owner
from tests.e2e.command import ACCOUNT, REGION, policy, record
from tests.place import LIST, PAGE, PUT, READ, Place

OTHER = "222222222222"
ROLE = "arn:aws:iam::{account}:role/Reader"
PATH = "out.jsonl"
PARTIAL = Path("out.jsonl.partial")


def fill(place: Place, count: int, *, account: str = ACCOUNT, region: str = REGION) -> list[str]:
    """Identities with two policies each, straight in the store."""
    names = [f"t{number:02}.example" for number in range(count)]
    for name in names:
        document = policy(name, account=account, region=region)
        for policy_name in ("one", "two"):
            place.sandbox.store.put(Owner(account, region, name), policy_name, json.dumps(document))
    return names


def rows(text: str) -> list[tuple[str, str]]:
    return [(row["identity"], row["policy_name"]) for row in map(json.loads, text.splitlines())]


def read(place: Place, operation: str = LIST) -> list[str]:
    return [arrival.identity for arrival in place.arrivals(operation)]


def test_what_was_exported_is_taken_back_unchanged(place: Place) -> None:
    records = [record(f"tenant{number}.example", f"p-{number % 3}") for number in range(8)]
    records += [record("tenant1.example", "another"), record("Sales@tenant1.example"), record("=x@tenant1.example")]
    place.save("in.jsonl", records)
    place.run("apply", "in.jsonl")
    place.put("spaced.example", "as-it-is", policy("spaced.example"))  # json.dumps leaves blanks in it
    there = place.there
    place.forget_arrivals()
    ended = place.run("export", "-o", PATH)
    found = place.report(PATH)
    assert {(row["identity"], row["policy_name"]): row["policy"] for row in found} == there
    assert {(row["account"], row["region"]) for row in found} == {(ACCOUNT, REGION)}
    assert [row["identity"] for row in found] == sorted(row["identity"] for row in found)
    assert "exported 12 policies of 11 identities to out.jsonl" in ended.err
    assert place.calls == {PAGE: 1, LIST: 11, READ: 11}
    assert place.run("validate", PATH).out.startswith("12 valid, 0 rejected")
    place.run("apply", PATH, "--report", "report.jsonl")
    assert place.statuses("report.jsonl") == {"unchanged": 12}
    assert not place.arrivals(PUT)


def test_standard_output_has_the_rows_and_nothing_else(place: Place) -> None:
    fill(place, 5)
    ended = place.run("export")
    assert place.run("export", "-o", PATH, "-q").err == ""
    assert ended.out == Path(PATH).read_text()
    assert len(rows(ended.out)) == 10
    assert f"account {ACCOUNT}" in ended.err
    assert "5 identities; 5 to read, about 0 s at one every 0.002 s" in ended.err
    assert stat.S_IMODE(Path(PATH).stat().st_mode) == 0o600
    assert not PARTIAL.exists()


def test_identities_are_listed_page_by_page(place: Place) -> None:
    place.sandbox.store.registered.update(Owner(ACCOUNT, REGION, f"i{number:04}.example") for number in range(2001))
    fill(place, 3)
    ended = place.run("export", "--match", "t??.example")
    assert place.calls == {PAGE: 3, LIST: 3, READ: 3}
    assert "2,004 identities, 3 of them match; 3 to read" in ended.err
    assert len(rows(ended.out)) == 6


def test_named_identities_are_read_without_listing(place: Place) -> None:
    fill(place, 4)
    arn = f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/t03.example"
    picked = ("--identity", "T01.example", "--identity", arn, "--identity", "none.example", "--identity", "t01.example")
    ended = place.run("export", *picked, "--match-name", "tw*")
    assert rows(ended.out) == [("t01.example", "two"), ("t03.example", "two")]
    assert place.calls == {LIST: 3, READ: 2}
    assert re.search(r"exported 2 policies of 2 identities in .*; 1 identity without$", ended.err.rstrip())


def test_nothing_there_is_an_empty_export(place: Place) -> None:
    ended = place.run("export", "-o", PATH)
    assert Path(PATH).read_bytes() == b""
    assert "0 identities; nothing to read" in ended.err
    assert place.calls == {PAGE: 1}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-o", "out.csv"), "let its name end in .jsonl"),
        (("--identity", "a.example", "--match", "*"), "use one"),
        (("--identity", "not an identity"), "is no address, domain or ARN"),
        (("--identity", f"arn:aws:ses:eu-west-1:{ACCOUNT}:identity/a.example"), "of another account or Region"),
        (("--account", OTHER), "add --role-arn"),
        (("--account", "12"), "12 digits"),
        (("--account", OTHER, "--account", ACCOUNT, "--role-arn", f"arn:aws:iam::{OTHER}:role/x"), "{account}"),
        (("--expect-account", OTHER), "not to the expected"),
        (("-o", "nowhere/out.jsonl"), "in a folder that is not there"),
        (("-o", "folder.jsonl"), "name another file with --output"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(
    place: Place, arguments: tuple[str, ...], told: str
) -> None:
    fill(place, 1)
    (place.folder / "folder.jsonl").mkdir()
    assert told in place.run("export", *arguments, code=2).err
    assert not place.arrivals()
    assert not list(place.folder.glob("out*"))


def test_more_than_one_a_second_must_be_confirmed(place: Place) -> None:
    from tests import place as module

    faster = module.PACED.pop("export")
    try:
        assert "--i-have-a-higher-quota" in place.run("export", "--rate", "5", code=2).err
    finally:
        module.PACED["export"] = faster


def test_targets_are_read_at_once_and_written_in_order(place: Place) -> None:
    wanted = [(account, region) for account in (ACCOUNT, OTHER) for region in ("eu-west-1", REGION)]
    for account, region in wanted:
        fill(place, 3, account=account, region=region)
    place.sandbox.change(latency_ms=10)
    line = ("--region", REGION, "--region", "eu-west-1", "--account", OTHER, "--account", ACCOUNT, "--role-arn", ROLE)
    ended = place.run("export", *line, "-o", PATH)
    found = place.report(PATH)
    assert list(dict.fromkeys((row["account"], row["region"]) for row in found)) == wanted
    assert len(found) == 4 * 3 * 2
    came = [(it.account, it.region) for it in place.arrivals(READ)]
    assert Counter(came) == dict.fromkeys(wanted, 3)
    assert len(set(came[:6])) > 1, "one target after the other"
    assert place.run("export", *line).out == Path(PATH).read_text()
    for account, region in wanted:
        assert f"{account}/{region}: 3 identities" in ended.err


def test_a_target_that_is_denied_stops_alone_and_says_what_is_wanting(place: Place) -> None:
    fill(place, 3)
    for operation, told in (
        (PAGE, "give the caller ses:ListIdentities, or name the identities with --identity"),
        (LIST, "give the caller ses:ListIdentityPolicies"),
        (READ, "give the caller ses:GetIdentityPolicies"),
    ):
        place.forget_arrivals()
        place.sandbox.change(faults={f"access_denied@{operation}": 1.0})
        ended = place.run("export", "-o", PATH, code=3)
        assert told in ended.err
        assert not Path(PATH).exists()
        assert not PARTIAL.exists(), "it has nothing in it"
        assert place.calls[operation] <= 8


def test_what_was_read_of_other_targets_is_kept_when_one_stops(place: Place) -> None:
    fill(place, 3)
    fill(place, 3, account=OTHER)
    place.sandbox.change(faults_at={f"access_denied@{PAGE}": {2}})
    both = ("--account", ACCOUNT, "--account", OTHER, "--role-arn", ROLE, "-o", PATH)
    ended = place.run("export", *both, code=3)
    assert "stopped: User" in ended.err
    assert f"to go on, run the same command again; what was read is in {PARTIAL}" in ended.err
    assert len(PARTIAL.read_bytes().splitlines()) == 1 + 3
    place.sandbox.change(faults_at={})
    place.forget_arrivals()
    place.run("export", *both)
    assert len(place.report(PATH)) == 12
    assert place.calls == {PAGE: 2, LIST: 3, READ: 3}
    assert not PARTIAL.exists()


def test_faults_on_the_way_lose_nothing(place: Place) -> None:
    fill(place, 30)
    faults = {"server_error": 0.1, "reset_before": 0.1, "reset_after": 0.1, "malformed": 0.05, "throttle": 0.1}
    place.sandbox.change(faults=faults)
    place.run("export", "-o", PATH)
    assert Counter(name for name, _ in rows(Path(PATH).read_text())) == {f"t{n:02}.example": 2 for n in range(30)}


def test_a_storm_of_throttling_is_waited_out(place: Place) -> None:
    fill(place, 3)
    place.sandbox.change(faults_at={f"throttle@{READ}": range(2, 20)})
    ended = place.run("export")
    assert len(rows(ended.out)) == 6
    assert "somebody else uses this quota" in ended.err


def test_an_identity_that_cannot_be_read_is_named_and_the_others_are_exported(place: Place) -> None:
    names = fill(place, 4)
    place.sandbox.change(faults_at={f"invalid_identity@{LIST}": {2}})
    ended = place.run("export", "-o", PATH, code=1)
    (bad,) = (it.identity for it in place.arrivals(LIST) if it.fault)
    assert f"not read: {bad}: InvalidParameterValue: Invalid identity." in ended.err
    assert f"1 identity could not be read; for those alone: --identity {bad}" in ended.err
    assert {name for name, _ in rows(Path(PATH).read_text())} == set(names) - {bad}
    assert not PARTIAL.exists()


def test_the_command_for_what_cannot_be_read_is_quoted_for_the_shell(place: Place) -> None:
    place.sandbox.change(faults_at={f"invalid_identity@{LIST}": {1}})
    ended = place.run("export", "--identity", "o'hara@t.example", code=1)
    assert shlex.split(ended.err.split("for those alone: ")[1]) == ["--identity", "o'hara@t.example"]


def interrupted(place: Place, *arguments: str) -> list[str]:
    """An export that stops after some identities; returns those that were read."""
    place.sandbox.change(faults_at={f"access_denied@{READ}": range(5, 99)})
    place.run("export", "-o", PATH, "--rate", "50", *arguments, code=3)
    place.sandbox.change(faults_at={})
    place.forget_arrivals()
    return [json.loads(line)["identity"] for line in PARTIAL.read_bytes().splitlines()[1:]]


def test_the_same_command_goes_on_and_reads_nothing_twice(place: Place) -> None:
    names = fill(place, 12)
    place.sandbox.store.registered.add(Owner(ACCOUNT, REGION, "none.example"))
    Path(PATH).write_text("old\n")
    known = interrupted(place)
    assert 1 <= len(known) < 12
    assert Path(PATH).read_text() == "old\n", "the old one stays until the new one is complete"
    assert stat.S_IMODE(PARTIAL.stat().st_mode) == 0o600
    ended = place.run("export", "-o", PATH)
    assert f"{len(known)} identities read before" in ended.err
    assert f"{len(known)} were read before; {13 - len(known)} to read" in ended.err
    assert sorted(read(place)) == sorted({*names, "none.example"} - set(known))
    assert [name for name, _ in rows(Path(PATH).read_text())] == [name for name in names for _ in range(2)]
    assert not PARTIAL.exists()


def test_after_one_that_may_have_been_killed_just_now_it_waits_a_period(place: Place) -> None:
    fill(place, 5)
    interrupted(place)
    place.run("export", "-o", PATH, "--rate", "2.5", "--no-share")
    times = {it.operation: it.at for it in reversed(list(place.sandbox.arrivals))}
    assert times[PAGE] - times["GetCallerIdentity"] > 0.38


def test_what_is_gone_since_is_left_out_and_what_is_new_is_read(place: Place) -> None:
    fill(place, 6)
    known = interrupted(place)
    place.sandbox.store.forget(Owner(ACCOUNT, REGION, known[0]))
    place.put("new.example", "one", policy("new.example"))
    place.run("export", "-o", PATH)
    found = {name for name, _ in rows(Path(PATH).read_text())}
    assert known[0] not in found
    assert "new.example" in found
    assert set(known[1:]) < found


def test_another_selection_is_refused_and_fresh_begins_anew(place: Place) -> None:
    fill(place, 6)
    known = interrupted(place)
    for arguments in (("--match", "t*"), ("--region", "eu-west-1")):
        ended = place.run("export", "-o", PATH, *arguments, code=2)
        assert "belongs to another export" in ended.err
        assert "--fresh" in ended.err
        assert not place.arrivals()
    ended = place.run("export", "-o", PATH, "--fresh")
    assert "note: what an earlier export had read is now out.jsonl.partial." in ended.err
    assert set(known) < set(read(place))
    (aside,) = place.folder.glob("out.jsonl.partial.*")
    assert len(aside.read_bytes().splitlines()) == 1 + len(known)


def test_a_torn_line_is_read_again(place: Place) -> None:
    fill(place, 8)
    known = interrupted(place)
    PARTIAL.write_bytes(PARTIAL.read_bytes()[:-5])
    ended = place.run("export", "-o", PATH)
    assert "was cut off; that identity is read again" in ended.err
    assert known[-1] in read(place)
    assert len(rows(Path(PATH).read_text())) == 16


@pytest.mark.parametrize("name", [PATH, str(PARTIAL)])
def test_links_are_refused(place: Place, name: str) -> None:
    Path("elsewhere").write_text("mine\n")
    Path(name).symlink_to("elsewhere")
    assert "symbolic link" in place.run("export", "-o", PATH, code=2).err
    assert Path("elsewhere").read_text() == "mine\n"


def test_text_from_ses_is_not_obeyed_by_the_terminal(place: Place) -> None:
    place.sandbox.store.registered.add(Owner(ACCOUNT, REGION, "a\x1b[2Jb.example"))
    place.sandbox.change(faults_at={f"invalid_identity@{LIST}": {1}})
    ended = place.run("export", code=1)
    assert "\x1b" not in ended.err
    assert "not read: a" in ended.err


def test_rows_come_as_they_are_read_in_the_order_of_the_listing(place: Place) -> None:
    """But for what SES did not answer for at first: that comes last, where the file has it in its place."""
    names = fill(place, 20)
    place.sandbox.change(faults_at={f"server_error@{READ}": range(3, 80)})
    ended = place.run("export")
    found = list(dict.fromkeys(name for name, _ in rows(ended.out)))
    assert sorted(found) == names
    assert sum(later < earlier for earlier, later in pairwise(found)) == 1
    place.sandbox.change(faults={"reset_before": 0.2, "throttle": 0.2})
    place.run("export", "-o", PATH)
    assert [name for name, _ in rows(Path(PATH).read_text())] == [name for name in names for _ in range(2)]
