"""Records against each other and against the run: targets, actions, duplicates, conflicts, limits, selection."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from batchpol.batch.check import RULES as ALL_RULES
from batchpol.cli import app
from batchpol.cli.validate import _explain as explain
from batchpol.model import Action, Finding, Record, Rule, Severity, Target
from batchpol.model.errors import UsageError
from batchpol.model.settings import Checks
from batchpol.policy.reader import minify
from batchpol.validation import Checked, Checker, Verdict, codes_of
from tests.validation.checks import GOOD, OWN_ARN, TARGET, checker, codes, errors, example, of_text, put

OTHER = example(Action="ses:SendRawEmail")
EU_ARN = OWN_ARN.replace("us-east-1", "eu-west-1")


def delete(identity: str = "example.com", name: str = "sending", **fields: Any) -> Record:
    return Record(identity, name, "", "delete", **fields)


def check(*records: Record, **options: Any) -> list[Checked]:
    for line, record in enumerate(records, 2):
        record.line = line
    return [*map(checker(**options).check, records)]


def fates(*records: Record, **options: Any) -> list[str]:
    """Each record's verdict after the whole batch: v(alid), r(ejected) or d(uplicate)."""
    results = check(*records, **options)
    final = [checked.status for checked in results]
    for checked in results:
        for number, status, _ in checked.amends:
            final[number] = status
    return [verdict[0] for verdict in final]


# What becomes of a valid record


def test_a_valid_record_becomes_a_change() -> None:
    record = put("Example.COM", policy=GOOD, line=7)
    checked = Checker(target=TARGET).check(record)
    change = checked.change
    assert change is not None
    assert (change.number, change.line, change.target) == (0, 7, TARGET)
    assert (change.identity, change.key_identity, change.policy_name) == ("example.com", "example.com", "sending")
    assert (change.action, change.document, change.sha256) == (Action.PUT, GOOD, sha256(GOOD.encode()).hexdigest())


def test_a_delete_needs_no_document() -> None:
    (checked,) = check(delete(OWN_ARN))
    assert checked.change is not None
    assert (checked.change.action, checked.change.document, checked.change.identity) == (Action.DELETE, "", OWN_ARN)
    assert checked.change.target == TARGET


@pytest.mark.parametrize("word", ["put", "PUT", " Put ", ""])
def test_put_in_any_spelling(word: str) -> None:
    assert check(put(action=word))[0].change is not None


@pytest.mark.parametrize(("word", "hint"), [("remove", "write put or delete"), ("delte", "did you mean delete?")])
def test_other_actions_are_errors(word: str, hint: str) -> None:
    (checked,) = check(put(action=word))
    assert [(it.code, it.where, it.hint) for it in checked.findings] == [("record-action", "action", hint)]


def test_the_document_of_a_delete_is_not_looked_at() -> None:
    (checked,) = check(Record("example.com", "sending", "not JSON", " Delete "))
    assert codes(checked) == {"policy-ignored"}
    assert checked.change is not None and checked.change.document == ""


@pytest.mark.parametrize("policy", ["", "  \n"])
def test_a_put_needs_one(policy: str) -> None:
    assert errors(of_text(policy)) == {"policy-missing"}


def test_the_document_is_sent_as_it_was_written() -> None:
    text = GOOD.replace(": ", " :\n\t").replace("Allow", "\\u0041llow")
    checked = of_text(text)
    assert checked.change is not None and checked.change.document == text


def test_only_blanks_beyond_the_limit_are_left_out() -> None:
    text = GOOD.replace(": ", ":" + " " * 600)
    checked = of_text(text)
    assert codes(checked) == {"policy-minified"}
    assert checked.change is not None and checked.change.document == minify(text)
    assert checked.change.sha256 == sha256(minify(text).encode()).hexdigest()


def test_a_document_too_long_is_sent_as_written_if_that_is_ignored() -> None:
    text = example(Sid="x" * 5000)
    assert errors(of_text(text)) == {"policy-too-long"}
    checked = of_text(text, ignore=["policy-too-long"])
    assert checked.change is not None and checked.change.document == text


def test_what_the_reader_found_is_passed_on_and_nothing_else_is_looked_at() -> None:
    problem = Finding(Severity.ERROR, "record-columns", "record", "3 columns, not 4")
    (checked,) = check(Record("", "", problems=(problem,)))
    assert (checked.status, checked.findings) == (Verdict.REJECTED, (problem,))
    doubt = Finding(Severity.WARNING, "record-columns", "record", "an empty column")
    (checked,) = check(put(problems=(doubt,)))
    assert (checked.status, checked.findings) == (Verdict.VALID, (doubt,))


# Targets


@pytest.mark.parametrize(
    ("record", "run", "expected"),
    [
        (put(), Target("", ""), Target("", "")),
        (put(), TARGET, TARGET),
        (put(OWN_ARN), Target("", ""), TARGET),
        (put(region="us-east-1", account="111122223333"), Target("", ""), TARGET),
        (put(region=" us-east-1 ", account=" "), Target("111122223333", ""), TARGET),
        (delete(region="eu-west-1"), TARGET, Target("111122223333", "eu-west-1")),
        (delete(EU_ARN), TARGET, Target("111122223333", "eu-west-1")),
        (put(OWN_ARN, region="us-east-1", account="111122223333"), Target("", ""), TARGET),
    ],
)
def test_the_target_is_the_arn_s_else_the_columns_else_the_run_s(record: Record, run: Target, expected: Target) -> None:
    (checked,) = check(record, target=run)
    assert checked.change is not None and checked.change.target == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (put(OWN_ARN, region="eu-west-1"), ("target-conflict", "region")),
        (put(OWN_ARN, account="444455556666"), ("target-conflict", "account")),
        (delete(region="useast1"), ("identity-region", "region")),
        (delete(account="1111-2222-3333"), ("identity-account", "account")),
        (put(region="eu-west-1"), ("resource-mismatch", "/Statement/Resource")),
        (put(account="444455556666"), ("resource-mismatch", "/Statement/Resource")),
    ],
)
def test_disagreements_are_errors(record: Record, expected: tuple[str, str]) -> None:
    (checked,) = check(record)
    assert expected in [(it.code, it.where) for it in checked.findings]
    assert checked.status is Verdict.REJECTED


def test_a_target_can_be_required() -> None:
    assert errors(check(put(), require_target=True)[0]) == {"target-unknown"}
    assert errors(check(put(), require_account=True, target=Target("", "us-east-1"))[0]) == {"target-unknown"}
    assert fates(put(), require_target=True, target=Target("", "us-east-1")) == ["v"]
    assert fates(put(OWN_ARN), require_target=True, require_account=True) == ["v"]


# Duplicates and conflicts


@pytest.mark.parametrize("target", [None, TARGET, Target("", "us-east-1")])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (put(), put()),
        (put("example.com"), put("EXAMPLE.com")),
        (put("example.com"), put(OWN_ARN)),
        (put(OWN_ARN), put("example.com")),
        (put(OWN_ARN), put(OWN_ARN.replace("example", "EXAMPLE"))),
        (put(), put(region="us-east-1", account="111122223333")),
        (delete(), delete(" example.com")),
    ],
)
def test_the_same_change_is_sent_once_in_whatever_spelling(
    first: Record, second: Record, target: Target | None
) -> None:
    one, two = check(first, second, target=target)
    assert (one.status, two.status) == (Verdict.VALID, Verdict.DUPLICATE)
    assert two.change is None and two.amends == ()
    assert "line 2" in next(it.message for it in two.findings if it.code == "batch-duplicate")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (put(name="a"), put(name="b")),
        (put(name="a"), put(name="A")),
        (delete(), delete("sub.example.com")),
        (delete("jane@example.com"), delete("Jane@example.com")),
        (delete(OWN_ARN), delete(EU_ARN)),
        (put(OWN_ARN), put(EU_ARN, policy=example(Resource=EU_ARN))),
        (put(), put(policy=example(Resource=EU_ARN), region="eu-west-1")),
        (delete("a.example", "bc"), delete("a.exampleb", "c")),
    ],
)
def test_different_things_are_not_mixed_up(first: Record, second: Record) -> None:
    assert fates(first, second) == ["v", "v"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (put(), put(policy=OTHER)),
        (put(), delete()),
        (delete(), put()),
        (put(), put(OWN_ARN, policy=OTHER)),
        (put(OWN_ARN), put(policy=OTHER)),
        (put(OWN_ARN), delete(OWN_ARN)),
        (put(), put(policy=GOOD + " ")),
        # For one run without a target of its own these two go to the same place, whatever they say.
        (put(), put(policy=example(Resource=EU_ARN))),
    ],
)
def test_contradicting_records_are_both_rejected_and_name_each_other(first: Record, second: Record) -> None:
    assert fates(first, second) == ["r", "r"]
    _, two = check(first, second)
    ((number, verdict, finding),) = two.amends
    assert (number, verdict, finding.code) == (0, Verdict.REJECTED, "batch-conflict")
    assert "Line 3" in finding.message and "sending" in finding.message
    assert "Line 2" in next(it.message for it in two.findings if it.code == "batch-conflict")


def test_a_conflict_takes_earlier_duplicates_down_too_and_later_ones() -> None:
    records = [put(), put(), put(name="b"), put(OWN_ARN), put(policy=OTHER), put(), put(policy=OTHER), delete()]
    assert fates(*records) == ["r", "r", "v", "r", "r", "r", "r", "r"]
    results = check(*records)
    assert [it.number for it in results[4].amends] == [0, 1, 3]
    assert all(not checked.amends for checked in results[5:])


def test_a_record_wrong_by_itself_takes_no_part() -> None:
    assert fates(put(policy="{"), put(), put()) == ["r", "v", "d"]
    assert fates(put(), put(policy=example(Resource="*")), put()) == ["v", "r", "d"]


def test_one_identity_in_many_places() -> None:
    regions = [f"{area}-{side}-1" for area in ("us", "eu", "ap") for side in ("east", "west", "south")]
    there = [delete(OWN_ARN.replace("us-east-1", region)) for region in regions]
    assert fates(*there, *there) == ["v"] * 9 + ["d"] * 9
    assert fates(*there, delete(), *there, delete()) == ["v"] * 10 + ["d"] * 10


# Twenty names


def test_the_twenty_first_name_of_an_identity_is_an_error() -> None:
    records = [put(OWN_ARN if n % 2 else "example.com", f"name-{n}") for n in range(22)]
    results = check(*records, target=TARGET)
    assert [checked.status[0] for checked in results] == ["v"] * 20 + ["r"] * 2
    assert errors(results[20]) == {"batch-limit"}
    assert "21" in results[20].findings[0].message


def test_deletes_duplicates_and_other_identities_do_not_count() -> None:
    twenty = [put(OWN_ARN, f"name-{n}") for n in range(20)]
    more = [delete(OWN_ARN, "x"), put(OWN_ARN, "name-3"), put("example.org", policy=GOOD.replace("e.com", "e.org"))]
    assert fates(*twenty, *more, delete(EU_ARN)) == ["v"] * 21 + ["d"] + ["v"] * 2


def test_names_rejected_for_a_conflict_make_room() -> None:
    twenty = [put(OWN_ARN, f"name-{n}") for n in range(20)]
    assert fates(*twenty, put(OWN_ARN, "name-0", policy=OTHER), put(OWN_ARN, "new"), put(OWN_ARN, "over")) == [
        "r",
        *["v"] * 19,
        "r",
        "v",
        "r",
    ]


def test_without_a_stated_target_the_limit_is_a_warning() -> None:
    results = check(*(put(name=f"name-{n}") for n in range(22)))
    assert {checked.status for checked in results} == {Verdict.VALID}
    assert [codes(checked) for checked in results[19:]] == [set(), {"batch-limit-likely"}, {"batch-limit-likely"}]


def test_ignoring_the_limit_sends_all() -> None:
    records = [put(OWN_ARN, f"name-{n}") for n in range(300)]
    assert set(fates(*records, ignore=["batch-limit"])) == {"v"}


# Choosing findings


def test_ignored_errors_do_not_reject() -> None:
    text = example(Effect="allow", Action="ses:*")
    assert codes(of_text(text)) == {"effect-value"}
    checked = of_text(text, ignore=["effect"])
    assert (checked.status, checked.findings) == (Verdict.VALID, ())


def test_only_selected_findings_count() -> None:
    text = example(Principal="*", Resource="*")
    assert codes(of_text(text)) == {"risk-public", "resource-wildcard"}
    assert codes(of_text(text, select=["risk"])) == {"risk-public"}
    assert codes(of_text(text, select=["risk", "resource"], ignore=["risk-public"])) == {"resource-wildcard"}


def test_what_no_request_can_be_formed_without_cannot_be_ignored() -> None:
    for record in (put(""), put(name=""), put(policy=""), put(action="x"), put(OWN_ARN, region="eu-west-1")):
        everything = ["identity", "name", "policy", "record", "target", "resource"]
        (checked,) = check(record, ignore=everything)
        assert checked.status is Verdict.REJECTED
    assert fates(put(), put(policy=OTHER), ignore=["batch"]) == ["r", "r"]


def test_if_match_must_be_able_to_match() -> None:
    digest = "ab" * 32
    for said, fate in (("absent", "v"), (digest, "v"), (f"{digest},absent", "v"), (" ", "v"), ("abc", "r"), ("*", "r")):
        for record in (put(extra={"If_Match": said}), delete(extra={" if_match": said})):
            assert fates(record) == [fate], said
    assert fates(put(extra={"if_match": "abc"}), ignore=["record-if-match"]) == ["v"]


def test_warnings_can_be_errors() -> None:
    (checked,) = check(put(policy=example(Principal="*")), warnings_as_errors=True)
    assert (checked.status, errors(checked)) == (Verdict.REJECTED, {"risk-public"})
    assert fates(put(policy=example(Principal="*")), warnings_as_errors=True, ignore=["risk"]) == ["v"]
    assert fates(put(), put(), warnings_as_errors=True) == ["v", "r"]


def test_codes_are_meant_by_their_first_words() -> None:
    assert codes_of(["risk-public"]) == {"risk-public"}
    assert codes_of(["RISK", "name-"]) == {
        "risk-public",
        "risk-all-actions",
        "risk-management",
        "risk-service",
        "name-missing",
        "name-characters",
        "name-long",
    }
    with pytest.raises(UsageError, match='no finding code "rsik-public"') as caught:
        Checker(Checks(ignore=("rsik-public",)))
    assert caught.value.hint == "did you mean risk-public?"
    with pytest.raises(UsageError):
        Checker(Checks(select=("re",)))


def test_the_reader_s_codes_can_be_chosen_too() -> None:
    made = {"severity": Severity.ERROR, "title": "", "source": "", "why": "", "bad": "", "good": ""}
    held = Rule("cell-broken", **made, always=True)
    free = Rule("cell-odd", **made)
    broken, odd = (put(problems=(rule.at("record", "said"),)) for rule in (held, free))
    for choice in ({"ignore": ["cell"]}, {"select": ["risk"]}, {"ignore": ["cell-odd"]}):
        assert fates(broken, odd, also=(held, free), **choice) == ["r", "v"]
    assert fates(broken, odd, also=(held, free), select=["cell-odd"]) == ["r", "r"]
    with pytest.raises(UsageError, match='no finding code "cell-odd"'):
        Checker(Checks(ignore=("cell-odd",)))


def test_every_code_there_is_can_be_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for code in ALL_RULES:
        explain(code, ALL_RULES)
        assert capsys.readouterr().out.split()[0] == code
    explained = CliRunner().invoke(app, ["validate", "--explain", "identity-unverified"])
    assert (explained.exit_code, explained.stdout.split()[0]) == (0, "identity-unverified")


def test_every_code_the_reader_has_is_known_to_the_command(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("identity,policy_name,policy\nexample.com,a\nexample.com,b,file://../b.json\n")
    for option in ("--select", "--ignore"):
        ran = CliRunner().invoke(app, ["validate", str(bad), option, "record", option, "policy-file"])
        assert ran.exit_code == 1
        assert {"[record-columns", "[policy-file-outside"} <= set(ran.stdout.split())


def test_with_several_regions_each_record_must_name_one_of_them() -> None:
    checker = Checker(
        target=Target("111122223333", ""), require_target=True, regions=frozenset({"eu-west-1", "us-east-1"})
    )
    found = [
        checker.check(Record("a.example", "p", action="delete", region=region)).status
        for region in ("eu-west-1", "ap-south-1", None)
    ]
    assert found == [Verdict.VALID, Verdict.REJECTED, Verdict.REJECTED]
