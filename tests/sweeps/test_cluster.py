"""What a cluster cannot give is refused before anything starts; where machines come when they are asked for, it is said instead."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.experimental import internal_kv
from rich.console import Console

from gelo.models.faults import UserError
from gelo.sweeps.engine.cluster import must_grant, started
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.stages.outcome import tags_of
from gelo.sweeps.terminal.progress import Display, waiting
from tests.programs import printed_by

HEAD, WORKER = "a" * 8, "b" * 8


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`cluster(nodes, kinds)`: Ray's answers; kinds: what its monitor calls the machines' types, None before it said anything."""

    def pretend(nodes: dict[str, dict[str, float]], kinds: list[str] | None) -> None:
        alive = [{"NodeID": key, "Alive": True, "Resources": there} for key, there in nodes.items()]
        dead = {"NodeID": "c" * 8, "Alive": False, "Resources": {"CPU": 640.0, "GPU": 8.0}}
        said = None if kinds is None else json.dumps({"autoscaler_report": {"active_nodes": dict.fromkeys(kinds, 1)}})
        monkeypatch.setattr(ray, "nodes", lambda: [*alive, dead])
        monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: HEAD))
        monkeypatch.setattr(internal_kv, "_internal_kv_get", lambda key: said and said.encode())

    return pretend


def asked(cpus: int, gpus: float = 0, address: str = "10.0.0.1:6379") -> list[str]:
    said: list[str] = []
    must_grant(Resources(cpus=cpus, gpus=gpus), address, SimpleNamespace(say=said.append))  # type: ignore[arg-type]
    return said


def test_a_machine_with_room_is_enough_and_two_halves_are_not(cluster: Any) -> None:
    cluster({HEAD: {"CPU": 2.0}, WORKER: {"CPU": 4.0, "GPU": 1.0}}, [f"node_{HEAD}", f"node_{WORKER}"])
    assert asked(4) == asked(4, 1) == asked(1, 0.5) == []
    for cpus, gpus, found in (
        (6, 0, "at most 4 CPUs on one machine; expected 6 CPU"),
        (5, 1, "at most 4 CPUs and 1 GPU on one machine; expected 5 CPUs and 1 GPU"),
    ):
        with pytest.raises(UserError, match=found):
            asked(cpus, gpus)


def test_where_machines_come_it_is_said_and_waited_for(cluster: Any) -> None:
    for kinds in (["head"], ["head", "gpu"], None):
        cluster({HEAD: {"CPU": 8.0}}, kinds)
        assert asked(8) == []
        (said,) = asked(8, 1)
        assert "asks for 8 CPUs and 1 GPU" in said and "at most 8 CPUs and 0 GPU" in said
    with pytest.raises(UserError, match="at most 8 CPUs"):
        asked(9, address="local")


def test_a_driver_without_a_cpu_is_refused(cluster: Any) -> None:
    """It would train everything, and then wait for ever to score."""
    cluster({HEAD: {}, WORKER: {"CPU": 4.0}}, [f"node_{HEAD}", f"node_{WORKER}"])
    with pytest.raises(UserError, match="start Ray here with --num-cpus=1"):
        asked(1)


def test_a_ray_that_does_not_start_in_time_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def late(**options: Any) -> None:
        raise Exception(
            "The current node timed out during startup. This could happen because some of the Ray processes failed"
        )

    monkeypatch.setattr(ray, "init", late)
    display = Display(Console(file=io.StringIO()))
    with (
        pytest.raises(UserError, match=r"timed out during startup.*run it again when this machine is less busy"),
        started("local", 1, display, "gelo resume x"),
    ):
        pass


def test_what_is_waited_for_is_said_and_what_is_quick_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gelo.sweeps.terminal.progress.PATIENCE", 0.05)
    said: list[str] = []
    with waiting("a slow server", said.append):
        time.sleep(0.3)
    with waiting("a quick one", said.append):
        pass
    time.sleep(0.1)
    assert said == ["waiting for a slow server"]


def test_what_is_waited_for_long_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gelo.sweeps.terminal.progress.PATIENCE", 0.05)
    monkeypatch.setattr("gelo.sweeps.terminal.progress._QUIET", 0.2)
    said: list[str] = []
    with waiting("a dead server", said.append):
        time.sleep(1)
    assert said[0] == "waiting for a dead server"
    assert len(said) > 2 and set(said[1:]) <= {f"waiting for a dead server, for {n} s now" for n in (0, 1)}
    time.sleep(0.5)
    assert not [thread for thread in threading.enumerate() if thread.name == "waiting"]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_stage_in_which_nothing_moves_says_so_by_itself(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    """Who waits for storage inside a worker is not heard from: what it does not tick, the stage tells."""
    monkeypatch.setattr("gelo.sweeps.terminal.progress._QUIET", 1.5)
    monkeypatch.setattr("gelo.sweeps.terminal.progress._LINE_EVERY", 0.0)
    out, heard = io.StringIO(), list[str]()
    display = Display(Console(file=out, width=120, force_terminal=terminal, soft_wrap=True))
    display.lines.append(heard.append)
    with display.stage("embed", 40, "images") as stage:
        stage.tick(10)
        before = len(heard)
        time.sleep(4.5)
        alone = heard[before:]
        said = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
        assert re.search(r"10\D+40.*\s*.*nothing new for [2-5] s", said), said
        assert terminal or (alone and all("embed: 10 of 40 images" in line for line in alone)), alone
        stage.tick(30)
        assert "nothing new" not in stage.told()
    time.sleep(1.1)
    ended = out.getvalue()
    time.sleep(2)
    assert out.getvalue() == ended and not [t for t in threading.enumerate() if t.name == "stage embed"]


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("seconds", [600.0, 1.0, 1e-2, 1e-6])
def test_the_bar_has_room_beside_a_long_note_at_any_rate(width: int, seconds: float) -> None:
    out = io.StringIO()
    display = Display(Console(file=out, width=width, force_terminal=True, soft_wrap=True))
    with display.stage("embed", 1000, "images") as stage:
        stage.since = time.monotonic() - seconds
        stage.tick(500)
        stage.describe("mini-s faces full seed 0 epoch 3 loss 12.112, mini-l faces lora seed 0 epoch 1 loss 33.318")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
    bars = [line for line in re.split(r"[\r\n]", plain) if "500/1,000" in line]
    assert bars
    assert all(re.search(r"[━╸╺]{2}", line) and len(line) <= width for line in bars)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_note_is_told_as_it_is_and_not_read_as_colours(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.setattr("gelo.sweeps.terminal.progress._LINE_EVERY", 0.0)
    out = io.StringIO()
    note = "mini-s faces stack(remedies=[ewc, wise]) [red]seed 0[/b]"
    with Display(Console(file=out, width=120, force_terminal=terminal, soft_wrap=True)).stage(
        "finish", 2, "trials"
    ) as stage:
        stage.describe(note)
    assert note in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())


def test_without_git_a_run_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    spec = parse_spec({"name": "n", "backbones": ["mini-s"]}, "n.yaml")
    assert tags_of(spec) == {"gelo.sweep": "n", "gelo.scale": "miniature"}


@pytest.mark.slow
def test_ray_is_told_to_wait_longer_than_gelo_before_it_is_imported() -> None:
    """It reads that when it is imported: told later, it ended the program after its own 60 s (measured: 61 s, then 179 s)."""
    name = "RAY_gcs_rpc_server_reconnect_timeout_s"
    program = f"import gelo.sweeps.engine.cluster as c, sys, os; print('ray' in sys.modules, float(os.environ['{name}']) > 2 * c.SILENT)"
    environment = {key: value for key, value in os.environ.items() if key != name}
    assert printed_by(program, environment).split() == ["False", "True"]
    order = (
        "import sys, gelo.sweeps.engine.cluster; before = 'ray' in sys.modules; "
        "import gelo.sweeps.stages.run; print(before, 'ray' in sys.modules)"
    )
    assert printed_by(order).split() == ["False", "True"]


_STRANGER = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False); print('in', ray.get(ray.remote(lambda: 1).remote()))"


@pytest.mark.slow
def test_a_stranger_cannot_enter_the_cluster_of_a_run(tmp_path: Path) -> None:
    """Ray listens on every address of the machine, so who has not this run's token is turned away; and the token is in no file of Ray's."""
    program = f"""
import os, subprocess, sys
import ray  # as a resume does, before gelo chooses the token
from gelo.sweeps.engine.cluster import started
from gelo.sweeps.terminal.progress import Display
from rich.console import Console
with started("local", 1, Display(Console(stderr=True)), "resume"):
    import ray
    node = ray._private.worker.global_worker.node
    token = os.environ["RAY_AUTH_TOKEN"]
    for name, changes in (("none", {{"RAY_AUTH_MODE": "disabled"}}), ("wrong", {{"RAY_AUTH_TOKEN": "0" * 64}}), ("right", {{}})):
        call = [sys.executable, "-c", {_STRANGER!r}, node.gcs_address]
        done = subprocess.run(call, env={{**os.environ, **changes}}, capture_output=True, text=True)
        print(name, done.returncode, "in 1" in done.stdout)
    held = subprocess.run(["grep", "-rlF", token, node.get_session_dir_path()], capture_output=True, text=True)
    print("held", held.stdout.split())
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")} | {
        "HOME": str(tmp_path)
    }
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=300)
    assert "none 1 False\nwrong 1 False\nright 0 True\nheld []" in done.stdout, done.stdout + done.stderr
    assert not list(tmp_path.rglob("*auth*"))


_READS_WHAT_IS_GONE = """
import sys
import psutil, ray
from rich.console import Console
from gelo.sweeps.engine.cluster import started
from gelo.sweeps.terminal.progress import Display
with started("local", 1, Display(Console()), "gelo resume mine"):
    kept = ray.remote(lambda: ray.put(bytes(10_000_000)))
    there = ray.get(kept.remote())
    (raylet,) = [each for each in psutil.Process().children(recursive=True) if each.name() == "raylet"]
    raylet.kill()
    raylet.wait()
    ray.get(there)
"""


@pytest.mark.slow
def test_a_program_that_rays_library_ends_still_says_how_to_go_on(tmp_path: Path) -> None:
    """Without a word of its own, and with exit code 1, where an object is read from a machine's part of Ray that has just died."""
    done = subprocess.run(
        [sys.executable, "-c", _READS_WHAT_IS_GONE], capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1 and "Traceback" not in said, said
    assert said.count("is gone") == 1 and "everything finished is saved. Go on with: gelo resume mine" in said, said


def test_of_an_error_only_ray_s_own_death_is_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray import exceptions

    from gelo.models.faults import Fault
    from gelo.sweeps.engine import alive

    def raised(error: Exception, cause: Exception | None, *, shown: bool = True) -> Exception:
        try:
            try:
                raise cause or error
            except Exception:
                if cause is None:
                    raise
                if shown:
                    raise error from cause
                raise error from None
        except Exception as found:
            return found

    lost, own = exceptions.ActorDiedError(), ValueError("a fault of gelo")
    message = UserError("data", Fault("images", "none", "one"))
    for lives in (True, False):
        monkeypatch.setattr(alive, "_lives", lambda lives=lives: lives)
        assert alive.of_a_dead_machine(raised(exceptions.LocalRayletDiedError(), None))
        assert alive.of_a_dead_machine(raised(lost, None)) is not lives
        assert alive.of_a_dead_machine(raised(RuntimeError("Tune's own"), lost)) is not lives
        assert not alive.of_a_dead_machine(own)
        assert not alive.of_a_dead_machine(raised(message, lost, shown=False)), "what was made a message stays one"
