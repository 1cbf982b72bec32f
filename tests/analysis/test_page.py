"""The page without a browser: its sections, what is escaped, where values come from, what is left out, and its colours."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pandas import DataFrame

from gelo.analysis.compare import compare
from gelo.analysis.finding import Finding
from gelo.analysis.page import values as kept
from gelo.analysis.page.render import render
from gelo.analysis.page.values import embedded, values
from gelo.analysis.pagetables import MOST_ROWS, shown_tables, tint_colours
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import build
from tests.analysis.browsing import Given
from tests.analysis.sweeps import demo, write_result, write_sweep, write_trial

ODD = "<img src=x onerror=alert(1)>&\"'</script>"


class Read(HTMLParser):
    """ids in order, heads with their level, and what every element of script type JSON holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.levels: list[int] = []
        self.sources: list[str] = []
        self.json, self._json = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids += [str(named["id"])] if "id" in named else []
        self.levels += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.sources += [str(named[name]) for name in ("src", "srcset") if name in named]
        self._json = tag == "script" and named.get("type") == "application/json"

    def handle_endtag(self, tag: str) -> None:
        self._json = self._json and tag != "script"

    def handle_data(self, text: str) -> None:
        self.json += text if self._json else ""


def rendered(storage: Path, sweep: str = "demo", findings: tuple[Finding, ...] = (), pictures: Any = ()) -> str:
    comparison = compare(read_runs(storage, sweep))
    return render(comparison, build(comparison), findings, pictures)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    storage = tmp_path_factory.mktemp("storage")
    demo(storage)
    said = Finding("Does it?", "yes", "Because.", "0.688", "0.661 to 0.714", "Wilcoxon, Holm over 3")
    rows = DataFrame({"share": [0.5, float("nan")], "name": ["a<b", "c"]})
    picture = Given("p", "Two", "It.", "two", rows, "<svg></svg>")
    return rendered(storage, findings=(said,), pictures=[picture])


def test_sections_stand_in_their_order_and_every_id_is_one(page: str) -> None:
    read = Read(page)
    order = [
        "findings",
        "warnings",
        "pictures",
        "zero_shot",
        "biometric",
        "gelo",
        "published",
        "methods",
        "provenance",
        "values",
    ]
    assert [name for name in read.ids if name in order] == order
    assert len(read.ids) == len(set(read.ids))
    assert read.levels[0] == 1 and all(
        after <= before + 1 for before, after in zip(read.levels, read.levels[1:], strict=False)
    )
    assert all(source.startswith("data:") for source in read.sources)


def test_a_verdict_has_its_number_interval_and_test(page: str) -> None:
    for text in (
        "0.688",
        "95 % interval 0.661 to 0.714",
        "Wilcoxon, Holm over 3",
        "a&lt;b",
        '<td class="words">c</td>',
    ):
        assert text in page
    assert "nan" not in page.partition('id="pictures"')[2].partition("</figure>")[0].lower()


def test_every_value_is_in_the_json_once_as_its_result_file_has_it(tmp_path: Path) -> None:
    root = demo(tmp_path)
    told = json.loads(Read(rendered(tmp_path)).json)
    found = {}
    for file, metric, value, low, high, _ in told["values"]:
        trial, suite, dataset, *_ = told["files"][file]
        place = (told["trials"][trial][0], told["texts"][suite], told["texts"][dataset], told["metrics"][metric])
        assert place not in found
        found[place] = (value, low, high)
    expected = {}
    for path in root.glob("trials/*/results/*/*.json"):
        result = json.loads(path.read_text())
        for name in [*result["values"], *result["absent"]]:
            ends = [result["values"].get(name), *result["intervals"].get(name, (None, None))]
            expected[path.parts[-4], path.parts[-2], path.stem, name] = tuple(
                "" if end is None else f"{100 * end:.2f}" for end in ends
            )
    assert found == expected and told["left"] == 0


def test_beyond_its_limit_whole_trials_are_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo(tmp_path)
    monkeypatch.setattr(kept, "MOST", 100)
    comparison = compare(read_runs(tmp_path, "demo"))
    told = values(comparison)
    assert len(told["values"]) <= 100 and told["left"] == len(comparison.runs.metrics) - len(told["values"])
    assert told["trials_left"] == 14 - len(told["trials"]) > 0
    assert f"{told['left']:,} values of {told['trials_left']} trials are left out here" in rendered(tmp_path)


def test_a_long_table_says_how_many_rows_it_leaves_to_its_csv(tmp_path: Path) -> None:
    demo(tmp_path)
    table = build(compare(read_runs(tmp_path, "demo")))["zero_shot"]
    long = type(table)(**{**vars(table), "rows": table.rows * 100})
    (shown,) = shown_tables({"zero_shot": long})
    assert len(shown["rows"]) == MOST_ROWS and shown["left"] == 100 * len(table.rows) - MOST_ROWS


def test_json_cannot_end_its_element() -> None:
    text = embedded({"a": ODD, "b": "\u2028"})
    assert json.loads(text) == {"a": ODD, "b": "\u2028"} and "<" not in text and "\u2028" not in text


def test_names_of_a_user_are_text_everywhere(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, ODD.replace("/", ""), backbones=["mini-s"])
    write_result(write_trial(root, "b", "mini-s", "none"), "zero_shot", "mine", {"mine/top1": 0.5})
    trained = {"data": ODD, "sources": {ODD: ODD}, "ranks": "two", "watch_seconds": ODD, "train_seconds": 3.0}
    way = {"kind": "full", "targets": [ODD]}
    trial = write_trial(
        root, "t", "mini-s", ODD, way, remedy={"kind": ODD, "x": ODD}, training=trained, settings={"data": ODD}
    )
    write_result(trial, "zero_shot", "mine", {}, absent={"mine/top1": ODD}, notes={"leak": ODD, "rule_of_30": ODD})
    text = rendered(tmp_path, root.name)
    assert "<img src=x" not in text and "&lt;img src=x onerror=alert(1)&gt;" in text
    assert text.count("<script") == text.count("</script>") == 3


def test_the_policy_lets_this_pages_scripts_run_and_no_others(page: str) -> None:
    scripts = re.findall(r'<script id="[\w-]+">(.*?)</script>', page, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in scripts]
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert (
        policy
        and len(scripts) == 2
        and f"script-src {' '.join(hashes)}" in policy[1]
        and policy[1].startswith("default-src 'none'")
    )


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_text_is_read_on_every_tint_of_both_themes() -> None:
    css = (Path(__file__).parents[2] / "analysis/templates/report.css").read_text()
    ink = re.search(r"--ink: light-dark\((#\w+), (#\w+)\)", css)
    assert ink
    for dark in (False, True):
        text = luminance(ink[2 if dark else 1])
        colours = tint_colours(dark)
        assert len(set(colours.values())) == 16
        for colour in colours.values():
            ends = sorted((text, luminance(colour)))
            assert (ends[1] + 0.05) / (ends[0] + 0.05) >= 4.5, colour
