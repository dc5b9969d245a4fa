"""The picture of the lanes: what is in it at every width, and how seldom it is drawn."""

from __future__ import annotations

import io
from collections import Counter
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from rich.cells import cell_len
from rich.console import Console

from batchpol.cli.screen.progress import frame, show
from batchpol.cli.screen.standing import Row, Standing
from batchpol.model import Status, Target
from batchpol.sending.gates import Gates
from tests.pictures_terminal import PICTURE, picture, screen

REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-2", "us-gov-west-1")
WIDTHS = (60, 80, 100, 140, 200)


def lane(throttled: int = 0, period: float = 1.0) -> Any:
    return SimpleNamespace(throttled=throttled, silent=False, gates=Gates.at(period))


def standing(targets: list[Target], total: int = 12_000) -> Standing:
    rows = {}
    for number, target in enumerate(targets):
        counts = Counter({"created": 1200 + number, Status.UNCHANGED: 34, Status.FAILED: 5})
        in_hand = f"line {number + 2}: {'tenant-' * 20}.example / sending"
        rows[target] = Row(target, total, counts, lane(number), in_hand)
    return Standing(rows)


def lines(of: Standing, width: int = 100, height: int = 30, **more: Any) -> list[str]:
    return ["".join(text for text, _ in line) for line in frame(of, width, height, **more)]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("accounts", [1, 2])
def test_no_line_is_wider_than_the_terminal_and_what_matters_is_there(width: int, accounts: int) -> None:
    targets = [Target(f"{number % accounts:012}", region) for number, region in enumerate(REGIONS)]
    shown = lines(standing(targets), width)
    assert max(map(cell_len, shown)) <= width
    head = shown[0].split()
    assert head[:2] == ["lane", "done"]
    assert {"created", "failed", "left"} <= set(head)
    assert ("in" in head) == (width >= 100 + 40 * (accounts - 1)), "the record in hand, where there is room for it"
    assert all(region in "\n".join(shown) or accounts == 2 for region in REGIONS)
    assert "1,240/12,000" in shown[2]
    assert "2 h 59 min" in shown[2]
    assert shown[-2].split()[:3] == ["all", "4", "4,962/48,000"]
    assert "10%" in shown[-1]


def test_what_does_not_fit_is_counted_and_lanes_under_way_come_first() -> None:
    many = standing([Target(f"{number:012}", "us-east-1") for number in range(40)])
    for row in list(many.rows.values())[:5]:
        row.over = True
    shown = lines(many, height=24)
    assert len(shown) <= 24
    assert shown[1].startswith("000000000005")
    assert shown[-3].startswith("... and 24 more")
    assert shown[-2].startswith("all 40")


def test_time_left_is_of_the_gates_pace() -> None:
    slow, fast, waiting = (Row(Target("1" * 12, region), 101, Counter({"created": 1})) for region in REGIONS[:3])
    slow.contact, fast.contact = lane(period=2.0), lane()
    of = Standing({row.target: row for row in (slow, fast, waiting)})
    assert [line.split("  ")[-1].strip() for line in lines(of, width=60)[1:4]] == [
        "3 min 20 s",
        "1 min 40 s",
        "waiting",
    ]
    assert of.seconds_left == 200
    slow.stopped, fast.over = True, True
    assert [row.time_left(1.0) for row in (slow, fast)] == ["stopped", "done"]
    assert of.seconds_left == 100


def test_a_narrow_terminal_shows_the_record_in_hand_rather_than_zeros() -> None:
    of = standing([Target("1" * 12, "us-east-1")], 12)
    row = of.rows[Target("1" * 12, "us-east-1")]
    row.counts = Counter({"created": 4})
    row.in_hand = "5: calderstone.example / x"
    head, only, _ = lines(of, width=80)
    assert "throttled" not in head
    assert "calderstone" in only
    row.contact.throttled = 1
    assert "throttled" in lines(of, width=80)[0]
    assert "unknown" not in head
    row.counts[Status.UNKNOWN] = 1
    assert "unknown" in lines(of, width=80)[0]
    assert "deleted" not in head
    row.counts["deleted"] = 1
    assert lines(of, width=60)[0].split()[:4] == ["lane", "done", "deleted", "created"]


def test_one_lane_has_no_totals_of_its_own() -> None:
    shown = lines(standing([Target("1" * 12, "us-east-1")]))
    assert len(shown) == 3
    assert not any(line.startswith("all") for line in shown)


def test_a_terminal_without_line_drawing_gets_plain_signs() -> None:
    assert all(line.isascii() for line in lines(standing([Target("1" * 12, "us-east-1")]), ascii_only=True))


def test_a_plain_line_says_the_same() -> None:
    of = standing([Target("1" * 12, "us-east-1")], 2000)
    of.rows[Target("1" * 12, "us-east-1")].contact.throttled = 3
    assert of.line() == (
        "1,239 of 2,000 records: 1,200 created, 34 unchanged, 5 failed, 3 times throttled, about 12 min 41 s left"
    )


def test_while_ses_cannot_be_reached_nobody_says_how_long_it_takes() -> None:
    of = standing([Target("1" * 12, "us-east-1"), Target("2" * 12, "us-east-1")], 2000)
    of.rows[Target("1" * 12, "us-east-1")].contact.silent = True
    assert of.line().endswith(", SES does not answer")
    shown = lines(of)
    assert "no answer" in shown[1] and "no answer" not in shown[2]
    assert "about" not in "".join(shown) and "SES does not answer" in shown[-1]


def test_nothing_in_a_name_moves_the_terminal() -> None:
    of = standing([Target("1" * 12, "us-east-1")])
    next(iter(of.rows.values())).in_hand = "\x1b[2J\r\n\u202e"
    assert all(line.isprintable() for line in lines(of))


@pytest.mark.virtual_clock
async def test_it_is_drawn_four_times_a_second_at_most_and_only_when_something_changed() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, height=30, color_system="standard")
    of = standing([Target("1" * 12, "us-east-1")])

    async def settle() -> None:
        while True:
            await anyio.sleep(0.01)
            of.changed = True

    async def drawn_in(seconds: float) -> int:
        file.truncate(0)
        with anyio.move_on_after(seconds):
            await show(of, console, anyio.current_time)
        return file.getvalue().count("created")

    assert 8 <= await drawn_in(10) <= 14, "the clock alone: once a second"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(settle)
        assert 10 <= await drawn_in(10) <= 44
        tasks.cancel_scope.cancel()
    assert file.getvalue().endswith("\x1b[2K"), "it takes itself away"


def test_the_pictures_lines_are_those_that_stand_on_the_terminal() -> None:
    redrawn = (
        "first\r\n\x1b[2mold one\x1b[0m\nold two\r\x1b[2K\x1b[1A\x1b[2Kline: \x1b[31mfailed\x1b[0m\nnew\n\x1b[32mbar"
    )
    assert screen(redrawn) == ["first", "line: \x1b[31mfailed\x1b[0m", "new", "\x1b[32mbar"]


def test_the_readmes_picture_loads_nothing() -> None:
    drawn = PICTURE.read_text(encoding="utf-8")
    assert len(drawn) < 100_000
    assert "in hand" in drawn.replace("&#160;", " ")
    for words in ("@font-face", "@import", "url(http", "href", "<script", "<image"):
        assert words not in drawn
        assert words not in picture(["$ \x1b[31mred\x1b[0m"])
