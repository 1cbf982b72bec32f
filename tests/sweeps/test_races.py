"""What is cut is what Ray's own schedulers stop, in an unharmed run and in one that was killed between any two looks."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import tune
from ray.train._internal.storage import StorageContext
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.trainable.function_trainable import wrap_function
from ray.tune.utils.util import flatten_dict
from upath import UPath

from gelo.models.durable import publish_folder
from gelo.models.faults import UserError
from gelo.sweeps.engine.races import Races, told_to_tune
from gelo.sweeps.spec.search import Scheduler
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state.cuts import cut_of, finish, past_looks, set_cut
from gelo.sweeps.state.folder import SweepFolder
from gelo.tasks.ledger.cuts import held, read_cut
from gelo.tasks.ledger.looks import looks_of
from gelo.tasks.ledger.trial import Trial

POINTS, STEPS, COUNT = 9, 90, 18
SPEC = parse_spec(
    {
        "name": "mine",
        "backbones": ["mini-s"],
        "tasks": {"morphs": {"lr_backbone": [k * 1e-5 for k in range(1, COUNT + 1)], "watch": {"points": POINTS}}},
    },
    "mine.yaml",
)
TRIALS = [trial for trial in SPEC.trials() if trial.trains]


def curves() -> dict[str, list[dict[str, Any]]]:
    """Of every trial, the first point at step 0; binary fractions, so that gains are exact."""
    rng = random.Random(3)
    found = {}
    for trial in TRIALS:
        end, values = rng.randrange(10, 60), [0]
        for number in range(1, POINTS + 1):
            values.append(end * number // POINTS + rng.randrange(-3, 4))
        found[trial.key] = [
            {"step": 10 * number, "task": 0.25 + value / 128, "validation": 0.5, "sets": {}}
            for number, value in enumerate(values)
        ]
    return found


CURVES = curves()


def order() -> list[str]:
    """Whose look comes next: two or three trials run at once, in their order."""
    rng, waiting, running, found = random.Random(5), [trial.key for trial in TRIALS], dict[str, int](), list[str]()
    while waiting or running:
        while waiting and len(running) < 3:
            running[waiting.pop(0)] = POINTS
        key = rng.choice(list(running))
        found.append(key)
        running[key] -= 1
        if not running[key]:
            del running[key]
    return found


class Ray:
    """Ray's scheduler, told each look as Tune tells it."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler, self.trials = scheduler, dict[str, Any]()

    def stops(self, key: str, number: int, gain: float) -> bool:
        class Named:
            trial_id = key

        if key not in self.trials:
            self.trials[key] = Named()
            self.scheduler.on_trial_add(None, self.trials[key])
        result = {"look": number, "gain": gain}
        return bool(self.scheduler.on_trial_result(None, self.trials[key], result) == TrialScheduler.STOP)


def rays(asked: Scheduler) -> Any:
    named: dict[str, Any] = {"time_attr": "look", "metric": "gain", "mode": "max", "grace_period": asked.grace}
    if asked.kind == "asha":
        return AsyncHyperBandScheduler(max_t=POINTS, reduction_factor=asked.reduction, **named)
    return MedianStoppingRule(min_time_slice=float("inf"), **named)


def save(folder: SweepFolder, key: str, points: list[dict[str, Any]]) -> None:
    """What the files say of a trial that has seen so much of itself: a checkpoint after every look, at the end `trained/`."""
    root = folder.root / "trials" / key
    if len(points) == POINTS + 1:
        with publish_folder(root / "trained") as place:
            (place / "curve.json").write_text(json.dumps({"points": points}))
            (place / "training.json").write_text("{}")
        return
    with publish_folder(root / "checkpoints" / f"epoch-0000-step-{points[-1]['step']:08d}") as place:
        (place / "state.json").write_text(json.dumps({"curve": {"points": points}}))


@pytest.mark.parametrize(
    "asked", [Scheduler(kind="asha"), Scheduler(kind="asha", grace=2, reduction=2), Scheduler(kind="median", grace=2)]
)
@pytest.mark.parametrize("killed_every", [10**9, 1, 7])
def test_cut_is_what_ray_stops_however_often_the_run_is_killed(
    tmp_path: Path, asked: Scheduler, killed_every: int
) -> None:
    folder = SweepFolder(UPath(tmp_path), "mine")
    theirs, stopped, seen = Ray(rays(asked)), dict[str, int](), dict[str, int]()
    races = Races(asked, folder)
    races.join(SPEC.trials())
    for turn, key in enumerate(order()):
        if key in stopped:
            continue
        seen[key] = seen.get(key, 0) + 1
        points = CURVES[key][: seen[key] + 1]
        if turn % killed_every == killed_every - 1:
            races = Races(asked, folder)  # a new process, which knows what the folder says
            races.join(SPEC.trials())
        cut = races.told(key, looks_of(points)[-1], STEPS)
        gain = points[-1]["task"] - points[0]["task"]
        assert cut == (seen[key] < POINTS and theirs.stops(key, seen[key], gain)), (turn, key, seen[key])
        if seen[key] == POINTS and asked.kind == "median":
            theirs.stops(key, POINTS, gain)
        if cut:
            stopped[key] = seen[key]
        else:
            save(folder, key, points)
    assert 3 < len(stopped) < COUNT - 1, "nothing, or all, was cut: the test says little"
    for trial in TRIALS:
        told = held(folder.trial(trial).root)
        assert (told is not None) == (trial.key in stopped)
        if told is not None:
            assert (told.look, told.step, told.steps) == (stopped[trial.key], 10 * stopped[trial.key], STEPS)
            assert [look.number for look in past_looks(folder.trial(trial))] == list(range(1, told.look + 1))


def test_a_look_that_is_told_again_changes_nothing(tmp_path: Path) -> None:
    """As by a trial that was started again from a checkpoint before it."""
    folder, asked = SweepFolder(UPath(tmp_path), "mine"), Scheduler(kind="asha", reduction=2)
    races = Races(asked, folder)
    races.join(SPEC.trials())
    first, second = TRIALS[:2]
    looks = looks_of([{"step": 0, "task": 0.5}, {"step": 10, "task": 0.75}])
    worse = looks_of([{"step": 0, "task": 0.5}, {"step": 10, "task": 0.625}])
    assert not races.told(first.key, looks[0], STEPS)
    assert not races.told(first.key, worse[0], STEPS)
    assert races.told(second.key, worse[0], STEPS)
    assert not races.told(second.key, worse[0], STEPS)  # it was decided


def test_trials_of_another_task_or_backbone_are_another_race(tmp_path: Path) -> None:
    tasks = {"morphs": {"epochs": [1, 2]}, "spoofs": {"epochs": [1, 2]}}
    spec = parse_spec({"name": "mine", "backbones": ["mini-s", "mini-l"], "tasks": tasks}, "mine.yaml")
    folder = SweepFolder(UPath(tmp_path), "mine")
    races = Races(Scheduler(kind="asha", reduction=2), folder)
    races.join(spec.trials())
    good, bad = (looks_of([{"step": 0, "task": 0.5}, {"step": 10, "task": end}])[0] for end in (0.75, 0.625))
    trained = [trial for trial in spec.trials() if trial.trains]
    firsts = {(trial.backbone, trial.task): trial for trial in reversed(trained)}
    told = [races.told(trial.key, good if number == 0 else bad, STEPS) for number, trial in enumerate(firsts.values())]
    assert not any(told)
    for trial in trained:
        if trial not in firsts.values():
            first = next(iter(firsts.values()))
            alike = (trial.backbone, trial.task) == (first.backbone, first.task)
            assert races.told(trial.key, bad, STEPS) == alike


def test_a_cut_trial_is_finished_by_its_key_its_beginning_or_its_label(tmp_path: Path) -> None:
    folder, asked = SweepFolder(UPath(tmp_path), "mine"), Scheduler(kind="asha", reduction=2)
    races = Races(asked, folder)
    races.join(SPEC.trials())
    for number, trial in enumerate(TRIALS):
        look = looks_of([{"step": 0, "task": 0.5}, {"step": 10, "task": 0.75 - number / 128}])[0]
        races.told(trial.key, look, STEPS)
    cut = [trial for trial in TRIALS if cut_of(trial, folder) is not None]
    labels = Trial.labels(SPEC.trials())
    assert len(cut) > 3 and TRIALS[0] not in cut
    with pytest.raises(UserError) as refused:
        finish([TRIALS[0].key, "zzz", ""], SPEC.trials(), labels, folder)
    assert refused.value.faults[0].found == f"{labels[TRIALS[0].key]} is not cut"
    assert len(refused.value.faults) == 3
    assert all(cut_of(trial, folder) is not None for trial in cut), "one was let go on beside a fault"
    told = finish([cut[0].key[:8], labels[cut[1].key]], SPEC.trials(), labels, folder)
    assert told == [labels[cut[0].key], labels[cut[1].key]]
    assert [trial for trial in cut if cut_of(trial, folder) is not None] == cut[2:]
    again = Races(asked, folder)  # what is to be finished is not cut once more
    again.join(SPEC.trials())
    worst = looks_of(
        [{"step": 0, "task": 0.5}, {"step": 10, "task": 0.75}, *({"step": s, "task": 0.0} for s in range(20, 90, 10))]
    )
    assert not any(again.told(cut[0].key, look, STEPS) for look in worst)
    kept = read_cut(folder.trial(cut[0]).root)
    assert kept is not None and kept.go_on


def test_a_trial_made_of_a_cut_one_is_cut_too_and_finished_by_it(tmp_path: Path) -> None:
    tasks = {"morphs": {"remedy": ["none", {"wise": {"alpha": 0.5}}]}}
    spec = parse_spec({"name": "mine", "backbones": ["mini-s"], "tasks": tasks}, "mine.yaml")
    folder = SweepFolder(UPath(tmp_path), "mine")
    races = Races(Scheduler(kind="asha"), folder)
    races.join(spec.trials())
    (source,) = [trial for trial in spec.trials() if trial.trains]
    (merged,) = [trial for trial in spec.trials() if trial.training and not trial.trains]
    assert cut_of(merged, folder) is None
    made = Races(Scheduler(kind="asha"), folder)
    made.join(spec.trials())
    look = looks_of([{"step": 0, "task": 0.5}, {"step": 10, "task": 0.75}])[0]
    made.told(source.key, look, STEPS)
    from gelo.tasks.ledger.cuts import Cut

    set_cut(folder.trial(source), Cut(by="asha", metric="gain", look=1, step=10, steps=STEPS, looks=(look,)))
    assert cut_of(merged, folder) == cut_of(source, folder) is not None
    assert finish([merged.key], spec.trials(), Trial.labels(spec.trials()), folder) == [source.label]
    assert cut_of(merged, folder) is None


@pytest.mark.parametrize(
    "content", ["{}", "[]", "not json", '{"by": "x", "metric": "gain", "look": -1, "step": 1, "steps": 2}']
)
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "cut.json").write_text(content)
    with pytest.raises(UserError, match=r"cut\.json"):
        read_cut(UPath(tmp_path))


def test_a_trial_whose_report_returns_reads_what_was_decided_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Tune's own loop: a function is let go on after a report only when the driver, which has decided by then, asks for the next."""
    session = "ray.train._internal.storage._get_ray_train_session_dir"
    monkeypatch.setattr(session, lambda: str(tmp_path / "session"))  # a folder of Ray's, which does not run
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")  # it would take this process along, and the tests after this one
    monkeypatch.setenv("TUNE_ORIG_WORKING_DIR", str(Path.cwd()))  # which it would leave set
    folder = SweepFolder(UPath(tmp_path), "mine")
    races = Races(Scheduler(kind="asha", reduction=2), folder)
    races.join(SPEC.trials())
    good, bad = (trial.key for trial in TRIALS[:2])
    read: list[tuple[str, bool]] = []

    def training(config: dict[str, Any]) -> None:
        tune.report(told_to_tune(config["look"], STEPS))
        read.append((config["key"], held(folder.root / "trials" / config["key"]) is not None))
        tune.report({"state": "stopped"})

    for key, value in ((good, 0.75), (bad, 0.625)):
        (look,) = looks_of([{"step": 0, "task": 0.5}, {"step": 10, "task": value}])
        place = StorageContext(str(tmp_path / "tune"), "mine", trial_dir_name=key)
        run = wrap_function(training)({"key": key, "look": look}, storage=place)
        result = run.train()
        time.sleep(0.2)  # a function that does not wait would read before it is decided
        named: Any = SimpleNamespace(config={"key": key})
        assert races.on_trial_result(None, named, flatten_dict(result)) == TrialScheduler.CONTINUE, (
            "Tune itself ends nothing"
        )
        assert run.train()["state"] == "stopped"
        run.stop()
    assert read == [(good, False), (bad, True)]
