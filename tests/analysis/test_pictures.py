"""The pictures as a page shows them: marks and their words, ids, bytes, alt texts and rows that equal the results."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from upath import UPath

from gelo.analysis.compare import Comparison, compare
from gelo.analysis.pictures import PICTURES, Finished, filed, pictures
from gelo.analysis.pictures.canvas import MARKERS, look, looks, short
from gelo.analysis.pictures.slopes import SLOPES
from gelo.analysis.pictures.trade import TRADE
from gelo.analysis.runs import read_runs
from tests.analysis.sweeps import KEPT, demo, write_result, write_sweep, write_trial

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    storage = tmp_path_factory.mktemp("storage")
    demo(storage, wise=True)
    return compare(read_runs(storage, "demo"))


@pytest.fixture(scope="module")
def drawn(comparison: Comparison) -> dict[str, Finished]:
    return {each.name: each for each in pictures(comparison)}


@pytest.mark.slow
def test_the_demo_has_these_pictures_in_this_order(drawn: dict[str, Finished]) -> None:
    slopes = [f"slopes_{way}_{suite}" for suite in ("zero_shot", "linear_probe") for way in ("full", "lora")]
    assert list(drawn) == ["gain_kept", "kept", *slopes, "curve_wise", "cross_task", "losses"]
    assert len({picture.name for picture in PICTURES}) == len(PICTURES)


@pytest.mark.slow
def test_ids_are_unique_over_the_page_and_lead_somewhere(drawn: dict[str, Finished]) -> None:
    pages = {name: each.svg(inline=True) for name, each in drawn.items()}
    ids = [own for svg in pages.values() for own in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(ids) == len(set(ids)) and ids
    for name, svg in pages.items():
        root = ElementTree.fromstring(svg)
        assert (root.tag, root.get("role"), root.get("aria-label")) == (f"{SVG}svg", "img", drawn[name].alt)
        own = {element.get("id") for element in root.iter()}
        pointed = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)
        assert {one or two for one, two in pointed} <= own, name
        assert all(str(each).startswith(f"{name}-") for each in own - {None})
        assert "<title" not in svg and "<?xml" not in svg and "http:" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", svg)


@pytest.mark.slow
def test_a_mark_says_its_row(drawn: dict[str, Finished]) -> None:
    """Every row of the gain against kept has a mark with its numbers, in its series; alone, the file has them as titles."""
    picture = drawn["gain_kept"]
    root = ElementTree.fromstring(picture.svg())
    marks = [element for element in root.iter() if element.get("data-tip")]
    assert len(marks) == len(picture.rows) == 18
    said = {(mark.get("data-series"), mark.get("data-tip")) for mark in marks}
    for _, row in picture.rows.iterrows():
        start = f"kept {row['kept']:.3f} ({row['kept_low']:.3f} to {row['kept_high']:.3f})"
        assert any(series == row["name"] and start in tip and row["task"] in tip for series, tip in said), row
    assert all(mark.find(f"{SVG}title").text == mark.get("data-tip") for mark in marks)  # type: ignore[union-attr]


@pytest.mark.slow
def test_rows_and_alt_texts_equal_what_was_written(drawn: dict[str, Finished]) -> None:
    kept = drawn["kept"].rows.set_index(["backbone", "task", "adaptation"])["kept"]
    for (task, way), share in KEPT.items():
        assert kept["mini-s", task, way] == pytest.approx(share)
    assert "least by full on faces, mini-s (0.700)" in drawn["kept"].alt and "12 bars" in drawn["kept"].alt
    slopes = drawn["slopes_full_zero_shot"].rows.set_index(["backbone", "task", "dataset"])
    row = slopes.loc[("mini-s", "faces", "shapes")]
    assert (row["before"], row["after"], row["change"]) == pytest.approx((62.0, 43.4, -18.6))
    assert row["change_high"] == pytest.approx(-18.6 + (2 * 3.0**2) ** 0.5) and bool(row["clear"])
    assert row["images"] == "300 images"
    curve = drawn["curve_wise"].rows
    small = curve[curve["backbone"] == "mini-s"].set_index("over")["kept"]
    assert list(small) == pytest.approx([1 - 0.3 * alpha**2 for alpha in (0.25, 0.5, 0.75)])
    cells = drawn["cross_task"].rows.set_index(["backbone", "trained", "tested"])
    own = cells.loc[("mini-s", "morphs, full", "morphs, eer")]
    assert (own["value"], own["before"], own["better"]) == pytest.approx((12.5, 41.0, 28.5))
    general = cells.loc[("mini-s", "spoofs, full", "general, zero-shot")]
    assert general["value"] == pytest.approx(75.5 * 0.93)


@pytest.mark.slow
def test_equal_input_gives_equal_bytes(comparison: Comparison, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert len(list(filed(UPath(tmp_path / name), TRADE.finished(comparison)))) == 1
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert set(one) == {f"gain_kept.{form}" for form in ("svg", "pdf", "png", "csv")}
    for name, content in one.items():
        assert content == two[name], name
    assert one["gain_kept.pdf"].startswith(b"%PDF") and one["gain_kept.png"].startswith(b"\x89PNG")


@pytest.mark.slow
def test_names_of_a_user_are_escaped_and_fit(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, backbones=["mini-s"])
    write_result(write_trial(root, "b", "mini-s", "none"), "zero_shot", "shapes", {"shapes/top1": 0.5})
    odd = {"kind": "lora", "targets": ["_<script>alert(1)</script>&$x^2$ " + "very long " * 20]}
    for key, way in (("f", odd), ("g", {"kind": "lora", "targets": ["_v"]})):
        write_result(write_trial(root, key, "mini-s", "faces", way), "zero_shot", "shapes", {"shapes/top1": 0.4})
    found = list(pictures(compare(read_runs(tmp_path, "demo"))))
    assert {each.name.split("_")[0] for each in found} == {"kept", "slopes"}
    for each in found:
        svg = each.svg(inline=True)
        assert "<script" not in svg and len(each.name) < 80
        assert ElementTree.fromstring(svg).get("aria-label") == each.alt


def test_series_are_told_apart_without_colour() -> None:
    names = [f"remedy {place}" for place in range(40)]
    found = looks(names)
    assert len({each.letter for each in found.values()}) == 40
    assert len({(each.colour, each.marker) for each in map(look, range(84))}) == 84
    assert len(set(MARKERS)) == len(MARKERS)
    assert short("x" * 200) != "x" * 200 and len(short("x" * 200)) <= 72 and short("_hidden").strip() == "_hidden"


def test_a_sweep_of_baselines_alone_has_no_slopes(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, backbones=["mini-s"])
    write_result(write_trial(root, "b", "mini-s", "none"), "zero_shot", "shapes", {"shapes/top1": 0.5})
    assert SLOPES.finished(compare(read_runs(tmp_path, "demo"))) == []
