"""Multinomial logistic regression along a path of C: the solver of the linear probe, on CPU or GPU.

Objective, as scikit-learn's LogisticRegression: sum of cross-entropies + ||W||^2 / (2 C), the bias free of penalty; for two classes
its penalty is that of one weight vector. Decisions: float32 L-BFGS; its first Hessian is X' diag(w) X / N plus the penalty, w the
mean over classes of p (1 - p) where a C begins, factored once a C: it halves the steps on ill-conditioned features (Boehning's bound
X'X / 2 N multiplies them where C is large); logits are linear in the step, so a line search costs no pass over the features; each C
starts where the one before it ended, from strong to weak penalty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

TOLERANCE = 1e-6  # largest entry of the gradient of the mean objective at which a fit counts as converged
ITERATIONS = 1000
_MEMORY = 10  # pairs that L-BFGS remembers
_LINE_STEPS = 20
_SMALL = 1 << 21  # numbers in the features below which one thread is faster than several
_ROWS = 8  # rows for each feature that the first Hessian is taken from
_RIDGE = 1e-6  # of the mean diagonal: keeps the factor within float32
_FLAT = 0.1  # of the slope at the start: what a line search leaves


@dataclass(frozen=True)
class Fit:
    """The classifier at one C: weight (d, K), bias (K,), float32; classes (K,): the labels of training, sorted.

    gradient: its largest entry; converged: whether it met the tolerance.
    """

    C: float
    classes: NDArray[np.integer]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    converged: bool
    iterations: int
    gradient: float

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, K) of features (N, d)."""
        return np.asarray(features, np.float32) @ self.weight + self.bias

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.integer]:
        """The label of each row, (N,)."""
        return self.classes[np.argmax(self.logits(features), axis=1)]


def path(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    strengths: Sequence[float],
    *,
    tolerance: float = TOLERANCE,
    iterations: int = ITERATIONS,
    device: str = "cpu",
) -> list[Fit]:
    """One Fit for each C of `strengths`, in their order. features (N, d), labels (N,) of at least two kinds.

    Raises ValueError for fewer, for lengths that differ and for a C that is not positive.
    """
    classes, rows = np.unique(labels, return_inverse=True)
    count = len(classes)
    if count < 2 or len(features) != len(labels):
        raise ValueError(f"{len(features)} features, {len(labels)} labels of {count} kinds: as many, of at least 2")
    if not all(0 < value < float("inf") for value in strengths):
        raise ValueError(f"C in {list(strengths)}: positive numbers")
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if features.size < _SMALL else threads)
    try:
        return _path(features, rows, classes, strengths, tolerance, iterations, device)
    finally:
        torch.set_num_threads(threads)


def _path(
    features: NDArray[np.floating],
    rows: NDArray[np.integer],
    classes: NDArray[np.integer],
    strengths: Sequence[float],
    tolerance: float,
    iterations: int,
    device: str,
) -> list[Fit]:
    x = torch.from_numpy(np.ascontiguousarray(features, np.float32)).to(device)
    x = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    problem = _Problem(x, torch.from_numpy(np.asarray(rows, np.int64)).to(device), len(classes))
    weights = x.new_zeros(x.shape[1], len(classes))
    found: dict[float, Fit] = {}
    for value in sorted(set(strengths)):
        problem.penalise(value, weights)
        weights, steps, gradient = _minimise(problem, weights, tolerance, iterations)
        array = weights.cpu().numpy()
        found[value] = Fit(value, classes, array[:-1].copy(), array[-1].copy(), gradient <= tolerance, steps, gradient)
    return [found[value] for value in strengths]


class _Problem:
    """The mean objective over weights (d + 1, K), the last row the bias."""

    def __init__(self, x: Tensor, labels: Tensor, classes: int) -> None:
        self.x, self.labels, self.classes = x, labels, classes
        self.mean_targets = x.T @ F.one_hot(labels, classes).to(x.dtype) / len(x)

    def penalise(self, value: float, weights: Tensor) -> None:
        """Set C, and factor the Hessian's average over classes at `weights`, on a part of the rows that is enough for it."""
        strength = (2.0 if self.classes == 2 else 1.0) / (value * len(self.x))
        self.penalty = self.x.new_full((self.x.shape[1], 1), strength)
        self.penalty[-1] = 0.0
        some = self.x[:: max(1, len(self.x) // (_ROWS * self.x.shape[1]))]
        chances = torch.softmax(some @ weights, dim=1)
        spread = (chances * (1 - chances)).mean(dim=1, keepdim=True)
        bend = ((some * spread).T @ some / len(some) + torch.diag(self.penalty[:, 0])).double()
        bend += _RIDGE * bend.diagonal().mean() * torch.eye(len(bend), dtype=bend.dtype, device=bend.device)
        self.factor = torch.linalg.cholesky(bend).float()

    def precondition(self, gradient: Tensor) -> Tensor:
        return torch.cholesky_solve(gradient, self.factor)

    def gradient(self, chances: Tensor, weights: Tensor) -> Tensor:
        return self.x.T @ chances / len(self.x) - self.mean_targets + self.penalty * weights

    def step(
        self, logits: Tensor, chances: Tensor, along: Tensor, weights: Tensor, direction: Tensor
    ) -> tuple[float, Tensor]:
        """How far to go along `direction`: where the slope of the convex objective has all but vanished; 0 where it does not fall.

        chances: the softmax of `logits`. Returns the length and the softmax there, which the next gradient needs.

        Newton's method in one dimension, kept within what is known to hold the minimum. Slopes, not losses: those differ by less than
        float32 can tell long before the gradient is small.
        """
        flat = float((self.penalty * direction.square()).sum())
        fixed = float((self.penalty * weights * direction).sum()) - float(along.gather(1, self.labels[:, None]).mean())
        low, high, length, first = 0.0, float("inf"), 0.0, 0.0
        for turn in range(_LINE_STEPS):
            if turn > 0:
                chances = torch.softmax(logits + length * along, dim=1)
            mean = (chances * along).sum(dim=1)
            slope = float(mean.mean()) + fixed + length * flat
            bend = float(((chances * along.square()).sum(dim=1) - mean.square()).mean()) + flat
            if turn == 0:
                first = slope
                if first >= 0:
                    return 0.0, chances
            elif abs(slope) <= _FLAT * abs(first):
                return length, chances
            low, high = (length, high) if slope < 0 else (low, length)
            length = length - slope / max(bend, 1e-30)
            if not low < length < high:
                length = 2 * low + 1e-3 if high == float("inf") else 0.5 * (low + high)
        return low, torch.softmax(logits + low * along, dim=1)


def _minimise(problem: _Problem, weights: Tensor, tolerance: float, iterations: int) -> tuple[Tensor, int, float]:
    """L-BFGS from `weights`; returns the weights, the steps made and the gradient's largest entry there."""
    logits = problem.x @ weights
    chances = torch.softmax(logits, dim=1)
    gradient = problem.gradient(chances, weights)
    pairs: list[tuple[Tensor, Tensor, float]] = []
    for done in range(iterations):
        size = float(gradient.abs().max())
        if size <= tolerance:
            return weights, done, size
        direction = -_two_loops(problem, gradient, pairs)
        along = problem.x @ direction
        length, there = problem.step(logits, chances, along, weights, direction)
        if length == 0.0:
            if not pairs:
                return weights, done, size  # float32 has no lower point to offer
            pairs.clear()
            continue
        moved = length * direction
        weights = weights + moved
        if done % 20 == 19:  # computed anew now and then, so that rounding does not add up
            logits = problem.x @ weights
            chances = torch.softmax(logits, dim=1)
        else:
            logits, chances = logits + length * along, there
        after = problem.gradient(chances, weights)
        change = after - gradient
        curvature = float((moved * change).sum())
        if curvature > 1e-12:
            pairs = [*pairs, (moved, change, curvature)][-_MEMORY:]
        gradient = after
    return weights, iterations, float(gradient.abs().max())


def _two_loops(problem: _Problem, gradient: Tensor, pairs: list[tuple[Tensor, Tensor, float]]) -> Tensor:
    """The inverse Hessian that L-BFGS knows, times the gradient."""
    left = gradient.clone()
    factors = []
    for moved, change, curvature in reversed(pairs):
        factor = float((moved * left).sum()) / curvature
        factors.append(factor)
        left -= factor * change
    out = problem.precondition(left)
    if pairs:
        _, change, curvature = pairs[-1]
        out *= curvature / float((change * problem.precondition(change)).sum())
    for (moved, change, curvature), factor in zip(pairs, reversed(factors), strict=True):
        out += (factor - float((change * out).sum()) / curvature) * moved
    return out
