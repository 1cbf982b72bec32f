"""Few-shot episodes in the report: paired with those of the trial's own baseline, as SciPy pairs them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy import stats

from gelo.analysis.report import write_report
from tests.analysis.sweeps import write_result, write_sweep, write_trial

SUITE = "few_shot_episodes"


def write_episodes(folder: Path, dataset: str, shares: NDArray[np.float64], ways: int = 5) -> None:
    write_result(folder, SUITE, dataset, {f"{dataset}/top1": shares.mean(), f"{dataset}/sd": shares.std(ddof=1)})
    alike = {name: [size] * len(shares) for name, size in (("ways", ways), ("support", 25), ("queries", 75))}
    table = pa.table({"episode": range(len(shares)), **alike, "top1": shares, "centre": shares})
    pq.write_table(table, folder / "results" / SUITE / f"{dataset}.parquet")


def rows(storage: Path) -> dict[str, dict[str, str]]:
    with (storage / "demo" / "report" / f"{SUITE}_paired.csv").open() as stream:
        return {row["trial"]: row for row in csv.DictReader(stream)}


def test_each_trial_is_set_against_the_same_episodes_of_its_own_baseline(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, backbones=["mini-s", "mini-l"], evaluate=[SUITE])
    rng = np.random.default_rng(0)
    before = rng.uniform(0.5, 1, 60)
    after = np.clip(before - 0.1 + 0.05 * rng.normal(size=60), 0, 1)
    base, tuned = write_trial(root, "b", "mini-s", "none"), write_trial(root, "t", "mini-s", "faces", "full")
    for dataset, shift in (("shapes", 0.0), ("digits", 0.02)):
        write_episodes(base, dataset, before)
        write_episodes(tuned, dataset, after + shift)
    other = write_trial(root, "o", "mini-l", "faces", "full")  # its baseline has none
    write_episodes(other, "shapes", after)
    write_trial(root, "c", "mini-l", "none")
    write_report(tmp_path, "demo")
    found = rows(tmp_path)
    assert set(found) == {"t", "o"}
    margin = 1.96 * stats.sem(after - before)
    expected = 100 * np.array(
        [(after - before).mean(), (after - before).mean() - margin, (after - before).mean() + margin]
    )
    got = [float(found["t"][f"shapes{end}"]) for end in ("", "_low", "_high")]
    np.testing.assert_allclose(got, expected, atol=0.0051)
    assert float(found["t"]["digits"]) == pytest.approx(expected[0] + 2, abs=0.01)
    assert found["o"]["shapes"] == ""
    page = (tmp_path / "demo" / "report" / "index.html").read_text()
    assert "Few-shot episodes, paired" in page and "no episodes of its baseline" in page
    assert f"95 % interval {expected[1]:.2f} to {expected[2]:.2f}" in page


def test_episodes_that_are_not_the_same_are_not_compared(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, backbones=["mini-s"], evaluate=[SUITE])
    base, tuned = write_trial(root, "b", "mini-s", "none"), write_trial(root, "t", "mini-s", "faces", "full")
    shares = np.linspace(0.5, 1, 9)
    for folder, ways in ((base, 5), (tuned, 6)):
        write_episodes(folder, "shapes", shares, ways)
        write_episodes(folder, "digits", shares)
    (tuned / "results" / SUITE / "digits.parquet").write_bytes(b"PAR1 cut")
    write_report(tmp_path, "demo")
    assert not (root / "report" / f"{SUITE}_paired.csv").exists(), "nothing is left to show"
    write_episodes(tuned, "digits", shares)
    write_report(tmp_path, "demo")
    assert (rows(tmp_path)["t"]["shapes"], rows(tmp_path)["t"]["digits"]) == ("", "+0.00")
    page = (root / "report" / "index.html").read_text()
    assert "the episodes cannot be compared (9 and 9 episodes that are not the same, at least 2)" in page
