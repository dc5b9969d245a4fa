"""Real runs, held against the truth."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.truth.history import History, histories, play


@given(histories)
@settings(max_examples=200, suppress_health_check=list(HealthCheck), print_blob=True)
def test_histories(history: History) -> None:
    play(history)
