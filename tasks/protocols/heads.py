"""From features to one score an image: softmax over two logits, class 1 = bona fide; float64, higher = bona fide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from gelo.tasks.metrics.scores import Scores, as_scores
from gelo.tasks.protocols.inputs import normalised


def head_scores(features: NDArray[np.floating], weight: NDArray[np.floating], bias: NDArray[np.floating]) -> Scores:
    """softmax(W f_hat + b)[:, 1] of a trained binary head: features (N, d), weight (2, d), bias (2,) -> (N,) in [0, 1].

    Source: gurayozgur/MADation: src/training/trainer.py. Raises ValueError for other shapes or values that are not
    finite.
    """
    if weight.shape[0] != 2 or bias.shape != (2,):
        raise ValueError(f"head: weight {weight.shape} and bias {bias.shape}, (2, d) and (2,) needed")
    return _second_of_two(normalised(features) @ np.asarray(weight, np.float64).T + np.asarray(bias, np.float64))


def text_scores(
    features: NDArray[np.floating], text_classifier: NDArray[np.floating], logit_scale: float = 100.0
) -> Scores:
    """softmax(s f_hat w)[:, 1] against two prompts: features (N, d), text_classifier (d, 2), column 1 = bona fide ->
    (N,).

    Raises ValueError for other shapes or values that are not finite.
    """
    if text_classifier.ndim != 2 or text_classifier.shape[1] != 2:
        raise ValueError(f"text classifier: shape {text_classifier.shape}, (d, 2) needed")
    return _second_of_two(logit_scale * (normalised(features) @ np.asarray(text_classifier, np.float64)))


def _second_of_two(logits: NDArray[np.float64]) -> Scores:
    # softmax over two is the logistic of their difference; expit neither overflows nor loses small probabilities.
    return as_scores(expit(logits[:, 1] - logits[:, 0]), "head scores")
