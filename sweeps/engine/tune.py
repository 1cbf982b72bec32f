"""Ray Tune: trials that still have to train -> resources -> concurrent runs -> progress.

Tune only schedules. Whether a trial is trained, half-trained or new is read from its folder, by the trial itself, so Tune's own
restore is not used. Decisions: actors are reused, since a fresh one imports torch for seconds; Ctrl-C reaches trials through a flag in an
actor, so that they save and return before the cluster goes.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from upath import UPath

from gelo.models.durable import is_local, remove
from gelo.models.faults import UserError, cannot_write
from gelo.models.storage.away import BRIEF, StorageAwayError, waits
from gelo.sweeps.engine.failures import DrainedError
from gelo.sweeps.engine.gang import bundles, gang, nodes_of
from gelo.sweeps.engine.limits import Meter
from gelo.sweeps.engine.orders import Orders, StopFlag
from gelo.sweeps.engine.races import Races, told_to_tune
from gelo.sweeps.engine.watcher import Watcher, WhenSaved
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.journal import Journal, journal, read_attempts
from gelo.sweeps.state.logs import logged
from gelo.sweeps.state.memory import is_out_of_memory, out_of_memory
from gelo.sweeps.terminal.progress import Stage
from gelo.tasks.ledger.cuts import held
from gelo.tasks.ledger.looks import looks_of
from gelo.tasks.ledger.trial import Trial

TUNE = ".tune"  # a folder of the sweep's, while it trains; on this machine where that is local
_WITHOUT_END = -1  # Tune's starts of a trial: how many there may be the watcher says, by what each was lost by
_SECRETS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"}


def train_all(
    trials: Sequence[Trial],
    labels: Mapping[str, str],
    folder: SweepFolder,
    resources: Resources,
    settings: dict[str, Any],
    stop: StopFlag,
    stage: Stage,
    meter: Meter,
    shares: Mapping[str, float] = {},
    races: Races | None = None,
    hears: Callable[[str, Mapping[str, Any]], object] = lambda key, row: None,
) -> dict[str, dict[str, Any]]:
    """Train every trial that is not trained; returns {key: failure} of those that failed for good (also in their folders).

    labels: of all trials, by key. settings: `data` and `cache` folders, `weights` by backbone. meter: of the hours that they use. shares:
    of a card, by key; what `resources` says where nothing is said. races: what may cut some, which they have joined. hears: gets each row
    of a trial's history. Stops early, checkpoints written, once `stop` is set.
    """
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # its banner prints whatever the verbosity
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    class_cache.ENV_VARS_TO_PROPAGATE -= _SECRETS  # Ray logs what it hands to workers; they have their machine's own
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what fails is said below, once
    for trial in trials:
        folder.trial(trial).shared()
    granted = {trial.key: shares.get(trial.key, resources.gpus_of_a_rank) for trial in trials}
    meter.shares |= shares
    stop.forget()
    watcher = Watcher(stage, labels, stop, resources, meter, hears, went_on=partial(_went_on, folder.root))
    config = {
        "key": tune.grid_search([trial.key for trial in trials]),
        "root": str(folder.root),
        "stop": stop.actor,
        "cpus": resources.cpus,
        "granted": granted,
        "ranks": resources.ranks,
        "minutes": resources.checkpoint_minutes,
        "raced": races is not None,
        **settings,
    }
    with tempfile.TemporaryDirectory(prefix="gelo-tune-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(run_trial, lambda config: bundles(resources, granted[config["key"]])),
            param_space=config,
            tune_config=tune.TuneConfig(
                reuse_actors=True, trial_name_creator=lambda t: t.config["key"], scheduler=races
            ),
            run_config=tune.RunConfig(
                name=folder.name,
                **({"storage_path": scratch} if is_local(folder.root) else _elsewhere(folder.root / TUNE)),
                failure_config=tune.FailureConfig(max_failures=_WITHOUT_END),
                callbacks=[watcher],
                stop=WhenSaved(watcher),
                verbose=0,
            ),
        )
        outcome = tuner.fit()
        if not is_local(folder.root):
            remove(folder.root / TUNE)  # gelo reads nothing of it, and listings would be longer
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


def _went_on(root: UPath, key: str) -> int:
    """From which step the newest start of a trial that came to its first one went on; 0 where its journal does not say."""
    with suppress(OSError, UserError), waits(BRIEF):
        starts = [each for each in read_attempts(root / "trials" / key) if each.began is not None]
        return starts[-1].from_step if starts else 0
    return 0


def _elsewhere(place: UPath) -> dict[str, Any]:
    """Where Tune keeps what it knows of trials, behind gelo's own file system: Arrow's would not wait in an outage."""
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    return {"storage_path": place.path, "storage_filesystem": PyFileSystem(FSSpecHandler(place.fs))}


def run_trial(config: dict[str, Any]) -> None:
    """What one Tune trial runs, its rank 0, with its log and its journal. Failures that trying again cannot mend are reported, others
    raised for Tune to retry."""
    from gelo.models.training.peak import card, forget
    from gelo.sweeps.stages.rank import folder_of

    config = {**config, "gpus": config["granted"][config["key"]]}
    forget()  # of the trial before, where this actor had one
    root, ranks = folder_of(config).root, config["ranks"]
    held = {"ranks": ranks, "cpus": ranks * config["cpus"], "gpus": ranks * config["gpus"]}
    with logged(root, 0, f"rank 0 of {ranks}"), journal(root, **held, memory=card) as kept:
        _run(config, kept)


def _run(config: dict[str, Any], kept: Journal) -> None:
    from gelo.sweeps.stages.rank import folder_of, work

    orders = Orders(config["stop"], config["key"], nodes_of(config["ranks"]))

    def is_cut(points: Sequence[Mapping[str, Any]], steps: int) -> bool:
        looks = looks_of(points) if config["raced"] else []
        if looks:  # Tune's answer comes when the schedulers have decided, and what they decided is in the folder
            tune.report(told_to_tune(looks[-1], steps))
        return bool(looks) and held(folder_of(config).root) is not None

    try:
        finished = False
        if not orders.ends():
            folder_of(config).set_failure(None)
            with gang(config["ranks"], config["cpus"], config["gpus"], partial(work, config)) as world:
                finished = work(config, world, orders.ends, _report, kept.step, is_cut)
        if orders.order == "fail" and not finished:
            _failed(orders.failure["kind"], orders.failure["error"])
            return
        if orders.order == "leave" and not finished:
            kept.now.how = "stopped"
            raise DrainedError("its machine is being taken away; it has saved a checkpoint")
        cut = None if finished else held(folder_of(config).root)
        kept.now.how = "trained" if finished else "stopped" if cut is None else "cut"
        tune.report({"state": "trained" if finished else "stopped", **({"cut": cut.told} if cut is not None else {})})
    except UserError as error:
        _failed(error.kind, str(error))
    except StorageAwayError:
        raise  # the driver waits longer than a request does
    except Exception as error:
        if is_out_of_memory(error):
            _failed("out of memory", out_of_memory(error, config))
        elif cannot_write(error):
            _failed("storage", f"{error}; free some room or choose another --storage, then resume")
        else:
            raise


def _report(row: dict[str, Any]) -> None:
    tune.report({"state": "running", **row})


def _failed(kind: str, error: str) -> None:
    """End the trial for good, and say so in its log."""
    print(f"failed, {kind}: {error}", file=sys.stderr)
    tune.report({"state": "failed", "failure": {"kind": kind, "error": error}})
