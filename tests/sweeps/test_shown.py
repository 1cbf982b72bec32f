"""What `gelo evaluate` prints of its results: values, what was compared, and above all what a table cannot say."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.console import Console

from gelo.sweeps.terminal.results import remarks, results_table
from gelo.tasks import results
from gelo.tasks.protocols import unit
from gelo.tasks.results import Result

RESULT = Result(
    suite="mad_text", dataset="morphs", protocol="p", protocol_version=1, scale="miniature", partial=True,
    values={"mad_text/warp/eer": 0.8125}, intervals={"mad_text/warp/eer": (0.75, 0.9)},
    absent={"mad_text/warp/apcer_at_bpcer_1": "too few", "mad_text/mean/apcer_at_bpcer_1": "too few"},
    counts={"bona_fide": 1_200, "attack_warp": 300},
    notes={"interval_unit": "subject", "warning": "AUC 0.120: attacks score above bona fide", "attack": "one attack"},
)  # fmt: skip


def test_a_warning_comes_first_and_reasons_stand_once() -> None:
    assert remarks([RESULT]) == [
        "WARNING mad_text/morphs: AUC 0.120: attacks score above bona fide",
        "mad_text/morphs, attack: one attack",
        "not given: mad_text/warp/apcer_at_bpcer_1, mad_text/mean/apcer_at_bpcer_1 (too few)",
    ]


def test_the_table_says_what_was_compared_at_which_scale() -> None:
    console = Console(width=120)
    with console.capture() as shown:
        console.print(results_table("mini-s", [RESULT]))
    text = shown.get()
    for part in (
        "mini-s (MINIATURE data) (PARTIAL: morphs)",
        "81.25",
        "75.0 - 90.0",
        "1,200 bona_fide, 300 attack_warp",
    ):
        assert part in text


def test_generated_sets_are_named_beside_others() -> None:
    real = RESULT.model_copy(update={"scale": "full", "dataset": "mine", "partial": False})
    assert results_table("mini-s", [RESULT, real]).title == "mini-s (MINIATURE data: morphs) (PARTIAL: morphs)"
    assert results_table("ViT-B-16", [real]).title == "ViT-B-16"


def test_what_is_no_share_is_shown_as_it_is_and_the_others_say_per_cent(monkeypatch: pytest.MonkeyPatch) -> None:
    far = "mad_text/far/eer"
    monkeypatch.setattr(results, "unit", lambda name: "number" if name == far else unit(name))
    values, intervals = {**RESULT.values, far: 2.34567}, {**RESULT.intervals, far: (2.0, 2.7)}
    table = results_table("mini-s", [RESULT.model_copy(update={"values": values, "intervals": intervals})])
    assert table.headings[1] == "value"
    assert [row[1:3] for row in table.rows] == [("81.25 %", "75.0 - 90.0 %"), ("2.346", "2 - 2.7")]


def test_a_leak_is_a_warning_told_once() -> None:
    leak = "12 of 12 images of test stand in train too, byte for byte: a = b"
    probe = RESULT.model_copy(update={"suite": "probe", "dataset": "mine", "absent": {}, "notes": {"leak": leak}})
    knn = probe.model_copy(update={"suite": "knn"})
    clean = probe.model_copy(update={"suite": "zero_shot", "notes": {"leak": "none found"}})
    old = probe.model_copy(update={"dataset": "old", "notes": {"leak_unchecked": "prepared by an older gelo"}})
    assert remarks([clean, probe, knn, old]) == [
        f"WARNING probe/mine, knn/mine: {leak}",
        "probe/old, leaks not checked: prepared by an older gelo",
    ]


def test_nothing_is_cut_off_at_any_width() -> None:
    long = "mad_text/a_generator_of_morphs_with_a_long_name/bpcer_at_apcer_10"
    result = RESULT.model_copy(
        update={"values": {long: 0.8125, "mad_text/warp/eer": 0.5}, "counts": {"bona_fide": 1_234_567}}
    )
    for width in (30, 40, 80, 200):
        console = Console(width=width)
        with console.capture() as shown:
            console.print(results_table("mini-s", [result]))
        text = shown.get()
        assert max(map(cell_len, text.splitlines())) <= width
        assert "…" not in text
        assert "1,234,567" in text
        assert long in "".join(line.strip() for line in text.splitlines()).replace("│", "")
