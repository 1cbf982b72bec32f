"""How a sweep searches and what it ends early: `scheduler`, and what keeps a search or a scheduler from meaning anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gelo.models.faults import Fault
from gelo.tasks.ledger.looks import Objective
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.training import TASKS

Search = Literal["grid", "random", "optuna"]
_ONE_SEED = "search with one, and give what it found a sweep with several seeds"


class Scheduler(BaseModel):
    """What ends a trial before its end; `scheduler: asha` or `scheduler: {asha: {grace: 2}}`. Trials of one backbone, task, training set
    and number of looks are compared with each other, at each look of their `watch`, on validation images.

    kind: `asha` ends a trial whose metric is not among the best 1 / reduction of those that came so far, at the looks grace, grace x
    reduction, grace x reduction^2 ... (asynchronous successive halving, arXiv 1810.05934: Tune's AsyncHyperBandScheduler, one bracket);
    `median` one whose best metric so far is below the median of the others' means, once three others came so far (Tune's
    MedianStoppingRule). metric: `gain` (the task's validation metric since step 0) or `kept` (zero-shot accuracy on the general sets'
    validation images, of what there was at step 0). grace: the first look at which a trial may end. What is ended is `cut`, with its
    checkpoint, and `gelo resume NAME --finish KEY` finishes it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["none", "asha", "median"] = "none"
    metric: Objective = "gain"
    grace: int = Field(1, ge=1)
    reduction: float = Field(3, gt=1, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _by_its_name(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"kind": given}
        if isinstance(given, Mapping) and "kind" not in given and len(given) == 1:
            ((kind, settings),) = given.items()
            if settings is None or isinstance(settings, Mapping):
                return {**(settings or {}), "kind": kind}
        return given

    @property
    def acts(self) -> bool:
        """Whether it may end anything."""
        return self.kind != "none"


def search_faults(
    search: str,
    objectives: Sequence[Objective],
    scheduler: Scheduler,
    seeds: Sequence[int],
    trials: Sequence[Trial],
    searched: Iterable[Trial],
) -> list[Fault]:
    """What is wrong with a search as a whole. trials: all that may come. searched: those that stand for what Optuna may suggest."""
    found: list[Fault] = []
    chosen = {"search: optuna": search == "optuna", f"scheduler: {scheduler.kind}": scheduler.acts}
    named = " and ".join(name for name, there in chosen.items() if there)
    if not named:
        return []
    if len(set(seeds)) > 1:
        said = f"{len(set(seeds))} with {named}, which compares one configuration with another"
        found.append(Fault("seeds", said, "one seed", _ONE_SEED))
    if len(set(objectives)) < len(objectives):
        found.append(Fault("objectives", ", ".join(objectives), "each once"))
    if search == "optuna" and len(objectives) > 1 and scheduler.acts:
        said = f"{scheduler.kind}, which cuts by {scheduler.metric} alone, with two objectives"
        found.append(Fault("scheduler", said, "none: what keeps most may gain least, and is on the front all the same"))
    deciding = list(trials) if scheduler.acts else list(searched)
    trained = [trial for trial in deciding if trial.training is not None]
    found += _looks(named, scheduler, trained)
    wanted = wanted_of(search, objectives, scheduler)
    tasks = {trial.task for trial in trained if TASKS[trial.task].validation is None} if "gain" in wanted else set()
    found += [Fault(f"tasks.{task}", f"no validation metric, for {named} by gain", "kept") for task in sorted(tasks)]
    if search == "optuna":
        found += _unmeasured(searched)
    return list(dict.fromkeys(found))


def _looks(named: str, scheduler: Scheduler, trials: Iterable[Trial]) -> Iterator[Fault]:
    for trial in trials:
        if trial.training is None:
            continue
        points, where = trial.training.watch.points, f"tasks.{trial.task}.watch.points"
        if not points:
            yield Fault(where, f"0 with {named}, which decides by what is looked at", "at least 1")
        elif scheduler.acts and points <= scheduler.grace:
            said = f"{points} with a scheduler's grace of {scheduler.grace}: no look would decide anything"
            yield Fault(where, said, f"at least {scheduler.grace + 1}")


def _unmeasured(searched: Iterable[Trial]) -> Iterator[Fault]:
    """Remedies that keep another tower than their curve ends on."""
    for trial in searched:
        for each in trial.remedy.members():
            if not each.curved:
                where, said = f"tasks.{trial.task}.remedy", f"{each.kind} with search: optuna"
                yield Fault(where, said, "a remedy whose last look is at what it keeps", "search by grid or random")


def wanted_of(search: str, objectives: Sequence[Objective], scheduler: Scheduler) -> set[Objective]:
    """What must be measured on validation images for the search and the scheduler to decide by."""
    return {*(objectives if search == "optuna" else ()), *([scheduler.metric] if scheduler.acts else [])}
