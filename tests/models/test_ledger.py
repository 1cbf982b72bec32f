from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from gelo.models.adapt import AdaptationSpec, Full, Lora, NoAdaptation, adapt
from gelo.models.adapt.adapted import Adapted
from gelo.models.adapt.ledger import LedgerError, ledger, prove, render
from gelo.models.encoder import Encoder
from gelo.models.heads import BinaryHead
from torch import nn


def _step(adapted: Adapted, head: nn.Module, images: torch.Tensor) -> Callable[[], None]:
    chosen = [*adapted.trainable().values(), *head.parameters()]
    optimizer = torch.optim.AdamW(chosen, lr=1e-2)
    labels = torch.arange(len(images)) % 2

    def step() -> None:
        optimizer.zero_grad()
        head.loss(adapted(images), labels).backward()  # type: ignore[operator]
        optimizer.step()

    return step


@pytest.mark.parametrize("spec", [NoAdaptation(), Full(), Lora(targets=("q", "k", "v", "out"))], ids=str)
def test_two_steps_move_all_that_trains_and_nothing_else(
    spec: AdaptationSpec, encoder: Encoder, pixels: np.ndarray
) -> None:
    adapted, head = adapt(encoder.visual, spec, seed=0), BinaryHead(encoder.dim)
    before = adapted.state()
    images = encoder.transform.normalise(torch.from_numpy(pixels))
    rows = prove(adapted, _step(adapted, head, images), head)
    for row in rows:
        assert row.moved == (row.tensors if row.trains else 0)
    after = adapted.state()
    assert all(torch.equal(before[name], after[name]) for name in before)  # the proof leaves no trace
    total = sum(p.numel() for p in encoder.visual.parameters())
    by_part = {row.part: row for row in rows}
    match spec:
        case Full():
            assert by_part["visual"].parameters == total and by_part["everything else"].parameters == 0
        case Lora():
            adapters = by_part["visual lora_A, lora_B"]
            assert adapters.tensors == 2 * 4 * 3 and adapters.parameters == 3 * 4 * 8 * (32 + 32)
            assert by_part["everything else"].parameters == total
        case _:
            assert set(by_part) == {"head", "everything else"} and by_part["everything else"].parameters == total
    assert by_part["head"].parameters == 2 * encoder.dim + 2


def test_a_ledger_that_does_not_hold_is_an_error_with_names(encoder: Encoder, pixels: np.ndarray) -> None:
    adapted, head = adapt(encoder.visual, Lora(), seed=0), BinaryHead(encoder.dim)
    with pytest.raises(LedgerError, match="stayed"):
        prove(adapted, lambda: None)

    real = _step(adapted, head, encoder.transform.normalise(torch.from_numpy(pixels)))

    def leaking() -> None:
        real()
        with torch.no_grad():
            adapted.network.proj.add_(0.1)  # type: ignore[union-attr,operator]

    with pytest.raises(LedgerError, match=r"1 tensors .* proj moved"):
        prove(adapted, leaking)


def test_the_table_reads_as_text(encoder: Encoder) -> None:
    rows = ledger(adapt(encoder.visual, Lora(), seed=0))
    lines = render(rows).splitlines()
    assert len(lines) == 1 + len(rows) and "moved in two proof steps" in lines[0]
    assert lines[1].split() == ["visual", "lora_A,", "lora_B", "12", "3,072", "yes"]
    assert rows[0].as_dict() == {
        "part": "visual lora_A, lora_B", "tensors": 12, "parameters": 3072, "trains": True, "moved": None,
    }  # fmt: skip
