"""What is made after training by the machines of a cluster: the bits of this process, and what follows where one of them is lost."""

# ruff: noqa: F811

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from upath import UPath

from gelo.models.backbones.zoo import load_backbone
from gelo.models.remedies import HMA, Soup, Wise
from gelo.sweeps.engine import errands as engine
from gelo.sweeps.engine.errands import errands
from gelo.sweeps.engine.failures import Loss
from gelo.sweeps.engine.orders import StopFlag
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.stages.finished import Workbench, finish, finish_all
from gelo.sweeps.stages.finished import made as made_by
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.terminal.progress import Display
from gelo.tasks.data.catalogue import locate
from tests.sweeps.test_lost import apart, data, head, machine, until  # noqa: F401
from tests.sweeps.tuned import Tuned, trial

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


def told(found: list[tuple[Any, Any]]) -> dict[Any, Any]:
    assert len(found) == len({job for job, _ in found}), "each job once"
    return {job: end.kind if isinstance(end, Loss) else end for job, end in found}


def test_a_job_whose_process_dies_is_a_retry_and_what_it_raises_too(machine: list[Any], tmp_path: Path) -> None:
    def work(job: str) -> str:
        first = not (tmp_path / job).exists()
        (tmp_path / job).touch()
        if job == "killed" or (job == "killed once" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if job == "reset" and first:
            raise ConnectionResetError("of a store")
        if job == "raises":
            raise ValueError("of the job's own")
        return f"{job} done"

    said: list[str] = []
    jobs = ["one", "killed once", "killed", "raises", "reset", "two"]
    ends = told(list(errands(work, jobs, Resources(), StopFlag(), lambda job, line: said.append(f"{job}: {line}"))))
    assert ends == {
        "one": "one done", "killed once": "killed once done", "killed": "process died", "raises": "fault", "two": "two done",
        "reset": "reset done",
    }  # fmt: skip
    assert sorted(line.partition(":")[0] for line in said) == ["killed", "killed once", "raises", "reset"], said
    assert told(list(errands(work, ["killed"], Resources(retries=0), StopFlag()))) == {"killed": "process died"}


def test_a_machine_that_is_lost_is_no_retry(head: Any, machine: list[Any], tmp_path: Path) -> None:
    def work(job: int) -> int:
        times = len(list(tmp_path.glob(f"{job}-*")))
        (tmp_path / f"{job}-{times}").touch()
        while job == 1 and not times:
            time.sleep(0.05)
        return 10 * job

    def strike() -> None:
        until(lambda: (tmp_path / "1-0").exists())
        head.remove_node(machine[-1], allow_graceful=False)
        machine.append(head.add_node(num_cpus=1))

    said: list[str] = []
    apart(strike)
    ends = list(errands(work, [0, 1, 2], Resources(retries=0), StopFlag(), lambda job, line: said.append(line)))
    assert told(ends) == {0: 0, 1: 10, 2: 20}
    assert said and all(line.startswith("machine lost") for line in said), said  # a process may be sent there once more
    assert len(list(tmp_path.glob("1-*"))) == 2 and len(list(tmp_path.glob("0-*"))) == 1, "what was done is done"


def test_a_full_disk_ends_it_all(machine: list[Any]) -> None:
    def work(job: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/there")

    with pytest.raises(OSError) as caught:
        list(errands(work, [1, 2], Resources(), StopFlag()))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/there")


def test_where_no_machine_has_room_the_sweep_stops(head: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_LOOK", 0.2)
    stop = StopFlag()
    assert list(errands(lambda job: job, [1], Resources(patience=1 / 3600), stop)) == []
    assert stop.is_set and stop.why.startswith("no machine had room for a job for")


def test_made_on_a_machine_it_has_the_bits_of_this_process(
    head: Any, machine: list[Any], data: Path, tmp_path: Path
) -> None:
    tuned = Tuned(SweepFolder(UPath(tmp_path), "made"), data)
    trained = trial(epochs=2)
    made = [
        trained.model_copy(update={"remedy": each})
        for each in (Wise(alpha=0.3), Wise(alpha=0.7), HMA(steps=2, images=8), Soup(seeds=(9,)))
    ]
    assert tuned.train([trained], Resources()) == {}, tuned.said.getvalue()
    base, cache = load_backbone("mini-s"), tmp_path / "cache"
    bench = Workbench(tuned.folder, {"mini-s": base}, {"spots": locate("spots", data)}, (), cache)
    given = {"cache": str(cache), "data": str(data), "weights": {}, "general": (), "lead": None}
    kept: dict[str, Any] = {}
    labels = {each.key: each.label for each in made}
    keep, stop = (lambda of, failure: kept.setdefault(of.key, failure)), StopFlag()
    finish_all(made, labels, bench, Resources(), given, stop, keep, Display(Console(file=tuned.said)))
    assert kept == {each.key: None for each in made[:3]}, "the soup's others are not trained: it waits"
    there = [(tuned.folder.trial(each).trained / "encoder.safetensors").read_bytes() for each in made[:3]]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for each, bits in zip(made[:3], there, strict=True):
            own = tuned.folder.trial(each)
            Path(str(own.trained)).rename(tmp_path / each.key)
            assert finish(each, bench) is None
            assert (own.trained / "encoder.safetensors").read_bytes() == bits
    finally:
        torch.set_num_threads(before)
    assert len(set(there)) == 3
    config = {**given, "root": str(tuned.folder.root), "cpus": 1, "gpus": 0, "whole": ["gone", "spots"]}
    without = made_by({**config, "weights": {"mini-s": str(tmp_path / "nowhere.safetensors")}}, made[0])
    assert without is not None and without["kind"] == "user" and "nowhere" in without["error"]
