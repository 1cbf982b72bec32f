"""A linear probe's 20 values of C: gelo's path against one scikit-learn LogisticRegression(lbfgs) a C, on the same float32 features.

Both are fitted on N = 20,000 normalised features (d = 512, K = 100) and choose C on 4,000 others. Each keeps its own default tolerance:
gelo's is a hundred times tighter. At its best C, gelo's accuracy must be that of scikit-learn at gelo's tolerance.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from benchmarks.line import finish, note
from benchmarks.streaming import timed
from gelo.tasks.logistic import TOLERANCE, path
from gelo.tasks.protocols.probe import GRID


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    rows, dim, kinds, rounds = (600, 32, 10, 1) if smoke else (20_000, 512, 100, 3)
    x, labels = problem(0, rows, dim, kinds)
    val, val_labels = problem(1, rows // 5, dim, kinds)
    ours, theirs = [], []
    scores: dict[str, list[float]] = {}
    for number in range(rounds):
        seconds, fits = timed(path, x, labels, GRID)
        ours.append(seconds)
        seconds, models = timed(_fit, x, labels)
        theirs.append(seconds)
        note(f"round {number + 1} of {rounds}: {ours[-1]:.1f} s against {theirs[-1]:.1f} s")
        scores = {
            "ours": [float(np.mean(fit.predict(val) == val_labels)) for fit in fits],
            "scikit_learn": [float(model.score(val, val_labels)) for model in models],
        }
    best = {name: int(np.argmax(found)) for name, found in scores.items()}
    # scikit-learn's default stops early where C is large: what both must agree on is the minimum itself
    value = GRID[best["ours"]]
    exact = LogisticRegression(C=value, tol=TOLERANCE, max_iter=2000).fit(x, labels)
    converged = float(exact.score(val, val_labels))
    if not smoke:
        assert round(abs(scores["ours"][best["ours"]] - converged), 6) <= 0.001, (scores, converged)
    loose, _ = timed(path, x, labels, GRID, tolerance=1e-4)
    detail = {
        "N": rows, "d": dim, "K": kinds, "values_of_C": len(GRID), "tolerance": {"ours": TOLERANCE, "scikit_learn": 1e-4},
        "best_C": {name: GRID[row] for name, row in best.items()},
        "accuracy_at_best": {name: round(100 * scores[name][row], 2) for name, row in best.items()},
        "ours_at_scikit_learns_tolerance_seconds": round(loose, 2),
        "scikit_learn_at_our_C_and_tolerance": round(100 * converged, 2),
        "speed_up": round(sorted(theirs)[rounds // 2] / sorted(ours)[rounds // 2], 2),
    }  # fmt: skip
    finish("probe", ours, theirs, "seconds", "ratio <= 0.2 (5 times as fast)", detail)


def problem(seed: int, rows: int, dim: int, kinds: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Overlapping classes with directions of unequal size, as encoders give them: variances fall by 400 from first to last."""
    centres = 0.5 * np.random.default_rng(99).standard_normal((kinds, dim))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, kinds, rows)
    x = (centres[labels] + 1.5 * rng.standard_normal((rows, dim))) * np.geomspace(1, 0.05, dim)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def _fit(x: NDArray[np.float32], labels: NDArray[np.int64]) -> list[LogisticRegression]:
    return [LogisticRegression(C=value, max_iter=1000).fit(x, labels) for value in GRID]


if __name__ == "__main__":
    main()
