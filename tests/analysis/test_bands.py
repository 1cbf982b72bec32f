"""DET curves against scikit-learn's, and their bands against the binomial distribution that they resample."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom
from sklearn.metrics import det_curve

from gelo.analysis.pictures.bands import Sample, band, frr_at, samples
from gelo.tasks.results import Result


def _result(suite: str, dataset: str, unit: str) -> Result:
    return Result(suite=suite, dataset=dataset, protocol="p", protocol_version=1, scale="miniature", values={}, counts={"images": 1},
                  notes={"interval_unit": unit})  # fmt: skip


@pytest.mark.parametrize("decimals", [1, 6], ids=["ties", "no ties"])
def test_rates_are_those_of_scikit_learn(decimals: int) -> None:
    generator = np.random.default_rng(0)
    genuine, impostor = generator.normal(1, 1, 80).round(decimals), generator.normal(-1, 1, 300).round(decimals)
    truth = np.concatenate([np.ones(80), np.zeros(300)])
    fpr, fnr, _ = det_curve(truth, np.concatenate([genuine, impostor]), drop_intermediate=False)
    far = np.array([0.004, 0.0101, 0.05, 0.3, 0.97])
    expected = [fnr[fpr <= each + 1e-12].min() if (fpr <= each + 1e-12).any() else None for each in far]
    found = frr_at(Sample("x", genuine, impostor), far)
    for each, value in zip(expected, found, strict=True):
        assert each is None or value == pytest.approx(each)


def test_a_band_is_that_of_the_binomial_where_the_threshold_stands_still() -> None:
    """All impostors have the score 0, so that FRR is the share of genuine scores at most 0: 30 of 120."""
    genuine = np.concatenate([np.full(30, -1.0), np.full(90, 1.0)])
    table = pa.table({"same": [True] * 120 + [False] * 50, "fold": [0] * 170, "score": [*genuine, *np.zeros(50)]})
    (sample,) = samples(_result("fr", "pairs", "pair"), table)
    middle, low, high = band([sample], np.array([0.1, 0.5]))
    assert middle == pytest.approx([0.25, 0.25])
    ends = binom.ppf([0.025, 0.975], 120, 0.25) / 120
    assert [low[0], high[0]] == pytest.approx(ends, abs=0.02)
    assert low[0] < 0.25 < high[0] and low[0] == low[1]


def test_templates_are_drawn_by_subject() -> None:
    """Two templates each of a, b and c: a genuine pair counts as its subject does, an impostor pair as the product of both."""
    names = ["a_0", "a_1", "b_0", "b_1", "c_0", "c_1"]
    pairs = [(one, two) for place, one in enumerate(names) for two in names[place + 1 :]]
    same = [one[0] == two[0] for one, two in pairs]
    table = pa.table(
        {"template_1": [one for one, _ in pairs], "template_2": [two for _, two in pairs], "same": same,
         "score": np.linspace(0, 1, len(pairs))}
    )  # fmt: skip
    (sample,) = samples(_result("fr", "templates", "subject"), table)
    assert (sample.unit, len(sample.genuine), len(sample.impostor)) == ("subject", 3, 12)
    for draw in range(20):
        own, others = sample.weights(draw)
        assert own.sum() == 3 and set(own) <= {0.0, 1.0, 2.0, 3.0}
        assert others.sum() == pytest.approx(4 * (own[0] * own[1] + own[0] * own[2] + own[1] * own[2]))


def test_no_band_where_the_table_does_not_name_what_is_resampled() -> None:
    labels = [1, 1, 0, 0]
    table = pa.table({"id": list("wxyz"), "label": labels, "attack": ["bona_fide", "bona_fide", "warp", "blend"],
                      "score": [0.9, 0.4, 0.5, 0.1]})  # fmt: skip
    by_subject, by_image = (samples(_result("mad", "morphs", unit), table) for unit in ("subject", "image"))
    assert [each.part for each in by_subject] == ["blend", "warp"] and all(each.units is None for each in by_subject)
    assert np.isnan(band([by_subject[0]], np.array([0.5]))[1]).all()
    assert by_image[1].unit == "image" and not np.isnan(band([by_image[1]], np.array([0.5]))[1]).any()
