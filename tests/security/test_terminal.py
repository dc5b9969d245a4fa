"""What SES answers is text like any other: it commands neither the terminal nor a spreadsheet."""

from __future__ import annotations

import csv
import unicodedata

import pytest

from batchpol.sandbox.wire import ServiceError
from tests.place import Place
from tests.runs import row

HOSTILE = "=cmd|' /C calc'!A0 \u202egnp.exe\u2066\u2028\x7f\x85\x9b31m\ufeff"
"""What XML can carry of evil: formulas, bidirectional overrides, separators and C1 controls (ESC it cannot)."""


def test_words_of_ses_are_shown_harmless(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> object:
        raise ServiceError("InvalidParameterValue", HOSTILE)

    monkeypatch.setitem(place.sandbox._service._query.table, "PutIdentityPolicy", refuse)
    place.save("in.jsonl", [row(0, tenant='=HYPERLINK("http://x","y")')])
    ended = place.run("apply", "in.jsonl", "--blind", "--report", "r.csv", code=1)
    for shown in (ended.out, ended.err, place.run("status", "in.journal.jsonl", code=None).out):
        assert not [sign for sign in shown if sign != "\n" and unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp")]
    assert "\\u202egnp.exe" in ended.out + ended.err
    with (place.folder / "r.csv").open(newline="", encoding="utf-8") as file:
        (found,) = csv.DictReader(file, strict=True)
    assert found["message"].startswith("'=cmd")
    assert found["tenant"].startswith("'=HYPERLINK")
