"""Hours by hand: what is granted now does not change what was used before; and when a machine that goes again and again is too much."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from upath import UPath

from gelo.sweeps.engine import watcher
from gelo.sweeps.engine.failures import Loss
from gelo.sweeps.engine.limits import Meter, meter_of
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.journal import FILE, Attempt, Attempts


def test_gpu_hours_are_of_what_each_start_was_granted(tmp_path: Any) -> None:
    """Five hours on two GPUs are ten, also where a quarter of one is granted now."""
    spec = parse_spec({"name": "mine", "backbones": ["mini-s"], "tasks": {"faces": {}}}, "")
    folder = SweepFolder(UPath(tmp_path), "mine")
    folder.save(spec, {"data": str(tmp_path)}, [])
    trial = next(each for each in spec.trials() if each.trains)
    made = [Attempt(started=0, seen=5 * 3600, gpus=2), Attempt(started=0, seen=1, held=3600, gpus=1)]
    (folder.trial(trial).root / FILE).write_text(Attempts(attempts=made).model_dump_json())
    resources = Resources.model_validate({"gpus": 0.25, "limits": {"gpu_hours": 11.2, "trial_gpu_hours": 11.1}})
    clock = [0.0]
    meter = meter_of(resources, spec.trials(), folder, 0.0)
    meter.clock = lambda: clock[0]
    assert meter.gpu_hours() == pytest.approx(11) and meter.seconds(trial.key) == 6 * 3600 and not meter.all_over()
    meter.started(trial.key)
    clock[0] = 1800.0
    assert meter.gpu_hours() == pytest.approx(11.125) and set(meter.over([trial.key])) == {trial.key}
    meter.ended(trial.key)
    clock[0] = 9999.0
    assert meter.gpu_hours() == pytest.approx(11.125) and not meter.all_over()


@pytest.mark.parametrize("saves", [True, False])
def test_machines_that_go_again_and_again_end_a_trial_only_where_it_saves_nothing(
    saves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch of thirty hours on machines that stay two: no row of its history comes, but each start goes on from a later checkpoint."""
    clock, failed, starts = [0.0], dict[str, Any](), [0]
    display = SimpleNamespace(say=lambda text: None)
    stage = SimpleNamespace(display=display, cut=0, failed=0, running=(), describe=lambda text: None)
    stop = SimpleNamespace(is_set=False, where=lambda key: frozenset(), fail=failed.__setitem__)
    monkeypatch.setattr(watcher, "loss_of", lambda text, nodes: Loss("machine lost", "its machine went away", "x"))
    monkeypatch.setattr(watcher, "_last_error", lambda trial: "")
    resources = Resources(retries=0)
    meter = Meter(resources, {}, {}, 0, lambda: clock[0])
    seen: Any = watcher.Watcher(
        stage, {"k": "lora seed 0"}, stop, resources, meter, clock=lambda: clock[0],
        went_on=lambda key: 1000 * starts[0] * saves,
    )  # type: ignore[arg-type] # fmt: skip
    trial = SimpleNamespace(config={"key": "k"}, status="PENDING", error_file=None)
    for start in range(20):
        starts[0] = start
        seen.on_trial_start(0, [], trial)
        clock[0] += 2 * 3600
        seen.on_trial_recover(0, [], trial)
    assert bool(failed) is not saves
