"""LP-FT against its two phases, each trained by itself: the head on a tower that does not move, then all from that head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gelo.models.adapt import Full, Linear, LpFt
from gelo.models.encoder import Encoder
from gelo.models.heads import Softmax
from gelo.models.remedies import EMA, L2SP, Stack
from gelo.models.training.schedule import rate
from tests.models.toy_run import EPOCHS, IMAGES, STEPS, go, settings

EACH = STEPS // EPOCHS
ASKED: dict[str, Any] = {"head": Softmax(), "lr_head": 0.1}


def test_first_the_head_alone_then_all(encoder: Encoder, tmp_path: Path) -> None:
    base = encoder.visual_state()
    held = go(encoder, LpFt(head_epochs=2), tmp_path / "a", stop_after=2 * EACH, **ASKED)
    assert all(torch.equal(tensor, base[name]) for name, tensor in held.model.merged().items())
    linear = go(encoder, Linear(), tmp_path / "b", schedule="constant", epochs=2, **ASKED)
    own = linear.head.whole()
    for name, tensor in held.head.whole().items():
        torch.testing.assert_close(tensor, own[name], atol=1e-6, rtol=0)
    ended = go(encoder, LpFt(head_epochs=2), tmp_path / "a", **ASKED)
    assert ended.finished and ended.run.step == STEPS + 2 * EACH and len(ended.run.history) == EPOCHS + 2
    merged = ended.model.merged()
    assert all(not torch.equal(tensor, base[name]) for name, tensor in merged.items())
    moved = go(encoder, Full(), tmp_path / "c", **ASKED).model.merged()
    assert any(not torch.equal(tensor, moved[name]) for name, tensor in merged.items())


@pytest.mark.parametrize("stop", [2, EACH + 2])
def test_it_goes_on_bit_for_bit_in_either_phase(stop: int, encoder: Encoder, tmp_path: Path) -> None:
    remedy = Stack(remedies=(L2SP(strength=0.1), EMA(decay=0.5)))
    whole = go(encoder, LpFt(), tmp_path / "whole", remedy, **ASKED).tensors()
    assert not go(encoder, LpFt(), tmp_path / "parts", remedy, stop_after=stop, **ASKED).finished
    parts = go(encoder, LpFt(), tmp_path / "parts", remedy, **ASKED).tensors()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_the_schedule_starts_with_the_second_phase(encoder: Encoder, tmp_path: Path) -> None:
    found = go(encoder, LpFt(), tmp_path, stop_after=EACH + 1, **ASKED).run
    assert found.scheduled == 1 and found.steps == (EPOCHS + 1) * (IMAGES // found.settings.batch)
    assert rate(settings(), 0.5, -1, EACH) == 0.5 and rate(settings(), 0.5, 0, EACH) == 0.5 / EACH
