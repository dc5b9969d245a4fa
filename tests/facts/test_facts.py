"""What a file of facts does to those who are given it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from batchpol.facts import FORMAT, FactsFile, Known, read_facts
from batchpol.model import Record, Severity, Target
from batchpol.model.errors import UsageError
from batchpol.model.settings import Connection, Patience
from batchpol.sandbox import Facts as Ses
from batchpol.sandbox.limits import Limits
from batchpol.sending.gate import Gate
from batchpol.sending.targets import Targets
from batchpol.ses import Aws
from batchpol.validation import Checker, Verdict
from tests.sandbox.documents import ACCOUNT, REGION, policy_for

HERE = Target(ACCOUNT, REGION)


def facts(**known: Any) -> FactsFile:
    return FactsFile(format=FORMAT, region=REGION, measured="2026-01-01", batchpol="1", known=Known(**known))


def saved(folder: Path, **known: Any) -> Path:
    path = folder / "facts.json"
    path.write_bytes(msgspec.json.encode(facts(**known)))
    return path


def verdict(doubts: Any, target: Target = HERE, **changes: Any) -> tuple[Verdict, list[tuple[str, Severity]]]:
    record = Record("example.com", "a", policy_for("example.com", **changes))
    checked = Checker(target=target, doubts=doubts).check(record)
    return checked.status, [(it.code, it.severity) for it in checked.findings]


def test_what_is_refused_in_a_region_is_an_error_there_and_what_is_taken_is_silent() -> None:
    known = facts(refused=("action-unknown",), accepted=("resource-wildcard",)).doubts
    unknown, wildcard = {"Action": ["ses:SendEmail", "ses:SendEmial"]}, {"Resource": "*"}
    assert verdict({}, **unknown) == (Verdict.VALID, [("action-unknown", Severity.WARNING)])
    assert verdict(known, **unknown) == (Verdict.REJECTED, [("action-unknown", Severity.ERROR)])
    assert verdict({}, **wildcard) == (Verdict.REJECTED, [("resource-wildcard", Severity.ERROR)])
    assert verdict(known, **wildcard) == (Verdict.VALID, [])
    elsewhere = Target(ACCOUNT, "eu-west-1")
    assert verdict(known, elsewhere, **wildcard)[0] is Verdict.REJECTED


def test_what_only_our_lists_do_not_know_stays_a_warning() -> None:
    known = facts(refused=("action-unlisted", "condition-key-unlisted", "identity-arn")).doubts
    assert verdict(known, Action="ses:SendBounce") == (Verdict.VALID, [("action-unlisted", Severity.WARNING)])


@pytest.mark.virtual_clock
async def test_a_tolerance_that_is_known_spares_the_prudence_about_delays_and_nothing_is_refused_for_it() -> None:
    async def seconds(tolerance: float) -> tuple[float, int]:
        """For a hundred requests over a network that delays each by 30 ms on the average, to a door of 100 ms."""
        limits, ses, gate = Limits(), Ses(tolerance_ms=100), Gate(tolerance=tolerance)
        delays, refused, began = random.Random(1), 0, anyio.current_time()
        for _ in range(100):
            passage = await gate.approach()
            await passage.admit()
            passage.departed()
            await anyio.sleep(0.04 + min(delays.expovariate(1 / 0.03), 0.09))
            taken = limits.admit(("", "", ""), anyio.current_time(), ses)
            refused += not taken
            await anyio.sleep(0.04)
            passage.ended(refused=not taken)
        return anyio.current_time() - began, refused

    slow, _ = await seconds(0.0)
    quick, refused = await seconds(0.1)
    assert refused == 0
    assert quick < 99.5 < 101 < slow


@pytest.mark.parametrize("region, joined", [(REGION, True), ("eu-west-1", False)])
async def test_a_quota_that_is_known_to_be_one_is_one_from_the_start_in_its_region(
    tmp_path: Path, region: str, joined: bool
) -> None:
    connection = Connection(facts=saved(tmp_path, shared_quota=True, tolerance_ms=40.0), access_key="A", secret_key="-")
    gates = Targets(Aws(connection), Patience()).gates(Target(ACCOUNT, region))
    assert (gates.joined, gates.writes.pace.tolerance) == (joined, 0.04 if joined else 0.0)


@pytest.mark.parametrize(
    "content, said",
    [
        (None, "cannot be read: No such file"),
        (b"{", "is no file of facts"),
        (b'{"format": 1}', "is no file of facts.*region"),
        (
            msgspec.json.encode(facts()).replace(b'"format":1', b'"format":2'),
            "have format 2, and this batchpol reads 1",
        ),
    ],
)
def test_what_is_no_file_of_facts_is_told(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "facts.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read_facts(path)


def test_what_a_later_probe_knows_more_is_passed_over(tmp_path: Path) -> None:
    path = saved(tmp_path, burst=2)
    path.write_bytes(path.read_bytes().replace(b'"burst":2', b'"burst":2,"mood":"good"'))
    assert read_facts(path).known == Known(burst=2)
