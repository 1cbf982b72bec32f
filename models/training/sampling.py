"""Which records each training step sees: an index over the labels alone, never a list of images.

Decisions: a batch is a function of (labels, seed, epoch, step), so a resumed run goes on exactly; an epoch is as many steps as the records
fill, the last incomplete batch dropped, whatever the sampler. What stays in memory for N records, beside their labels, is 4 N bytes: the
order of an epoch, or the index of identities (about 16 N while it is made; the draws of class_balanced, for sets of millions, 44 N).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gelo.models.faults import Fault, UserError
from gelo.models.training.settings import Sampler


class Batches:
    """`at(epoch, step)` -> record indices (batch,). `steps`: of one epoch: as many as the records fill, or as many as are said, for which
    they go round from one epoch into the next.

    shuffled: a permutation (TaharChettaoui/FRoundation: src/train.py).

    class_balanced: N draws with replacement, weight 1 / class count, by numpy's generator of (seed, epoch). Theirs are the
    ceil(N / GPUs) * GPUs draws of torch.multinomial with the epoch number as seed, shuffled and dealt out to the GPUs in turn
    (gurayozgur/FoundPAD: src/data/loaders.py): on one GPU as many, of the same distribution.

    identity_balanced: P x K batches, K = per_identity images of each of P = batch / K identities (Hermans et al., 1703.07737, section 2):
    on average every identity is drawn as often as any other, however many images it has. As in KevinMusgrave/pytorch-metric-learning:
    MPerClassSampler, but the identities go round in permutations, less those of an incomplete batch, and so do the images of each: the
    K of a visit differ, and none comes back before all had a turn but n mod K; an identity of fewer than K images repeats them.

    Raises UserError where a batch cannot be filled.
    """

    def __init__(
        self,
        sampler: Sampler,
        labels: NDArray[np.integer],
        seed: int,
        batch: int,
        per_identity: int = 4,
        steps: int | None = None,
    ) -> None:
        self._filled = len(labels) // batch
        self.steps = self._filled if steps is None else steps
        self._sampler, self._labels, self._seed, self._batch = sampler, labels, seed, batch
        self._order: tuple[tuple[int, ...], np.ndarray] = ((), np.empty(0, np.uint32))
        if not self._filled:
            raise UserError("batches", Fault("batch", str(batch), f"at most the {len(labels)} images there are"))
        if sampler == "identity_balanced":
            self._per_identity = per_identity
            self._index, self._first = by_label(labels)
            self._identities = np.flatnonzero(np.diff(self._first)).astype(np.uint32)
            faults = []
            if batch % per_identity:
                faults.append(Fault("batch", str(batch), f"a multiple of per_identity, which is {per_identity}"))
            if len(self._identities) * per_identity < batch:
                found = f"{batch}, {batch // per_identity} identities of {per_identity} images each"
                faults.append(Fault("batch", found, f"at most the {len(self._identities)} identities there are"))
            if faults:
                raise UserError("batches", faults)

    def at(self, epoch: int, step: int) -> NDArray[np.integer]:
        """The batch of one step, both counted from 0. Steps in their order cost the least: the order of the epoch is kept."""
        epoch, step = divmod(epoch * self.steps + step, self._filled)
        if self._sampler == "identity_balanced":
            return self._of_identities(epoch, step)
        if self._order[0] != (epoch,):
            self._order = ((epoch,), np.empty(0, np.uint32))  # so that two orders never stand in memory
            self._order = ((epoch,), self._epoch(epoch))
        return self._order[1][
            step * self._batch : (step + 1) * self._batch
        ].copy()  # a view would keep the order of a past epoch

    def _epoch(self, epoch: int) -> np.ndarray:
        rng, count = np.random.default_rng([self._seed, epoch]), len(self._labels)
        if self._sampler == "shuffled":
            order = np.arange(count, dtype=np.uint32)
            rng.shuffle(order)
            return order
        assert self._sampler == "class_balanced"
        weights = 1.0 / np.bincount(self._labels)[self._labels]
        return rng.choice(count, size=count, replace=True, p=weights / weights.sum()).astype(np.uint32)

    def _of_identities(self, epoch: int, step: int) -> np.ndarray:
        many = self._batch // self._per_identity
        turn, place = divmod(step, len(self._identities) // many)
        if self._order[0] != (epoch, turn):
            self._order = ((epoch, turn), self._stream(epoch, 0, turn).permutation(self._identities))
        chosen = self._order[1][place * many : (place + 1) * many]
        return np.concatenate([self._images_of(int(identity), epoch, turn) for identity in chosen])

    def _images_of(self, identity: int, epoch: int, turn: int) -> np.ndarray:
        first, count = self._first[identity], self._first[identity + 1] - self._first[identity]
        lap, visit = divmod(turn, max(1, int(count) // self._per_identity))
        order = self._stream(epoch, 1, identity, lap).permutation(count)
        start = visit * self._per_identity
        return self._index[first + np.resize(order[start : start + self._per_identity], self._per_identity)]

    def _stream(self, epoch: int, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self._seed, epoch], spawn_key=key))


def by_label(labels: NDArray[np.integer]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """(index, first): the records of label c are index[first[c] : first[c + 1]], in their order. index (N,), first (largest label + 2,)."""
    first = np.concatenate([[0], np.cumsum(np.bincount(labels))])
    return np.argsort(labels.astype(np.int32, copy=False), kind="stable").astype(np.uint32), first
