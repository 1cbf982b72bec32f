"""Ray Tune: trials that still have to train -> resources -> concurrent runs -> progress.

Tune only schedules. Whether a trial is trained, half-trained or new is read from its folder, by the trial itself, so Tune's own
restore is not used. Decisions: actors are reused, since a fresh one imports torch for seconds; Ctrl-C reaches trials through a flag in an
actor, so that they save and return before the cluster goes.
"""

from __future__ import annotations

import errno
import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import ray
from ray import tune
from ray.tune.execution import class_cache

from gelo.models.faults import UserError, is_full
from gelo.sweeps.engine.gang import bundles, gang
from gelo.sweeps.engine.watcher import StopFlag, Watcher, WhenSaved
from gelo.sweeps.spec.sweep import Resources
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.memory import out_of_memory
from gelo.sweeps.terminal.progress import Stage
from gelo.tasks.ledger.trial import Trial

_POLL_SECONDS = 0.5
_SECRETS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"}


def train_all(
    trials: Sequence[Trial],
    labels: Mapping[str, str],
    folder: SweepFolder,
    resources: Resources,
    settings: dict[str, Any],
    stop: StopFlag,
    stage: Stage,
) -> dict[str, dict[str, Any]]:
    """Train every trial that is not trained; returns {key: failure} of those that failed for good (also in their folders).

    labels: of all trials, by key. settings: `data` and `cache` folders, `weights` by backbone. Stops early, checkpoints written, once
    `stop` is set.
    """
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # its banner prints whatever the verbosity
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    class_cache.ENV_VARS_TO_PROPAGATE -= _SECRETS  # Ray logs what it hands to workers; they have their machine's own
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what fails is said below, once
    watcher = Watcher(stage, labels, stop)
    config = {
        "key": tune.grid_search([trial.key for trial in trials]),
        "root": str(folder.root),
        "stop": stop.actor,
        "cpus": resources.cpus,
        "gpus": resources.gpus_of_a_rank,
        "ranks": resources.ranks,
        "minutes": resources.checkpoint_minutes,
        **settings,
    }
    with tempfile.TemporaryDirectory(prefix="gelo-tune-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(run_trial, bundles(resources)),
            param_space=config,
            tune_config=tune.TuneConfig(reuse_actors=True, trial_name_creator=lambda t: t.config["key"]),
            run_config=tune.RunConfig(
                name=folder.name,
                storage_path=scratch if folder.root.protocol in ("", "file", "local") else str(folder.root / ".tune"),
                failure_config=tune.FailureConfig(max_failures=resources.retries),
                callbacks=[watcher],
                stop=WhenSaved(watcher),
                verbose=0,
            ),
        )
        outcome = tuner.fit()
    failures = dict(watcher.failures)
    by_key = {trial.key: trial for trial in trials}
    for result in outcome:
        if result.error is None or stop.is_set:
            continue
        # a worker that could not even start says nothing of its trial
        named = [result.config["key"]] if result.config else []
        for key in named or [key for key in by_key if not folder.trial(by_key[key]).is_trained()]:
            failures.setdefault(key, {"kind": "fault", "error": str(result.error).strip()[-4000:]})
    for key, failure in failures.items():
        try:
            folder.trial(by_key[key]).set_failure(failure)
        except OSError:
            stage.display.say(f"the failure of {labels[key]} could not be written to {folder.root}")
    return failures


def run_trial(config: dict[str, Any]) -> None:
    """What one Tune trial runs, its rank 0. Failures that trying again cannot mend are reported, others raised for Tune to retry."""
    import torch

    from gelo.sweeps.stages.rank import folder_of, work

    asked = {"at": 0.0, "answer": False}

    def should_stop() -> bool:
        if not asked["answer"] and time.monotonic() - asked["at"] > _POLL_SECONDS:
            asked["answer"] = ray.get(config["stop"].get.remote())
            asked["at"] = time.monotonic()
        return bool(asked["answer"])

    if should_stop():
        tune.report({"state": "stopped"})
        return
    try:
        folder_of(config).set_failure(None)
        with gang(config["ranks"], config["cpus"], config["gpus"], partial(work, config)) as world:
            finished = work(config, world, should_stop, lambda row: tune.report({"state": "running", **row}))
        tune.report({"state": "trained" if finished else "stopped"})
    except UserError as error:
        tune.report({"state": "failed", "failure": {"kind": error.kind, "error": str(error)}})
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        tune.report({"state": "failed", "failure": {"kind": "out of memory", "error": out_of_memory(error, config)}})
    except Exception as error:
        if not (is_full(error) or (isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES))):
            raise
        told = f"{error}; free some room or choose another --storage, then resume"
        tune.report({"state": "failed", "failure": {"kind": "storage", "error": told}})
