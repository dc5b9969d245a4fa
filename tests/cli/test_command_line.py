"""What the journal keeps of the command line."""

from __future__ import annotations

import pytest

from batchpol.cli.spelling import harmless


@pytest.mark.parametrize("given", [["--external-id", "shared-secret"], ["--external-id=shared-secret"]])
def test_an_external_id_is_not_written_down(given: list[str]) -> None:
    kept = harmless(["apply", "in.csv", *given, "--yes"])
    assert "shared-secret" not in " ".join(kept)
    assert kept[:2] == ["apply", "in.csv"]
    assert kept[-1] == "--yes"
    assert len(kept) == len(given) + 3
