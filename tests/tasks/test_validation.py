"""The tasks' validation metrics against loops and scikit-learn, and which images they are of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.special import softmax
from sklearn.metrics import roc_curve

from gelo.tasks.metrics.scores import UndefinedMetric
from gelo.tasks.training import TASKS
from gelo.tasks.training.validation import balanced, detection, identities, pairs, verification


def labelled(identities_: int, images: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(identities_), images))


@pytest.mark.parametrize(("count", "each"), [(8, 2), (49, 2), (60, 3), (80, 4), (200, 4)])
def test_identities_have_two_to_four_images_each(count: int, each: int) -> None:
    labels = labelled(80, 6)
    rows = identities(labels, count, np.random.default_rng(1))
    sizes = np.unique(labels[rows], return_counts=True)[1]
    assert len(rows) == len(set(rows.tolist())) and count - 1 <= len(rows) <= count
    assert set(sorted(sizes)[1:]) == {each} and sizes.min() >= 2 and len(sizes) >= 4
    assert len(set(labels[rows[:each]])) == 1, "an identity's images stand together"


def test_identities_of_one_image_and_too_few_of_them_are_left_out() -> None:
    assert not len(identities(np.arange(50), 50, np.random.default_rng(0)))
    assert not len(identities(labelled(3, 5), 50, np.random.default_rng(0)))
    alone = np.concatenate([labelled(5, 3), [99]])
    assert 99 not in alone[identities(alone, 50, np.random.default_rng(0))]


def test_classes_are_balanced_and_fewer_rows_begin_more() -> None:
    labels = np.r_[np.zeros(90, int), np.ones(30, int)]
    few, many = (balanced(labels, count, np.random.default_rng(2)) for count in (20, 500))
    assert np.bincount(labels[few]).tolist() == [10, 10] and np.bincount(labels[many]).tolist() == [30, 30]
    assert np.array_equal(many[:20], few) and len(set(many.tolist())) == 60


@pytest.mark.parametrize(("people", "folds"), [(4, 2), (12, 6), (40, 10)])
def test_pairs_are_balanced_in_folds_that_share_no_identity(people: int, folds: int) -> None:
    labels = labelled(people, 3)
    one, two, same, fold = pairs(labels)
    assert np.array_equal(labels[one] == labels[two], same) and (one != two).all()
    assert same.sum() == people * 3 and set(fold.tolist()) == set(range(folds))
    assert len({(*sorted((i, j)),) for i, j in zip(one.tolist(), two.tolist(), strict=True)}) == len(one)
    for number in range(folds):
        own, other = (set(labels[np.r_[one[chosen], two[chosen]]]) for chosen in (fold == number, fold != number))
        assert not own & other
        assert same[fold == number].sum() == (~same[fold == number]).sum()
    with pytest.raises(UndefinedMetric, match="3 identities of two images, at least 4"):
        pairs(labelled(3, 3))


def test_verification_is_the_accuracy_at_the_other_folds_threshold() -> None:
    """By loops over pairs, folds and a grid of thresholds; ties go to the lowest."""
    rng, labels = np.random.default_rng(3), labelled(24, 3)
    features = rng.normal(size=(24, 8))[labels] + 1.1 * rng.normal(size=(len(labels), 8))
    one, two, same, fold = pairs(labels)
    unit = features / np.sqrt((features**2).sum(1))[:, None]
    distance = np.array([((unit[i] - unit[j]) ** 2).sum() for i, j in zip(one, two, strict=True)])
    found = []
    for number in set(fold.tolist()):
        rest = fold != number
        right = [((distance[rest] < t) == same[rest]).sum() for t in np.arange(0, 4, 0.01)]
        threshold = np.arange(0, 4, 0.01)[int(np.argmax(right))]
        found.append(float(((distance[~rest] < threshold) == same[~rest]).mean()))
    value = verification(features.astype(np.float64), labels)
    assert value == pytest.approx(np.mean(found), abs=1e-12) and 0.6 < value < 1


def test_detection_is_one_minus_the_error_where_both_are_equal() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 400)
    features, weight, bias = (
        rng.normal(size=(400, 6)) + 0.4 * labels[:, None],
        rng.normal(size=(2, 6)),
        rng.normal(size=2),
    )
    weight[1] += 0.5
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    scores = softmax(unit @ weight.T + bias, axis=1)[:, 1]
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    equal = brentq(lambda rate: 1.0 - rate - interp1d(fpr, tpr)(rate), 0.0, 1.0)
    assert detection(features, labels, (weight, bias)) == pytest.approx(1 - equal, abs=2e-3)
    with pytest.raises(UndefinedMetric, match="no head"):
        detection(features, labels, None)
    with pytest.raises(UndefinedMetric):
        detection(features, np.ones_like(labels), (weight, bias))


def test_every_task_says_what_it_is_chosen_by() -> None:
    told = {name: task.validation for name, task in TASKS.items() if task.validation is not None}
    assert {name: each.metric for name, each in told.items()} == {
        "faces": "fr/validation/accuracy", "morphs": "mad/validation/one_minus_eer", "spoofs": "pad/validation/one_minus_eer",
    }  # fmt: skip
    assert {name: each.data["miniature"] for name, each in told.items()} == {
        name: f"{name}_val/val" for name in ("faces", "morphs", "spoofs")
    }
