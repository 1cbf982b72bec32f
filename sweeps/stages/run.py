"""One sweep from spec to report. Idempotent: the same call starts, continues, or finds nothing left to do.

Stages, each reading the folders and doing what is missing: check, data, decode, then wave by wave train (Tune), finish, embed (one Ray Data
pass, many encoders), score, log (MLflow).
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from gelo.models.durable import is_local
from gelo.models.faults import Fault, UserError
from gelo.models.words import counted
from gelo.sweeps.engine.cluster import must_grant, started, unshared
from gelo.sweeps.exchange.brought import bring_in
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.embed import pairs_of
from gelo.sweeps.stages.outcome import Outcome, tags_of
from gelo.sweeps.stages.waves import Sweep
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.preflight import preflight
from gelo.sweeps.state.reads import needed_datasets
from gelo.sweeps.terminal.progress import Display, waiting
from gelo.sweeps.tracking.tracker import Tracker
from gelo.tasks.data.cache import using
from gelo.tasks.data.catalogue import COLLECTIONS


def run_sweep(spec: SweepSpec, settings: Settings, display: Display) -> Outcome:
    """Run or continue. Raises UserError (every fault of the check in one), KeyboardInterrupt outside training."""
    faults = preflight(spec, settings)
    if faults:
        raise UserError(f"sweep {spec.name}", faults)
    folder = SweepFolder(settings.place(), spec.name)
    trials = spec.trials()
    with _only_one(folder):
        scored = list(dict.fromkeys(name for name, _ in pairs_of(spec, Path(settings.data))))
        folder.save(spec, asdict(settings), needed_datasets(spec, Path(settings.data)), scored)
        bring_in(trials, folder)
        with waiting("MLflow", display.say):
            tracker = Tracker(settings.tracking, spec.name)
        parent = tracker.ensure_sweep(spec.name, spec.model_dump_json(indent=1), tags_of(spec))
        where = f"on {COLLECTIONS[spec.collection]} data, results in {folder.root}"
        display.say(f"sweep [bold]{spec.name}[/bold]: {counted(len(trials), 'trial')} {where}")
        with started(settings.address, settings.cpus, display, settings.resume(spec.name)):
            must_grant(spec.resources, settings.address, display)
            unshared(folder.storage, settings.tracking, settings.data)
            sweep = Sweep(spec, settings, folder, display, tracker, parent, trials)
            with using(Path(settings.cache).absolute(), settings.cache_limit) as trim:
                outcome = sweep.run(trim)
        if not outcome.stopped:
            tracker.finish(parent, "FAILED" if outcome.failures or outcome.faults else "FINISHED")
    return outcome


@contextmanager
def _only_one(folder: SweepFolder) -> Iterator[None]:
    """Two runs of one sweep must not write at once; on shared storage that is the users' agreement, locally a lock."""
    if not is_local(folder.root):
        yield
        return
    root = Path(str(folder.root))
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fault = Fault(
                str(root), "another gelo is running this sweep", "one at a time", f"gelo status {folder.name}"
            )
            raise UserError(f"sweep {folder.name}", fault) from None
        yield
