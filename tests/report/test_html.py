"""The HTML report's bytes: complete in themselves, nothing of the input taken for markup, every record counted."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tracemalloc
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from batchpol.model import Status
from batchpol.report import html
from batchpol.report.html import write_page
from batchpol.report.rows import COLUMNS
from tests.report.pages import ABOUT, HOSTILE, applied, embedded, hostile, hostile_about, many, rejected, sends, write

VOID = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """The elements of a page, each opened and closed in good order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def page_of(path: Path) -> Page:
    return Page(path.read_text("utf-8"))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "r.html"


def test_it_is_complete_in_itself(here: Path) -> None:
    write(many(300, lanes=5), here, about=ABOUT)
    text = here.read_text("utf-8")
    assert "//" not in re.sub(r"^\s*//.*$|; //.*$", "", text, flags=re.MULTILINE), (
        "no address, comments of the script aside"
    )
    assert not re.search(r"\b(src|srcset|@import|url)\b\s*[=(]", text)
    page = Page(text)
    assert page.tags["script"] == 3
    assert {value for _, name, value in page.attributes if name == "href"} == {"data:,", "#records-title"}
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]


def test_the_policy_allows_exactly_the_page_s_own_style_and_script(here: Path) -> None:
    write([applied(0, 0)], here)
    text = here.read_text("utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for name, pattern in (("style-src", r"<style>(.*?)</style>"), ("script-src", r"<script>(.*?)</script>")):
        (own,) = re.findall(pattern, text, re.DOTALL)
        assert rules[name] == f"'sha256-{base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()}'"


def test_text_of_the_input_is_never_markup(here: Path) -> None:
    """The hostile page has the same elements as one of the same shape whose texts are plain."""
    write(hostile(), here, columns=(*HOSTILE, "tenant"), about=hostile_about())
    text = here.read_text("utf-8")
    page = Page(text)
    assert page.tags["script"] == 3
    assert not page.tags.keys() & {"img", "iframe", "object", "form", "base"}
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name in ("style", "srcdoc", "src")]
    for _, name, value in page.attributes:
        if name == "href":
            assert value in ("data:,", "#records-title")
    for name in ("records", "head"):
        (block,) = re.findall(rf'id="{name}">(.*?)</script>', text, re.DOTALL)
        assert not re.search("[<>&\u2028\u2029]", block)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u2028\u2029\u202e]", text)
    for payload in HOSTILE[:8]:
        assert " ".join(payload.split()) in page.text


def test_every_payload_comes_back_from_the_page_as_text(here: Path) -> None:
    write(hostile(), here, columns=("tenant",))
    rows = embedded(here, "records")
    assert len(rows) == len(HOSTILE) * len(Status)
    for number, payload in enumerate(HOSTILE):
        row = rows[number * len(Status)]
        expected = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in payload)
        for place, column in enumerate((*COLUMNS, "tenant")):
            if isinstance(row[place], str) and column not in ("status", "started_at"):
                assert row[place] == expected, column


def test_counts_rows_and_causes(here: Path) -> None:
    outcomes = list(many(400))
    write(outcomes, here, about=ABOUT)
    counts = Counter(outcome.status for outcome in outcomes)
    rows = embedded(here, "records")
    assert [row[COLUMNS.index("line")] for row in rows] == [outcome.line for outcome in outcomes]
    assert Counter(row[COLUMNS.index("status")] for row in rows) == {it.value: count for it, count in counts.items()}
    text = page_of(here).text
    for status, count in counts.items():
        assert f"{count} {status.value}" in text
    assert f"{counts[Status.APPLIED]} of 400 records went through" in text
    assert f"{counts[Status.REJECTED]} rejected action-useless" in text
    assert "The same command, run again, goes on" in text
    assert "tenants.csv" in text
    assert "2026-03-01 07:59:58 UTC" in text


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([], "No records"),
        ([applied(0, 0)], "The record went through 1 written. Nothing is left to do."),
        ([applied(0, 0), applied(1, 1, status=Status.UNCHANGED)], "All 2 records went through"),
        ([applied(0, 0), rejected(1)], "1 of 2 records went through 1 written. The others: 1 rejected."),
        ([rejected(1, status=Status.NOT_ATTEMPTED)], "The others: 1 not attempted. The same command, run again"),
    ],
)
def test_the_first_words_say_whether_it_worked(here: Path, outcomes: list, said: str) -> None:
    write(outcomes, here)
    assert said in page_of(here).text


def test_a_sandbox_is_not_gone_on_with(here: Path) -> None:
    write([rejected(1, status=Status.NOT_ATTEMPTED)], here, about={"sandbox": "an embedded SES (sandbox)"})
    assert "an embedded SES" in page_of(here).text
    assert "goes on" not in page_of(here).text


def test_extra_columns_and_findings_are_in_the_rows(here: Path) -> None:
    write([rejected(0, extra={"status": "gold", "note": None})], here, columns=("status", "note"))
    head, (row,) = embedded(here, "head"), embedded(here, "records")
    assert head["columns"] == [*COLUMNS, "input_status", "note"]
    assert dict(zip(head["columns"], row, strict=False))["input_status"] == "gold"
    assert row[-1] == [
        {
            "severity": "error", "code": "action-useless", "where": "/Statement/0/Action",
            "message": "no such action", "hint": "ses:SendEmail?",
        }
    ]  # fmt: skip


def test_only_some_statuses(here: Path) -> None:
    write(many(200), here, only=[Status.FAILED, Status.UNKNOWN], about=ABOUT)
    assert {row[COLUMNS.index("status")] for row in embedded(here, "records")} == {"failed", "unknown"}
    said = page_of(here).text
    assert re.search(r"\d+ records: failed or unknown This page has only the records that are failed or unknown", said)
    assert "Nothing is left" not in said
    assert "went through" not in said


# Bounds


def test_too_many_records_leave_the_failures(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MOST_ROWS", 100)
    outcomes = list(many(1000))
    failures = [it.line for it in outcomes if it.status in (Status.REJECTED, Status.FAILED, Status.UNKNOWN)]
    write(outcomes, here)
    assert [row[0] for row in embedded(here, "records")] == failures[:100]
    said = page_of(here).text
    assert "With 1,000 records there are too many for a page" in said
    assert ("Of those it has the first 100." in said) == (len(failures) > 100)
    assert f"{1000 - len(failures)} applied" in said, "they are counted all the same"

    monkeypatch.setattr(html, "MOST_ROWS", 20)
    write(outcomes, here)
    assert [row[0] for row in embedded(here, "records")] == failures[:20]
    assert "Of those it has the first 20." in page_of(here).text

    monkeypatch.setattr(html, "MOST_ROWS", 1000)
    write(outcomes, here)
    assert len(embedded(here, "records")) == 1000
    assert "too many" not in page_of(here).text


def test_long_cells_and_many_columns_do_not_make_a_page_too_large(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MOST_BYTES", 200_000)
    columns = tuple(f"column{number}" for number in range(50))
    records = (applied(number, number, extra=dict.fromkeys(columns, "x" * 5000)) for number in range(100))
    write(records, here, columns=columns)
    assert here.stat().st_size < 400_000
    assert "30 more columns of the input" in page_of(here).text
    assert embedded(here, "records") == [], "none of those beyond the bounds was a failure"


def test_memory_does_not_grow_with_the_records() -> None:
    class Nowhere(io.RawIOBase):
        def write(self, data: object) -> int:
            return len(data)  # type: ignore[arg-type]

    def streamed(count: int) -> int:
        tracemalloc.start()
        try:
            write_page(many(count), Nowhere(), sends=sends(many(count)))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, more = streamed(500), streamed(3_000)
    assert more < few + 150_000, "2,500 rows are 600 kB"


def test_a_journal_of_odd_times_is_shown_all_the_same(here: Path) -> None:
    odd = [applied(0, 0, started_at="yesterday", duration_ms=-3.0), applied(1, 0, started_at="", duration_ms=None)]
    write(odd, here, about={"period": "often", "started_at": "noon"})
    assert len(embedded(here, "records")) == 2
    assert "Nothing was sent." in page_of(here).text
    assert "noon" in page_of(here).text


def test_data_for_scripts_is_json() -> None:
    value = {"a": "<>&\u2028\u2029</script>"}
    written = html.embedded(value)
    assert json.loads(written) == value
    assert not re.search(rb"[<>&]|\xe2\x80[\xa8\xa9]", written)
