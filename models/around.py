"""`Around`: a module with tensors beside it and a function over both, for whatever is put around a layer or a tower."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

Act = Callable[[nn.Module, Mapping[str, Tensor], Tensor], Tensor]


class Around(nn.Module):
    """forward(x) = act(inner, tensors, x). The tensors are parameters by their names, frozen until somebody trains them."""

    def __init__(self, inner: nn.Module, tensors: Mapping[str, Tensor], act: Act) -> None:
        super().__init__()
        self.inner = inner
        self.act = act
        self.beside = nn.Module()
        for name, tensor in tensors.items():
            self.beside.register_parameter(name, nn.Parameter(tensor, requires_grad=False))

    @property
    def tensors(self) -> dict[str, nn.Parameter]:
        """By name."""
        return dict(self.beside.named_parameters())

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.act(self.inner, self.tensors, x)
