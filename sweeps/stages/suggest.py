"""What a search tries next: every round of a study by Optuna, from what the rounds before it measured.

gelo asks Optuna itself, in whole rounds, and Tune schedules the trials. Tune's own OptunaSearch (Ray 2.60, which runs with Optuna 5) asks
for the next configuration whenever a trial ends, so that what it suggests depends on which trial happened to end first, and on a generator
that a kill loses. Here a round is a function of the sweep's seed, its number and what is in the folders, so an interrupted sweep tries what
an unharmed one tries; and it stands in sweep.json before any of its trials starts, so none is tried twice.
"""

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gelo.sweeps.spec.grids import Distribution
from gelo.sweeps.spec.study import Study, Values
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.state.cuts import cut_of
from gelo.sweeps.state.folder import SweepFolder
from gelo.tasks.ledger.looks import Look, Objective, looks_of
from gelo.tasks.ledger.trial import Trial

if TYPE_CHECKING:
    import optuna

_TRIES = 50  # suggestions in a row that are known or cannot be, before one is drawn at random


@dataclass(frozen=True)
class Point:
    """A configuration that was tried. looks: to its end, or, where `cut`, to where it was cut; none of one that failed."""

    values: Values
    trial: Trial
    looks: tuple[Look, ...] = ()
    cut: bool = False

    def measured(self, objectives: Sequence[Objective]) -> list[float] | None:
        """At its end, by objective; None of one that did not reach it, or of which not all was measured."""
        if self.cut or not self.looks:
            return None
        found = [self.looks[-1].value(objective) for objective in objectives]
        return [value for value in found if value is not None] if None not in found else None


def tried(study: Study, spec: SweepSpec, folder: SweepFolder) -> list[Point]:
    """Every configuration of a study so far, in the order in which they came, with what the folders say of it."""
    found = []
    for values in (*study.first(), *spec.suggested.get(study.name, ())):
        trial = study.trial(values)
        if trial is None:
            continue
        place, cut = folder.trial(trial), cut_of(trial, folder)
        looks = cut.looks if cut is not None else looks_of(place.curve())
        found.append(Point(values, trial, tuple(looks), cut is not None))
    return found


def known(spec: SweepSpec, folder: SweepFolder) -> SweepSpec:
    """The sweep with what its saved form says was suggested so far, where it is there and says more. Raises UserError for one that is not
    whole."""
    if spec.search != "optuna" or spec.suggested or not folder.exists():
        return spec
    return spec.model_copy(update={"suggested": folder.spec().suggested})


def next_round(spec: SweepSpec, folder: SweepFolder) -> SweepSpec | None:
    """The sweep with one more round of every study that is not complete; None where all are. For when no trial of it runs or waits."""
    more = {}
    for study in spec.studies():
        points, told = tried(study, spec, folder), spec.suggested.get(study.name, ())
        count = min(spec.per_round, spec.samples - len(points))
        if count > 0 and (new := suggest(study, points, spec.objectives, count)):
            more[study.name] = (*told, *new)
    return spec.model_copy(update={"suggested": {**spec.suggested, **more}}) if more else None


def suggest(study: Study, points: Sequence[Point], objectives: Sequence[Objective], count: int) -> list[Values]:
    """`count` configurations that are none of `points`, fewer where there are no more."""
    seed = int.from_bytes(hashlib.sha256(f"{study.seed}/{study.name}/{len(points)}".encode()).digest()[:4], "big")
    keys, rng = {point.trial.key for point in points}, random.Random(seed)
    found: list[Values] = []
    asked = _told(study, points, objectives, seed)
    for _ in range(count):
        for _ in range(_TRIES):
            values = _values(study, asked.ask(_distributions(study)).params)
            if study.accepts(values, keys):
                found.append(values)
                break
        else:
            drawn = study.fresh(rng, keys)
            if drawn is None:
                break
            found.append(drawn)
    return found


def front(study: Study, points: Sequence[Point], objectives: Sequence[Objective]) -> list[Point]:
    """Those that no other beats in every objective: of one objective the best, of two the Pareto front; as Optuna finds it."""
    whole = [point for point in points if point.measured(objectives) is not None]
    return [whole[best.number] for best in _told(study, whole, objectives, 0).best_trials] if whole else []


def _told(study: Study, points: Sequence[Point], objectives: Sequence[Objective], seed: int) -> optuna.Study:
    """An Optuna study that knows the points: measured ones whole, cut ones as pruned where there is one objective, others as failed."""
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True, constant_liar=True)
        made = optuna.create_study(directions=["maximize"] * len(objectives), sampler=sampler)
    space = _distributions(study)
    for point in points:
        told: dict[str, Any] = {"params": _params(study, point.values), "distributions": space}
        measured = point.measured(objectives)
        looks = {look.number: look.value(objectives[0]) for look in point.looks}
        if measured is not None:
            told |= {"state": TrialState.COMPLETE, "values": measured}
        elif point.cut and len(objectives) == 1 and None not in looks.values():
            told |= {"state": TrialState.PRUNED, "intermediate_values": looks}
        else:
            told |= {"state": TrialState.FAIL}
        made.add_trial(create_trial(**told))
    return made


def _distributions(study: Study) -> dict[str, optuna.distributions.BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    def of(each: Distribution) -> optuna.distributions.BaseDistribution:
        if each.options:  # by their places: an option may be a mapping
            return CategoricalDistribution(range(len(each.options)))
        return FloatDistribution(each.low, each.high, log=each.kind == "loguniform")

    return {path: of(each) for path, each in study.space.items()}


def _params(study: Study, values: Values) -> dict[str, Any]:
    options = {path: list(each.options) for path, each in study.space.items()}
    return {path: options[path].index(value) if options[path] else value for path, value in values.items()}


def _values(study: Study, params: Values) -> dict[str, Any]:
    return {path: each.options[params[path]] if each.options else params[path] for path, each in study.space.items()}
