"""The table of what trains: two steps of an optimiser move exactly what it says, and its counts are those of the tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gelo.models.adapt import AdaptationSpec, Full, Lora, LoraExperts, NoAdaptation, adapt
from gelo.models.adapt.parameters import table
from gelo.models.encoder import Encoder
from gelo.models.heads import Binary
from gelo.models.heads.head import Head


@pytest.mark.parametrize(
    "spec", [NoAdaptation(), Full(), Lora(targets=("q", "k", "v", "out")), LoraExperts(rank=2, experts=3)], ids=str
)
def test_two_steps_move_all_that_trains_and_nothing_else(
    spec: AdaptationSpec, encoder: Encoder, pixels: np.ndarray
) -> None:
    """One is not enough: lora_B starts at 0, so lora_A has no gradient in the first."""
    adapted, head = adapt(encoder.visual, spec, seed=0), Head(Binary(), encoder.dim, 2, seed=0)
    images = encoder.transform.normalise(torch.from_numpy(pixels))
    before = {name: tensor.clone() for name, tensor in adapted.network.state_dict().items()}
    optimizer = torch.optim.AdamW([*adapted.trainable().values(), *head.parameters()], lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        head.loss(adapted(images), torch.arange(len(images)) % 2).backward()
        optimizer.step()
    chosen = {id(parameter) for parameter in adapted.trainable().values()}
    names = {name for name, parameter in adapted.network.named_parameters() if id(parameter) in chosen}
    moved = {name for name, tensor in adapted.network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == names
    total = sum(p.numel() for p in encoder.visual.parameters())
    by_part = {row.part: row for row in table(adapted, head)}
    match spec:
        case Full():
            assert by_part["visual"].parameters == total and by_part["everything else"].parameters == 0
        case Lora():
            adapters = by_part["visual lora_A, lora_B"]
            assert adapters.tensors == 2 * 4 * 3 and adapters.parameters == 3 * 4 * 8 * (32 + 32)
            assert by_part["everything else"].parameters == total
        case LoraExperts():
            experts = by_part["visual experts and routers"]
            assert experts.tensors == 3 * 2 * 3 and experts.parameters == 3 * 2 * (3 * 2 * (32 + 32) + 3 * 32)
            assert by_part["everything else"].parameters == total
        case _:
            assert set(by_part) == {"head", "everything else"} and by_part["everything else"].parameters == total
    assert by_part["head"].parameters == 2 * encoder.dim + 2
    assert [row.trains for row in table(adapted, head)] == [*(True for _ in list(by_part)[:-1]), False]
