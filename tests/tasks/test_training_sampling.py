"""Which records a step sees: against numpy and torch, and by properties: resumable, balanced, nothing twice before all had a turn."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gelo.models.faults import UserError
from gelo.models.training.sampling import Batches, by_label
from gelo.models.training.settings import Sampler

LABELS = np.repeat(np.arange(30), np.arange(2, 62, 2))  # 30 identities of 2, 4, ..., 60 images: 930 records
SAMPLERS: tuple[Sampler, ...] = ("shuffled", "class_balanced", "identity_balanced")


def epoch(batches: Batches, number: int) -> np.ndarray:
    """(steps, batch)."""
    return np.stack([batches.at(number, step) for step in range(batches.steps)])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_by_label_names_each_record_once_in_its_order(given_labels: list[int]) -> None:
    labels = np.array(given_labels)
    index, first = by_label(labels)
    assert index.dtype == np.uint32
    for label in range(labels.max() + 1):
        np.testing.assert_array_equal(index[first[label] : first[label + 1]], np.flatnonzero(labels == label))
    assert first[-1] == len(index) == len(labels)


@pytest.mark.parametrize("sampler", SAMPLERS)
@given(order=st.permutations([(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 1)]))
@settings(max_examples=10)
def test_a_batch_is_a_function_of_epoch_and_step_alone(sampler: Sampler, order: list[tuple[int, int]]) -> None:
    """A resumed run asks for the steps that are left, and gets what it would have got."""
    asked = Batches(sampler, LABELS, 5, 40)
    found = {place: asked.at(*place) for place in order}
    for place, batch in found.items():
        np.testing.assert_array_equal(batch, Batches(sampler, LABELS, 5, 40).at(*place))
    assert len({batch.tobytes() for batch in found.values()}) == len(found)
    assert not np.array_equal(found[0, 1], Batches(sampler, LABELS, 6, 40).at(0, 1))


def test_shuffled_is_numpys_permutation_without_the_incomplete_batch() -> None:
    """As it was before there were other samplers: results of saved sweeps stay what they are."""
    found = epoch(Batches("shuffled", LABELS, 3, 32), 2)
    assert found.shape == (29, 32)
    np.testing.assert_array_equal(found.ravel(), np.random.default_rng([3, 2]).permutation(930)[: 29 * 32])


def test_class_balanced_draws_as_before() -> None:
    weights = 1 / np.bincount(LABELS)[LABELS]
    expected = np.random.default_rng([3, 2]).choice(930, 930, replace=True, p=weights / weights.sum())
    np.testing.assert_array_equal(epoch(Batches("class_balanced", LABELS, 3, 30), 2).ravel(), expected)


def test_class_balanced_has_the_shares_of_torchs_weighted_sampler() -> None:
    """gurayozgur/FoundPAD: src/data/loaders.py: torch.multinomial, weight 1 / class count; here two classes, 100 and 900."""
    labels = np.repeat([0, 1], [100, 900])
    ours = Counter(labels[epoch(Batches("class_balanced", labels, 0, 50), n)].sum() for n in range(100))
    torch.manual_seed(0)
    sampler = torch.utils.data.WeightedRandomSampler((1 / np.bincount(labels)[labels]).tolist(), 1000)
    theirs = Counter(int(labels[list(sampler)].sum()) for _ in range(100))
    assert stats.ks_2samp(list(ours.elements()), list(theirs.elements())).pvalue > 0.01
    assert stats.binomtest(sum(ours.elements()), 100 * 1000).pvalue > 0.01  # each class half of the draws


@given(
    counts=st.lists(st.integers(0, 9), min_size=5, max_size=15),
    many=st.integers(1, 3),
    each=st.integers(1, 5),
    seed=st.integers(0, 3),
)
@settings(max_examples=60)
def test_a_batch_holds_p_identities_with_k_images_each(counts: list[int], many: int, each: int, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    present = np.unique(labels)
    if len(present) < many or len(labels) < many * each:
        return
    batches = Batches("identity_balanced", labels, seed, many * each, each)
    assert batches.steps == len(labels) // (many * each)
    for batch in epoch(batches, 1):
        of = labels[batch].reshape(many, each)
        assert (of == of[:, :1]).all() and len(set(of[:, 0])) == many
        for identity, images in zip(of[:, 0], batch.reshape(many, each), strict=True):
            assert len(set(images)) == min(each, counts[identity])


def test_every_identity_is_drawn_equally_often_and_shuffled_does_not() -> None:
    batches = Batches("identity_balanced", LABELS, 0, 40)  # 10 identities of 4 images: three batches make a turn
    drawn = np.bincount(LABELS[epoch(batches, 0)[:21].ravel()])  # seven turns
    assert drawn.tolist() == [28] * 30
    assert len(set(np.bincount(LABELS[epoch(Batches("shuffled", LABELS, 0, 40), 0)[:21].ravel()]))) > 10


def test_where_the_identities_do_not_fill_the_batches_of_a_turn_none_is_favoured() -> None:
    """7 of 30 a batch: the two left over in each turn of four batches are others each time."""
    batches = Batches("identity_balanced", LABELS, 0, 28)
    drawn = sum(np.bincount(LABELS[epoch(batches, n)[:32].ravel()], minlength=30) for n in range(20)) / 4
    expected = 20 * 8 * 28 / 30
    assert drawn.sum() == 20 * 8 * 28
    # one of 160 turns leaves each identity out with chance 2 / 30
    spread = np.sqrt(160 * (28 / 30) * (2 / 30))
    assert np.abs(drawn - expected).max() < 4 * spread


def test_no_image_comes_back_before_all_had_their_turn() -> None:
    labels = np.repeat([0, 1], [12, 40])
    batches = Batches("identity_balanced", labels, 0, 8)  # both identities in each batch, 4 images: 6 batches
    images = [batch[labels[batch] == 0] for batch in epoch(batches, 0)]
    assert sorted(np.concatenate(images[:3])) == sorted(np.concatenate(images[3:])) == list(range(12))
    assert [set(batch) for batch in images[:3]] != [set(batch) for batch in images[3:]]
    used = np.bincount(np.concatenate([epoch(batches, n).ravel() for n in range(200)]), minlength=52)
    assert used[:12].tolist() == [400] * 12  # 6 x 4 a epoch of 12 images
    assert stats.chisquare(used[12:]).pvalue > 0.01  # 24 of 40 in each epoch, other ones each time


def test_two_identities_of_equal_size_have_orders_of_their_own() -> None:
    labels = np.repeat([0, 1], 16)
    batches = Batches("identity_balanced", labels, 0, 8)  # four steps, four images of each in every one
    seen = np.concatenate([batches.at(0, step) for step in range(4)])
    of_each = [(seen[labels[seen] == label] % 16).tolist() for label in (0, 1)]
    assert sorted(of_each[0]) == sorted(of_each[1]) == list(range(16))
    assert of_each[0] != of_each[1]


@pytest.mark.parametrize(
    ("batch", "each", "expected"),
    [
        (1000, 4, "batch: 1000; expected at most the 930 images"),
        (42, 4, "batch: 42; expected a multiple of per_identity, which is 4"),
        (124, 4, "batch: 124, 31 identities of 4 images each; expected at most the 30 identities"),
    ],
)
def test_a_batch_that_cannot_be_filled_is_refused(batch: int, each: int, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        Batches("identity_balanced", LABELS, 0, batch, each)


def test_labels_with_gaps() -> None:
    labels = np.array([7, 7, 7, 7, 3, 3, 3, 3])
    assert sorted(Batches("identity_balanced", labels, 0, 8).at(0, 0)) == list(range(8))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampler", "kept", "most"), [("shuffled", 4, 4), ("identity_balanced", 4, 16), ("class_balanced", 4, 44)]
)
def test_memory_of_an_order_of_millions_is_flat(sampler: Sampler, kept: int, most: int) -> None:
    """MS1MV2's size: bytes an image that are kept and that are used for a while, beside the labels, the same in any epoch and step."""
    count, people = 5_822_653 if sampler != "class_balanced" else 582_265, 85_742  # which takes long
    labels = np.random.default_rng(0).integers(0, people, count)
    tracemalloc.start()
    try:
        batches = Batches(sampler, labels, 0, 512)
        held = []
        for epoch in (0, 1):
            for step in (0, 1, batches.steps // 2, batches.steps - 1):
                drawn = batches.at(epoch, step)
                assert drawn.shape == (512,) and drawn.max() < count
                held.append(tracemalloc.get_traced_memory()[0] / count)
        peak = tracemalloc.get_traced_memory()[1] / count
    finally:
        tracemalloc.stop()
    assert max(held) <= kept + 0.5 and max(held) - min(held) < 0.1, held
    assert peak <= most + 0.5, peak
