"""What the charts count: exact sums in bounded memory, whatever the order and the pauses."""

from __future__ import annotations

import random
import re
from bisect import bisect
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise

import pytest

from batchpol.report.charts import active_seconds, lasting, timeline
from batchpol.report.pace import MOST_BINS, MOST_LANES, Durations, LaneRequests, Requests
from tests.report.pages import START


def at(second: float) -> str:
    return (START + timedelta(seconds=second)).isoformat(timespec="milliseconds")


def pace_of(seconds: Iterable[float], attempt: int = 1) -> Requests:
    pace = Requests()
    for second in seconds:
        pace.add("111122223333", "eu-west-1", at(second), attempt)
    return pace


def lane_of(seconds: Iterable[float]) -> LaneRequests:
    (lane,) = pace_of(seconds).lanes.values()
    return lane


def test_a_short_run_has_every_request_in_its_curve() -> None:
    seconds = [0.0, 1.002, 2.01, 3.4]
    curve = lane_of(seconds).curve()
    assert [(round(when - START.timestamp(), 3), count) for when, count in curve] == list(
        zip(seconds, range(1, 5), strict=True)
    )


@pytest.mark.parametrize("order", ["in order", "any order", "backwards"])
def test_bins_are_bounded_and_lose_nothing(order: str) -> None:
    seconds = [number * 1.003 for number in range(2000)]
    if order == "any order":
        random.Random(2).shuffle(seconds)
    elif order == "backwards":
        seconds.reverse()
    lane = lane_of(seconds)
    curve = lane.curve()
    assert 50 < len(curve) <= MOST_BINS
    assert curve[-1][1] == lane.requests == 2000
    assert round(lane.seconds, 1) == round(1999 * 1.003, 1)
    seconds.sort()
    assert [count for _, count in curve] == [bisect(seconds, when - START.timestamp() + 0.001) for when, _ in curve]


def test_a_pause_of_days_costs_no_detail() -> None:
    lane = lane_of([*range(60), *(200_000 + second for second in range(60))])
    assert lane.width <= 1
    assert round(active_seconds(lane)) == 118
    drawn = timeline(lane, 1.0, 0)
    assert drawn.count('class="pause"') == 1
    assert "120 requests in 1 min 58 s: 1.01 a second" in drawn
    assert "1 pause between runs left out" in drawn


def test_a_wait_within_a_run_is_shown_not_left_out() -> None:
    lane = lane_of([*range(60), *(100 + second for second in range(60))])
    assert round(active_seconds(lane)) == 159
    assert 'class="pause"' not in timeline(lane, 1.0, 0)


def points(drawn: str, name: str) -> list[tuple[float, float]]:
    (path,) = re.findall(rf'<path class="{name}" d="([^"]*)"', drawn)
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_the_curve_of_a_full_lane_lies_on_the_limit_and_a_slower_one_below() -> None:
    full = timeline(lane_of([float(second) for second in range(11)]), 1.0, 0)
    assert points(full, "limit") == [(0.0, pytest.approx(181.8)), (1000.0, 0.0)]
    assert points(full, "sent")[0] == (0.0, pytest.approx(181.8))
    assert points(full, "sent")[-1] == (1000.0, 0.0)
    assert "100.0% of the limit" in full
    half = timeline(lane_of([float(second * 2) for second in range(11)]), 1.0, 0)
    assert points(half, "limit")[-1] == (500.0, 0.0)
    assert "50.0% of the limit" in half


def test_one_request_alone_is_drawn() -> None:
    drawn = timeline(lane_of([5.0]), 1.0, 0)
    assert "1 request in 0 s." in drawn
    assert points(drawn, "sent") == [(0.0, 0.0)]


def test_what_was_tried_again_is_said() -> None:
    (lane,) = pace_of([0, 3], attempt=2).lanes.values()
    assert "2 of them tried a record again" in timeline(lane, 1.0, 0)


def test_a_time_that_is_none_is_left_out() -> None:
    pace = Requests()
    pace.add("111122223333", "eu-west-1", "yesterday")
    assert pace.lanes == {}


def test_lanes_are_bounded() -> None:
    pace = Requests()
    for number in range(MOST_LANES + 5):
        pace.add(f"{number:012}", "eu-west-1", at(number))
    assert len(pace.lanes) == MOST_LANES
    assert pace.others == 5
    pace = Requests()
    for number in range(20_000):
        pace.add(f"{number % 300:012}", "eu-west-1", at(number))
    assert 20 * 300 < sum(len(lane.curve()) for lane in pace.lanes.values()) <= 48 * 300


def test_round_trips_are_known_to_a_hundredth() -> None:
    chance, trips = random.Random(3), Durations()
    times = sorted(round(80 + chance.expovariate(0.05), 1) for _ in range(3000))
    for time in times:
        trips.add(time)
    for share in (0.01, 0.5, 0.95, 0.99):
        assert trips.quantile(share) == pytest.approx(times[round(share * 3000) - 1], rel=0.011)
    bars = trips.bars()
    assert sum(count for _, _, count in bars) == trips.count == 3000
    assert 8 <= len(bars) <= 25
    assert all(one[1] == pytest.approx(other[0]) for one, other in pairwise(bars))


@pytest.mark.parametrize("times", [[80.0], [80.0] * 50, [0.0], [0.001, 1e9], [1.0, 1e7], [0.5, 0.6]])
def test_odd_distributions_have_bars_too(times: list[float]) -> None:
    trips = Durations()
    for time in times:
        trips.add(time)
    bars = trips.bars()
    assert sum(count for _, _, count in bars) == len(times)
    assert 1 <= len(bars) <= 26


@pytest.mark.parametrize("odd", [-1.0, float("nan")])
def test_what_is_no_duration_is_not_counted(odd: float) -> None:
    trips = Durations()
    trips.add(odd)
    assert trips.count == 0
    assert trips.bars() == []


def test_durations_in_words() -> None:
    assert [lasting(it) for it in (0.25, 59.4, 59.6, 3599.4, 10_020)] == [
        "0.25 s", "59.4 s", "1 min 0 s", "59 min 59 s", "2 h 47 min",
    ]  # fmt: skip
