"""Growing keeps what the smaller backbone can do where both can be compared."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from gelo.models.backbones.registry import MINI
from gelo.models.backbones.zoo import build_model
from gelo.tasks.mini.grow import grown


@pytest.fixture(scope="module")
def small_and_large() -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    return build_model("mini-s", MINI / "mini-s.json").eval(), build_model("mini-l", MINI / "mini-l.json").eval()


def test_the_text_tower_and_the_shared_blocks_are_the_smaller_ones(small_and_large) -> None:
    small, large = small_and_large
    state, given = grown(large.state_dict(), small.state_dict()), small.state_dict()
    resized = {"visual.conv1.weight", "visual.positional_embedding"}
    assert state.keys() == large.state_dict().keys()
    for name in given.keys() - resized:
        assert torch.equal(state[name], given[name]), name


def test_the_added_block_adds_nothing_yet(small_and_large) -> None:
    small, large = small_and_large
    large.load_state_dict(grown(large.state_dict(), small.state_dict()))
    tokens = torch.randn(2, 65, 160)
    added = large.visual.transformer.resblocks[-1]
    torch.testing.assert_close(added(tokens), tokens)


def test_a_flat_patch_gives_the_same_token(small_and_large) -> None:
    small, large = small_and_large
    state, flat = grown(large.state_dict(), small.state_dict()), torch.full((1, 3, 64, 64), 0.7)
    coarse = F.conv2d(flat, small.state_dict()["visual.conv1.weight"], stride=16)
    fine = F.conv2d(flat, state["visual.conv1.weight"], stride=8)
    torch.testing.assert_close(fine[0, :, 3, 3], coarse[0, :, 1, 1], atol=1e-4, rtol=1e-4)


def test_other_widths_are_refused(small_and_large) -> None:
    small, large = small_and_large
    other = {**small.state_dict(), "visual.proj": torch.zeros(3, 3)}
    with pytest.raises(ValueError, match=r"visual\.proj"):
        grown(large.state_dict(), other)
