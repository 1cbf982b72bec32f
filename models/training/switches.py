"""What changes the speed, the memory or the rounding of a training and nothing else of it: kernels, precision, recomputing, compiling."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from gelo.models.adapt.attention import vision_blocks
from gelo.models.around import Around
from gelo.models.faults import Fault, UserError
from gelo.models.training.settings import Optimisation

BETAS = (0.9, 0.999)


@contextmanager
def arithmetic(settings: Optimisation, device: torch.device) -> Iterator[None]:
    """On a GPU the kernels that `precision` and `deterministic` ask for; torch's own choice again afterwards. The CPU has one kind.

    fp32 is float32 in convolutions too, which torch else rounds to TF32. Deterministic: memory-efficient attention and cuDNN's are left
    out, whose backward passes add in any order; torch warns of an operation that has no deterministic kernel, and goes on.
    """
    if device.type != "cuda":
        yield
        return
    rounded, sure = settings.precision == "tf32", settings.deterministic
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    before = (
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(), cuda.matmul.allow_tf32,
        cuda.mem_efficient_sdp_enabled(), cuda.cudnn_sdp_enabled(),
    )  # fmt: skip
    if sure:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first matrix product is made
    try:
        torch.use_deterministic_algorithms(sure, warn_only=True)
        cuda.matmul.allow_tf32 = rounded
        cuda.enable_mem_efficient_sdp(not sure)
        cuda.enable_cudnn_sdp(not sure)
        with cudnn.flags(enabled=True, benchmark=not sure, deterministic=sure, allow_tf32=rounded):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        cuda.matmul.allow_tf32 = before[2]
        cuda.enable_mem_efficient_sdp(before[3])
        cuda.enable_cudnn_sdp(before[4])


def prepare(network: nn.Module, settings: Optimisation, device: torch.device, text: nn.Module | None = None) -> None:
    """Switch recomputing and compiling of a vision tower on, in place; names of its tensors stay. text: open_clip's text model where it
    trains too, which is recomputed as well. Raises UserError where it cannot be."""
    if settings.checkpointing:
        recompute(network)
        if text is not None:
            text.transformer.grad_checkpointing = True  # type: ignore[union-attr]
    if settings.compile:
        _prove_compiler(device)
        network.compile()  # in place: torch.compile's own module would rename every tensor


def recompute(network: nn.Module) -> None:
    """Keep the input of each transformer block alone, and go through the block again in the backward pass, with the same random numbers.

    Raises UserError for a tower without open_clip's transformer blocks.
    """
    inner = network
    while isinstance(inner, Around):
        inner = inner.inner
    switch = getattr(inner, "set_grad_checkpointing", None)
    if switch is None or not vision_blocks(inner):
        raise UserError("training", no_blocks("checkpointing"))
    switch(True)


def no_blocks(where: str) -> Fault:
    """The fault of checkpointing a tower that is no transformer."""
    found, wanted = "a vision tower without open_clip's transformer blocks", "a ViT of open_clip"
    return Fault(where, found, wanted, "take `checkpointing` out; `accumulate` saves memory too")


def adamw(settings: Optimisation) -> dict[str, Any]:
    """AdamW's options but for the rate; `fused` rounds otherwise than torch's loop over operations, in the last bit."""
    return {"betas": BETAS, "weight_decay": settings.weight_decay, "fused": True if settings.fused else None}


def _prove_compiler(device: torch.device) -> None:
    """Compile something small. Raises UserError where this machine cannot."""
    try:
        torch.compile(lambda x: x.sin() + x)(torch.ones(8, device=device))
    except Exception as error:
        wanted = (
            "Triton, and a C compiler for it" if device.type == "cuda" else "a C++ compiler that torch.compile finds"
        )
        told = " ".join(str(error).split()[:20]) or type(error).__name__
        fault = Fault("compile", f"nothing can be compiled here ({told})", wanted, "or take `compile` out")
        raise UserError("training", fault) from None
