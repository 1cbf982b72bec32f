"""What a remedy is: a frozen spec, and hooks into training of which each is optional. No torch here: the command line reads specs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from gelo.models.adapt.base import Offer
from gelo.models.spec import Member

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gelo.models.backbones.transforms import Transform
    from gelo.models.encoder import Encoder
    from gelo.models.faults import Fault
    from gelo.models.heads.base import HeadSpec
    from gelo.models.heads.head import Head
    from gelo.models.tower import Tower
    from gelo.models.training.run import Run, Step
    from gelo.models.training.settings import Optimisation
    from gelo.models.training.stream import Batch, Source, Stream


def _unmeasured(tower: Tower) -> float:
    raise LookupError("this task has no validation metric here")


@dataclass(frozen=True)
class Bench:
    """What `finish` may use. base: untouched. parents: towers of other trials, sources: images, both by the remedy's names for them.

    head: that of the trial, as it was trained, task: the images that it was trained on, not augmented, transform: what normalises them; all
    three for a remedy that `retrains`. score: the task's validation metric of a tower with that head, never on a test split, higher =
    better; LookupError where the task has none. seed: of the trial.
    """

    base: Encoder
    parents: Mapping[str, Tower] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    head: Head | None = None
    task: Source | None = None
    transform: Transform | None = None
    score: Callable[[Tower], float] = _unmeasured
    seed: int = 0

    def trainer(self) -> tuple[Head, Source, Encoder]:
        """Head, images of the task, and the base behind their transform. Raises ValueError where they were not handed over."""
        if self.head is None or self.task is None:
            raise ValueError("this remedy trains on the task's images: it needs the trained head and them")
        return self.head, self.task, self.base if self.transform is None else self.base.with_transform(self.transform)


class RemedySpec(Member):
    """Frozen description of one remedy, by default one that does nothing. A new one: a file here, and its line in `models.remedies`.

    trains: False = only `finish` acts: the trial takes its training from the same trial without this remedy, so that a curve over its
    parameters costs one training. needs: what it asks of the adaptation (`AdaptationSpec.gives`), checked before anything starts. texts: it
    knows of a text tower that trains (`towers: both`): while training its loss moves that tower, afterwards `finish` makes of it what it
    makes of the vision tower. wraps: `finish` puts something around the tower, which then no longer merges. retrains: `finish` trains, on
    the task's images, through the head. looks: its hooks look at the task's images before the first step (`Run.task`). watches: what it
    ends on depends on what the watch measures, so that a trial cannot be without one. curve: the numeric field over which a report may draw
    its trials.
    """

    trains: ClassVar[bool] = True
    needs: ClassVar[frozenset[Offer]] = frozenset()
    texts: ClassVar[bool] = False
    wraps: ClassVar[bool] = False
    retrains: ClassVar[bool] = False
    looks: ClassVar[bool] = False
    watches: ClassVar[bool] = False
    curve: ClassVar[str] = ""

    @property
    def label(self) -> str:
        """For people: `wise(alpha=0.5)`; without fields that joined later and stand at their default, as in a key."""
        told = self.canonical().keys() - {"kind"}
        fields = {name: value for name, value in self.model_dump().items() if name in told}
        return f"{self.kind}({', '.join(f'{name}={value}' for name, value in fields.items())})"

    def members(self) -> tuple[RemedySpec, ...]:
        """Itself; those of a stack, in their order."""
        return (self,)

    @property
    def watching(self) -> bool:
        """Whether it, or a member of it, decides by what the watch measures."""
        return any(each.watches for each in self.members())

    def trained(self) -> RemedySpec:
        """The part of it that acts while training: the remedy of the trial whose training this one's weights come from."""
        return self if self.trains else NoRemedy()

    def clashes(self, head: HeadSpec, training: Optimisation, where: str = "remedy") -> list[Fault]:
        """What cannot work with this head or in this training; for the pre-flight of a sweep."""
        return []

    @property
    def scores(self) -> bool:
        """Whether `finish` asks for the task's validation metric, or that of a member does."""
        return any(each.scores for each in self.members() if each is not self)

    @property
    def replaces(self) -> bool:
        """Whether what is kept of a run is not its last weights: one remedy of a stack may do that."""
        return False

    @property
    def beside(self) -> int:
        """Images that come with every step beside the task's, over all processes: its field `batch` where it has one."""
        return int(getattr(self, "batch", 0))

    def data(self) -> Mapping[str, str]:
        """Images it wants beside the task's: name -> "data set/split"; they are prepared, decoded and fingerprinted like any others."""
        return {}

    def parents(self) -> Mapping[str, Mapping[str, Any]]:
        """Other trials whose towers `finish` is handed: name -> the fields in which each differs from this one without the remedy; of
        `training` a mapping of its fields."""
        return {}

    def faults(self, layers: int | None, where: str = "remedy") -> list[Fault]:
        """What cannot work on a tower of so many transformer blocks (None: it has none); for the pre-flight of a sweep."""
        return []

    @property
    def curved(self) -> bool:
        """Whether what is kept lies at the end of the trial's forgetting curve: a report then reads it there; else it takes the trial by
        its results alone."""
        return all(each.curved for each in self.members() if each is not self)

    def hooks(self) -> Hooks[Any]:
        """Made once a run; free to hold what it needs."""
        return Hooks(self)

    def finish(self, tower: Tower, bench: Bench) -> Tower:
        """trains = False: from the tower as trained to the tower that is kept."""
        return tower

    def rebuild(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        """At inference: the network of a tower that `finish` wrapped (`Tower.wrapped`)."""
        raise NotImplementedError(f"{type(self).__name__} puts nothing around a tower")


S = TypeVar("S", bound=RemedySpec)


class Hooks(Generic[S]):
    """A remedy while it trains; called by the loop in this order. Settings that make it neutral leave the run bit for bit as without it.

    torch's generators are a function of (seed, step, rank, hook) whenever one is called: what a hook draws shifts nobody else's numbers,
    and a run that goes on from a checkpoint draws the same.
    """

    def __init__(self, spec: S) -> None:
        self.spec = spec
        self.inner = False  # whether it wants `step.inner`

    def prepare(self, run: Run) -> None:
        """Once, at the start weights, also when a run goes on (before `load`): what it makes is in no checkpoint. Alike on every rank."""

    def streams(self, run: Run) -> Mapping[str, Stream]:
        """Batches that come with every step, as `batch.extra[name]`; made ahead like the task's."""
        return {}

    def batch(self, run: Run, batch: Batch) -> Batch:
        """The micro-batch to train on."""
        return batch

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """Add to `losses`, or change "task": their sum is minimised, each is logged under its name. Means over the micro-batch.

        Extra images take a forward pass of their own (`run.features`), so that the task's stays what it is.
        """

    def gradients(self, run: Run) -> None:
        """After averaging over ranks, before clipping: may change `.grad`, alike on every rank."""

    def updated(self, run: Run) -> None:
        """After the optimiser's step, which run.step counts. Alike on every rank."""

    def kept(self, run: Run) -> Mapping[str, Tensor] | None:
        """What `ended` would put into the model if the run ended now, for a look at it; None: the weights that train."""
        return None

    def watched(self, run: Run, row: Mapping[str, Any]) -> bool:
        """After a look of the watch: at step 0, at points evenly spaced, at the end. row: step, images, and where they are there `task`
        (the task's validation metric) and `validation` (mean zero-shot top-1 on validation images), in [0, 1]. True ends the training
        here: the trial counts as trained. Alike on every rank."""
        return False

    def ended(self, run: Run) -> None:
        """After the last step, before the model is published: may put other weights into it, such as an average."""

    def state(self) -> dict[str, Tensor]:
        """What `load` needs to go on; only what `prepare` does not make."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`."""


class NoRemedy(RemedySpec):
    """Fine-tune and live with it."""

    kind: Literal["none"] = "none"

    @property
    def label(self) -> str:
        """See RemedySpec."""
        return ""
