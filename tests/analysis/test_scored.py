"""Metrics read again off what was scored: the protocols' own values, and resamples whose spread is a closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from upath import UPath

from gelo.analysis.resampling import DRAWS
from gelo.analysis.scored import drawn, scored
from gelo.tasks.protocols import morph, spoof
from gelo.tasks.protocols.detection import BONA_FIDE
from gelo.tasks.protocols.videos import Frames
from gelo.tasks.results import Result
from tests.analysis.scored_files import CONTEXT, answers, write_pairs, write_scored, write_top1


def of(folder: Path, suite: str, dataset: str) -> Result:
    return Result.model_validate_json((folder / "results" / suite / f"{dataset}.json").read_text())


def test_the_spread_of_right_and_wrong_is_that_of_a_mean(tmp_path: Path) -> None:
    """Of each, of both, and of their difference, which is smaller: they are drawn together."""
    one, other = answers(0.8), answers(0.7)
    samples = []
    for name, right in (("a", one), ("b", other)):
        write_top1(tmp_path / name, "shapes", right)
        samples.append(
            scored(UPath(tmp_path / name), of(tmp_path / name, "zero_shot", "shapes"), "zero_shot/shapes/top1")
        )
    draws = drawn(samples)
    assert draws.shape == (2, DRAWS)
    for row, right in zip(draws, (one, other), strict=True):
        assert row.mean() == pytest.approx(right.mean(), abs=0.004)
        assert row.std() == pytest.approx(np.sqrt(right.var() / len(right)), rel=0.1)
    difference = one.astype(float) - other
    assert (draws[0] - draws[1]).std() == pytest.approx(np.sqrt(difference.var() / len(one)), rel=0.1)
    assert np.array_equal(drawn(samples[:1])[0], draws[0])


def test_sets_are_drawn_independently_whatever_their_ids(tmp_path: Path) -> None:
    right = answers(0.7)
    for name in ("shapes", "signs"):
        write_top1(tmp_path, name, right, ids=[str(place) for place in range(200)])
    one, other = (
        drawn([scored(UPath(tmp_path), of(tmp_path, "zero_shot", name), f"zero_shot/{name}/top1")])[0]
        for name in ("shapes", "signs")
    )
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.12


def test_pairs_are_drawn_within_their_folds(tmp_path: Path) -> None:
    """A fold that is right throughout adds nothing to the spread: sum of p (1 - p) / n over the folds, by their number squared."""
    right = np.ones(400, np.uint8)
    right[(np.arange(400) // 2 % 10 == 3) & (np.arange(400) % 4 < 2)] = 0
    write_pairs(tmp_path, right)
    sample = scored(UPath(tmp_path), of(tmp_path, "fr", "pairs"), "fr/pairs/accuracy")
    rates = np.array([right[np.arange(400) // 2 % 10 == fold].mean() for fold in range(10)])
    assert drawn([sample])[0].std() == pytest.approx(np.sqrt((rates * (1 - rates) / 40).sum()) / 10, rel=0.1)


@pytest.mark.slow
def test_morphs_and_spoofs_are_read_as_their_protocols_read_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    attack = np.array([BONA_FIDE] * 40 + ["warp"] * 40 + ["blend"] * 40)
    scores = rng.normal(size=120) + (attack == BONA_FIDE)
    result, table = morph.score(
        "mad", scores, (attack == BONA_FIDE).astype(int), attack, [f"i{n}" for n in range(120)], **CONTEXT
    )
    write_scored(tmp_path, result, table)
    for name in ("mad/mean/eer", "mad/warp/apcer_at_bpcer_10", "mad/blend/bpcer_at_apcer_20"):
        draws = drawn([scored(UPath(tmp_path), result, name)])[0]
        assert abs(np.nanmean(draws) - result.values[name]) < 2 * np.nanstd(draws), name
    label, domain = np.arange(160) % 2, np.where(np.arange(160) < 80, "domain_a", "domain_b")
    names = np.array([f"v{n}" for n in range(160)])
    frames = [
        Frames(rng.normal(size=160) + label, label, np.char.add(split, names), domain, np.char.add(split, names))
        for split in "td"
    ]
    result, table = spoof.score("pad", frames[0], frames[1], **CONTEXT)
    write_scored(tmp_path, result, table)
    for name in ("pad/mean/hter", "pad/domain_a/auc", "pad/mean/eer"):
        sample = scored(UPath(tmp_path), result, name)
        assert sample.unit == "video" and drawn([sample])[0].std() > 0, name


def test_templates_are_drawn_by_subject(tmp_path: Path) -> None:
    """The spread of a TAR over few subjects with many pairs is that of the subjects, not of the pairs."""
    subjects, each = 20, 3
    names = [f"s{s:02}_{t}" for s in range(subjects) for t in range(each)]
    first, second = np.triu_indices(len(names), 1)
    same = first // each == second // each
    score = np.where(same, np.where(first // each % 2 == 0, 1.0, -1.0), 0.0) + 1e-6 * np.arange(len(first))
    table = pa.table({
        "template_1": np.array(names)[first], "template_2": np.array(names)[second], "same": same, "score": score,
    })  # fmt: skip
    value = {"fr/templates/tar_at_far_1e-2": 0.5}
    result = Result(
        suite="fr",
        dataset="templates",
        protocol="templates",
        protocol_version=1,
        counts={"genuine": 1},
        values=value,
        **CONTEXT,
    )
    write_scored(tmp_path, result, table)
    draws = drawn([scored(UPath(tmp_path), result, "fr/templates/tar_at_far_1e-2")])[0]
    assert draws.std() == pytest.approx(np.sqrt(0.25 / subjects), rel=0.1)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("gone", "no scores are kept beside zero_shot/shapes"),
        ("torn", "cannot be read"),
        ("others", "gives 0.25 where the result says 0.5"),
        ("twice", "has the same image twice"),
        ("gap", "column predicted has 1 gaps"),
    ],
)
def test_what_does_not_belong_to_its_result_is_not_read(damage: str, told: str, tmp_path: Path) -> None:
    write_top1(tmp_path, "shapes", [1, 1, 0, 0])
    result, path = of(tmp_path, "zero_shot", "shapes"), tmp_path / "results" / "zero_shot" / "shapes.parquet"
    if damage == "gone":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "others":
        write_top1(tmp_path, "shapes", [1, 0, 0, 0])
    elif damage == "twice":
        write_top1(tmp_path, "shapes", [1, 1, 0, 0], ids=["a", "a", "b", "c"])
    else:
        write_scored(tmp_path, result, pa.table({"id": ["a", "b"], "label": [0, 1], "predicted": [0, None]}))
    with pytest.raises(LookupError, match=told):
        scored(UPath(tmp_path), result, "zero_shot/shapes/top1")
