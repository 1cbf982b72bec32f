"""Which biometric metrics the page shows at first sight: those of the paper's sets and of a user's own too."""

from __future__ import annotations

import pytest

from gelo.analysis.tables import rank
from gelo.tasks.protocols import main_columns

MAIN = main_columns("biometric")


@pytest.mark.parametrize(
    "metric",
    [
        "fr/lfw/accuracy",
        "fr/ijbc/tar_at_far_1e-4",
        "fr_1n/ijbc/rank_1",
        "mad/mean/eer",
        "mad/mine.mean/eer",
        "pad/mine.mean/hter",
    ],
)
def test_main_metrics(metric: str) -> None:
    assert rank(metric) < len(MAIN)


@pytest.mark.parametrize(
    "metric",
    ["fr/ijbc/tar_at_far_1e-2", "fr_1n/ijbc/rank_1_gallery_1", "mad/warp/eer", "mad/mine.warp/eer", "pad/mean/acer"],
)
def test_the_others_are_left_to_the_csv(metric: str) -> None:
    assert rank(metric) == len(MAIN)
