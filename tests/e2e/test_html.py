"""The HTML report in a real Chromium: inert, quiet, quick with 20,000 rows, and usable by whatever means."""

from __future__ import annotations

import csv
import re
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from batchpol.model import Status
from batchpol.report import write_plan_page
from batchpol.report.rows import cells
from tests.browser import NoBrowserError, address, chromium, violations
from tests.e2e.command import lines, run
from tests.e2e.conftest import LongRun
from tests.report.pages import ABOUT, HOSTILE, embedded, hostile, hostile_about, many, planned, write

MANY = 20_000
STEPS = [("to carry that out", "batchpol apply tenants.plan")]
RUNS = [
    {"run_id": f"{day}f", "started_at": f"2026-03-0{day}T08:00:00Z", "ended_at": f"2026-03-0{day}T09:00:00Z",
     "reason": "finished", "counts": {"deleted": 22, "created": 500}}
    for day in (1, 2)
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all; closed with the module, since an event loop runs in its thread as long."""
    try:
        with chromium() as found:
            yield found
    except NoBrowserError as reason:
        pytest.skip(str(reason))


class Pages(dict[str, Path]):
    """Pages by name, each written when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, name: str) -> Path:
        path = self[name] = self._folder / f"{name}.html"
        match name:
            case "hostile":
                write(hostile(), path, columns=(*HOSTILE, "tenant"), about=hostile_about())
            case "many":
                write(many(MANY, lanes=2), path, about=ABOUT)
            case "few":
                write(many(120, lanes=4), path, about=ABOUT)
            case "tenants" | "some tenants":
                rows = [replace(it, extra={"Tenant": f"tenant {it.number}"}) for it in many(120)]
                rows = rows[:12] if "some" in name else rows
                write(rows, path, columns=("Tenant",), sheet="\ufeff;", about=ABOUT, runs=RUNS, next_steps=STEPS)
            case "plan" | "some plan":
                write_plan_page(planned(12 if "some" in name else 120), path, about=ABOUT, next_steps=STEPS)
            case _:
                write(many({"one": 1, "none": 0}[name]), path)
        return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return Pages(tmp_path_factory.mktemp("pages"))


class Seen:
    """A page in the browser, and everything that it asked of the network or complained about."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.path, self.address = path, address(path)
        self.go()

    def go(self, fragment: str = "") -> None:
        """Open it anew."""
        self.page.goto("about:blank")
        self.page.goto(self.address + fragment)

    def rows(self) -> list[str]:
        """The lines shown, in their order."""
        found: list[str] = self.page.locator("#table tbody td.line").all_text_contents()
        return found

    def found(self, text: str) -> None:
        """Wait until the number of records found is this one."""
        self.page.wait_for_function("text => document.getElementById('found').textContent === text", arg=text)


@pytest.fixture
def visit(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    visits: list[Seen] = []

    def go(name: str | Path, **options: Any) -> Seen:
        visits.append(Seen(browser, pages[name] if isinstance(name, str) else name, **options))
        return visits[-1]

    yield go
    for seen in visits:
        asked = {it.partition("#")[0] for it in seen.requests}
        assert asked == {seen.address}, "nothing but the file itself was asked for"
        assert seen.complaints == []
        seen.context.close()


def test_what_the_input_says_stays_text(visit: Any) -> None:
    page = visit("hostile").page
    page.select_option("#size", "200")
    for button in page.locator("#table .details button").all()[:5]:
        button.click()
    page.get_by_label("Search").fill("onerror")
    page.wait_for_function("() => document.getElementById('found').textContent.startsWith('7 of ')")
    page.locator("button.show").first.click()
    assert page.evaluate("window.hit === undefined")
    assert page.evaluate("document.scripts.length") == 3
    for selector in ("img", "iframe", "[onerror], [onload], [onmouseover]", "a[href^=javascript]", "main script"):
        assert page.locator(selector).count() == 0, selector
    assert page.locator("#table tbody tr").first.text_content() != ""
    assert HOSTILE[0] in page.locator("#table").text_content()


def test_markup_that_got_in_all_the_same_could_do_nothing(browser: Any, pages: dict[str, Path]) -> None:
    """The second line of defence: the page's policy refuses scripts, images and styles that are not its own."""
    seen = Seen(browser, pages["few"])
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    refused = seen.page.evaluate(
        """(place) => new Promise((resolve) => {
            const found = new Set();
            document.addEventListener("securitypolicyviolation", (event) => {
                found.add(event.effectiveDirective);
                if (found.size === 5) resolve([...found].sort());
            });
            try { document.body.innerHTML += "<b>markup</b>"; } catch (error) { /* reported as well */ }
            const image = new Image();
            image.src = `${place}x.png`;
            const style = document.createElement("style");
            style.textContent = "body { color: red }";
            document.head.append(style);
            const button = document.createElement("button");
            button.setAttribute("style", "color: red");
            document.body.append(button);
            fetch(place).catch(() => {});
            setTimeout(() => resolve([...found].sort()), 3000);
        })""",
        f"http://127.0.0.1:{server.getsockname()[1]}/",
    )
    assert {"img-src", "connect-src", "require-trusted-types-for"} <= set(refused)
    assert {"style-src-elem", "style-src-attr"} <= set(refused)
    with server, pytest.raises(BlockingIOError):
        server.accept()  # nobody came
    seen.context.close()


def test_search_filter_and_sort_by_mouse(visit: Any, pages: dict[str, Path]) -> None:
    seen = visit("few")
    page = seen.page
    rows = embedded(pages["few"], "records")
    statuses = Counter(row[6] for row in rows)
    assert statuses.keys() >= {"applied", "rejected"}
    seen.found("120 records")
    order = ["failed", "rejected", "unknown", "applied"]
    worst_first = [str(row[0]) for row in sorted(rows, key=lambda row: order.index(row[6]))]
    assert seen.rows() == worst_first[:50], "what people look for comes first"
    page.get_by_role("button", name="Next").click()
    assert seen.rows() == worst_first[50:100]

    page.get_by_role("checkbox", name="rejected").check()
    seen.found(f"{statuses['rejected']} of 120 records")
    assert seen.rows() == [str(row[0]) for row in rows if row[6] == "rejected"]
    page.get_by_role("checkbox", name="applied").check()
    seen.found(f"{statuses['applied'] + statuses['rejected']} of 120 records")
    page.get_by_role("checkbox", name="rejected").uncheck()
    page.get_by_role("checkbox", name="applied").uncheck()

    page.get_by_label("Search").fill("TENANT-7.example SENDING")
    seen.found("1 of 120 records")
    assert seen.rows() == ["9"]
    page.get_by_label("Search").fill("")
    seen.found("120 records")

    page.get_by_role("button", name="ms").click()
    times = [row[12] for row in sorted(rows, key=lambda row: (row[12] is None, row[12], row[0]))]
    assert seen.rows()[:3] == [str(row[0]) for row in sorted(rows, key=lambda row: (row[12] is None, row[12]))[:3]]
    assert times[0] is not None
    page.get_by_role("button", name="ms").click()
    slowest = max(row[12] for row in rows if row[12] is not None)
    assert seen.rows()[0] in {str(row[0]) for row in rows if row[12] == slowest}
    page.get_by_role("button", name="Identity").click()
    assert seen.rows()[:12] == [str(number + 2) for number in range(12)], "numbers in names count as numbers"


def test_a_reload_and_a_link_show_the_same(visit: Any) -> None:
    seen = visit("tenants")
    page = seen.page
    page.get_by_label("Search").fill("tenant 1")
    page.get_by_label("in", exact=True).select_option("Tenant")
    seen.found("39 of 120 records")
    page.get_by_role("checkbox", name="applied").check()
    page.get_by_role("button", name="Identity").click()
    page.get_by_role("button", name="Identity").click()
    shown = seen.rows()
    assert shown == sorted(shown, key=int, reverse=True) and len(shown) == 36
    page.get_by_role("link", name="Skip").press("Enter")
    page.wait_for_function("() => location.hash.startsWith('#?')")
    place = page.url.partition("#")[2]
    assert place == "?q=tenant+1&in=Tenant&status=applied&sort=-identity"

    seen.go(f"#{place}")
    assert (seen.rows(), page.get_by_label("Search").input_value()) == (shown, "tenant 1")
    assert page.get_by_role("checkbox", name="applied").is_checked()
    assert page.get_by_label("in", exact=True).input_value() == "Tenant"
    page.get_by_role("button", name="Show all").click()
    seen.found("120 records")
    page.get_by_role("button", name="Next").click()
    assert page.url.endswith("#?sort=-identity&page=2")
    page.evaluate("location.hash = '?status=rejected'")
    rejected = sum(row[6] == "rejected" for row in embedded(seen.path, "records"))
    seen.found(f"{rejected} of 120 records")
    page.evaluate("location.hash = '?status=no&sort=<img>&page=99&rows=7&in=none&q=nothing is like that'")
    seen.found("0 of 120 records")


def test_one_column_alone_is_searched(visit: Any) -> None:
    seen = visit("tenants")
    found = {}
    for within in ("", "line", "Tenant", "status"):
        seen.page.get_by_label("in", exact=True).select_option(within)
        seen.page.get_by_label("Search").fill("applied" if within == "status" else "17")
        seen.page.wait_for_timeout(200)
        found[within] = len(seen.rows())
    assert found[""] > found["line"] == found["Tenant"] == 2
    assert found["status"] == 50


def test_the_rows_shown_are_downloaded_as_reports_in_csv_are(visit: Any, tmp_path: Path) -> None:
    for name in ("tenants", "hostile"):
        seen = visit(name, accept_downloads=True)
        seen.page.get_by_role("checkbox", name="rejected").check()
        with seen.page.expect_download() as started:
            seen.page.get_by_role("button", name="Download").click()
        started.value.save_as(tmp_path / "rows.csv")
        text = (tmp_path / "rows.csv").read_bytes().decode("utf-8")
        assert text.startswith("\ufeff") == (name == "tenants"), "as its list was"
        cut = ";" if name == "tenants" else ","
        header, *rows = csv.reader(text.removeprefix("\ufeff").splitlines(), delimiter=cut)
        shown = [row for row in embedded(seen.path, "records") if row[6] == "rejected"]
        names = embedded(seen.path, "head")["columns"]
        assert header == cells(names, names)
        said = [cells(names, [cell if cell is not None else "" for cell in row[:-1]]) for row in shown]
        assert rows == [[str(cell) for cell in row] for row in said]
        assert re.fullmatch(r"tenants\.rows\.csv|[\w-]{60}\.rows\.csv", started.value.suggested_filename)


def test_a_table_on_a_tablet_and_cards_on_a_phone(visit: Any) -> None:
    page = visit("tenants").page
    shown = "document.getElementById('table').tHead.rows[0].cells[1].getBoundingClientRect().width"
    for width in (360, 699, 700, 768, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        display = page.evaluate("getComputedStyle(document.querySelector('#table tbody td')).display")
        assert display == ("flex" if width < 700 else "table-cell"), width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width >= 700:
            assert page.evaluate(shown) > 100
            assert page.get_by_role("columnheader", name="Tenant").is_visible()


@pytest.mark.parametrize("name", ["some tenants", "some plan"])
def test_axe_finds_nothing(visit: Any, name: str) -> None:
    """At some sizes; :mod:`tests.pictures` tries them all."""
    page = visit(name).page
    page.locator("#table .details button").first.click()
    page.evaluate("for (const it of document.querySelectorAll('details')) it.open = true")
    try:
        for width, scheme, medium in ((360, "light", "screen"), (768, "dark", "screen"), (1440, "dark", "print")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme, media=medium)
            assert violations(page) == [], (width, scheme, medium)
    except NoBrowserError as reason:
        pytest.skip(str(reason))


def test_the_page_of_a_plan(visit: Any) -> None:
    seen = visit("plan")
    assert seen.page.locator("#outcome-title ~ .counts li").first.text_content().startswith("×4 delete")
    assert seen.page.locator("#changes-title ~ .cause h3").all_text_contents() == [
        "×delete 4, the same to each", "+create 39, the same to each", "≠update 39, the same to each",
    ]  # fmt: skip
    rows = [it.split()[0] for it in seen.page.locator("td.status").all_text_contents()]
    assert rows[:6] == ["×delete"] * 4 + ["!rejected"] * 2
    assert seen.page.get_by_role("columnheader", name="ms").count() == 0, "nothing was sent"
    assert seen.page.get_by_text("arn:aws:sts::111122223333:assumed-role/Deploy/ada").is_visible()
    assert "batchpol apply tenants.plan" in seen.page.locator(".steps code").text_content()


def test_one_record_and_none(visit: Any) -> None:
    visit("one").found("1 record")
    visit("none").found("0 records")


def test_a_cause_leads_to_its_records(visit: Any) -> None:
    seen = visit("few")
    cause = seen.page.locator(".cause", has_text="action-useless")
    count = cause.locator("h3").text_content().split()[0].lstrip("!")
    cause.get_by_role("button").click()
    seen.found(f"{count} of 120 records, with the code action-useless")
    assert seen.page.evaluate("document.activeElement.id") == "records-title"


def test_by_keyboard_alone(visit: Any) -> None:
    seen = visit("few")
    page = seen.page

    def tab_to(what: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", "where one is can be seen"
            if what in page.evaluate(
                "document.activeElement.outerHTML + document.activeElement.labels?.[0]?.textContent"
            ):
                return
        raise AssertionError(f"no way to {what}")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the records"
    page.keyboard.press("Enter")
    tab_to('id="search"')
    page.keyboard.type("rejected")
    page.wait_for_function("() => document.getElementById('found').textContent.includes(' of ')")
    rejected = len(seen.rows())
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    seen.found("120 records")
    tab_to('value="rejected"')
    page.keyboard.press("Space")
    seen.found(f"{rejected} of 120 records")
    tab_to(">Line<")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert seen.rows() == sorted(seen.rows(), key=int, reverse=True)
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    tab_to("Details of line")
    page.keyboard.press("Enter")
    assert page.locator("tr.more").count() == 1
    assert "ses:SendEmail?" in page.locator("tr.more").text_content()
    page.keyboard.press("Enter")
    assert page.locator("tr.more").count() == 0


def test_twenty_thousand_records(visit: Any) -> None:
    seen = visit("many")
    page = seen.page
    seen.found("20,000 records")
    assert len(seen.rows()) == 50
    took, printed = page.evaluate(
        """async () => {
            const times = {}, found = document.getElementById("found");
            async function timed(name, act) {
                const start = performance.now(), before = found.textContent;
                act();
                while (found.textContent === before) await new Promise((next) => setTimeout(next, 5));
                times[name] = performance.now() - start;
            }
            const search = document.getElementById("search");
            const type = (text) => () => { search.value = text; search.dispatchEvent(new Event("input")); };
            await timed("search", type("tenant-1999"));
            await timed("again", type("tenant-19"));
            await timed("all", type(""));
            await timed("filter", () => document.querySelector("#statuses input[value=failed]").click());
            document.querySelector("#statuses input[value=failed]").click();
            const start = performance.now();
            document.querySelector("th.identity button").click();
            times.sort = performance.now() - start;
            window.dispatchEvent(new Event("beforeprint"));
            const printed = [document.querySelectorAll("td.line").length, found.textContent];
            window.dispatchEvent(new Event("afterprint"));
            return [times, printed];
        }"""
    )
    assert all(milliseconds < 5000 for milliseconds in took.values()), took
    assert printed == [1000, "20,000 records; the first 1,000 are printed"]
    page.get_by_role("button", name="Last").click()
    assert seen.rows()[-1] == "20001"


@pytest.mark.parametrize("name", ["few", "hostile", "none"])
def test_nothing_is_wider_than_a_phone(visit: Any, name: str) -> None:
    page = visit(name, viewport={"width": 360, "height": 640}, has_touch=True).page
    for details in page.locator("summary").all():
        details.click()
    for button in page.locator("#table .details button").all()[:3]:
        button.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


CONTRASTS = """() => {
    const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = ([red, green, blue]) => [red, green, blue].map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = numbers(getComputedStyle(at).backgroundColor);
            if (color.length < 4 || color[3] > 0) return color;
        }
        return null;
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || element.disabled) continue;
        const back = behind(element);
        const [one, other] = [light(numbers(getComputedStyle(element).color)), light(back)].sort((a, b) => b - a);
        found.push([(one + 0.05) / (other + 0.05), element.outerHTML.slice(0, 80)]);
    }
    return { page: behind(document.body), found };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_dark(visit: Any, scheme: str) -> None:
    page = visit("few", color_scheme=scheme).page
    page.locator("#table .details button").first.click()
    measured = page.evaluate(CONTRASTS)
    assert (sum(measured["page"][:3]) < 150) == (scheme == "dark")
    assert len(measured["found"]) > 300
    assert [it for it in measured["found"] if it[0] < 4.5] == []


def test_what_a_screen_reader_is_told(visit: Any) -> None:
    page = visit("few").page
    told = page.evaluate(
        """() => ({
            lang: document.documentElement.lang,
            headings: [...document.querySelectorAll("h1, h2, h3")].filter((it) => it.checkVisibility())
                .map((it) => Number(it.tagName[1])),
            unnamed: [...document.querySelectorAll("button, input, select")].filter((it) => !(
                it.textContent.trim() && it.tagName === "BUTTON" || it.labels?.length || it.ariaLabel)).length,
            tables: [...document.querySelectorAll("table")].filter((it) => !it.caption?.textContent).length,
            drawings: [...document.querySelectorAll("svg")].filter((it) => it.getAttribute("aria-hidden") !== "true"
                && !it.getAttribute("aria-labelledby").split(" ").every((id) => document.getElementById(id).textContent)
            ).length,
            sections: [...document.querySelectorAll("section")].filter((it) => (
                !document.getElementById(it.getAttribute("aria-labelledby"))?.textContent)).length,
            ids: [...document.querySelectorAll("[id]")].map((it) => it.id),
            sorted: [...document.querySelectorAll("[aria-sort]")].map((it) => it.ariaSort),
            live: document.getElementById("found").getAttribute("role"),
        })"""
    )
    assert told["lang"] == "en"
    assert told["headings"].count(1) == 1
    assert all(after <= before + 1 for before, after in zip(told["headings"], told["headings"][1:], strict=False))
    assert told["unnamed"] == told["tables"] == told["drawings"] == told["sections"] == 0
    assert len(told["ids"]) == len(set(told["ids"]))
    assert (told["sorted"], told["live"]) == (["ascending"], "status")
    for landmark in ("banner", "main", "contentinfo", "navigation"):
        assert page.get_by_role(landmark).count() == 1
    assert page.get_by_role("table", name="Every record of the run").count() == 1


def test_a_chart_for_each_target(visit: Any) -> None:
    page = visit("few").page
    choice = page.get_by_label("Target, one of 4")
    names = choice.locator("option").all_text_contents()
    assert len(names) == 4
    for name in names:
        choice.select_option(label=name)
        assert page.locator("figure.lane:visible h3").all_text_contents() == [name]


def test_on_paper(visit: Any) -> None:
    seen = visit("few")
    seen.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    seen.page.emulate_media(media="print", color_scheme="dark")
    assert len(seen.rows()) == 120, "all, not only the first page of the table"
    visible = "(selector) => [...document.querySelectorAll(selector)].filter((it) => it.checkVisibility()).length"
    assert seen.page.evaluate(visible, ".controls, .pages, .show, .details, .skip, thead button") == 0
    assert seen.page.evaluate(visible, ".records tbody tr") == 120
    assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    seen.page.emulate_media(media="screen")
    seen.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert len(seen.rows()) == 50


def test_without_javascript(visit: Any) -> None:
    page = visit("few", java_script_enabled=False).page
    assert page.locator("noscript p").bounding_box()["height"] > 10
    assert not page.locator("#browser").is_visible()
    assert page.locator("h1").text_content().endswith("of 120 records went through")
    assert page.locator(".counts li").count() >= 2
    assert page.locator(".cause").first.is_visible()
    assert page.locator("button:visible").count() == 0
    assert page.locator("figure.lane:visible").count() == 4


# Through the command


@pytest.fixture(scope="module")
def of_mistakes(long_runs: dict[str, LongRun], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The report of the samples' mistakes, rendered from its journal as a page and as JSON Lines."""
    ended = long_runs["mistakes"]
    assert ended.ended.code == 1
    folder = tmp_path_factory.mktemp("rendered")
    places = folder / "page.html", folder / "rows.jsonl"
    journal = ended.folder / "tenants-with-mistakes.journal.jsonl"
    assert run("report", journal, "--report", places[0], "--report", places[1], cwd=folder).code == 0
    return places


def test_the_page_has_what_the_journal_has(of_mistakes: tuple[Path, Path]) -> None:
    path, other = of_mistakes
    assert path.stat().st_mode & 0o777 == 0o600
    rows, objects = embedded(path, "records"), lines(other)
    assert [row[0] for row in rows] == [it["line"] for it in objects]
    assert Counter(row[6] for row in rows) == Counter(it["status"] for it in objects)
    assert {Status(row[6]) for row in rows} >= {Status.APPLIED, Status.REJECTED, Status.FAILED, Status.DUPLICATE}
    text = path.read_text("utf-8")
    assert "samples/tenants-with-mistakes.csv" in text
    assert "batchpol apply samples/tenants-with-mistakes.csv --sandbox" in text


def test_the_page_of_a_real_run_in_the_browser(of_mistakes: tuple[Path, Path], visit: Any) -> None:
    seen = visit(of_mistakes[0])
    count = len(lines(of_mistakes[1]))
    seen.found(f"{count} records")
    assert seen.page.locator("figure.lane figcaption").text_content().startswith("5 requests in 4")
    assert seen.page.locator("figure.trips").count() == 1


def test_apply_writes_the_page_itself(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("identity,policy_name,policy\n<script>,b,{}\n")
    ended = run("apply", "bad.csv", "--sandbox", "--report", "page.html", cwd=tmp_path)
    assert ended.code == 1, ended.err
    assert "report: page.html" in ended.err
    (row,) = embedded(tmp_path / "page.html", "records")
    assert (row[1], row[6]) == ("<script>", "rejected")
