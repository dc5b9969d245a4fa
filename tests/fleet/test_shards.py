"""Workers that share a batch: each record lies in exactly one shard, and what all of them did reads as one run."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpol.batch.batch import Batch
from batchpol.batch.observer import Result
from batchpol.batch.options import Options
from batchpol.batch.worker import options_of, pins_of
from batchpol.journal import Folder, Shards, tail
from batchpol.model import Finding, Record, Severity, Status, Target
from batchpol.model.errors import JournalMismatch, JournalUnwritable, UsageError
from batchpol.model.settings import Checks, Conduct, Connection, Keeping, Reading
from batchpol.model.shard import Shard
from batchpol.report import write_report
from batchpol.sandbox import Sandbox, SandboxOptions
from batchpol.sandbox.store import Owner
from batchpol.sending.caller import Here
from batchpol.ses import Caller
from batchpol.source import open_source
from batchpol.validation import Checker, Sharding, Verdict
from tests.runs import ACCOUNT, AWS, COMPARE, PERIOD, Watcher, apply, document, names, options, row, write_input, writes

REGIONS = ("us-east-1", "eu-west-1", "eu-central-1", "ap-south-1", "sa-east-1", "ca-central-1")
PASSING = ("started_at", "duration_ms", "request_id")
"""What differs from one run to the next."""

UNLIMITED = SandboxOptions(rate=0)
BROKEN = Finding(Severity.ERROR, "record-json", "record", "no JSON")


def record(region: str | None, account: str | None, identity: str, broken: bool) -> Record:
    text = document("a.example")
    return Record(identity, "sending", text, region=region, account=account, problems=(BROKEN,) if broken else ())


places = st.sampled_from([None, "", "us-east-1", " us-east-1 ", "eu-west-1", "US-EAST-1", "xx", "eu-west-9"])
accounts = st.sampled_from([None, "", ACCOUNT, f" {ACCOUNT}", "222222222222", "12"])
identities = st.one_of(
    st.sampled_from(["a.example", "A.EXAMPLE", " a.example", "x@a.example", "", "a b", "arn:", "arn:aws:ses"]),
    st.builds(
        "{}arn:aws:ses:{}:{}:identity/{}".format,
        st.sampled_from(["", " "]),
        st.sampled_from(["us-east-1", "eu-west-1", "nowhere"]),
        st.sampled_from([ACCOUNT, "222222222222", "1"]),
        st.sampled_from(["a.example", "x/y@a.example", "", "a b"]),
    ),
)
records = st.lists(st.builds(record, places, accounts, identities, st.booleans()), min_size=1, max_size=20)


@given(records, st.integers(1, 9), st.sampled_from([(), ("identity",), ("identity", "target")]))
def test_every_record_lies_in_exactly_one_shard_and_so_does_every_target(
    found: list[Record], count: int, ignored: tuple[str, ...]
) -> None:
    default = Target(ACCOUNT, "us-east-1")
    shards = [Sharding([Shard(number + 1, count)], default) for number in range(count)]
    checker, homes = Checker(Checks(ignore=ignored), target=default, require_target=True), dict[Target, int]()
    for it in found:
        ours = [number for number, shard in enumerate(shards) if shard.has(it)]
        assert len(ours) == 1
        checked = checker.check(it)
        if checked.status is Verdict.VALID and checked.change is not None:
            assert homes.setdefault(checked.change.target, ours[0]) == ours[0]
        if it.problems:
            assert ours == [0]


def batch_rows() -> list[dict[str, Any]]:
    """Thirty records of six targets, with a duplicate, a conflict and two that no place can be told of."""
    rows = []
    for number in range(30):
        region = REGIONS[number * 7 % 6]
        text = document(f"tenant-{number}.example").replace("us-east-1", region)
        rows.append(row(number) | {"region": region, "policy": text, f"extra{number % 4}": str(number)})
    rows[6] = rows[3] | {"extra9": "6"}
    rows[11] = rows[10] | {"policy": rows[10]["policy"].replace("SendEmail", "SendRawEmail")}
    rows[17]["identity"] = "no identity"
    rows[20]["region"] = "nowhere"
    return rows


async def worker(server: Sandbox, source: Path, number: int, count: int, **choices: Any) -> Result:
    choices = {"reports": (), "journal": source.parent / "run", "regions": REGIONS} | choices
    return await apply(server, source, shard=Shard(number, count), **choices)


def read(path: Path) -> list[str]:
    """The report without what differs from one run to the next."""
    found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [json.dumps(line | dict.fromkeys(PASSING)) for line in found]


def put(server: Sandbox, region: str, identity: str, names: range) -> None:
    text = document(identity).replace("us-east-1", region)
    for number in names:
        server.store.put(Owner(ACCOUNT, region, identity), f"old-{number}", text)


@pytest.mark.parametrize("prune", [False, True])
async def test_the_merged_report_is_what_one_process_writes(tmp_path: Path, prune: bool) -> None:
    rows = [it for number, it in enumerate(batch_rows()) if not prune or number not in (6, 11, 17, 20)]
    source = write_input(tmp_path / "in.jsonl", rows)
    choices = {"regions": REGIONS, "conduct": Conduct(staleness=0, prune=prune)}
    async with Sandbox(UNLIMITED) as server:
        before_prune(server, prune)
        one = await apply(server, source, reports=(tmp_path / "one.jsonl",), **choices)
    async with Sandbox(UNLIMITED) as server:
        before_prune(server, prune)
        many = [await worker(server, source, number, 4, **choices) for number in (3, 1, 4, 2)]
    assert max(it.exit_code for it in many) == one.exit_code
    found = Shards(tmp_path / "run")
    write_report(found.outcomes(), tmp_path / "many.jsonl", columns=found.columns)
    assert read(tmp_path / "many.jsonl") == read(tmp_path / "one.jsonl")
    assert found.counts() == one.summary.counts
    assert found.missing == found.notes == []


def before_prune(server: Sandbox, prune: bool) -> None:
    for number in (0, 1, 14) if prune else ():
        put(server, REGIONS[number * 7 % 6], f"tenant-{number}.example", range(2))


async def test_a_finished_shard_stays_finished_without_a_request(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.jsonl", batch_rows())
    async with Sandbox(UNLIMITED) as server:
        first = [await worker(server, source, number, 2) for number in (1, 2)]
        seen, watcher = len(server.arrivals), Watcher()
        again = [await worker(server, source, number, 2, observer=watcher) for number in (1, 2)]
        assert len(server.arrivals) == seen
        assert [it.exit_code for it in again] == [it.exit_code for it in first]
        assert [it.summary.counts for it in again] == [it.summary.counts for it in first]
        assert watcher.told == ["shard 1/2 was finished already", "shard 2/2 was finished already"]
        with pytest.raises(JournalMismatch, match=r"input with SHA-256 [0-9a-f]{12} there, [0-9a-f]{12} here"):
            await worker(server, write_input(tmp_path / "other.jsonl", batch_rows()[:-1]), 1, 2)
        with pytest.raises(JournalMismatch, match=r"`no_clobber` \(none\) there, True here"):
            await worker(server, source, 2, 2, no_clobber=True)
        assert len(server.arrivals) == seen
        await worker(server, source, 1, 2, anew=True)
        assert len(server.arrivals) > seen


async def test_a_shard_that_is_through_leaves_its_gates_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_input(tmp_path / "in.jsonl", [row(number, region="us-east-1") for number in range(2)])
    async with Sandbox(UNLIMITED) as server:
        chosen = options(server, tmp_path, shard=Shard(1, 1), journal=tmp_path / "run", reports=(), regions=REGIONS)
        async with chosen.targets(AWS) as targets:
            with open_source(str(source)) as file:
                await Batch(file, chosen, name=file.name).run(targets)
            awake = tail.now
            monkeypatch.setattr(tail, "now", lambda: awake() + 18.0)
            reads = await targets.reads(Target(ACCOUNT, "us-east-1"), 1, Watcher())
            assert await reads.names("tenant-0.example") == ["sending"]


async def test_another_batch_in_the_same_folder_is_refused_by_name(tmp_path: Path) -> None:
    source, other = write_input(tmp_path / "in.jsonl", batch_rows()), write_input(tmp_path / "b.jsonl", [row(1)])
    async with Sandbox(UNLIMITED) as server:
        await worker(server, source, 1, 2)
        seen = len(writes(server))
        with pytest.raises(JournalMismatch, match="shards 2 there, 3 here"):
            await worker(server, source, 2, 3)
        with pytest.raises(JournalMismatch, match=r"input with SHA-256 [0-9a-f]{12} there, [0-9a-f]{12} here"):
            await worker(server, other, 2, 2)
        with pytest.raises(JournalMismatch, match=r"`no_clobber` \(none\) there, True here"):
            await worker(server, source, 2, 2, no_clobber=True)
        connection = Connection(regions=REGIONS, endpoint_url=server.url + "/", access_key="X", secret_key="X")
        with pytest.raises(JournalMismatch, match="endpoint http"):
            await worker(server, source, 2, 2, connection=connection)
        assert len(writes(server)) == seen


async def test_a_damaged_note_of_the_batch_is_mended_as_its_error_says(tmp_path: Path) -> None:
    note = tmp_path / "run" / "run.json"
    source = write_input(tmp_path / "in.jsonl", [row(number, region="us-east-1") for number in range(3)])
    async with Sandbox(UNLIMITED) as server:
        await worker(server, source, 1, 1)
        whole = note.read_bytes()
        note.write_bytes(whole[:40])
        for reads in (lambda: worker(server, source, 1, 1), lambda: asyncio.to_thread(Shards, tmp_path / "run")):
            with pytest.raises(JournalMismatch, match=r"run\.json is not as a run wrote it") as error:
                await reads()
            assert error.value.hint.startswith("move that file away and start a worker again, with `anew`")
        note.rename(tmp_path / "damaged.json")
        with pytest.raises(JournalMismatch, match=r"it has no run\.json") as error:
            Shards(tmp_path / "run")
        assert "writes run.json" in error.value.hint
        result = await worker(server, source, 1, 1, anew=True, conduct=COMPARE)
        assert result.summary.counts == {Status.UNCHANGED: 3}
        assert note.read_bytes() == whole
        assert len(writes(server)) == 3


async def test_a_shard_that_another_worker_has_is_waited_for(tmp_path: Path) -> None:
    source, watcher = (
        write_input(tmp_path / "in.jsonl", [row(number, region="us-east-1") for number in range(12)]),
        Watcher(),
    )
    async with Sandbox(UNLIMITED) as server:
        first = asyncio.create_task(worker(server, source, 1, 1))
        while not writes(server):
            await asyncio.sleep(0.01)
        second = await worker(server, source, 1, 1, observer=watcher)
        assert (await first).exit_code == second.exit_code == 0
        assert second.summary.counts == {"applied": 12}
        assert len(writes(server)) == 12
        assert "is held by another run (process" in watcher.told[0] and "; waiting" in watcher.told[0]
        assert watcher.told[1:] == ["shard 1/1 was finished already"]


async def test_who_waits_for_a_shard_ends_where_the_volume_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(path: Path) -> bool:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))

    source = write_input(tmp_path / "in.jsonl", [row(number, region="us-east-1") for number in range(12)])
    async with Sandbox(UNLIMITED) as server:
        first, watcher = asyncio.create_task(worker(server, source, 1, 1)), Watcher()
        while not writes(server):
            await asyncio.sleep(0.01)
        second = asyncio.create_task(worker(server, source, 1, 1, observer=watcher))
        while not watcher.told:
            await asyncio.sleep(0.01)
        with monkeypatch.context() as volume:
            volume.setattr(Path, "exists", cut_off)
            with pytest.raises(JournalUnwritable, match=r"the run folder .* cannot be used: Stale file handle"):
                await second
        with suppress(JournalUnwritable):
            await first


async def test_all_workers_stop_where_that_is_asked_for(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.jsonl", [row(number, region="us-east-1") for number in range(80)])
    folder = Folder(tmp_path / "run")
    async with Sandbox(UNLIMITED) as server:
        running = asyncio.create_task(worker(server, source, 1, 1))
        while not writes(server):
            await asyncio.sleep(0.01)
        folder.stop(True)
        stopped = await running
        assert stopped.exit_code == 3 and stopped.summary.counts["not_attempted"] > 0
        seen = len(writes(server))
        assert (await worker(server, source, 1, 1)).exit_code == 3
        assert len(writes(server)) == seen
        folder.stop(False)
        assert (await worker(server, source, 1, 1)).exit_code == 0
        assert len(writes(server)) == 80


async def test_what_is_about_the_whole_input_is_refused(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.jsonl", batch_rows())
    async with Sandbox(UNLIMITED) as server:
        for wrong in ({"limit": 3}, {"strict": True}, {"reports": (tmp_path / "r.csv",)}):
            with pytest.raises(UsageError, match=f"`{next(iter(wrong))}` is about the whole input"):
                await worker(server, source, 1, 2, **wrong)


async def test_no_shard_prunes_where_a_broken_line_may_be_of_its_identities(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.jsonl", [row(number, region="us-east-1") for number in range(4)])
    source.write_text(source.read_text() + "{broken\n")
    async with Sandbox(UNLIMITED) as server:
        put(server, "us-east-1", "tenant-0.example", range(1))
        for number in (1, 2, 3):
            with pytest.raises(UsageError, match="line 5 is rejected"):
                await worker(server, source, number, 3, conduct=Conduct(staleness=0, prune=True))
        assert writes(server) == []


async def test_nothing_leaves_where_the_journal_was_not_confirmed_for_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_input(tmp_path / "in.jsonl", [row(number, region="us-east-1") for number in range(40)])
    async with Sandbox(UNLIMITED) as server:
        running = asyncio.create_task(worker(server, source, 1, 1))
        while len(writes(server)) < 3:
            await asyncio.sleep(0.01)
        slept, awake = 18.0, tail.now
        monkeypatch.setattr(tail, "now", lambda: awake() + slept)
        result, seen = await running, len(writes(server))
        assert result.exit_code == 3
        assert "ownership last confirmed 18 s ago" in result.reason
        assert seen < 10
        monkeypatch.undo()
        assert (await worker(server, source, 1, 1)).exit_code == 0
        assert len(names(writes(server))) <= 41


async def test_a_worker_that_stood_still_while_it_lists_what_to_prune_asks_for_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_input(tmp_path / "in.jsonl", [row(number, region="us-east-1") for number in range(40)])
    async with Sandbox(UNLIMITED) as server:
        running = asyncio.create_task(worker(server, source, 1, 1, conduct=Conduct(staleness=0, prune=True)))
        while len(server.arrivals) < 5:
            await asyncio.sleep(0.01)
        awake = tail.now
        monkeypatch.setattr(tail, "now", lambda: awake() + 18.0)
        with pytest.raises(JournalUnwritable, match="ownership last confirmed 18 s ago"):
            await running
        seen = len(server.arrivals)
        await asyncio.sleep(4 * PERIOD)
        assert seen == len(server.arrivals) < 10 and not writes(server)


async def test_a_worker_heeds_a_stop_while_it_lists_what_to_prune(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.jsonl", [row(number, region="us-east-1") for number in range(40)])
    async with Sandbox(UNLIMITED) as server:
        running = asyncio.create_task(worker(server, source, 1, 1, conduct=Conduct(staleness=0, prune=True)))
        while len(server.arrivals) < 5:
            await asyncio.sleep(0.01)
        Folder(tmp_path / "run").stop(True)
        assert (await running).exit_code == 3
        assert len(server.arrivals) < 30 and not writes(server)


def test_what_makes_records_is_pinned_and_read_back(tmp_path: Path) -> None:
    """Another value of a variable is another batch; a value may have any character."""
    reading = Reading(columns=("identity=A, B", "name=C"), policy_name="{{x}}", variables=("x=1, 2", 'y="'))
    options = Options(reading=reading, keeping=Keeping(shard=Shard(1, 2), journal=tmp_path / "run"))
    here = Here(Caller(ACCOUNT, ""), "us-east-1", "")
    pins = pins_of(options, here, "in.csv")
    back = options_of(SimpleNamespace(pins=pins), None, None).reading  # type: ignore[arg-type]
    assert (set(back.columns), set(back.variables)) == (set(reading.columns), set(reading.variables))
    other = replace(options, reading=replace(reading, variables=("x=1, 3", 'y="')))
    assert pins_of(other, here, "in.csv") != pins
