"""Ctrl-C stops all ranks of a trial after saving; it goes on with another number of them and ends where one process ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from upath import UPath

from gelo.models.backbones.zoo import load_backbone
from gelo.sweeps.spec.sweep import load_spec
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.catalogue import locate
from tests.e2e.sweeping import LIMIT, Place, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
]  # in parts: tests/sweeps/test_gang.py, tests/models/test_two_processes.py

GANG = """
name: small
backbones: [mini-s]
tasks:
  morphs: {adaptation: lora, epochs: 5, batch: 64, lr_backbone: 1.0e-4, lr_head: 1.0e-3}
evaluate: [zero_shot]
datasets: [shapes]
resources: {workers: 2}
"""


def test_a_trial_of_two_processes_goes_on_as_one(small_world: Path, tmp_path: Path) -> None:
    place = Place(tmp_path, small_world / "data", small_world / "cache")
    (tmp_path / "small.yaml").write_text(GANG)
    process = place.start("run", "small.yaml", "--cpus", "2")
    wait_for(lambda: any(place.sweep.glob("trials/*/checkpoints/epoch-*/DONE")), process, "checkpoint")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group
    assert process.wait(LIMIT) == 130, place.log()
    assert "Traceback" not in place.log() and "gelo resume small" in place.log()
    assert not any(place.sweep.glob("trials/*/trained/DONE")), "it ended before Ctrl-C came"

    assert place.gelo("run", "small.yaml", "--cpus", "2", "--set", "resources.workers=1") == 0, place.log()
    (trial,) = (each for each in load_spec(str(tmp_path / "small.yaml")).trials() if each.trains)
    folder = TrialFolder(UPath(place.sweep / "trials" / trial.key))
    assert folder.training()["ranks"] == [2, 1]
    rows = [(step, value) for (key, name, step), value in place.metrics().items() if name == "train/images_per_second"]
    assert [step for step, _ in sorted(rows)] == [row["step"] for row in folder.training()["history"]]

    torch.set_num_threads(1)
    alone = TrialFolder(UPath(tmp_path / "alone"))
    assert train(trial, load_backbone("mini-s"), locate("morphs", place.data), place.cache, alone)
    for name in ("encoder.safetensors", "head.safetensors"):
        ours, one = (load_file(Path(str(each.trained)) / name) for each in (folder, alone))
        assert max(float((ours[key] - tensor).abs().max()) for key, tensor in one.items()) <= 1e-5
