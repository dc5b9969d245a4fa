"""``python -m tests.truth --histories 10000``: as many random histories, and what they came to."""

from __future__ import annotations

import argparse
import gc
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.truth import history as histories
from tests.truth.runs import Place

ran: Counter[str] = Counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn; another one draws others")
    options = parser.parse_args()
    began = time.monotonic()
    run = Place.run

    def counted(place: Place, *arguments: object, **more: object) -> object:
        found = run(place, *arguments, **more)  # type: ignore[arg-type]
        ran["runs"] += 1
        if ran["runs"] % 100 == 0:
            gc.collect()  # what ended in circles still has its files open
        ran["killed" if found.result is None else "ended"] += 1
        ran["rows"] += len(found.rows)
        return found

    Place.run = counted  # type: ignore[assignment,method-assign]

    @seed(options.seed)
    @given(histories.histories)
    @settings(
        max_examples=options.histories,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    def every(history: histories.History) -> None:
        ran["histories"] += 1
        histories.play(history)

    every()
    print(
        f"{ran['histories']:,} histories, {ran['runs']:,} runs ({ran['killed']:,} killed), {ran['rows']:,} rows; "
        f"0 violations; {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
