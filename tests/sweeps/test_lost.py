"""What follows where a trial is lost, on a cluster of a head without a CPU and machines (processes of this one) that come and go."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch
from upath import UPath

from gelo.models.storage.away import StorageAwayError
from gelo.sweeps.engine import watcher
from gelo.sweeps.engine.failures import loss_of
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.journal import read_attempts
from gelo.tasks.ledger.trial import Trial
from tests.sweeps.tuned import Tuned, spots, tell_ray, trial

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture(scope="module")
def head() -> Iterator[Any]:
    """A head without a CPU; this process is a driver of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        tell_ray()
        from ray.cluster_utils import Cluster

        patch.setattr("ray._private.utils.set_sigterm_handler", lambda handler: None)  # machines join from threads
        soon = {"health_check_period_ms": 1000, "health_check_timeout_ms": 3000, "health_check_failure_threshold": 3}
        given = {"num_cpus": 0, "include_dashboard": False, "_system_config": soon}
        cluster = Cluster(initialize_head=True, head_node_args=given)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
        ray.shutdown()
        cluster.shutdown()
    tell_ray()


@pytest.fixture
def machine(head: Any) -> Iterator[list[Any]]:
    """One machine of one CPU, the last in the list; what a test adds and leaves goes with it."""
    machines = [head.add_node(num_cpus=1)]
    yield machines
    for each in machines:
        if each in head.list_all_nodes():
            head.remove_node(each, allow_graceful=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spots(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def unharmed(head: Any, data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of `trial()`, trained in one go."""
    tuned, own = Tuned(SweepFolder(UPath(tmp_path_factory.mktemp("whole")), "whole"), data), head.add_node(num_cpus=1)
    assert tuned.train([trial()], Resources()) == {}, tuned.said.getvalue()
    head.remove_node(own, allow_graceful=False)
    return tuned.weights(trial())


def epochs(tuned: Tuned, of: Trial) -> list[str]:
    """The checkpoints that are whole, oldest first."""
    return sorted(path.parent.name for path in Path(str(tuned.folder.trial(of).checkpoints)).glob("epoch-*/DONE"))


def apart(do: Callable[[], None]) -> None:
    """In a thread that lives as long as the tests: the system ends processes that a thread has started when that thread ends."""

    def run() -> None:
        do()
        threading.Event().wait()

    threading.Thread(target=run, daemon=True).start()


def until(happened: Callable[[], Any], seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.02)


def trainers(node: Any) -> list[psutil.Process]:
    """Processes that run a trial on a machine."""
    found = [each for own in node.all_processes["raylet"] for each in psutil.Process(own.process.pid).children(True)]
    return [each for each in found if "ray::ImplicitFunc" in " ".join(each.cmdline())]


def same(tuned: Tuned, weights: dict[str, torch.Tensor]) -> bool:
    own = tuned.weights(trial())
    return own.keys() == weights.keys() and all(torch.equal(own[name], tensor) for name, tensor in weights.items())


def test_three_lost_machines_are_no_retries(
    head: Any, machine: list[Any], data: Path, tmp_path: Path, unharmed: dict[str, torch.Tensor]
) -> None:
    tuned = Tuned(SweepFolder(UPath(tmp_path), "lost"), data)

    seen: set[str] = set()

    def strike() -> None:
        for _ in range(3):
            until(lambda: set(epochs(tuned, trial())) - seen)
            seen.update(epochs(tuned, trial()))
            gone = trainers(machine[-1])
            for process in gone:
                process.suspend()  # a machine takes its processes with it: they might come to their end yet
            head.remove_node(machine[-1], allow_graceful=False)
            for process in gone:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            machine.append(head.add_node(num_cpus=1))

    apart(strike)
    assert tuned.train([trial()], Resources(retries=0)) == {}, tuned.said.getvalue()
    said = tuned.said.getvalue()
    assert said.count("machine lost") >= 3 and "no retry" in said, said  # a busy machine may be taken for lost too
    assert same(tuned, unharmed)


@pytest.mark.long
def test_a_process_that_died_on_a_machine_that_lives_is_a_retry(
    head: Any, machine: list[Any], data: Path, tmp_path: Path, unharmed: dict[str, torch.Tensor]
) -> None:
    def strike(tuned: Tuned) -> None:
        until(lambda: epochs(tuned, trial()))
        for process in trainers(machine[-1]):
            process.kill()

    for retries, failed in ((1, False), (0, True)):
        tuned = Tuned(SweepFolder(UPath(tmp_path), f"retries-{retries}"), data)
        apart(lambda tuned=tuned: strike(tuned))
        failures = tuned.train([trial()], Resources(retries=retries))
        said = tuned.said.getvalue()
        if failed:
            assert failures[trial().key]["kind"] == "process died", said
            assert tuned.folder.trial(trial()).failure() == failures[trial().key]
            assert "1 failed" in said
        else:
            assert failures == {} and "process died" in said and "retry 1 of 1" in said, said
            assert same(tuned, unharmed)


def test_a_machine_that_is_to_be_taken_away_is_left(
    head: Any, machine: list[Any], data: Path, tmp_path: Path, unharmed: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Ray's own notice, as an autoscaler gives it; no step is done twice."""
    from ray._raylet import GcsClient

    monkeypatch.setattr(watcher, "_LOOK", 0.1)

    tuned = Tuned(SweepFolder(UPath(tmp_path), "drained"), data)

    def notice() -> None:
        until(lambda: epochs(tuned, trial()))
        client = GcsClient(address=head.address)
        deadline = int(1000 * (time.time() + 120))
        accepted, why = client.drain_node(machine[0].node_id, 2, "spot", deadline)
        assert accepted, why
        machine.append(head.add_node(num_cpus=1))

    apart(notice)
    assert tuned.train([trial()], Resources(retries=0)) == {}, tuned.said.getvalue()
    said = tuned.said.getvalue()
    assert "1 machine will be taken away" in said and "no retry" in said, said
    assert same(tuned, unharmed)
    first, second = read_attempts(tuned.folder.trial(trial()).root)
    assert first.how == "stopped" and second.from_step == first.to_step > 0


def test_what_a_trial_raised_is_told_by_its_name() -> None:
    """As Python's traceback ends; a death that a fault only speaks of is none."""
    away = loss_of(f"Traceback\n  ...\n{StorageAwayError.__module__}.StorageAwayError: s3://a has not answered", ())
    drained = loss_of("Traceback\n  ...\ngelo.sweeps.engine.failures.DrainedError: its machine is being taken away", ())
    assert (away.kind, away.waited_for, drained.kind, drained.waited_for) == (
        "storage away",
        True,
        "machine lost",
        True,
    )
    assert drained.why.endswith("is being taken away")
    for text in (
        "ValueError: the patient died",
        "",
        "The actor died because of an error raised in its creation task, X",
    ):
        assert (loss_of(text, ()).kind, loss_of(text, ()).waited_for) == ("fault", False)
    full = loss_of("The actor is dead because its worker process has died. Worker exit type: NODE_OUT_OF_MEMORY", ())
    assert (full.kind, full.final) == ("out of memory", True)


@pytest.mark.long
def test_patience_ends(
    head: Any, machine: list[Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No machine comes back: the sweep says that it waits, and ends without a failure of the trial."""
    monkeypatch.setattr(watcher, "_LOOK", 0.5)
    monkeypatch.setattr(watcher, "_TELL", 1.0)
    tuned = Tuned(SweepFolder(UPath(tmp_path), "patient"), data)

    def strike() -> None:
        until(lambda: epochs(tuned, trial()))
        head.remove_node(machine[-1], allow_graceful=False)

    apart(strike)
    assert tuned.train([trial()], Resources(retries=0, patience="30 s")) == {}
    said = tuned.said.getvalue()
    assert "for room: 1 trial to train, 1 machine with 0 CPUs" in said, said
    assert "no machine had room" in tuned.stop.why and "resources.patience" in tuned.stop.why
    assert epochs(tuned, trial()) and tuned.folder.trial(trial()).failure() is None


@pytest.mark.long
def test_a_limit_ends_a_trial_with_its_checkpoint_and_a_higher_one_goes_on(
    head: Any, machine: list[Any], data: Path, tmp_path: Path, unharmed: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(watcher, "_LOOK", 0.1)
    tuned = Tuned(SweepFolder(UPath(tmp_path), "limited"), data)

    def lower() -> None:
        until(lambda: epochs(tuned, trial()))
        tuned.meter.resources = Resources(limits={"trial": "1 s"})

    apart(lower)
    (failure,) = tuned.train([trial()], Resources()).values()
    assert failure["kind"] == "limit" and "resources.limits.trial" in failure["error"], failure
    assert epochs(tuned, trial()) and not tuned.folder.trial(trial()).is_trained()
    assert tuned.train([trial()], Resources(limits={"trial": "1 h"})) == {}
    assert same(tuned, unharmed)
    assert tuned.folder.trial(trial()).failure() is None


def test_what_ray_says_of_a_death_is_told_apart(head: Any, machine: list[Any]) -> None:
    """Of a process of one's own, of one that was killed, of one that raised, and of one whose machine went."""

    @ray.remote(num_cpus=1)
    class Worker:
        def node(self) -> str:
            return str(ray.get_runtime_context().get_node_id())

        def die(self) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        def wait(self) -> None:
            time.sleep(600)

        def fault(self) -> None:
            raise ZeroDivisionError("in the middle")

    def death(of: str, then: Callable[[], Any] = lambda: None) -> Any:
        worker = Worker.remote()
        node = ray.get(worker.node.remote())
        job = getattr(worker, of).remote()
        then()
        with pytest.raises(Exception) as caught:
            ray.get(job, timeout=120)
        ray.kill(worker)
        return loss_of(str(caught.value), {node})

    fault = death("fault")
    assert (fault.kind, fault.final, fault.waited_for) == ("fault", False, False)
    assert fault.why == "ZeroDivisionError: in the middle" and len(fault.whole.splitlines()) > 2
    died = death("die")
    assert (died.kind, died.waited_for) == ("process died", False), died
    assert died.why == "its process was killed or crashed, on a machine that lives" and "SYSTEM_ERROR" in died.whole
    lost = death("wait", lambda: head.remove_node(machine[-1], allow_graceful=False))
    assert (lost.kind, lost.waited_for) == ("machine lost", True), lost
