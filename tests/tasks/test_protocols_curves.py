"""The saved curves: that the result's EER and TAR read off them again, whole or thinned, and what their table says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_curve
from upath import UPath

from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.metrics import errors
from gelo.tasks.metrics.curves import curve
from gelo.tasks.metrics.det import kept
from gelo.tasks.metrics.scores import as_scores
from gelo.tasks.metrics.verification import tar_at_far
from gelo.tasks.protocols import identification, morph, spoof
from gelo.tasks.protocols.curves import curves_of
from gelo.tasks.protocols.tally import Context
from gelo.tasks.results import Result
from tests.tasks.test_protocols_detection import ATTACKS, DEV, IDS, LABELS, SCORES, TEST
from tests.tasks.test_protocols_identification import random_case

CONTEXT: Context = {"data": "d", "vision": "v", "text": "t", "scale": "miniature"}


def interpolated(rows: pa.Table) -> float:
    """EER off a saved curve: where FAR - FRR crosses 0, on the line between two points."""
    far, frr = rows["far"].to_numpy(), rows["frr"].to_numpy()
    after = int(np.argmax(far - frr >= 0))
    return float(np.interp(0, (far - frr)[after - 1 : after + 1], far[after - 1 : after + 1]))


def part_of(table: pa.Table, part: str) -> pa.Table:
    return table.filter(pa.array([name == part for name in table["part"].to_pylist()]))


def pairs_result(genuine: np.ndarray, impostor: np.ndarray) -> tuple[Result, pa.Table]:
    same = np.repeat([True, False], [genuine.size, impostor.size])
    table = pa.table({"same": same, "score": np.concatenate([genuine, impostor])})
    return Result(suite="fr", dataset="many", protocol="p", protocol_version=1, values={}, counts={}, **CONTEXT), table


def test_a_short_curve_is_scikit_learns_whole() -> None:
    rng = np.random.default_rng(0)
    genuine, impostor = np.round(rng.normal(1, 1, 300), 2), np.round(rng.normal(0, 1, 900), 2)
    result, table = pairs_result(genuine, impostor)
    saved = curves_of(result, table)
    assert saved is not None
    fpr, tpr, thresholds = roc_curve(table["same"].to_numpy(), table["score"].to_numpy(), drop_intermediate=False)
    np.testing.assert_allclose(saved["far"].to_numpy(), fpr, atol=1e-15)
    np.testing.assert_allclose(saved["frr"].to_numpy(), 1 - tpr, atol=1e-15)
    np.testing.assert_array_equal(saved["threshold"].to_numpy()[1:], thresholds[1:])
    assert saved["threshold"][0].as_py() > genuine.max()
    assert saved.schema.metadata == {b"points": f"many: {fpr.size} of {fpr.size}".encode()}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_thinned_curve_gives_the_same_eer_and_tar(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.normal(2, 1, 2_000), rng.normal(0, 1, 40_000)
    if ties:
        genuine, impostor = np.round(genuine, 3), np.round(impostor, 3)
    result, table = pairs_result(genuine, impostor)
    saved = curves_of(result, table, limit=400)
    assert saved is not None
    whole = np.unique(np.concatenate([genuine, impostor])).size + 1
    assert saved.num_rows <= 440 < whole
    assert saved.schema.metadata == {b"points": f"many: {saved.num_rows} of {whole}".encode()}
    assert np.all(np.diff(saved["threshold"].to_numpy()) < 0)
    ours = errors.eer(as_scores(genuine), as_scores(impostor), chosen_on="test").value
    assert interpolated(saved) == pytest.approx(ours, abs=1e-12)
    far, frr = saved["far"].to_numpy(), saved["frr"].to_numpy()
    for rate in (1e-1, 1e-2, 1e-3, 1e-4):
        nearest = np.flatnonzero(np.isclose(np.abs(far - rate), np.abs(far - rate).min(), atol=1e-12, rtol=0))
        expected = tar_at_far(as_scores(genuine), as_scores(impostor), rate, chosen_on="test")
        assert 1 - frr[nearest].min() == pytest.approx(expected.tar, abs=1e-12)
    # Every threshold says what it accepts.
    for row in (0, saved.num_rows // 3, saved.num_rows - 1):
        assert np.mean(impostor >= saved["threshold"][row].as_py()) == far[row]
        assert np.mean(genuine < saved["threshold"][row].as_py()) == frr[row]


def test_points_kept_are_ascending_and_hold_both_ends() -> None:
    rng = np.random.default_rng(1)
    roc = curve(as_scores(rng.normal(3, 1, 50)), as_scores(rng.normal(0, 1, 3_000)))
    points = kept(roc, 100)
    assert (points[0], points[-1]) == (0, roc.thresholds.size)
    assert np.all(np.diff(points) > 0)
    np.testing.assert_array_equal(kept(roc, 3_051), np.arange(3_051))


def test_each_attack_and_domain_has_its_curve() -> None:
    for result, table in (
        morph.score("mad", SCORES, LABELS, ATTACKS, IDS, **CONTEXT),
        spoof.score("pad", TEST, DEV, **CONTEXT),
    ):
        saved = curves_of(result, table)
        assert saved is not None
        parts = set(saved["part"].to_pylist())
        assert parts == ({"warp", "blend"} if result.suite == "mad" else {"domain_a", "domain_b"})
        for part in parts:
            assert interpolated(part_of(saved, part)) == pytest.approx(result.values[f"{result.suite}/{part}/eer"])


def test_the_curve_of_searches_ends_where_the_right_subject_is_not_first() -> None:
    views, names, members, roles = random_case(3, ties=False)
    result, table = identification.score("ijbx", views, views, names, members, roles, **CONTEXT)
    saved = curves_of(result, table)
    assert saved is not None
    for gallery in ("gallery_1", "gallery_2"):
        rows = part_of(saved, gallery)
        # TPIR at FPIR <= 0.1 is the best point that keeps to it; with the threshold at the bottom FNIR is 1 - rank-1.
        found = 1 - rows["frr"].to_numpy()[rows["far"].to_numpy() <= 0.1].min()
        assert found == pytest.approx(result.values[f"fr_1n/ijbx/tpir_at_fpir_1e-1_{gallery}"])
        assert 1 - rows["frr"][-1].as_py() == pytest.approx(result.values[f"fr_1n/ijbx/rank_1_{gallery}"])


def test_no_curve_without_both_classes_or_of_another_suite() -> None:
    result, table = pairs_result(np.array([1.0, 2.0]), np.array([]))
    assert curves_of(result, table) is None
    other = result.model_copy(update={"suite": "probe"})
    assert curves_of(other, pa.table({"label": [0], "predicted": [1]})) is None


def test_curves_are_saved_beside_the_result(tmp_path: Path) -> None:
    folder = TrialFolder(UPath(tmp_path))
    folder.save_result(*morph.score("mad", SCORES, LABELS, ATTACKS, IDS, **CONTEXT))
    saved = pq.read_table(tmp_path / "results" / "mad" / "morphs.curves.parquet")
    assert interpolated(part_of(saved, "warp")) == pytest.approx(0.2)
    assert saved.schema.metadata[b"points"].startswith(b"blend: ")
    assert sorted(path.name for path in (tmp_path / "results" / "mad").iterdir()) == [
        "morphs.curves.parquet",
        "morphs.json",
        "morphs.parquet",
    ]
