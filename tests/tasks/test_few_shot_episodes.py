"""Few-shot episodes: what is drawn, nine heads against scikit-learn, the vote and the intervals against SciPy, pairs of encoders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegression

from gelo.models.faults import UserError
from gelo.tasks.protocols import ensemble, few_shot_episodes
from gelo.tasks.protocols.episodes import Episodes

CONTEXT: Any = {"data": "d" * 16, "vision": "v" * 16, "text": "t" * 16, "scale": "miniature"}


def clouds(labels: NDArray[np.int64], seed: int, spread: float = 0.5, dim: int = 40) -> NDArray[np.float64]:
    """Unit features in a cone, as CLIP's are: a common direction, one of each class, and noise."""
    rng, known = np.random.default_rng(seed), np.random.default_rng(99)
    centres = spread * known.normal(size=(20, dim)) + 2 * known.normal(size=dim)
    found = centres[labels] + rng.normal(size=(labels.size, dim))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


LABELS = st.lists(st.integers(1, 30), min_size=2, max_size=20)


@settings(max_examples=60, deadline=None)
@given(LABELS, LABELS, st.integers(0, 1000))
def test_what_an_episode_is(train_sizes: list[int], test_sizes: list[int], number: int) -> None:
    train, test = (np.repeat(np.arange(len(sizes)), sizes) for sizes in (train_sizes, test_sizes))
    train, test = np.random.default_rng(0).permutation(train), np.random.default_rng(1).permutation(test)
    drawn = Episodes(train, test)
    task, again = drawn[number], Episodes(train.copy(), test)[number]
    ways, both = task.classes.size, min(len(train_sizes), len(test_sizes))
    assert 2 <= ways <= min(15, both) and len(set(task.classes)) == ways and task.classes.max() < both
    np.testing.assert_array_equal(train[task.support], task.classes[task.support_of])
    np.testing.assert_array_equal(test[task.query], task.classes[task.query_of])
    assert len(set(task.support)) == task.support.size <= 150 and len(set(task.query)) == task.query.size
    shots = np.bincount(task.support_of, minlength=ways)
    assert shots.min() >= 1 and (shots <= np.minimum(10, np.array(train_sizes)[task.classes])).all()
    expected = min(15, np.array(test_sizes)[task.classes].min())
    assert (np.bincount(task.query_of, minlength=ways) == expected).all()
    for name in ("classes", "support", "query"):
        np.testing.assert_array_equal(getattr(task, name), getattr(again, name))


def test_ways_classes_and_images_are_drawn_evenly() -> None:
    train, test = np.repeat(np.arange(20), 12), np.repeat(np.arange(20), 16)
    tasks = [Episodes(train, test)[number] for number in range(1500)]
    ways = np.bincount([task.classes.size for task in tasks], minlength=16)[2:]
    classes = np.bincount(np.concatenate([task.classes for task in tasks]), minlength=20)
    of_one = np.bincount(np.concatenate([task.support[train[task.support] == 3] for task in tasks]), minlength=240)
    asked = np.bincount(np.concatenate([task.query[test[task.query] == 3] for task in tasks]), minlength=320)
    for counts in (ways, classes, of_one[36:48], asked[48:64]):
        assert stats.chisquare(counts).pvalue > 1e-3, counts
    shots = np.concatenate([np.bincount(task.support_of) for task in tasks])
    assert shots.min() == 1 and shots.max() == 10 and {task.query.size // task.classes.size for task in tasks} == {15}
    other = Episodes(train, test, seed=1)[0]
    assert not np.array_equal(other.support, tasks[0].support)
    with pytest.raises(ValueError, match="1 classes that train and test both have"):
        Episodes(np.array([0, 0, 1]), np.array([1, 2]))


@pytest.mark.parametrize("number", range(4))
def test_every_member_is_scikit_learns_classifier(number: int) -> None:
    rng = np.random.default_rng(number)
    classes = (2, 3, 8, 15)[number]
    labels = np.repeat(np.arange(classes), rng.integers(1, 11, classes))
    train, test = clouds(labels, number), clouds(np.repeat(np.arange(classes), 15), 50 + number)
    heads = ensemble.fit(train, labels, classes)
    found, shots = heads.predict(test), np.bincount(labels)
    same = 0
    for member, (strength, exponent) in enumerate(ensemble.GRID):
        weights = shots[labels] ** -exponent
        theirs = LogisticRegression(C=strength, tol=1e-9, max_iter=10_000)
        theirs.fit(train, labels, sample_weight=weights * len(labels) / weights.sum())
        scores = test @ heads.weight[member] + heads.bias[member]
        wanted = theirs.decision_function(test)
        if classes == 2:
            np.testing.assert_allclose(scores[:, 1] - scores[:, 0], wanted, rtol=0, atol=1e-2)
        else:
            np.testing.assert_allclose(
                scores - scores.mean(1, keepdims=True), wanted - wanted.mean(1, keepdims=True), rtol=0, atol=1e-2
            )
        same += (found[member] == theirs.predict(test)).mean() / len(ensemble.GRID)
    assert same > 0.998
    assert ensemble.GRID[ensemble.MIDDLE] == (10.0, 0.5) and len(set(ensemble.GRID)) == 9


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 15), st.integers(0, 10**6))
def test_the_vote_is_scipys_mode(classes: int, seed: int) -> None:
    votes = np.random.default_rng(seed).integers(0, classes, (9, 30))
    np.testing.assert_array_equal(ensemble.vote(votes, classes), stats.mode(votes, axis=0).mode)


def test_the_interval_is_the_normal_one() -> None:
    values = np.random.default_rng(2).uniform(size=600)
    found = few_shot_episodes.interval(values)
    assert found is not None
    np.testing.assert_allclose(found, stats.norm.interval(0.95, values.mean(), stats.sem(values)), rtol=1e-5)
    assert few_shot_episodes.interval(np.ones(9)) is None


def scored(train: Any, train_labels: Any, test: Any, test_labels: Any, **more: Any) -> Any:
    ids = [f"i{row}" for row in range(len(test))]
    return few_shot_episodes.score("x", train, train_labels, ids, test, test_labels, **CONTEXT, **more)


def test_a_result_is_the_mean_of_its_table_and_encoders_are_compared_task_by_task() -> None:
    labels, asked = np.repeat(np.arange(6), 8), np.repeat(np.arange(6), 9)
    tables = {}
    for name, spread in (("untouched", 0.6), ("tuned", 0.4)):
        result, table = scored(clouds(labels, 1, spread), labels, clouds(asked, 2, spread), asked, tasks=40)
        share = table["top1"].to_numpy()
        assert result.values == {
            "few_shot_episodes/x/top1": pytest.approx(share.mean()), "few_shot_episodes/x/sd": pytest.approx(share.std(ddof=1)),
        }  # fmt: skip
        low, high = result.intervals["few_shot_episodes/x/top1"]
        assert high - low == pytest.approx(2 * 1.96 * stats.sem(share))
        assert result.counts == {"episodes": 40, "train_images": 48, "test_images": 54, "classes": 6}
        assert result.notes["interval_unit"] == "episode" and result.notes["heads"].count("C ") == 9
        assert 0.3 < share.mean() < 1 and set(table["queries"].to_numpy() // table["ways"].to_numpy()) == {9}
        tables[name] = table
    one, other = tables["tuned"], tables["untouched"]
    difference, interval = few_shot_episodes.paired(one, other)
    test = stats.ttest_rel(one["top1"].to_numpy(), other["top1"].to_numpy())
    assert difference == pytest.approx((one["top1"].to_numpy() - other["top1"].to_numpy()).mean()) and difference < 0
    assert interval is not None and interval.high - difference == pytest.approx(1.96 * abs(difference / test.statistic))
    alone = np.hypot(*(stats.sem(table["top1"].to_numpy()) for table in tables.values()))
    assert interval.high - interval.low < 2 * 1.96 * alone, "pairs are narrower than two means"
    assert few_shot_episodes.paired(one.take(np.random.default_rng(0).permutation(40)), other)[0] == difference
    with pytest.raises(ValueError, match="40 and 20 episodes that are not the same"):
        few_shot_episodes.paired(one, other.slice(0, 20))


def test_the_table_says_what_the_vote_and_the_centre_got_right() -> None:
    labels, asked = np.repeat(np.arange(4), 6), np.repeat(np.arange(4), 7)
    train, test = clouds(labels, 5), clouds(asked, 6)
    _, table = scored(train, labels, test, asked, tasks=5)
    for row in table.to_pylist():
        task = Episodes(labels, asked)[row["episode"]]
        heads = ensemble.fit(train[task.support], task.support_of, task.classes.size)
        found = heads.predict(test[task.query])
        assert row["top1"] == (stats.mode(found, axis=0).mode == task.query_of).mean()
        assert row["centre"] == (found[4] == task.query_of).mean()
        assert (row["ways"], row["support"], row["queries"]) == (task.classes.size, task.support.size, task.query.size)


def test_what_cannot_be_measured_is_absent_with_its_reason() -> None:
    labels, asked = np.repeat(np.arange(3), 5), np.repeat(np.arange(3), 4)
    train, test = clouds(labels, 1), clouds(asked, 2)
    for reason, given_labels, given_asked in (
        ("1 class in training, at least 2 needed", np.zeros(15, np.int64), np.zeros(12, np.int64)),
        ("4 test images of 1 class that train lacks: c", np.where(labels == 2, 1, labels), asked),
        ("test images of a single class, at least 2 needed", labels, np.zeros(12, np.int64)),
    ):
        result, table = scored(train, given_labels, test, given_asked, classes=("a", "b", "c"))
        assert not result.values and len(table) == 0 and result.counts["episodes"] == 0
        assert result.absent == dict.fromkeys(
            ("few_shot_episodes/x/top1", "few_shot_episodes/x/sd"), f"few-shot episodes: {reason}"
        )
    test[3] = np.nan
    with pytest.raises(UserError, match="1 not finite: i3"):
        scored(train, labels, test, asked)


def test_episodes_that_are_all_right_have_no_interval() -> None:
    labels = np.repeat(np.arange(3), 5)
    easy = np.eye(3)[labels] + 0.01 * np.random.default_rng(0).normal(size=(15, 3))
    result, _ = scored(easy, labels, easy, labels, tasks=10)
    assert result.values == {"few_shot_episodes/x/top1": 1.0, "few_shot_episodes/x/sd": 0.0} and not result.intervals
