"""What ranks tell each other goes in lots that memory bounds, and comes back in its own order."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st

from gelo.models.training import world as module
from gelo.models.training.world import World


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12), st.integers(1, 12))
def test_the_mean_comes_back_whatever_the_lots(shapes: list[tuple[int, bool]], most: int) -> None:
    """The other rank has the same, so that the mean is what went in; float64 stays float64."""
    tensors = [torch.rand(size, 2, dtype=torch.float64 if double else torch.float32) for size, double in shapes]
    lots: list[int] = []

    def doubled(flat: torch.Tensor) -> None:
        lots.append(flat.numel())
        flat.mul_(2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dist, "all_reduce", doubled)
        patch.setattr(module, "_AT_ONCE", most)
        means = World(0, 2).mean(tensors)
    for mean, tensor in zip(means, tensors, strict=True):
        assert mean.dtype == tensor.dtype and torch.equal(mean, tensor)
    assert sum(lots) == sum(tensor.numel() for tensor in tensors)
    largest = max((tensor.numel() for tensor in tensors), default=0)
    assert all(lot <= max(most, largest) for lot in lots)


def test_gradients_are_lots_of_their_own_only_where_they_are_large() -> None:
    lots: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dist, "all_reduce", lambda flat: lots.append(flat.numel()))
        patch.setattr(module, "_AT_ONCE", 10)
        World(0, 2).mean([torch.zeros(4), torch.zeros(5), torch.zeros(30), torch.zeros(1)])
    assert lots == [9, 30, 1]
