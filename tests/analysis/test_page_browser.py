"""The page in Chromium: tables, tips, sources, pictures, themes, keyboard, paper and small screens; axe finds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from markupsafe import Markup
from pandas import DataFrame

from gelo.analysis.compare import compare
from gelo.analysis.finding import Finding
from gelo.analysis.page.render import render
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import build
from tests.analysis.browsing import Given, chromium, opened
from tests.analysis.sweeps import demo, write_result, write_trial

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SVG = Markup(
    '<svg viewBox="0 0 90 30" role="img" aria-label="two marks"><g data-series="one"><circle cx="9" cy="9" r="5" data-tip="one: 1"/></g>'
    '<g data-series="two"><circle cx="40" cy="9" r="5" data-tip="two: 2"/></g></svg>'
)
TABLE = "section[aria-labelledby=zero_shot]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a page of 15 trials, one of them without results, and a drawn picture."""
    storage = tmp_path_factory.mktemp("storage")
    root = demo(storage)
    trial = write_trial(root, "odd", "mini-s", "faces", "full", remedy={"kind": "<b>odd</b>"})
    write_result(trial, "zero_shot", "shapes", {}, absent={"shapes/top1": "no image"}, vision="7" * 16)
    comparison = compare(read_runs(storage, "demo"))
    said = [
        Finding("Does it?", verdict, "Because.", "0.688", "0.661 to 0.714", "a test")
        for verdict in ("yes", "in part", "no")
    ]
    picture = Given("p", "Two", "Two marks.", "two", DataFrame({"x": [1.0]}), SVG)
    path = storage / "index.html"
    path.write_text(render(comparison, build(comparison), said, [picture]))  # type: ignore[arg-type]
    return path.as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address) as (page, _):
        yield page


def column(page: Page, of: int) -> list[str]:
    rows = f"[...document.querySelectorAll('{TABLE} tbody tr')].filter(row => !row.hidden)"
    told: list[str] = page.evaluate(f"{rows}.map(row => row.cells[{of}].firstChild.textContent)")
    return told


def test_a_table_sorts_by_value_with_what_is_empty_last(page: Page) -> None:
    before = column(page, 1)
    head = page.locator(f"{TABLE} thead th").nth(1)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    known = sorted(float(text) for text in before if text != "–")
    assert [float(text) for text in column(page, 1)[: len(known)]] == known and column(page, 1)[-1] == "–"
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column(page, 1)[: len(known)]] == known[::-1] and column(page, 1)[-1] == "–"
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") is None and column(page, 1) == before


@pytest.mark.parametrize("allowed", [True, False])
def test_a_table_filters_and_copies_what_is_left(page: Page, allowed: bool) -> None:
    if allowed:
        page.evaluate("void (navigator.clipboard.writeText = async (text) => { window.copied = text; })")
    else:
        page.evaluate("void (navigator.clipboard.writeText = async () => { throw new Error(); })")
        page.evaluate("document.addEventListener('copy', () => { window.copied = document.activeElement.value; })")
    page.locator(f"{TABLE} input").fill("spoofs lora")
    assert column(page, 0) == ["mini-s · spoofs · LoRA", "mini-l · spoofs · LoRA"]
    assert page.locator(f"{TABLE} output").text_content() == "2 of 15 rows"
    page.locator(f"{TABLE} .tools button").click()
    page.wait_for_function("window.copied")
    lines = [line.split("\t") for line in page.evaluate("window.copied").split("\n")]
    assert len(lines) == 3 and lines[0][:2] == ["trial", "shapes"] and lines[1][0] == "mini-s · spoofs · LoRA"
    assert float(lines[1][1]) == float(column(page, 1)[0])


def test_a_cell_says_its_interval_and_counts_on_hover_and_focus(page: Page) -> None:
    cell, tip = page.locator(f"{TABLE} tbody tr").nth(0).locator("td").nth(0), page.locator("#tip")
    cell.hover()
    said = tip.inner_text()
    assert said.split("\n") == ["95 % interval 59.00 to 65.00", "300 images"]
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.mouse.move(0, 0)
    page.locator(f"{TABLE} .scroll").focus()
    page.keyboard.press("ArrowDown")
    assert tip.is_visible() and tip.inner_text() == said
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "tip"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("[document.activeElement.cellIndex, document.activeElement.parentElement.rowIndex]") == [2, 2]


def test_an_empty_cell_says_why(page: Page) -> None:
    page.locator(f"{TABLE} tbody tr", has_text="odd").locator("td").nth(0).hover()
    assert page.locator("#tip").inner_text().split("\n")[0] == "no image"
    assert page.locator("b", has_text="odd").count() == 0


def test_a_value_says_where_it_comes_from(page: Page) -> None:
    page.locator(f"{TABLE} tbody tr", has_text="odd").locator("td").nth(0).click()
    dialog = page.locator("dialog")
    told = dialog.inner_text()
    for text in ("demo/trials/odd/results/zero_shot/shapes.json", "7" * 16, "version 1", "300 images", "no image",
                 "gelo evaluate demo/odd --suite zero_shot --dataset shapes", "gelo report demo"):  # fmt: skip
        assert text in told
    page.keyboard.press("Escape")
    assert not dialog.is_visible() and page.evaluate("document.activeElement.tagName") == "TD"
    page.keyboard.press("Enter")
    assert dialog.is_visible()
    dialog.locator("button").click()
    page.locator("section[aria-labelledby=gelo] tbody tr").nth(1).locator("td").nth(0).click()
    assert "demo/trials/ff0/results/" in dialog.inner_text()


def test_all_values_are_found_shown_and_sorted(page: Page) -> None:
    values = "section[aria-labelledby=values]"
    rows = page.locator(f"{values} tbody tr")
    assert rows.count() == 100
    page.locator(f"{values} .more").click()
    assert rows.count() == 600
    page.locator("a[data-find='zero_shot/shapes/top1']").first.click()
    assert rows.count() == 15 and page.evaluate("location.hash") == "#values"
    page.locator(f"{values} thead button", has_text="value").click()
    texts = rows.locator("td:nth-child(3)").all_inner_texts()
    assert texts[-1] == "–" and [float(text) for text in texts[:-1]] == sorted(float(text) for text in texts[:-1])
    rows.nth(0).locator("td").nth(1).click()
    assert "results/zero_shot/shapes.json" in page.locator("dialog").inner_text()


def test_a_picture_says_its_marks_and_shows_a_series_alone(page: Page) -> None:
    page.locator("svg circle").nth(0).hover()
    assert page.locator("#tip").inner_text() == "one: 1"
    page.locator("figure .canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").inner_text() == "two: 2" and page.locator("#said").text_content() == "two: 2"
    button = page.locator("figure .legend button", has_text="one")
    button.click()
    dimmed = "[...document.querySelectorAll('[data-series]')].map(each => each.classList.contains('aside'))"
    assert page.evaluate(dimmed) == [False, True] and button.get_attribute("aria-pressed") == "true"
    button.click()
    assert page.evaluate(dimmed) == [False, False]


def test_the_theme_is_the_systems_until_another_is_chosen_and_is_remembered(browser: Browser, address: str) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, address, dark=True) as (page, _):
        assert page.evaluate(ground) == "rgb(22, 27, 34)"
        page.locator("#theme").select_option("light")
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        page.wait_for_timeout(500)  # the browser keeps it in a process of its own
        page.reload()
        assert page.evaluate(ground) == "rgb(255, 255, 255)" and page.locator("#theme").input_value() == "light"


def test_every_control_is_reached_by_tab_and_is_seen_there(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    controls = page.evaluate(
        "document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]').length"
    )
    seen, unseen = [], []
    for _ in range(controls):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "(() => { const e = document.activeElement; const s = getComputedStyle(e); e.dataset.seen = 1;"
            "return [e.tagName + '.' + e.className, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2]; })()"
        )
        seen.append(told[0])
        unseen += [] if told[1] or told[0] in ("BODY.", "HTML.with-script") else [told[0]]
    assert not unseen
    missed = "[...document.querySelectorAll('main button, main input, main summary, main [tabindex=\"0\"]')]"
    missed += ".filter(e => !e.dataset.seen && e.checkVisibility()).map(e => e.outerHTML.slice(0, 80))"
    assert page.evaluate(missed) == []


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_never_scrolls_sideways(browser: Browser, address: str, width: int) -> None:
    with opened(browser, address, width=width) as (page, _):
        page.evaluate("document.querySelectorAll('details').forEach(each => (each.open = true))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator(f"{TABLE} .scroll").evaluate("each => each.scrollTo(200, 0)")
        left = "document.querySelector('" + TABLE + " tbody th').getBoundingClientRect().left"
        assert 0 <= page.evaluate(left) < 400, "the first column stays"


def test_paper_has_every_section_whole_and_no_control(page: Page, tmp_path: Path) -> None:
    pdf = page.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF") and 3 <= pdf.count(b"/Type /Page\n") <= 40
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 1032, "height": 700})  # A4 across, less its margins
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator(".tools:visible, nav:visible, .theme:visible, .more:visible").count() == 0
    wide = (
        "[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert page.evaluate(wide) == 0
    assert page.evaluate("getComputedStyle(document.querySelector('thead')).display") == "table-header-group"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(browser: Browser, address: str, dark: bool) -> None:
    from axe_core_python.sync_playwright import Axe

    with opened(browser, address, dark=dark) as (page, _):
        page.evaluate("document.querySelectorAll('details').forEach(each => (each.open = true))")
        found: dict[str, Any] = Axe().run(page)
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]] == []
        page.locator(f"{TABLE} tbody td").nth(0).click()
        inside: dict[str, Any] = Axe().run(page, context="dialog")
        assert [each["id"] for each in inside["violations"]] == []
