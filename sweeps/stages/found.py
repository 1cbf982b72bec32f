"""What a search found and what a scheduler cut, in words, at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gelo.models.words import counted
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.suggest import Point, front, tried
from gelo.sweeps.state.cuts import cut_of
from gelo.sweeps.state.folder import SweepFolder

_NAMED = 20  # trials spelled out


def told_of(spec: SweepSpec, folder: SweepFolder, labels: Mapping[str, str]) -> Iterator[str]:
    """A line for each study and each of its best configurations; one for what was cut. labels: of all trials, by key."""
    for study in spec.studies():
        points = tried(study, spec, folder)
        best = front(study, points, spec.objectives)
        ended = sum(point.cut for point in points)
        whole = sum(point.measured(spec.objectives) is not None for point in points)
        counts = f"{counted(len(points), 'configuration')}, {whole:,} measured, {ended:,} cut"
        sought = (
            f"the best by {spec.objectives[0]}" if len(spec.objectives) == 1 else "the Pareto front of gain and kept"
        )
        yield f"search {study.name}: {counts}; {sought}, on validation images:"
        for point in best[:_NAMED]:
            yield f"  {point.trial.key} {labels.get(point.trial.key, point.trial.label)}: {_values(point, spec)}"
    held = {trial.key: cut for trial in spec.trials() if trial.trains and (cut := cut_of(trial, folder)) is not None}
    if held:
        yield f"{counted(len(held), 'trial')} cut by {spec.scheduler.kind}, kept with a checkpoint and in no average:"
        for key, cut in list(held.items())[:_NAMED]:
            yield f"  {key} {labels[key]}: {cut.told}"
        yield f"finish one with: gelo resume {spec.name} --finish {next(iter(held))}"


def _values(point: Point, spec: SweepSpec) -> str:
    measured = point.measured(spec.objectives) or []
    return ", ".join(f"{name} {value:.4f}" for name, value in zip(spec.objectives, measured, strict=True))
