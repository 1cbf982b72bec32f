"""`Keeper`: saves a run and takes it up again; what it was of must be what there is now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch.optim import Optimizer
from upath import UPath

from gelo.models.remedies.base import Hooks
from gelo.models.training import checkpoint
from gelo.models.training.run import Run


@dataclass
class Keeper:
    """folder: of checkpoints. made_from: fingerprints of weights, data and code, so that nothing goes on from something else.

    label: what messages call the run. minutes: between two checkpoints within an epoch. tell: takes a line for the user.
    """

    folder: UPath | Path
    made_from: Mapping[str, str]
    label: str = "training"
    minutes: float = 10
    tell: Callable[[str], None] = lambda text: None
    _last: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        """Whether the last one is too long ago."""
        return time.monotonic() - self._last > 60 * self.minutes

    def save(self, run: Run, hooks: Hooks, optimizers: Mapping[str, Optimizer]) -> None:
        """All ranks say their state, rank 0 writes its own, all wait; then older ones go. Raises OSError (disk full, ...), the older ones
        intact."""
        epoch, within = divmod(run.step, run.steps_per_epoch)
        place = self.folder / (f"epoch-{epoch:04d}-step-{run.step:08d}" if within else f"epoch-{epoch:04d}")
        state = checkpoint.TrainingState(
            step=run.step,
            tensors={
                "adapted": run.model.state(),
                "head": run.head.whole(),
                "hooks": hooks.state(),
                **run.curve.tensors(),
            },
            optimizers={name: optimizer.state_dict() for name, optimizer in optimizers.items()},
            sums=run.sums,
            history=run.history,
            curve=run.curve.state(),
            made_from=dict(self.made_from),
            ranks=run.ranks,
        )
        if run.world.rank == 0:
            checkpoint.save(place, state)
            checkpoint.prune(self.folder)  # only once the new one is whole
        run.world.any(False)  # nobody leaves before it is there
        self._last = time.monotonic()

    def resume(self, run: Run, hooks: Hooks, optimizers: Mapping[str, Optimizer]) -> None:
        """Put the state of the newest checkpoint back that rank 0 sees whole, if any. Raises UserError for one that was made from something
        else, and where a rank does not see it."""
        saved = checkpoint.newest_whole(self.folder, self.tell) if run.world.rank == 0 else None
        name = run.world.tell(saved[0] if saved is not None else "")
        if not name:
            return
        state = saved[1] if saved is not None else checkpoint.load(self.folder / name)
        again = f"bring that back, or remove {self.folder}: the trial is then trained from its start"
        checkpoint.refuse_other(f"{self.label}, half-trained", state.made_from, self.made_from, again)
        run.model.load(state.tensors["adapted"])
        run.head.load(state.tensors["head"])
        hooks.load(state.tensors["hooks"])
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(state.optimizers[name])
        run.step, run.sums, run.history = state.step, state.sums, state.history
        run.curve.load(state.curve, state.tensors.get("curve", {}))
        run.ranks = [*state.ranks, *(run.ranks if state.ranks[-1:] != run.ranks else [])]
