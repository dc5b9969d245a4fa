"""Every request a journal knows of, in the order in which they left, over all its sections."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchpol.journal import Intent, Journal, sends
from batchpol.model.errors import JournalDamaged
from tests.journal.books import ACCOUNT, REGION, planned, record, rejected, run


def intent(n: int, attempt: int, second: int) -> Intent:
    return Intent(n=n, attempt=attempt, at=f"2026-03-01T08:00:{second:02}.000+00:00")


def test_all_attempts_of_all_runs_each_with_its_own_target(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal.create(path) as journal:
        journal.append(run(), record(0), rejected(1), record(2, region="us-east-1"), planned(3, 2))
        journal.append(intent(2, 1, 1), intent(0, 1, 2), intent(2, 2, 3))
        assert len(list(journal.sends())) == 0, "what is not written out yet is not there"
        journal.sync()
        assert len(list(journal.sends())) == 3
    with Journal.resume(path) as journal:  # the same numbers are other records now
        journal.append(run("second"), record(0, region="eu-north-1"), planned(1, 1), intent(0, 1, 30))
    assert [tuple(sent) for sent in sends(path)] == [
        (ACCOUNT, "us-east-1", "2026-03-01T08:00:01.000+00:00", 1),
        (ACCOUNT, REGION, "2026-03-01T08:00:02.000+00:00", 1),
        (ACCOUNT, "us-east-1", "2026-03-01T08:00:03.000+00:00", 2),
        (ACCOUNT, "eu-north-1", "2026-03-01T08:00:30.000+00:00", 1),
    ]


def test_a_torn_tail_is_left_out_and_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal.create(path) as journal:
        journal.append(run(), record(0), planned(1, 1), intent(0, 1, 1), intent(0, 2, 2))
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert [sent.attempt for sent in sends(path)] == [1]
    path.write_bytes(whole.replace(b"tenant-0", b"tenant-9", 1))
    with pytest.raises(JournalDamaged):
        list(sends(path))


def test_a_request_of_no_record_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal.create(path) as journal:
        journal.append(run(), record(0), planned(1, 1), intent(7, 1, 1))
    with pytest.raises(JournalDamaged):
        list(sends(path))


def test_a_journal_of_the_released_format() -> None:
    path = Path(__file__).parents[1] / "data" / "journals" / "format-1.jsonl"
    found = list(sends(path))
    assert len(found) == path.read_bytes().count(b'{"t":"intent"') > 0
    assert all(sent.account and sent.region and sent.at for sent in found)
