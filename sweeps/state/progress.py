"""`Progress`: where a sweep stands, how fast it goes, what it cost, what was done twice, what `resume` would do. `gelo status --json`.

From the sweep's folder alone: `standing`, the driver's record and the trials' journals. Times are of the clocks that wrote them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gelo.sweeps.state.beat import pause_of
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.journal import Attempt, read_attempts, repeated
from gelo.sweeps.state.record import DriverRun, StageRow, read_runs
from gelo.sweeps.state.running import holder
from gelo.sweeps.state.status import standing

_HOUR = 3600.0


class Hours(BaseModel):
    """Hours that trainings held CPUs and GPUs, their number times the time. repeated: of those, for steps that were done again after a
    kill, since the last checkpoint before it."""

    model_config = ConfigDict(frozen=True)
    cpu: float = 0.0
    gpu: float = 0.0
    cpu_repeated: float = 0.0
    gpu_repeated: float = 0.0


class TrialProgress(BaseModel):
    """One trial. key, label, state, results, expected and note are those of `gelo.sweeps.state.status.standing`."""

    model_config = ConfigDict(frozen=True)
    key: str
    label: str
    state: str
    results: int = Field(description="results that are there, of the data and weights of now")
    expected: int = Field(description="results that it owes")
    note: str = Field(description="why it failed, its last checkpoint, or what is stale")
    running: bool = Field(False, description="whether its training runs now")
    step: int = Field(0, description="optimiser steps done when last seen")
    steps: int = Field(0, description="of its whole training; 0 before the first start")
    images_per_second: float | None = Field(
        None, description="of the newest start, of all ranks; null before its first step"
    )
    starts: int = Field(0, description="how often its training was started")
    resumed: int = Field(0, description="starts that went on from a checkpoint: kills and stops that it survived")
    steps_repeated: int = Field(0, description="steps that were done again after a kill")
    hours: Hours = Field(Hours(), description="of its training")
    memory_bytes: int | None = Field(
        None, description="of a card, that rank 0 of its newest start held at the most; null on CPUs"
    )
    card_bytes: int | None = Field(None, description="memory of that card")
    gpus: float = Field(0, description="that its newest start was granted, of all ranks")


class StageProgress(BaseModel):
    """One stage of the newest run of the driver; of what was missing when that run began."""

    model_config = ConfigDict(frozen=True)
    title: str
    unit: str
    done: int
    total: int
    failed: int
    rate: float | None = Field(description="units a second; null before the first is done")


class Resume(BaseModel):
    """What `gelo resume` would do."""

    model_config = ConfigDict(frozen=True)
    command: str
    train: int = Field(description="trainings from their start")
    go_on: int = Field(description="trainings from their last checkpoint")
    again: int = Field(description="trainings that failed, tried again; diverged ones are not")
    score: int = Field(description="results to score, those of what is yet to be trained included")


class Progress(BaseModel):
    """Where a sweep stands. The names here are a promise: `format` is raised where one of them changes or goes."""

    model_config = ConfigDict(frozen=True)
    format: Literal[2] = Field(
        2, description="of this document; gelo 0.1 printed a list of trials, which is `trials` here"
    )
    name: str
    place: str = Field(description="the sweep's folder or URI")
    state: str = Field(description="running, complete, stopped, failed, killed, or new")
    holder: str = Field(description="who runs it now; empty where nobody does")
    stage: str = Field(description="the stage that runs; empty between two")
    stages: list[StageProgress]
    counts: dict[str, int] = Field(description="trials by their state")
    images_per_second: float | None = Field(description="of all trainings that run; null where none has made a step")
    eta_seconds: float | None = Field(
        description="about how long the rest takes, as far as is known; null where nothing tells"
    )
    hours: Hours = Field(description="of all trainings together")
    starts: int = Field(description="of the driver, up to 20 are remembered")
    resumed: int = Field(description="sum over trials: kills and stops that they survived")
    resume: Resume
    packed: bool = Field(
        False, description="whether each training's share of a GPU is what its like held (resources.pack)"
    )
    trials: list[TrialProgress]

    @property
    def running(self) -> bool:
        """Whether somebody runs it now."""
        return self.state == "running"


def progress(folder: SweepFolder, resume: str, now: float | None = None) -> Progress:
    """resume: the line that goes on with the sweep. Raises UserError where there is no such sweep."""
    rows, spec = standing(folder), folder.spec()
    planned = spec.trials()
    now, who, runs = time.time() if now is None else now, holder(folder), read_runs(folder.root)
    pause = pause_of(folder.root)
    trains = {trial.key for trial in planned if trial.trains}
    journals = {key: read_attempts(folder.root / "trials" / key) for key in trains}

    def told(row: Mapping[str, object]) -> TrialProgress:
        made = journals.get(str(row["key"]), [])
        return _trial(row, made, bool(who and made and made[-1].alive(now, pause)))

    trials = [told(row) for row in rows]
    trainings = [each for each in trials if each.key in trains]
    stages = runs[-1].stages if runs else []
    stage = runs[-1].stage if who and runs else ""
    counts = dict(Counter(trial.state for trial in trials))
    paces = [pace for each in trainings if each.running and (pace := each.images_per_second) is not None]
    return Progress(
        name=folder.name,
        place=str(folder.root),
        state=_state(who, counts, len(trials), runs),
        holder=who,
        stage=stage,
        stages=[_stage(row) for row in stages],
        counts=counts,
        images_per_second=sum(paces) if paces else None,
        eta_seconds=_eta(trainings, journals, stages, stage, runs[-1].started if runs else now) if who else None,
        hours=_sum([each.hours for each in trainings]),
        starts=len(runs),
        resumed=sum(each.resumed for each in trainings),
        resume=_resume(trials, trainings, resume),
        packed=spec.resources.pack,
        trials=trials,
    )


def _trial(row: Mapping[str, object], attempts: Sequence[Attempt], running: bool) -> TrialProgress:
    lost = repeated(attempts)
    hours = Hours(
        cpu=sum(each.cpus * each.seconds for each in attempts) / _HOUR,
        gpu=sum(each.gpus * each.seconds for each in attempts) / _HOUR,
        cpu_repeated=sum(each.cpus * took for each, (_, took) in zip(attempts, lost, strict=True)) / _HOUR,
        gpu_repeated=sum(each.gpus * took for each, (_, took) in zip(attempts, lost, strict=True)) / _HOUR,
    )
    last = attempts[-1] if attempts else None
    return TrialProgress(
        **{name: row[name] for name in ("key", "label", "state", "results", "expected", "note")},
        running=running,
        step=last.to_step if last is not None else 0,
        steps=max((each.steps for each in attempts), default=0),
        images_per_second=last.images_per_second if last is not None else None,
        starts=len(attempts),
        resumed=sum(each.from_step > 0 for each in attempts),
        steps_repeated=sum(steps for steps, _ in lost),
        hours=hours,
        **({"memory_bytes": last.memory, "card_bytes": last.card, "gpus": last.gpus} if last is not None else {}),
    )


def _stage(row: StageRow) -> StageProgress:
    return StageProgress(
        title=row.title, unit=row.unit, done=row.done, total=row.total, failed=row.failed, rate=row.rate
    )


def _state(who: str, counts: Mapping[str, int], trials: int, runs: Sequence[DriverRun]) -> str:
    if who:
        return "running"
    if counts.get("complete", 0) + counts.get("cut", 0) == trials:
        return "complete"
    if not runs:
        return "new"
    how = runs[-1].how
    return {"running": "killed", "stopped": "stopped", "failed": "failed", "ended": "failed"}[how]


def _eta(
    trainings: Sequence[TrialProgress],
    journals: Mapping[str, Sequence[Attempt]],
    stages: Sequence[StageRow],
    stage: str,
    since: float,
) -> float | None:
    """What is left of the trainings at their own pace, and of those that wait at the mean of the others, by as many as run now; of another
    stage, what it has left."""
    own = next((row for row in stages if row.title == stage and stage != "train"), None)
    other = (own.total - own.done) / own.rate if own is not None and own.rate else None
    running = [left for each in trainings if each.running and (left := _left(each, journals[each.key])) is not None]
    whole = [pace * made[-1].steps for made in journals.values() if made and (pace := made[-1].seconds_a_step)]
    known = {each.key for each in trainings if each.running and _left(each, journals[each.key]) is not None}
    waits = {"waiting", "half-trained"}
    waiting = [t for t in trainings if t.key not in known and (t.state in waits or _again(t, journals[t.key], since))]
    if other is None and not running:
        return None
    mean = sum(whole) / len(whole) if whole else 0.0
    rest = sum(mean * (1 - t.step / t.steps if t.steps else 1) for t in waiting)
    return max(max(running, default=0.0), (sum(running) + rest) / max(1, len(running))) + (other or 0.0)


def _again(trial: TrialProgress, attempts: Sequence[Attempt], since: float) -> bool:
    """Whether it failed before the run that began at `since`, which tries it again."""
    return trial.state == "failed" and all(each.started < since for each in attempts)


def _left(trial: TrialProgress, attempts: Sequence[Attempt]) -> float | None:
    pace = attempts[-1].seconds_a_step
    return None if pace is None else pace * (trial.steps - trial.step)


def _sum(hours: Sequence[Hours]) -> Hours:
    return Hours(**{name: sum(getattr(each, name) for each in hours) for name in Hours.model_fields})


def _resume(trials: Sequence[TrialProgress], trainings: Sequence[TrialProgress], command: str) -> Resume:
    states = Counter(each.state for each in trainings)
    return Resume(
        command=command,
        train=states["waiting"],
        go_on=states["half-trained"],
        again=states["failed"],
        score=sum(trial.expected - trial.results for trial in trials if trial.state not in ("diverged", "cut")),
    )
