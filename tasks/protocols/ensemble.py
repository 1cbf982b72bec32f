"""A hyper-parameter ensemble of linear heads on few images, in place of a validation set: nine members, the most frequent class wins.

Source of the idea: FEWTRANS (Frankluox/FewTrans: models/fewshot_finetune_ensemble.py), a 3 x 3 grid of backbone rate and head rate, each a
centre / 5, x 1 and x 5, and torch.mode over the members. Here features are frozen, so that the backbone's rate has nothing to act on, and a
head is the optimum of a convex objective, so that no rate is left either: C takes the head's place (how far the head may go from where it
starts), the weight of a class that of the backbone. Nothing of a member depends on an optimiser.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

CENTRE = 10.0  # C of the centre, as in the few-shot probe
STRENGTHS = (CENTRE / 5, CENTRE, CENTRE * 5)
EXPONENTS = (0.0, 0.5, 1.0)  # an image of a class with n shots counts n ** -exponent: 0 plain, 1 every class alike
GRID = tuple(product(STRENGTHS, EXPONENTS))
MIDDLE = GRID.index((CENTRE, 0.5))
TOLERANCE = 1e-3  # of the gradient, in coordinates in which the curvature is near one
_STEPS = 500
_CURVED = 0.1  # p (1 - p), roughly: what coordinates are scaled by; no optimum depends on it
_FLAT = 1e-10  # of the largest eigenvalue: directions that no support image has


@dataclass(frozen=True)
class Heads:
    """The members as arrays: weight (9, d, K), bias (9, K)."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
        """The class that each member finds, (9, N), of features (N, d)."""
        logits: NDArray[np.float64] = features @ self.weight + self.bias[:, None]
        return logits.argmax(axis=2)


def fit(features: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> Heads:
    """All nine members at once, on features (n, d) with labels (n,) in 0..classes - 1, each class there at least once.

    Member (C, a): minimum of sum_i w_i CE(W'x_i + b, y_i) + ||W||^2 / (2 C), as scikit-learn's LogisticRegression with class weights
    w proportional to shots ** -a, of mean one over the images; for two classes the penalty is that of one weight vector, as there. The
    optimum lies in the span of the n images, so it is found there: n numbers an image instead of d.
    """
    count, members = len(features), len(GRID)
    values, vectors = np.linalg.eigh(features @ features.T)
    kept = values > _FLAT * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    inside = np.concatenate(
        [vectors * np.sqrt(values), np.ones((count, 1))], axis=1
    )  # the images in that span, and the bias
    side = inside.shape[1]
    strengths, exponents = (np.array(each) for each in zip(*GRID, strict=True))
    weights = np.bincount(labels, minlength=classes)[labels] ** -exponents[:, None]
    weights *= count / weights.sum(axis=1, keepdims=True)
    penalty = np.append(np.ones(side - 1), 0.0) * (2.0 if classes == 2 else 1.0) / strengths[:, None]
    scale = 1 / np.sqrt(_CURVED * np.append(values, count) + penalty)
    pull = penalty * scale**2
    wanted = weights * (np.arange(classes)[:, None, None] == labels)  # (classes, members, images)
    target = (wanted.reshape(-1, count) @ inside).reshape(classes, members, side) * scale

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        at = flat.reshape(classes, members, side)
        logits = ((at * scale).reshape(-1, side) @ inside.T).reshape(classes, members, count)
        logits -= logits.max(axis=0)
        chances = np.exp(logits)
        total = chances.sum(axis=0)
        chances *= weights / total
        drawn = pull * at
        loss = float((weights * np.log(total)).sum() - (wanted * logits).sum() + (drawn * at).sum() / 2)
        gradient = (chances.reshape(-1, count) @ inside).reshape(classes, members, side) * scale - target + drawn
        return loss, gradient.ravel()

    options = {"maxiter": _STEPS, "maxfun": 2 * _STEPS, "gtol": TOLERANCE, "ftol": 0.0}
    found = minimize(objective, np.zeros(classes * members * side), jac=True, method="L-BFGS-B", options=options)
    solved = (found.x.reshape(classes, members, side) * scale).transpose(1, 2, 0)  # (members, side, classes)
    return Heads((features.T @ (vectors / np.sqrt(values))) @ solved[:, :-1], solved[:, -1])


def vote(predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """The most frequent class of each column of (members, N), the lowest of several: as torch.mode and scipy.stats.mode say."""
    counts = (predicted[:, :, None] == np.arange(classes)).sum(axis=0)
    return counts.argmax(axis=1)
