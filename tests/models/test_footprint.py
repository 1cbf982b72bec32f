"""What is predicted of a training against what autograd keeps, what open_clip builds and what torch counts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from gelo.models.adapt import AdaptationSpec, Full, Lora, LoraExperts, NoAdaptation, adapt
from gelo.models.backbones.geometry import Geometry, geometry
from gelo.models.backbones.registry import BACKBONES, config_path
from gelo.models.training.demands import demands
from gelo.models.training.footprint import Plan, kept
from gelo.models.training.switches import recompute
from tests.models.toy_run import settings

LAYERS, WIDTH, SIDE, PATCH, DIM = 4, 128, 32, 8, 64
WAYS: dict[str, AdaptationSpec] = {
    "full": Full(), "lora": Lora(rank=4), "dropout": Lora(rank=4, dropout=0.3), "q": Lora(rank=4, targets=("q",)),
    "out": Lora(rank=4, targets=("out",)), "mlp": Lora(rank=4, targets=("mlp_in",)), "mlp_out": Lora(rank=4, targets=("mlp_out",)),
    "late": Lora(rank=4, blocks=(2,)), "experts": LoraExperts(rank=4), "none": NoAdaptation(),
}  # fmt: skip


def model(quick: bool) -> tuple[nn.Module, Geometry]:
    torch.manual_seed(0)
    vision = {"image_size": SIDE, "layers": LAYERS, "width": WIDTH, "head_width": 64, "patch_size": PATCH}
    text = {"context_length": 8, "vocab_size": 514, "width": 32, "heads": 2, "layers": 1}
    made = open_clip.model.CLIP(DIM, vision_cfg=vision, text_cfg=text, quick_gelu=quick)
    size = Geometry(LAYERS, WIDTH, 2, 4 * WIDTH, PATCH, SIDE, DIM, quick, sum(p.numel() for p in made.parameters()))
    return made.visual, size


def saved(network: nn.Module, images: int, how: AbstractContextManager[object]) -> int:
    """Bytes that a forward pass keeps for the backward pass, parameters aside."""
    return saved_by(network, lambda: network(torch.zeros(images, 3, SIDE, SIDE)), how)


def saved_by(network: nn.Module, run: Callable[[], object], how: AbstractContextManager[object]) -> int:
    """The same of any pass through it."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    found: dict[int, int] = {}
    alive: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), how:
        run()
    return sum(found.values())


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("quick", [False, True], ids=["gelu", "quick_gelu"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_a_forward_pass_keeps_is_what_autograd_keeps(name: str, quick: bool, precision: Any) -> None:
    visual, size = model(quick)
    network = adapt(visual, WAYS[name], 0).network.train()

    def cast() -> AbstractContextManager[object]:
        return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")

    measured = (saved(network, 4, cast()) - saved(network, 2, cast())) / 2
    predicted = kept(size, demands(WAYS[name], size), settings(precision=precision), "cpu")
    assert predicted == pytest.approx(measured, rel=0.08)


@pytest.mark.parametrize("name", ["full", "lora"])
def test_attention_spelt_out_as_on_a_gpu_keeps_its_weights(name: str) -> None:
    """The kernels that a GPU is left with for equal bits in float32, here on the CPU."""
    visual, size = model(True)
    network = adapt(visual, WAYS[name], 0).network.train()
    measured = (saved(network, 4, sdpa_kernel(SDPBackend.MATH)) - saved(network, 2, sdpa_kernel(SDPBackend.MATH))) / 2
    predicted = kept(size, demands(WAYS[name], size), settings(), "cuda")
    assert predicted == pytest.approx(measured, rel=0.03)
    fused = kept(size, demands(WAYS[name], size), settings(deterministic=False), "cuda")
    assert fused == kept(size, demands(WAYS[name], size), settings(), "cpu")


def test_recomputing_keeps_the_inputs_of_blocks_alone() -> None:
    visual, size = model(True)
    network = adapt(visual, Full(), 0).network.train()
    recompute(network)
    measured = (saved(network, 4, nullcontext()) - saved(network, 2, nullcontext())) / 2
    one = demands(Full(), size)
    again = kept(size, one, settings(checkpointing=True), "cpu")
    whole = kept(size, one, settings(), "cpu")
    assert measured < again < measured + whole / LAYERS, "and while one block goes through again, all of it"


@pytest.mark.parametrize("name", ["ViT-B/16", "ViT-L/14", "mini-s", "mini-l"])
def test_parameters_are_those_of_open_clip(name: str) -> None:
    size, path = geometry(name), config_path(BACKBONES[name].architecture)
    assert size is not None and path is not None
    config = json.loads(path.read_text())
    with torch.device("meta"):
        made = open_clip.model.CLIP(
            config["embed_dim"], config["vision_cfg"], config["text_cfg"], quick_gelu=bool(config.get("quick_gelu"))
        )
    vision = sum(parameter.numel() for parameter in made.visual.parameters())
    assert (size.vision, size.text) == (vision, sum(p.numel() for p in made.parameters()) - vision)
    assert size.heads == made.visual.transformer.resblocks[0].attn.num_heads  # type: ignore[union-attr, index]
    for spec in (
        Lora(rank=3),
        Lora(rank=2, targets=("out", "mlp_in", "mlp_out"), blocks=(1,)),
        LoraExperts(rank=2),
        Full(),
    ):
        if name.startswith("mini"):
            trained = sum(p.numel() for p in adapt(open_clip_visual(config), spec, 0).trainable().values())
            assert demands(spec, size).trained == trained


def open_clip_visual(config: dict[str, Any]) -> nn.Module:
    made: nn.Module = open_clip.model.CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"]).visual
    return made


def test_another_architecture_has_no_size() -> None:
    assert geometry("RN50") is None and geometry("ViT-B-16-SigLIP") is None and geometry("nobody") is None


@pytest.mark.parametrize(("name", "times"), [("full", 3.0), ("lora", 2.0), ("none", 1.0)])
def test_operations_are_those_that_torch_counts_and_attention_that_it_leaves_out(name: str, times: float) -> None:
    visual, size = model(False)
    network = adapt(visual, WAYS[name], 0).network.train()
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):  # spelt out, its products are counted as well
        features = network(torch.zeros(1, 3, SIDE, SIDE))
    assert counter.get_total_flops() == pytest.approx(size.forward() * (1 + 0.02 * (name == "lora")), rel=0.02)
    with counter, sdpa_kernel(SDPBackend.MATH):
        features = network(torch.zeros(1, 3, SIDE, SIDE))
        if name != "none":
            features.sum().backward()
    assert Plan(size, WAYS[name], settings()).operations() == pytest.approx(times * size.forward(), rel=0.01)
    assert counter.get_total_flops() == pytest.approx(Plan(size, WAYS[name], settings()).operations(), rel=0.04)


def test_operations_of_the_real_architectures() -> None:
    """The sizes that the papers train; recomputing goes through the blocks once more, and the head costs 6 d C."""
    for name, forward in (("ViT-B/16", 35.13e9), ("ViT-L/14", 162.03e9)):
        size = geometry(name)
        assert size is not None and size.forward() == pytest.approx(forward, rel=1e-3)
        assert Plan(size, Full(), settings(checkpointing=True)).operations() == pytest.approx(4 * forward, rel=1e-3)
        head = Plan(size, Full(), settings(), 85_742).operations() - Plan(size, Full(), settings()).operations()
        assert head == 6 * size.dim * 85_742


def test_a_batch_that_fits_is_the_largest_that_fits_and_what_is_advised_fits() -> None:
    size = geometry("ViT-B/16")
    assert size is not None
    for room in (8e9, 24e9, 60e9):
        plan = Plan(size, Lora(), settings(batch=1024), 85_742, where="cuda")
        fits = plan.fits(room)
        assert plan.changed(batch=fits).footprint().peak <= room < plan.changed(batch=fits + 1).footprint().peak
        advised = plan.remedies(room)
        assert advised[-1] == f"batch: {fits}"
        for words in advised[:-1]:
            fields = {k: int(v) for k, v in re.findall(r"(\w+): (\d+|true)", words.replace("true", "1"))}
            assert plan.changed(**fields).footprint().peak <= room, words
    assert Plan(size, Full(), settings(batch=64), where="cuda").remedies(1e9) == [], "not even one image"


def test_parts_of_a_batch_ranks_and_a_sampled_head_take_less() -> None:
    size = geometry("ViT-B/16")
    assert size is not None

    def peak(sample: float = 1.0, ranks: int = 1, **changes: Any) -> float:
        return Plan(size, Full(), settings(batch=64, **changes), 200_000, sample, "cuda", ranks).footprint().peak

    assert peak(accumulate=4) < peak(accumulate=2) < peak()
    assert peak(ranks=2) < peak() and peak(sample=0.1) < peak() - 1.4e9
    assert peak(precision="bf16") < peak(deterministic=False) < peak()
