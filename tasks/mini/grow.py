"""A larger backbone's start from a smaller one: finer patches and one block more, the same widths (progressive growing)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

_RESIDUAL_ENDS = ("attn.out_proj.weight", "attn.out_proj.bias", "mlp.c_proj.weight", "mlp.c_proj.bias")


def grown(larger: Mapping[str, Tensor], smaller: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`larger`'s state with all it can take from `smaller`, float32.

    Equal tensors are copied. The patch kernel shrinks by summing its cells, so that a flat patch gives the same token; the positions of the
    patches are interpolated (bicubic), the class token's stays. A block that `smaller` lacks adds nothing yet: its two ways back into the
    residual stream are zero. Raises ValueError for a tensor of another width.
    """
    out: dict[str, Tensor] = {}
    for name, own in larger.items():
        given = smaller.get(name)
        if given is None:
            out[name] = torch.zeros_like(own) if name.endswith(_RESIDUAL_ENDS) else own.clone()
        elif given.shape == own.shape:
            out[name] = given.to(own.dtype).clone()
        elif name == "visual.conv1.weight" and given.shape[:2] == own.shape[:2]:
            side = own.shape[-1]
            out[name] = F.adaptive_avg_pool2d(given.float(), side) * (given.shape[-1] / side) ** 2
        elif name == "visual.positional_embedding" and given.shape[1] == own.shape[1]:
            before, after = (round((len(tensor) - 1) ** 0.5) for tensor in (given, own))
            grid = given[1:].float().T.reshape(1, -1, before, before)
            spread = F.interpolate(grid, size=(after, after), mode="bicubic", align_corners=False)
            out[name] = torch.cat([given[:1].float(), spread.reshape(-1, after * after).T])
        else:
            raise ValueError(f"{name}: {tuple(given.shape)} cannot grow into {tuple(own.shape)}")
    return out
