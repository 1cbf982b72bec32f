"""Bootstrap of the EER: 1,000 replicates of 100,000 genuine and 100,000 impostor scores, gelo's against a plain loop, both on one core.

The loop draws scores with replacement and reads scikit-learn's full ROC for every replicate; it is timed on a stated few and scaled up,
beside gelo's 1,000. Before that, replicates of equal draws must have equal EERs, one by one. The details hold gelo's time when whole
subjects of ten scores are drawn.
"""

from __future__ import annotations

import argparse
import os

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from benchmarks.line import finish, note
from benchmarks.streaming import timed
from tasks.metrics.curves import resampled
from tasks.metrics.intervals import Resampler, percentile
from tasks.metrics.scores import as_scores


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    size, replicates, few, rounds = (1_000, 50, 5, 1) if smoke else (100_000, 1_000, 20, 3)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rng = np.random.default_rng(0)
    genuine, impostor = rng.normal(2, 1, size), rng.normal(0, 1, size)
    alone, subjects = np.arange(size), np.arange(size) // 10
    for groups in (alone, subjects):
        drawn = Resampler(groups, 1).draw(3), Resampler(groups, 2).draw(3)
        direct = [eer(np.repeat(genuine, g), np.repeat(impostor, i)) for g, i in zip(*drawn, strict=True)]
        np.testing.assert_allclose(bootstrap(genuine, impostor, groups, 3), direct, rtol=0, atol=1e-12)
    ours, theirs, by_subject = [], [], []
    for number in range(rounds):
        seconds, found = timed(bootstrap, genuine, impostor, alone, replicates)
        ours.append(seconds)
        seconds, plain = timed(loop, genuine, impostor, few, number)
        theirs.append(seconds * replicates / few)
        by_subject.append(timed(bootstrap, genuine, impostor, subjects, replicates)[0])
        note(
            f"round {number + 1} of {rounds}: {ours[-1]:.1f} s against {theirs[-1]:.1f} s; by subject {by_subject[-1]:.1f} s"
        )
    assert abs(np.mean(found) - np.mean(plain)) < 6 * np.std(found) / np.sqrt(few)  # the same distribution
    detail = {
        "genuine": size, "impostor": size, "replicates": replicates, "replicates_of_the_loop": few,
        "interval": [round(bound, 6) for bound in percentile(found)], "by_subject_seconds": round(float(np.median(by_subject)), 2),
        "speed_up": round(float(np.median(theirs) / np.median(ours)), 1),
    }  # fmt: skip
    finish("bootstrap", ours, theirs, "seconds", "<= 10 s", detail)


def bootstrap(
    genuine: NDArray[np.float64], impostor: NDArray[np.float64], groups: NDArray[np.int64], replicates: int
) -> NDArray[np.float64]:
    """Gelo's EER replicates (B,)."""
    draws = Resampler(groups, 1), Resampler(groups, 2)
    return np.concatenate(
        [block.eer() for block in resampled(as_scores(genuine), as_scores(impostor), *draws, replicates)]
    )


def loop(
    genuine: NDArray[np.float64], impostor: NDArray[np.float64], replicates: int, seed: int
) -> NDArray[np.float64]:
    """One replicate at a time."""
    rng = np.random.default_rng([seed, 9])
    return np.array([
        eer(rng.choice(genuine, genuine.size), rng.choice(impostor, impostor.size)) for _ in range(replicates)
    ])  # fmt: skip


def eer(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> float:
    """The crossing of FAR and FRR on scikit-learn's full ROC, interpolated."""
    labels = np.concatenate([np.ones(genuine.size), np.zeros(impostor.size)])
    far, tar, _ = roc_curve(labels, np.concatenate([genuine, impostor]), drop_intermediate=False)
    gap = far + tar - 1
    after = int(np.argmax(gap >= 0))
    return float(np.interp(0, gap[after - 1 : after + 1], far[after - 1 : after + 1]))


if __name__ == "__main__":
    main()
