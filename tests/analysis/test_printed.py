"""Tables as they are printed: means over seeds, bold by brute force, reasons, versions; Markdown read back by a renderer of CommonMark."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from scipy.stats import norm
from scipy.stats import t as student

from gelo.analysis import markdown
from gelo.analysis.cells import Cell, Row, Table
from gelo.analysis.compare import compare
from gelo.analysis.printed import Sheet, sheets
from gelo.analysis.runs import METRIC_COLUMNS, TRIAL_COLUMNS, Runs, read_runs
from gelo.analysis.tables import build
from gelo.models.faults import UserError
from tests.analysis.sweeps import demo, write_result, write_sweep, write_trial

BARE = Runs("bare", {}, pd.DataFrame(columns=TRIAL_COLUMNS), pd.DataFrame(columns=METRIC_COLUMNS), {})
HOSTILE = r"""a_b%c&d#e{f}g~h^i\j|k<b>l</b>$x$`y`*z*[0.5ex]"q"--!"""


def row(remedy: str, cell: Cell, *, seed: int = 0, task: str = "faces", backbone: str = "mini-s") -> Row:
    identity = {
        "trial": f"{remedy}{seed}",
        "backbone": backbone,
        "task": task,
        "adaptation": "lora",
        "remedy": remedy,
        "seed": str(seed),
    }
    return Row(identity, task == "none", {"shapes": cell})


def sheet(rows: Sequence[Row], up: int = 1, **more: str) -> Sheet:
    table = Table("zero_shot", ("shapes",), ("shapes",), tuple(rows), upwards={"shapes": up})
    (found,) = sheets(BARE, {"zero_shot": table}, **more)  # type: ignore[arg-type]
    return found


def number(value: float, low: float | None = None, high: float | None = None, version: int = 1) -> Cell:
    return Cell(f"{value:.2f}", low=low, high=high, value=value, version=version)


def bold(found: Sheet) -> list[bool]:
    return [line.entries[0].bold for block in found.blocks for line in block]


# what a line is


def test_a_line_is_the_mean_over_seeds_with_the_interval_of_images_and_seeds() -> None:
    values, half = [50.0, 52.0, 57.0], 2.0
    found = sheet([row("none", number(v, v - half, v + half), seed=n) for n, v in enumerate(values)], behind="interval")
    (line,) = found.blocks[0]
    assert found.names == ("backbone", "task", "adaptation", "seeds") and line.names == ("mini-s", "faces", "LoRA", "3")
    error = half / norm.ppf(0.975)
    wide = ((norm.ppf(0.975) * error) ** 2 + student.ppf(0.975, 2) ** 2 * pd.Series(values).var() / 3) ** 0.5
    low, high = 53 - wide, 53 + wide
    assert (line.entries[0].text, line.entries[0].behind) == ("53.00", f"{low:.2f} to {high:.2f}")


def test_a_mean_lacks_what_one_seed_lacks_and_is_of_one_version() -> None:
    found = sheet([row("none", number(50)), row("none", Cell("", "it diverged"), seed=1), row("wise", number(60))])
    lines = found.blocks[0]
    assert (lines[0].entries[0].text, lines[1].entries[0].text) == ("", "60.00")
    assert found.notes == ("1 of 2 seeds: it diverged",) and lines[0].entries[0].note == 1
    mixed = sheet(
        [row("none", number(50, version=4)), row("none", number(52, version=5), seed=1), row("wise", number(60))]
    )
    assert mixed.notes == ("seeds were scored by versions 4 and 5 of the protocol",)


def test_a_number_of_an_older_version_is_marked_and_against_nothing() -> None:
    found = sheet([row("none", number(50, 49, 51, 4)), row("wise", number(60, 59, 61, 5))])
    (old, new) = found.blocks[0]
    assert (old.entries[0].text, old.entries[0].note, new.entries[0].note) == ("50.00", 1, None)
    assert "version 4" in found.notes[0] and not any(bold(found))


# what is bold


@given(
    st.lists(st.tuples(st.floats(10, 90), st.floats(0, 20), st.booleans()), min_size=1, max_size=5),
    st.sampled_from([1, -1, 0]),
)
def test_bold_is_the_best_where_no_other_interval_meets_its_own(
    drawn: list[tuple[float, float, bool]], up: int
) -> None:
    cells = [number(v, v - half, v + half) if known else number(v) for v, half, known in drawn]
    found = sheet([row(f"r{place}", cell) for place, cell in enumerate(cells)], up)
    expected = [False] * len(cells)
    if up and len(cells) > 1 and all(known for _, _, known in drawn):
        for place, (value, half, _) in enumerate(drawn):
            others = [other for at, other in enumerate(drawn) if at != place]
            expected[place] = all(up * (value - v) > half + h for v, h, _ in others)
    assert bold(found) == pytest.approx(expected) or any(
        abs(abs(a[0] - b[0]) - a[1] - b[1]) < 1e-9 for a in drawn for b in drawn if a is not b
    ), "but for intervals that touch"


def test_the_untouched_backbone_and_other_tasks_are_no_rivals_and_comparisons_are_counted() -> None:
    found = sheet(
        [
            row("none", number(99, 98, 100), task="none"), row("none", number(50, 49, 51)), row("wise", number(60, 59, 61)),
            row("none", number(80, 79, 81), task="morphs"),
        ]
    )  # fmt: skip
    assert bold(found) == [False, False, True, False]
    assert any("(1 comparison in all)" in sentence and sentence.startswith("Bold:") for sentence in found.said)
    level = sheet([row("none", number(50, 40, 60)), row("wise", number(60, 50, 70))])
    assert any(sentence.startswith("No number is bold") for sentence in level.said)
    alone = sheet([row("none", number(50, 40, 60))])
    assert not any("bold" in sentence.lower() for sentence in alone.said)


# the three tables of a sweep


def test_the_three_tables_of_a_sweep_with_the_reason_of_every_empty_cell(tmp_path: Path) -> None:
    demo(tmp_path)
    comparison = compare(read_runs(tmp_path, "demo"))
    found = sheets(comparison.runs, build(comparison))
    assert [each.name for each in found] == ["zero_shot", "linear_probe", "biometric"]
    assert found[0].heads[-2:] == ("average", "gelo") and found[2].heads[0] == "fr pairs accuracy ↑"
    for each in found:
        assert any("Miniature" in sentence for sentence in each.said)
        for block in each.blocks:
            assert block[0].names[:2] == (block[0].names[0], "untouched") and block[0].names[0] in ("mini-s", "mini-l")
            for place, line in enumerate(block):
                for head, entry in zip(each.heads, line.entries, strict=True):
                    assert entry.text or entry.note or (place == 0 and head == "gelo")
                    assert entry.text != "nan" and (entry.note is None or each.notes[entry.note - 1])
    assert "2,000 impostor pairs cannot resolve a rate of 1e-4" not in found[2].notes, "no column that has no value"
    (summary,) = sheets(comparison.runs, build(comparison), ["gelo"])
    assert summary.name == "gelo"
    with pytest.raises(UserError, match=r"unknown table 'zero_shit'.*nearest: zero_shot"):
        sheets(comparison.runs, build(comparison), ["zero_shit"])


def test_versions_of_a_protocol_are_not_averaged_nor_set_against_each_other(tmp_path: Path) -> None:
    """Two sets of one trial by two versions; a trial and its baseline by two."""
    import json

    root = write_sweep(tmp_path, "mixed", backbones=["mini-s"])
    trials = [write_trial(root, key, "mini-s", task, way) for key, task, way in
              (("b", "none", "none"), ("same", "faces", "full"), ("other", "faces", "lora"), ("two", "morphs", "full"))]  # fmt: skip
    for folder in trials:
        for name in ("shapes", "signs"):
            write_result(folder, "zero_shot", name, {f"{name}/top1": 0.5}, intervals={f"{name}/top1": (0.4, 0.6)})
            path = folder / "results" / "zero_shot" / f"{name}.json"
            later = folder.name == "other" or (folder.name == "two" and name == "signs")
            path.write_text(json.dumps(json.loads(path.read_text()) | {"protocol_version": 2 if later else 1}))
    comparison = compare(read_runs(tmp_path, "mixed"))
    cells = {each.identity["trial"]: each.cells for each in build(comparison)["zero_shot"].rows}
    assert (cells["same"]["average"].text, cells["same"]["gelo"].text) == ("50.00", "1.000")
    assert (cells["other"]["average"].text, cells["other"]["gelo"].text) == ("50.00", "")
    assert cells["other"]["gelo"].reason == "scored by version 2 of the protocol, its baseline by 1"
    assert cells["other"]["shapes"].change is None and cells["same"]["shapes"].change == 0
    assert (cells["two"]["average"].text, cells["two"]["gelo"].text) == ("", "")
    assert cells["two"]["average"].reason == cells["two"]["gelo"].reason == "scored by versions 1 and 2 of the protocol"


# Markdown


class Reader(HTMLParser):
    """The text of every table cell and paragraph."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)
        self.cells = [cell.strip() for cell in self.cells]

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag in ("td", "th", "p", "h2"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def rendered(text: str) -> Reader:
    return Reader(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1))
def test_any_text_stands_for_itself_in_markdown(text: str) -> None:
    shown = rendered(f"| x |\n| --- |\n| {markdown.escaped(text)} |\n").cells
    assert shown[1].strip() == text.strip()


def test_a_hostile_name_is_a_name_in_markdown() -> None:
    found = sheet([row(HOSTILE, Cell("", HOSTILE)), row("wise", number(60, 59, 61)), row("none", number(50, 49, 51))])
    page = rendered(markdown.written([found]))
    assert HOSTILE in page.cells and any(cell.startswith(f"¹ {HOSTILE}") for cell in page.cells)
    assert page.tags == {"h2", "p", "table", "thead", "tbody", "tr", "th", "td", "strong"}
    assert "60.00" in page.cells and "**60.00**" in markdown.written([found])
