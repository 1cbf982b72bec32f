"""What `gelo evaluate` prints of its results: values, what was compared, and above all what a table cannot say."""

from __future__ import annotations

from rich.console import Console

from sweeps.shown import remarks, results_table
from tasks.results import Result

RESULT = Result(
    suite="mad_text", dataset="morphs", protocol="p", protocol_version=1, scale="miniature", partial=True,
    values={"mad_text/warp/eer": 0.8125}, intervals={"mad_text/warp/eer": (0.75, 0.9)},
    absent={"mad_text/warp/apcer_at_bpcer_1": "too few", "mad_text/mean/apcer_at_bpcer_1": "too few"},
    counts={"bona_fide": 1_200, "attack_warp": 300},
    notes={"interval_groups": "subject", "warning": "AUC 0.120: attacks score above bona fide", "attack": "one attack"},
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
