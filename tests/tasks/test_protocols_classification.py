"""Zero-shot and linear probe: by hand, against scikit-learn and open_clip's arithmetic in torch, and on bad input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, recall_score, top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

from gelo.models.faults import UserError
from gelo.tasks.protocols import few_shot, knn, probe, zeroshot
from gelo.tasks.protocols.heads import head_scores, text_scores
from gelo.tasks.protocols.tally import Context, per_class
from gelo.tasks.results import Result

CONTEXT: Context = {"data": "d" * 16, "vision": "v" * 16, "text": "t" * 16, "scale": "miniature"}


def clusters(
    seed: int, images: int, noise: float = 3.0, classes: int = 6, dim: int = 24
) -> tuple[np.ndarray, np.ndarray]:
    centres = np.random.default_rng(99).normal(size=(classes, dim))
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    return (centres[labels] + noise * rng.normal(size=(images, dim))).astype(np.float32), labels


def names(n: int) -> list[str]:
    return [f"image-{i:03d}" for i in range(n)]


def test_classifier_normalises_averages_normalises() -> None:
    # class 0: (3, 0) and (0, 5) -> (1, 0), (0, 1) -> mean (.5, .5) -> (1, 1) / sqrt 2; the lengths 3 and 5 must not weigh.
    w = zeroshot.classifier([np.array([[3.0, 0], [0, 5.0]]), np.array([[0, -2.0]])])
    np.testing.assert_allclose(w, [[np.sqrt(0.5), 0], [np.sqrt(0.5), -1]])


def test_zero_shot_equals_the_same_arithmetic_in_torch() -> None:
    torch = pytest.importorskip("torch")
    features, labels = clusters(0, 120)
    prompts = [np.random.default_rng(k).normal(size=(4, 24)) for k in range(6)]
    result, table = zeroshot.score("shapes", names(120), features, labels, zeroshot.classifier(prompts), **CONTEXT)
    unit = torch.nn.functional.normalize
    w = torch.stack([unit(unit(torch.tensor(p), dim=-1).mean(dim=0), dim=0) for p in prompts], dim=1)
    logits = 100.0 * unit(torch.tensor(features).double(), dim=-1) @ w
    predicted = logits.argmax(dim=1).numpy()
    assert table.column("id").to_pylist() == names(120)
    np.testing.assert_array_equal(table.column("predicted").to_numpy(), predicted)
    np.testing.assert_allclose(table.column("logit").to_numpy(), logits.max(dim=1).values.numpy(), atol=1e-9)
    assert result.values["zero_shot/shapes/top1"] == np.mean(predicted == labels)
    balanced = balanced_accuracy_score(labels, predicted)
    assert result.values["zero_shot/shapes/mean_per_class"] == pytest.approx(balanced)
    for name, (low, high) in result.intervals.items():
        assert low <= result.values[name] <= high
    assert result.counts == {"images": 120, "classes": 6, "classes_shown": 6}
    assert (result.data, result.vision, result.text, result.scale) == tuple(CONTEXT.values())


def test_zero_shot_of_no_images_is_absent() -> None:
    result, table = zeroshot.score("shapes", [], np.empty((0, 2)), np.empty(0, np.int64), np.eye(2), **CONTEXT)
    assert not result.values
    assert result.absent["zero_shot/shapes/top1"] == "top1: no images, at least 1 needed"
    assert table.num_rows == 0


def test_zero_shot_lists_every_fault_by_id() -> None:
    features = np.array([[np.nan, 1], [0, 0], [1, 1], [1, 1]])
    with pytest.raises(UserError) as caught:
        zeroshot.score("shapes", ["a", "b", "c", "c"], features, np.array([0, 1, 2, 0]), np.eye(2), **CONTEXT)
    text = str(caught.value)
    assert "4 faults" in text
    for piece in ("1 duplicate: c", "1 not finite: a", "1 all zero: b", "1 outside 0 to 1: c"):
        assert piece in text
    with pytest.raises(UserError, match="class 1, prompt 0"):
        zeroshot.classifier([np.eye(2), np.zeros((1, 2))])
    with pytest.raises(UserError, match="mean prompt: 1 all zero: class 0"):
        zeroshot.classifier([np.array([[1.0, 0], [-1, 0]])])


def test_probe_is_scikit_learn_at_the_chosen_c() -> None:
    train, train_labels = clusters(1, 180)
    test, test_labels = clusters(2, 150)
    result, table = probe.score("shapes", train, train_labels, names(150), test, test_labels, 0, **CONTEXT)
    reference = LogisticRegression(C=float(result.notes["C"]), max_iter=10_000, tol=1e-9)
    reference.fit(normalize(train.astype(np.float64)), train_labels)
    expected = reference.predict(normalize(test.astype(np.float64)))
    np.testing.assert_array_equal(table.column("predicted").to_numpy(), expected)
    value = result.values["probe/shapes/top1"]
    assert value == np.mean(expected == test_labels)
    low, high = result.intervals["probe/shapes/top1"]
    assert 1 / 3 < low < value < high
    assert result.notes["converged"].startswith("yes")
    assert result.notes["feature_stage"] == "post-projection, L2-normalised"


@pytest.mark.slow
def test_probe_repeats_and_never_looks_at_the_test_labels_to_choose() -> None:
    train, train_labels = clusters(1, 120)
    test, test_labels = clusters(2, 60)
    first = probe.score("shapes", train, train_labels, names(60), test, test_labels, 3, **CONTEXT)
    again = probe.score("shapes", train, train_labels, names(60), test, test_labels, 3, **CONTEXT)
    other = probe.score("shapes", train, train_labels, names(60), test, (test_labels + 1) % 6, 3, **CONTEXT)
    assert first[0] == again[0]
    assert first[1].equals(again[1])
    assert first[0].notes == other[0].notes
    assert first[1].column("predicted").equals(other[1].column("predicted"))


@pytest.mark.slow
def test_probe_chooses_c_on_a_validation_split_and_fits_on_both() -> None:
    """The split decides: its labels turned round, another C is best; the final fit is scikit-learn's on train + validation."""
    train, train_labels = clusters(1, 120)
    val, val_labels = clusters(4, 60)
    test, test_labels = clusters(2, 60)
    given = (val, val_labels)
    result, table = probe.score("x", train, train_labels, names(60), test, test_labels, 0, validation=given, **CONTEXT)
    everything = normalize(np.concatenate([train, val]).astype(np.float64))
    reference = LogisticRegression(C=float(result.notes["C"]), max_iter=10_000, tol=1e-9)
    reference.fit(everything, np.concatenate([train_labels, val_labels]))
    np.testing.assert_array_equal(
        table.column("predicted").to_numpy(), reference.predict(normalize(test.astype(np.float64)))
    )
    assert result.counts["train_images"] == 180
    assert "the validation split" in result.notes["C_chosen_on"]
    accuracies = []
    for value in probe.GRID:
        model = LogisticRegression(C=value, max_iter=10_000, tol=1e-9).fit(
            normalize(train.astype(np.float64)), train_labels
        )
        accuracies.append(model.score(normalize(val.astype(np.float64)), val_labels))
    assert float(result.notes["C"]) == probe.GRID[int(np.argmax(accuracies))]


@pytest.mark.slow
@pytest.mark.parametrize("suite", [protocol.name for protocol in probe.PROTOCOLS])
def test_each_variant_of_the_probe_fits_on_what_its_name_says(suite: str) -> None:
    train, train_labels = clusters(1, 120)
    val, val_labels = clusters(4, 60)
    test, test_labels = clusters(2, 60)
    given = (val, val_labels)
    result, table = probe.score(
        "x", train, train_labels, names(60), test, test_labels, 0, given, suite=suite, **CONTEXT
    )
    alone = suite.endswith("_train")
    fitted = normalize((train if alone else np.concatenate([train, val])).astype(np.float64))
    known = train_labels if alone else np.concatenate([train_labels, val_labels])
    reference = LogisticRegression(C=float(result.notes["C"]), max_iter=10_000, tol=1e-9).fit(fitted, known)
    expected = reference.predict(normalize(test.astype(np.float64)))
    np.testing.assert_array_equal(table.column("predicted").to_numpy(), expected)
    assert result.values == {f"{suite}/x/top1": np.mean(expected == test_labels)}
    assert result.notes["fitted_on"] == ("train" if alone else "train + validation")


def test_top5_is_scikit_learns_and_absent_where_every_answer_would_count() -> None:
    rng = np.random.default_rng(0)
    features, weights, labels = rng.normal(size=(80, 12)), rng.normal(size=(12, 9)), rng.integers(0, 9, 80)
    result, _ = zeroshot.score("x", names(80), features, labels, weights, **CONTEXT)
    logits = normalize(features) @ weights
    expected = top_k_accuracy_score(labels, logits, k=5, labels=np.arange(9))
    assert result.values["zero_shot/x/top5"] == pytest.approx(expected)
    low, high = result.intervals["zero_shot/x/top5"]
    assert low < expected < high
    few, _ = zeroshot.score("x", names(80), features, labels % 5, weights[:, :5], **CONTEXT)
    assert "5 classes, more than 5 needed" in few.absent["zero_shot/x/top5"]


def test_accuracy_by_class_is_scikit_learns_recall() -> None:
    train, train_labels = clusters(1, 60)
    test, test_labels = clusters(2, 90)
    _, table = probe.score("x", train, train_labels, names(90), test, test_labels, 0, **CONTEXT)
    rows = per_class(table)
    truth, told = table["label"].to_numpy(), table["predicted"].to_numpy()
    np.testing.assert_array_equal(rows["label"].to_numpy(), np.unique(truth))
    np.testing.assert_allclose(
        rows["accuracy"].to_numpy(), recall_score(truth, told, average=None, labels=np.unique(truth))
    )
    assert rows["images"].to_pylist() == np.bincount(truth).tolist()


def test_knn_is_scikit_learns_with_the_same_weights() -> None:
    train, train_labels = clusters(1, 200)
    test, test_labels = clusters(2, 90)
    result, table = knn.score("x", train, train_labels, names(90), test, test_labels, **CONTEXT)
    reference = KNeighborsClassifier(20, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / 0.07))
    expected = reference.fit(train.astype(np.float64), train_labels).predict(test.astype(np.float64))
    np.testing.assert_array_equal(table["predicted"].to_numpy(), expected)
    assert result.values["knn/x/top1"] == np.mean(expected == test_labels)
    few, _ = knn.score("x", train[:7], train_labels[:7], names(90), test, test_labels, **CONTEXT)
    assert few.counts["train_images"] == 7


def test_few_shots_are_scikit_learns_on_the_same_draws() -> None:
    train, train_labels = clusters(1, 60)
    test, test_labels = clusters(2, 90)
    result, table = few_shot.score("x", train, train_labels, names(90), test, test_labels, 3, **CONTEXT)
    kinds = len(np.unique(train_labels))
    for shots in (1, 4):
        scores = []
        for draw in range(5):
            chosen = few_shot.pick(train_labels, shots, 3, draw)
            assert np.bincount(train_labels[chosen]).tolist() == [shots] * kinds
            model = LogisticRegression(C=10, tol=1e-9, max_iter=10_000).fit(
                normalize(train[chosen].astype(np.float64)), train_labels[chosen]
            )
            scores.append(model.score(normalize(test.astype(np.float64)), test_labels))
        assert result.values[f"few_shot/x/top1_{shots}_shots"] == pytest.approx(np.mean(scores), abs=0.005)
        assert result.values[f"few_shot/x/sd_{shots}_shots"] == pytest.approx(np.std(scores, ddof=1), abs=0.005)
    assert set(few_shot.pick(train_labels, 2, 3, 0)) <= set(few_shot.pick(train_labels, 4, 3, 0)), "draws are nested"
    assert len(table) == 5 * sum(shots <= np.bincount(train_labels).max() for shots in few_shot.SHOTS)


def test_shots_that_no_class_can_fill_are_absent() -> None:
    train, train_labels = clusters(1, 18)
    result, _ = few_shot.score("x", train, train_labels, names(18), train, train_labels, 0, **CONTEXT)
    assert result.absent["few_shot/x/top1_16_shots"] == "few-shot probe: no class has 16 training images"
    alone, _ = few_shot.score("x", train[:3], np.zeros(3, np.int64), names(18), train, train_labels, 0, **CONTEXT)
    reason = "few-shot probe: 1 class in training, at least 2 needed"
    assert set(alone.absent.values()) == {reason} and len(alone.absent) == 2 * len(few_shot.SHOTS)


def test_hold_out_is_stratified_and_leaves_every_class_in_training() -> None:
    labels = np.repeat([0, 1, 2, 3], [40, 8, 2, 1])
    held = probe.hold_out(labels, seed=0)
    np.testing.assert_array_equal(np.bincount(labels[held], minlength=4), [10, 2, 1, 0])
    assert np.array_equal(held, probe.hold_out(labels, seed=0))
    assert not np.array_equal(held, probe.hold_out(labels, seed=1))


@pytest.mark.parametrize(
    ("labels", "reason"), [([0, 0, 0], "1 class in training, at least 2 needed"), ([0, 1, 2], "none can be held out")]
)
def test_probe_undefined_is_absent(labels: list[int], reason: str) -> None:
    result, table = probe.score(
        "shapes", np.eye(3), np.array(labels), ["a"], np.eye(3)[:1], np.array([0]), 0, **CONTEXT
    )
    assert reason in result.absent["probe/shapes/top1"]
    assert table.column("predicted").null_count == 1


CLASSES = ("red", "green", "blue", "yellow", "black", "white")


@pytest.mark.parametrize("suite", ["probe", "knn", "few_shot"])
def test_a_class_that_train_lacks_leaves_the_number_absent_and_is_named(suite: str) -> None:
    train, train_labels = clusters(1, 180)
    test, test_labels = clusters(2, 60)
    seen = train_labels != 3
    both = train[seen], train_labels[seen], names(60), test, test_labels
    scorer: dict[str, Callable[[], tuple[Result, pa.Table]]] = {
        "probe": lambda: probe.score("x", *both, 0, classes=CLASSES, **CONTEXT),
        "knn": lambda: knn.score("x", *both, classes=CLASSES, **CONTEXT),
        "few_shot": lambda: few_shot.score("x", *both, 0, classes=CLASSES, **CONTEXT),
    }
    result, table = scorer[suite]()
    assert not result.values
    assert all(
        reason.endswith("10 test images of 1 class that train lacks: yellow") for reason in result.absent.values()
    )
    assert "predicted" not in table.column_names or table["predicted"].null_count == 60


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 3)), st.sets(st.integers(0, 3)))
def test_whatever_classes_train_and_test_lack_it_is_scikit_learns_number_or_none(
    train_lacks: set, test_lacks: set
) -> None:
    train, train_labels = clusters(1, 48, classes=4, noise=1.0)
    test, test_labels = clusters(2, 24, classes=4, noise=1.0)
    keep, shown = ~np.isin(train_labels, list(train_lacks)), ~np.isin(test_labels, list(test_lacks))
    train, train_labels, test, test_labels = train[keep], train_labels[keep], test[shown], test_labels[shown]
    both = train, train_labels, names(len(test)), test, test_labels
    defined = len(set(train_labels)) > 1 and len(test) > 0 and set(test_labels) <= set(train_labels)
    result, _ = probe.score("x", *both, 0, **CONTEXT)
    near, _ = knn.score("x", *both, **CONTEXT)
    few, _ = few_shot.score("x", *both, 0, **CONTEXT)
    assert bool(result.values) == bool(near.values) == ("few_shot/x/top1_1_shots" in few.values) == defined
    if defined:
        model = LogisticRegression(C=float(result.notes["C"]), max_iter=10_000, tol=1e-9)
        model.fit(normalize(train.astype(np.float64)), train_labels)
        assert result.values["probe/x/top1"] == model.score(normalize(test.astype(np.float64)), test_labels)


def test_a_class_that_only_validation_shows_counts_for_the_variants_that_fit_on_it() -> None:
    train, train_labels = clusters(1, 120)
    val, val_labels = clusters(4, 60)
    test, test_labels = clusters(2, 60)
    seen = train_labels != 2
    both = train[seen], train_labels[seen], names(60), test, test_labels, 0, (val, val_labels)
    joined, _ = probe.score("x", *both, classes=CLASSES, **CONTEXT)
    alone, _ = probe.score("x", *both, suite="probe_train", classes=CLASSES, **CONTEXT)
    everything = normalize(np.concatenate([train[seen], val]).astype(np.float64))
    model = LogisticRegression(C=float(joined.notes["C"]), max_iter=10_000, tol=1e-9)
    model.fit(everything, np.concatenate([train_labels[seen], val_labels]))
    assert joined.values["probe/x/top1"] == model.score(normalize(test.astype(np.float64)), test_labels)
    assert alone.absent == {"probe_train/x/top1": "linear probe: 10 test images of 1 class that train lacks: blue"}


def test_one_class_to_choose_from_is_no_measurement() -> None:
    features, _ = clusters(0, 12)
    result, table = zeroshot.score("x", names(12), features, np.zeros(12, np.int64), np.ones((24, 1)), **CONTEXT)
    leaves = ("top1", "mean_per_class", "top5")
    assert result.absent == {f"zero_shot/x/{leaf}": "zero-shot: 1 class, at least 2 needed" for leaf in leaves}
    assert not result.values and table.column_names == ["id", "label"]
    near, _ = knn.score("x", features, np.zeros(12, np.int64), names(12), features, np.zeros(12, np.int64), **CONTEXT)
    assert near.absent == {"knn/x/top1": "k-NN: 1 class in training, at least 2 needed"}


def test_images_of_one_of_two_classes_are_scored_with_a_warning() -> None:
    features, _ = clusters(0, 12)
    weights = np.random.default_rng(0).normal(size=(24, 2))
    result, table = zeroshot.score("x", names(12), features, np.ones(12, np.int64), weights, **CONTEXT)
    assert result.values["zero_shot/x/top1"] == np.mean(table["predicted"].to_numpy() == 1)
    assert result.notes["warning"].startswith("all 12 images are of one of the 2 classes")
    other, _ = zeroshot.score("x", names(12), features, np.arange(12) % 2, weights, **CONTEXT)
    assert other.notes == {"interval_unit": "image"}


def test_probe_names_bad_rows() -> None:
    train, train_labels = clusters(1, 12)
    test, test_labels = clusters(2, 6)
    train[3, 0], test[1] = np.inf, 0
    test_labels[2] = -1
    with pytest.raises(UserError) as caught:
        probe.score("shapes", train, train_labels, names(6), test, test_labels, 0, **CONTEXT)
    for piece in ("1 not finite: train row 3", "1 all zero: image-001", "1 outside 0 to 5: image-002"):
        assert piece in str(caught.value)


def test_scores_of_heads_and_prompts_are_softmax() -> None:
    rng = np.random.default_rng(0)
    features, weight, bias = rng.normal(size=(30, 8)), rng.normal(size=(2, 8)), rng.normal(size=2)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)

    def softmax(z: np.ndarray) -> np.ndarray:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e[:, 1] / e.sum(axis=1)

    np.testing.assert_allclose(head_scores(features, weight, bias), softmax(unit @ weight.T + bias), rtol=1e-12)
    pair = zeroshot.classifier([weight[:1], weight[1:]])
    np.testing.assert_allclose(text_scores(features, pair, 100.0), softmax(100 * unit @ pair), rtol=1e-9, atol=1e-300)
    assert np.all(np.isfinite(head_scores(features, 1e4 * weight, bias)))  # no overflow
    with pytest.raises(ValueError, match=r"\(2, d\) and \(2,\) needed"):
        head_scores(features, weight[:1], bias)
    with pytest.raises(ValueError, match=r"\(d, 2\) needed"):
        text_scores(features, weight)
