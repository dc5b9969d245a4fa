"""Running the same command again: what is sent once more, what is not, and which journals are refused."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from batchpol import journal
from batchpol.batch.resuming import remember
from batchpol.journal import Intent, Planned
from batchpol.model import Record
from batchpol.model.errors import JournalLocked, JournalMismatch
from batchpol.model.settings import Connection
from batchpol.sending.lately import Lately
from batchpol.source import as_record
from batchpol.testing import Sandbox, SandboxOptions
from tests.faults.credentials import keys_file
from tests.journal import books
from tests.runs import (
    BLIND,
    COMPARE,
    PERIOD,
    REGION,
    Watcher,
    apply,
    check_truth,
    closest,
    names,
    opened,
    report,
    row,
    run,
    statuses,
    write_input,
    writes,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Five records."""
    return write_input(tmp_path / "in.jsonl", [row(number) for number in range(5)])


async def test_what_was_applied_is_not_sent_again(sandbox: Sandbox, source: Path) -> None:
    await apply(sandbox, source)
    first, watcher = report(source.parent), Watcher()
    result = await apply(sandbox, source, observer=watcher)
    assert len(writes(sandbox)) == 5
    assert (result.exit_code, statuses(source.parent)) == (0, ["applied"] * 5)
    assert report(source.parent) == first, "the outcomes are carried over: request ids, times and all"
    assert watcher.preview is not None
    assert (watcher.preview.resumed.done, watcher.preview.to_send) == (5, 0)


class _StopsAfter(Watcher):
    """Asks for the end as soon as so many records are settled."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left, self.batch = count, None

    def settled(self, outcome: object) -> None:
        self.left -= 1
        if not self.left:
            self.batch.stop("interrupted", 130)  # type: ignore[attr-defined]


async def stopped_after(count: int, sandbox: Sandbox, source: Path) -> None:
    stopper = _StopsAfter(count)
    with opened(sandbox, source, observer=stopper, conduct=COMPARE) as batch:
        stopper.batch = batch  # type: ignore[assignment]
        assert (await run(batch)).exit_code == 130


async def test_what_was_unchanged_is_neither_read_nor_sent_again(sandbox: Sandbox, source: Path) -> None:
    await apply(sandbox, source)
    (source.parent / "run.journal.jsonl").unlink()
    await stopped_after(3, sandbox, source)
    before = len(sandbox.arrivals)
    await apply(sandbox, source, conduct=COMPARE)
    assert statuses(source.parent) == ["unchanged"] * 5
    read = [it.identity for it in list(sandbox.arrivals)[before:] if it.operation == "GetIdentityPolicies"]
    assert len(read) <= 2


async def test_after_a_run_that_left_nothing_to_do_all_is_compared_anew(sandbox: Sandbox, source: Path) -> None:
    rows = [row(number) for number in range(5)]
    await apply(sandbox, source, conduct=COMPARE)
    await apply(sandbox, source, conduct=COMPARE)
    assert statuses(source.parent) == ["unchanged"] * 5
    assert len(writes(sandbox)) == 5
    next(iter(sandbox.store.policies.values())).clear()  # somebody deletes one by hand
    await apply(sandbox, source, conduct=COMPARE)
    assert sorted(statuses(source.parent)) == ["applied"] + ["unchanged"] * 4
    check_truth(sandbox, source.parent, rows)


async def test_a_comparison_cut_short_does_not_fall_back_on_what_was_before(sandbox: Sandbox, source: Path) -> None:
    await apply(sandbox, source, conduct=COMPARE)
    sandbox.store.policies.clear()
    await stopped_after(2, sandbox, source)
    result = await apply(sandbox, source, conduct=COMPARE)
    assert (result.exit_code, statuses(source.parent)) == (0, ["applied"] * 5)
    check_truth(sandbox, source.parent, [row(number) for number in range(5)])


async def test_a_run_that_came_to_its_end_is_followed_by_one_that_looks_anew(sandbox: Sandbox, source: Path) -> None:
    """One bad row does not switch drift off for all others: what somebody deleted meanwhile is put there again."""
    write_input(source, [row(0), row(1) | {"policy": "{"}])
    await apply(sandbox, source, conduct=COMPARE)
    sandbox.store.policies.clear()
    await apply(sandbox, source, conduct=COMPARE)
    assert statuses(source.parent) == ["applied", "rejected"]
    assert names(writes(sandbox)) == ["tenant-0.example"] * 2


@pytest.mark.parametrize(
    ("fault", "strikes", "status"),
    [("error_after", {5}, "unknown"), ("unavailable", {5}, "unknown"), ("throttle", range(5, 15), "failed")],
)
async def test_what_is_unknown_or_may_succeed_later_is_sent_again(
    sandbox: Sandbox, source: Path, fault: str, strikes: set[int], status: str
) -> None:
    sandbox.change(faults_at={fault: strikes})
    result = await apply(sandbox, source, patience={"max_attempts": 1}, timeout=0.2)
    assert (result.exit_code, result.summary.can_go_on) == (1, True)
    assert statuses(source.parent) == ["applied"] * 4 + [status]
    sandbox.change(faults_at={})
    sent, watcher = len(writes(sandbox)), Watcher()
    assert (await apply(sandbox, source, observer=watcher)).exit_code == 0
    assert names(writes(sandbox, sent)) == ["tenant-4.example"]
    assert watcher.preview is not None
    assert (watcher.preview.resumed.done, watcher.preview.resumed.again) == (4, 1)


async def test_rejected_records_are_checked_afresh(sandbox: Sandbox, source: Path) -> None:
    rows = [row(0), row(1) | {"policy": "{"}, row(2)]
    write_input(source, rows)
    assert (await apply(sandbox, source)).exit_code == 1
    assert statuses(source.parent) == ["applied", "rejected", "applied"]
    rows[1] = row(1)
    write_input(source, rows)
    assert (await apply(sandbox, source)).exit_code == 0
    assert names(writes(sandbox, 2)) == ["tenant-1.example"]
    check_truth(sandbox, source.parent, rows)


async def test_of_a_reordered_and_edited_file_only_what_changed_is_sent(sandbox: Sandbox, source: Path) -> None:
    await apply(sandbox, source)
    rows = [row(4), row(2, "Edited"), row(0), row(9), row(1, note="an extra column changes nothing")]
    write_input(source, rows)
    await apply(sandbox, source)
    assert sorted(names(writes(sandbox, 5))) == ["tenant-2.example", "tenant-9.example"]
    check_truth(sandbox, source.parent, rows)
    assert report(source.parent)[4]["note"] == "an extra column changes nothing"


async def test_a_document_that_comes_back_is_sent_again(sandbox: Sandbox, source: Path) -> None:
    for sids in itertools.pairwise(["A", "B", "A", "A"]):
        write_input(source, [row(0, sids[0])])
        await apply(sandbox, source)
    assert [arrival.applied for arrival in writes(sandbox)] == [True, True, True]
    check_truth(sandbox, source.parent, [row(0, "A")])


async def test_the_same_policy_by_another_spelling_is_the_same(sandbox: Sandbox, source: Path) -> None:
    await apply(sandbox, source)
    arn = f"arn:aws:ses:{REGION}:123456789012:identity/"
    spelt = [row(0) | {"identity": arn + "tenant-0.example"}, row(1) | {"identity": "TENANT-1.Example"}]
    await apply(sandbox, write_input(source, spelt))
    assert len(writes(sandbox)) == 5


async def test_a_delete_after_a_put_is_sent_and_a_put_after_it_too(sandbox: Sandbox, source: Path) -> None:
    gone = {"identity": "tenant-0.example", "policy_name": "sending", "action": "delete"}
    for line in (row(0), gone, gone, row(0)):
        await apply(sandbox, write_input(source, [line]))
    assert [arrival.operation.removesuffix("IdentityPolicy") for arrival in writes(sandbox)] == ["Put", "Delete", "Put"]


async def test_an_input_that_shrank_or_grew(sandbox: Sandbox, source: Path) -> None:
    await apply(sandbox, write_input(source, [row(number) for number in range(3)]))
    await apply(sandbox, write_input(source, [row(1)]))
    assert statuses(source.parent) == ["applied"]
    grown = [row(number) for number in range(6)]
    await apply(sandbox, write_input(source, grown))
    assert names(writes(sandbox, 3)) == [f"tenant-{number}.example" for number in (3, 4, 5)]
    check_truth(sandbox, source.parent, grown)


async def test_fresh_sets_the_journal_aside_and_sends_everything(sandbox: Sandbox, source: Path) -> None:
    await apply(sandbox, source)
    before, watcher = (source.parent / "run.journal.jsonl").read_bytes(), Watcher()
    await apply(sandbox, source, fresh=True, observer=watcher)
    assert len(writes(sandbox)) == 10
    (aside,) = source.parent.glob("run.journal.jsonl.2*")
    assert aside.read_bytes() == before
    assert watcher.preview is not None
    assert any(str(aside) in note for note in watcher.preview.notes)


async def test_what_ses_refused_is_sent_again_only_when_asked(sandbox: Sandbox, source: Path) -> None:
    sandbox.change(late_principals={"444455556666": 1})
    assert (await apply(sandbox, source, patience={"defer": False})).exit_code == 1
    assert statuses(source.parent) == ["failed"] + ["applied"] * 4
    watcher = Watcher()
    result = await apply(sandbox, source, observer=watcher)
    assert (result.exit_code, result.summary.can_go_on) == (1, False)
    assert watcher.preview is not None
    assert watcher.preview.resumed.refused == 1
    assert len(writes(sandbox)) == 5
    assert (await apply(sandbox, source, retry_failed=True)).exit_code == 0
    assert names(writes(sandbox, 5)) == ["tenant-0.example"]


@pytest.mark.parametrize(
    ("elsewhere", "told"),
    [({"access_key": "AKIAOTHER"}, "account 123456789012"), ({"regions": ("eu-west-1",)}, "region us-east-1")],
)
async def test_a_journal_of_another_account_or_region_is_refused(
    sandbox: Sandbox, source: Path, elsewhere: dict[str, object], told: str
) -> None:
    sandbox.change(accounts={"AKIAOTHER": "999999999999"})
    await apply(sandbox, source)
    path = source.parent / "run.journal.jsonl"
    before, sent = path.read_bytes(), len(writes(sandbox))
    for dry in (True, False):
        with pytest.raises(JournalMismatch, match=told) as caught:
            await apply(sandbox, source, dry_run=dry, **elsewhere)
    assert "`fresh`" in caught.value.hint
    assert (path.read_bytes(), len(writes(sandbox))) == (before, sent)


async def test_a_journal_of_another_endpoint_is_refused(sandbox: Sandbox, source: Path) -> None:
    await apply(sandbox, source)
    async with Sandbox(SandboxOptions(rate=0)) as other:
        with pytest.raises(JournalMismatch, match="endpoint"):
            await apply(other, source)
        assert not writes(other)


async def test_an_endpoint_that_the_environment_names_is_another_place_than_awss(
    sandbox: Sandbox, source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What an emulator took must not count as done on AWS, nor the other way round."""
    keys_file(monkeypatch, tmp_path, sandbox)
    here = {"connection": Connection(regions=(REGION,)), "own_session": True}
    assert (await apply(sandbox, source, **here)).exit_code == 0
    monkeypatch.delenv("AWS_ENDPOINT_URL_SES")
    for elsewhere in ("", "http://127.0.0.1:1"):
        if elsewhere:  # else nothing names one, and AWS's own it is
            monkeypatch.setenv("AWS_ENDPOINT_URL_SES", elsewhere)
        with pytest.raises(JournalMismatch, match=f"endpoint {sandbox.url}"):
            await apply(sandbox, source, **here)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SES", sandbox.url)
    assert (await apply(sandbox, source, **here)).exit_code == 0
    assert len(writes(sandbox)) == 5


async def test_a_journal_of_an_embedded_ses_is_set_aside_by_itself(source: Path) -> None:
    for count in range(3):
        async with Sandbox(SandboxOptions(rate=0)) as gone_soon:
            watcher = Watcher()
            result = await apply(gone_soon, source, sandbox=True, observer=watcher)
            assert (result.exit_code, len(writes(gone_soon))) == (0, 5)
            assert watcher.preview is not None
            assert len(watcher.preview.notes) == (1 if count else 0)
            dry = Watcher()
            await apply(gone_soon, source, sandbox=True, dry_run=True, observer=dry)
            assert dry.preview is not None
            assert dry.preview.to_send == 5, "a dry run says what the next run would do"
        assert len(list(source.parent.glob("run.journal.jsonl.2*"))) == count


async def test_the_first_attempt_after_a_resume_honours_the_last_one_before(sandbox: Sandbox, source: Path) -> None:
    await apply(sandbox, source, limit=1, period=0.5)
    await apply(sandbox, source, limit=1, period=0.5)
    assert len(writes(sandbox)) == 2
    assert 0.5 <= closest(writes(sandbox)) < 0.9


async def test_a_clock_that_was_set_back_costs_no_more_than_a_pause(sandbox: Sandbox, source: Path) -> None:
    await apply(sandbox, source, limit=1)
    path = source.parent / "run.journal.jsonl"
    # As if the last request had left in the year 2100: rewritten as a journal of its own, so that its checksums hold.
    lines = [entry for _, entry in journal.read(path)]
    path.unlink()
    with journal.Journal.create(path) as rewritten:
        for entry in lines:
            if isinstance(entry, Intent):
                entry.at = "2100-01-01T00:00:00.000+00:00"
            rewritten.append(entry)
    async with asyncio.timeout(5):
        assert (await apply(sandbox, source)).exit_code == 0


async def test_a_second_run_on_the_same_journal_is_refused_at_once_and_told_of_the_first(
    sandbox: Sandbox, source: Path
) -> None:
    with opened(sandbox, source, period=0.2) as first:
        running = asyncio.create_task(run(first))
        while len(writes(sandbox)) < 2:  # by then the first one's outcome is written down
            await asyncio.sleep(0.01)
        with pytest.raises(JournalLocked, match=f"process {os.getpid()} on ") as caught:
            async with asyncio.timeout(0.2):
                await apply(sandbox, source)
        assert "`journal`" in caught.value.hint
        watcher = Watcher()
        await apply(sandbox, source, dry_run=True, observer=watcher)
        assert watcher.preview is not None
        assert watcher.preview.to_send < 5, "a dry run may look on"
        assert (await running).exit_code == 0
    assert len(writes(sandbox)) == 5


async def test_two_runs_on_one_target_both_survive(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.change(rate=1 / PERIOD)
    sources, told = [], []
    for start in (0, 100):
        folder = tmp_path / str(start)
        folder.mkdir()
        sources.append(write_input(folder / "in.jsonl", [row(start + number) for number in range(12)]))
    watchers = [Watcher(), Watcher()]
    results = await asyncio.gather(
        *(apply(sandbox, source, observer=watcher) for source, watcher in zip(sources, watchers, strict=True))
    )
    assert [result.exit_code for result in results] == [0, 0]
    told = watchers[0].told + watchers[1].told
    assert any("somebody else uses this quota" in text for text in told), "they met, and one gave way"


@pytest.mark.parametrize("torn", [b"", b'{"t":"intent","n":4,"atte'])
async def test_a_dry_run_changes_nothing(sandbox: Sandbox, source: Path, torn: bytes) -> None:
    sandbox.change(faults_at={"error_after": {3}})
    await apply(sandbox, source, limit=3, patience={"max_attempts": 1})
    path = source.parent / "run.journal.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    before, sent, watcher = path.read_bytes(), len(writes(sandbox)), Watcher()
    result = await apply(sandbox, source, dry_run=True, observer=watcher, reports=())
    assert (result.exit_code, path.read_bytes(), len(writes(sandbox))) == (0, before, sent)
    assert watcher.preview is not None
    found = watcher.preview.resumed
    assert (found.done, found.again, watcher.preview.to_send) == (2, 1, 3)
    assert sorted(path.name for path in source.parent.iterdir()) == ["in.jsonl", "report.jsonl", "run.journal.jsonl"]
    await apply(sandbox, source, dry_run=True, fresh=True, observer=watcher, reports=())
    assert watcher.preview.to_send == 5, "with --fresh nothing of the journal would count"
    assert path.read_bytes() == before


def test_what_was_written_before_an_attempt_without_an_answer_is_remembered_with_it(tmp_path: Path) -> None:
    """Deleted, then put and killed: a read that shows the document may be of before the deletion."""
    deleted = books.record(0, document="", action="delete", sha256=books.digest(""))
    entries = [books.run(), deleted, books.planned(1, 1), books.intent(0, 1), books.outcome(0), books.end()]
    entries += [books.run(), books.record(0), books.planned(1, 1), books.intent(0, 9), books.intent(0, 11, attempt=2)]
    lately = Lately()
    with journal.Journal.resume(books.write(tmp_path / "j.jsonl", entries)) as book:
        remember(book, SimpleNamespace(lately=lambda _: lately))  # type: ignore[arg-type]
    wrote = lately.of(books.record(0).change(), 0.0)
    assert wrote is not None
    assert (wrote.sure, wrote.at - wrote.unlike) == (False, 10.0)


@pytest.mark.parametrize("lines", [0, 1, 4])
async def test_a_run_killed_in_its_first_pass_begins_again(sandbox: Sandbox, source: Path, lines: int) -> None:
    await apply(sandbox, source, dry_run=False)
    path = source.parent / "run.journal.jsonl"
    kept = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(kept[:lines]) + kept[lines][:20])
    sandbox.store.policies.clear()
    assert (await apply(sandbox, source)).exit_code == 0
    assert len(writes(sandbox)) == 10
    assert set(statuses(source.parent)) == {"applied"}


async def test_a_run_stopped_in_its_first_pass_sends_nothing_and_hides_no_report(
    sandbox: Sandbox, source: Path
) -> None:
    await apply(sandbox, source)
    write_input(source, [row(number) for number in range(8)])
    read = []

    async def reading() -> AsyncIterator[Record]:
        for number in range(8):
            read.append(number)
            if number == 3:
                batch.stop("interrupted", 130)
                await asyncio.sleep(0)
            yield as_record(row(number), number)

    with opened(sandbox, source, records=reading()) as batch:
        result = await run(batch)
    assert (result.exit_code, result.reason) == (130, "interrupted")
    assert (len(read), len(writes(sandbox))) == (4, 5)
    assert statuses(source.parent) == ["applied"] * 5, "the report is still that of the run before"
    planned = [entry for _, entry in journal.read(source.parent / "run.journal.jsonl") if isinstance(entry, Planned)]
    assert len(planned) == 1
    assert (await apply(sandbox, source)).exit_code == 0
    assert names(writes(sandbox, 5)) == [f"tenant-{number}.example" for number in (5, 6, 7)]


async def test_what_a_run_that_looks_at_nothing_took_over_is_looked_at_by_one_that_does(
    sandbox: Sandbox, source: Path
) -> None:
    """A run came to its end; a blind one was cut off; somebody deleted a policy: the next one that compares sees it."""
    await apply(sandbox, source, conduct=COMPARE)
    source = write_input(source, [row(number) for number in range(6)])
    await apply(sandbox, source, conduct=BLIND)
    path = source.with_name("run.journal.jsonl")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))  # killed before its last line
    for owner in list(sandbox.store.policies)[:1]:
        del sandbox.store.policies[owner]
    await apply(sandbox, source, conduct=COMPARE)
    assert statuses(source.parent) == ["applied", *["unchanged"] * 4, "applied"]
    assert len(writes(sandbox)) == 7
