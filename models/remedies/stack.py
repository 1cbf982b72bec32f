"""Several remedies in one trial, each with its own random numbers, images and state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SerializeAsAny, model_validator

from gelo.models.members import union
from gelo.models.remedies.base import Bench, Hooks, NoRemedy, RemedySpec
from gelo.models.remedies.registry import REMEDIES, Single

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.faults import Fault
    from gelo.models.heads.base import HeadSpec
    from gelo.models.tower import Tower
    from gelo.models.training.run import Run, Step
    from gelo.models.training.settings import Optimisation
    from gelo.models.training.stream import Batch, Stream


class Stack(RemedySpec):
    """In a sweep's YAML a list within the list: `remedy: [none, [distill, {wise: {alpha: 0.8}}]]` is two trials, the second with both.

    Those that act while training do so in their order; the others follow, in theirs, on what was trained.
    """

    kind: Literal["stack"] = "stack"
    remedies: tuple[SerializeAsAny[Single], ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _in_an_order_that_works(self) -> Stack:
        kinds = [each.label.partition("(")[0] for each in self.remedies]
        if "" in kinds:
            raise ValueError("`none` is no part of a stack")
        acting = [each.trains for each in self.remedies]
        if acting != sorted(acting, reverse=True):
            raise ValueError("those that act while training come first")
        wrapped = [each.wraps for each in self.remedies]
        if any(any(wrapped[:place]) and "plain" in each.needs for place, each in enumerate(self.remedies)):
            raise ValueError(f"{kinds[wrapped.index(True)]} comes last: after it, weights no longer merge")
        kept = [kind for kind, each in zip(kinds, self.remedies, strict=True) if each.replaces]
        if len(kept) > 1:
            raise ValueError(
                f"one of {' and '.join(kept)}: each keeps other weights in place of the last, and one alone can be kept"
            )
        return self

    @property
    def label(self) -> str:
        """See RemedySpec."""
        return " + ".join(each.label for each in self.remedies)

    def members(self) -> tuple[RemedySpec, ...]:
        """See RemedySpec."""
        return self.remedies

    def trained(self) -> RemedySpec:
        """See RemedySpec."""
        acting = tuple(each for each in self.remedies if each.trains)
        return (
            self if acting == self.remedies else Stack(remedies=acting) if len(acting) > 1 else (*acting, NoRemedy())[0]
        )

    def clashes(self, head: HeadSpec, training: Optimisation, where: str = "remedy") -> list[Fault]:
        """See RemedySpec."""
        return [fault for each in self.remedies for fault in each.clashes(head, training, where)]

    def data(self) -> Mapping[str, str]:
        """See RemedySpec; names are kept apart by place."""
        return {
            f"{place}.{name}": data for place, each in enumerate(self.remedies) for name, data in each.data().items()
        }

    def parents(self) -> Mapping[str, Mapping[str, Any]]:
        """See RemedySpec; names are kept apart by place."""
        return {
            f"{place}.{name}": of for place, each in enumerate(self.remedies) for name, of in each.parents().items()
        }

    def faults(self, layers: int | None, where: str = "remedy") -> list[Fault]:
        """See RemedySpec."""
        return [fault for each in self.remedies for fault in each.faults(layers, where)]

    def hooks(self) -> Together:
        """See RemedySpec."""
        return Together(self)

    def finish(self, tower: Tower, bench: Bench) -> Tower:
        """See RemedySpec."""
        for place, each in enumerate(self.remedies):
            tower = each.finish(
                tower, replace(bench, parents=own(bench.parents, place), sources=own(bench.sources, place))
            )
        return tower


if TYPE_CHECKING:
    Remedy = RemedySpec
else:
    Remedy = union((*REMEDIES, Stack))


class Together(Hooks[Stack]):
    """Hooks of each, in their order; its state is theirs."""

    def __init__(self, spec: Stack) -> None:
        super().__init__(spec)
        self.each: list[Hooks[Any]] = [remedy.hooks() for remedy in spec.remedies]
        self.inner = any(hooks.inner for hooks in self.each)

    def prepare(self, run: Run) -> None:
        """See Hooks."""
        for place, hooks in enumerate(self.each):
            run.reseed("prepare", place, alike=True)
            hooks.prepare(_seen(run, place))

    def streams(self, run: Run) -> Mapping[str, Stream]:
        """See Hooks."""
        found = [hooks.streams(_seen(run, place)) for place, hooks in enumerate(self.each)]
        return {f"{place}.{name}": stream for place, streams in enumerate(found) for name, stream in streams.items()}

    def batch(self, run: Run, batch: Batch) -> Batch:
        """See Hooks."""
        for place, hooks in enumerate(self.each):
            run.reseed("batch", place)
            shown = hooks.batch(_seen(run, place), replace(batch, extra=own(batch.extra, place)))
            batch = replace(shown, extra=batch.extra)
        return batch

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        whole, run = step.batch, step.run
        for place, hooks in enumerate(self.each):
            run.reseed("losses", place)
            step.run, step.batch = _seen(run, place), replace(whole, extra=own(whole.extra, place))
            mine = {"task": losses["task"]}
            hooks.losses(step, mine)
            losses["task"] = mine.pop("task")
            losses.update({name if name not in losses else f"{name}.{place}": loss for name, loss in mine.items()})
        step.run, step.batch = run, whole

    def gradients(self, run: Run) -> None:
        """See Hooks."""
        for place, hooks in enumerate(self.each):
            run.reseed("gradients", place, alike=True)
            hooks.gradients(_seen(run, place))

    def updated(self, run: Run) -> None:
        """See Hooks."""
        for place, hooks in enumerate(self.each):
            run.reseed("updated", place, alike=True)
            hooks.updated(_seen(run, place))

    def kept(self, run: Run) -> Mapping[str, Tensor] | None:
        """See Hooks; of the one that keeps other weights."""
        found = (hooks.kept(_seen(run, place)) for place, hooks in enumerate(self.each))
        return next((each for each in found if each is not None), None)

    def watched(self, run: Run, row: Mapping[str, Any]) -> bool:
        """See Hooks: all are shown it, one is enough."""
        said = []
        for place, hooks in enumerate(self.each):
            run.reseed("watched", place, alike=True)
            said.append(hooks.watched(_seen(run, place), row))
        return any(said)

    def ended(self, run: Run) -> None:
        """See Hooks."""
        for place, hooks in enumerate(self.each):
            run.reseed("ended", place, alike=True)
            hooks.ended(_seen(run, place))

    def state(self) -> dict[str, Tensor]:
        """See Hooks."""
        return {
            f"{place}.{name}": tensor for place, hooks in enumerate(self.each) for name, tensor in hooks.state().items()
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Hooks."""
        for place, hooks in enumerate(self.each):
            hooks.load(own(state, place))


def own(named: Mapping[str, Any], place: int) -> dict[str, Any]:
    """Those of the member at `place`, by its own names for them."""
    return {name.removeprefix(f"{place}."): value for name, value in named.items() if name.startswith(f"{place}.")}


def _seen(run: Run, place: int) -> Run:
    """The run as the member at `place` sees it: with its own sources."""
    return replace(run, sources=own(run.sources, place))
