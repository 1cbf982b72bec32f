"""A small sweep's log, killed at each of its writes in turn and then replayed: `python -m tests.sweeps.killed URI FOLDER STRIDE`.

One process imports MLflow and forks: a child that kills itself with -9 before or after one write (a request, or a file of the spool), then
one that replays to the end, twice. Experiment `unharmed` is that of a child that nobody killed.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  here, not in every child
from mlflow import MlflowClient
from upath import UPath

from gelo.sweeps.tracking import spool, tracker
from gelo.sweeps.tracking.logged import Metric, checked
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.runlog import Asked
from gelo.sweeps.tracking.values import Input

# What stands in the tables of MLflow's database, on SQLite and on PostgreSQL; the first column is the experiment.
ROWS = """select e.name, t.value, m.key, m.step, m.value, m.is_nan, m.timestamp from metrics m join runs r on m.run_uuid = r.run_uuid
    join tags t on t.run_uuid = r.run_uuid and t.key = 'gelo.trial' join experiments e on e.experiment_id = r.experiment_id
    where r.lifecycle_stage = 'active'"""
RUNS = """select e.name, t.value, r.status, p.key, p.value, i.input_uuid is not null from runs r
    join experiments e on e.experiment_id = r.experiment_id
    join tags t on t.run_uuid = r.run_uuid and t.key = 'gelo.trial' left join params p on p.run_uuid = r.run_uuid
    left join inputs i on i.destination_id = r.run_uuid where r.lifecycle_stage = 'active'"""
WRITES = ("create_experiment", "create_run", "log_batch", "log_inputs", "log_text", "set_tag", "set_terminated")


def by_experiment(rows: list[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name, *row in rows:
        found.setdefault(name, []).append(tuple(row))
    return {name: sorted(each, key=repr) for name, each in found.items()}


def asked(key: str, metrics: list[Metric], **more: Any) -> Asked:
    inputs = (Input("faces", "abc", "training", "/data", {"train": 3}),)
    given = {"status": "FINISHED", "started": 1.7e9, "ended": 1.7e9 + 5, "inputs": inputs, "whole": ("zero_shot/",)}
    return Asked(key, f"trial {key}", {"rank": 8, "rate": 1e-5}, wanted=checked(metrics), **{**given, **more})


def metrics(sets: int) -> list[Metric]:
    """Results of so many sets, and five times as many points of a curve."""
    curve = [Metric("train/loss", 1 / (step + 1), step) for step in range(5 * sets)]
    return [*(Metric(f"zero_shot/set_{number}/top1", number / 7) for number in range(sets)), *curve]


def sweep(uri: str, root: Path, name: str) -> None:
    """Two waves: two trials and one that failed, then a value that changed, one that came and one that is gone, as the results now say."""
    box, changed = Outbox(spool.Spool(UPath(root / name)), uri, name), root / f"{name}-changed"
    box.open()
    results = {(metric.name, metric.step): metric for metric in metrics(6)}
    for wave in (1, 2):
        if wave == 2:
            changed.touch()
            new = (Metric("zero_shot/set_1/top1", 0.5), Metric("zero_shot/new/top1", 0.25))
            results |= {(metric.name, None): metric for metric in new}
            del results["zero_shot/set_0/top1", None]
        elif changed.exists():
            continue
        for key in ("first", "second"):
            box.put(asked(key, list(results.values())))
        box.put(Asked("third", "a trial that failed", {"rank": 4}, "FAILED"))
        box.send(patience=60)
        assert box.away is None, box.away
    box.end("FINISHED")


def _armed(at: int) -> None:
    """Kill this process at moment `at`: there is one before each write, and one after it."""
    moments = count()

    def strike() -> None:
        if next(moments) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **options: Any) -> Any:
            strike()
            answer = real(*args, **options)
            strike()
            return answer

        return write

    for name in WRITES:
        setattr(MlflowClient, name, deadly(getattr(MlflowClient, name)))
    spool.publish_bytes = deadly(spool.publish_bytes)


def _child(at: int | None, *given: Any) -> int:
    """How it ended, as `os.waitpid` says it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if at is not None:
                _armed(at)
            for _ in range(2):
                sweep(*given)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def main(uri: str, root: Path, stride: int) -> None:
    tracker._METRICS_PER_BATCH = 20  # so that a trial's numbers are several requests
    assert _child(None, uri, root, "unharmed") == 0
    for at in range(0, 1000, stride):
        name = f"kill-{at}"
        ended = _child(at, uri, root, name)
        assert ended in (0, signal.SIGKILL), ended
        if ended == 0:
            return
        assert _child(None, uri, root, name) == 0
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
