"""`FirstClasses`: a task with fewer classes than its data set has, for sweeps over how many there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    import torch

    from gelo.models.encoder import Encoder
    from gelo.tasks.training.source import SplitSource


class FirstClasses:
    """See `gelo.models.training.stream.Source`: the images of another source whose label is below `classes`, in their order there.

    Rows count these images alone. Raises UserError where the source has fewer classes.
    """

    def __init__(self, source: SplitSource, classes: int) -> None:
        known = int(source.labels.max()) + 1
        if known < classes:
            fault = Fault("classes", f"{classes:,}", f"at most the {known:,} that {source.name} has")
            raise UserError(f"data set {source.name}", fault)
        self._source, self._rows, self._classes = source, np.flatnonzero(source.labels < classes), classes
        self.name, self.fingerprint = source.name, source.fingerprint
        self.labels = source.labels[self._rows]

    def take(
        self, rows: NDArray[np.integer], draws: np.random.Generator | None = None, own: slice = slice(None)
    ) -> NDArray[np.uint8]:
        """See Source."""
        return self._source.take(self._rows[rows], draws, own)

    def begin(
        self, rows: NDArray[np.integer], draws: np.random.Generator | None, own: slice, device: torch.device
    ) -> Callable[[], torch.Tensor]:
        """See Begins."""
        return self._source.begin(self._rows[rows], draws, own, device)

    def column(self, name: str) -> NDArray[np.object_]:
        """See Source."""
        return self._source.column(name)[self._rows]

    def prompts(self) -> list[list[str]]:
        """See Source."""
        return self._source.prompts()[: self._classes]

    def classifier(self, base: Encoder) -> torch.Tensor:
        """See Source: (d, classes)."""
        return self._source.classifier(base)[:, : self._classes]


def part_of(source: SplitSource, classes: int | None) -> SplitSource | FirstClasses:
    """The source, or its first classes where a training asks for no more."""
    return source if classes is None else FirstClasses(source, classes)
