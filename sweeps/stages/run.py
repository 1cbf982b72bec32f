"""One sweep from spec to report. Idempotent: the same call starts, continues, or finds nothing left to do.

Stages, each reading the folders and doing what is missing: check, data, decode, then wave by wave train (Tune), finish, embed (one Ray Data
pass, many encoders), score, log (MLflow).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape

from gelo.models.durable import is_local
from gelo.models.faults import UserError
from gelo.models.storage import away
from gelo.models.storage.scan import scanned
from gelo.models.words import counted
from gelo.sweeps.engine.cluster import must_grant, started, unshared
from gelo.sweeps.engine.gauges import gauged
from gelo.sweeps.exchange.brought import bring_in
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.embed import pairs_of
from gelo.sweeps.stages.outcome import Outcome, tags_of
from gelo.sweeps.stages.suggest import known
from gelo.sweeps.stages.waves import Sweep
from gelo.sweeps.state.cuts import finish as let_go_on
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.lease import leading
from gelo.sweeps.state.memory import give_back
from gelo.sweeps.state.preflight import preflight
from gelo.sweeps.state.reads import needed_datasets
from gelo.sweeps.state.record import recorded
from gelo.sweeps.terminal.progress import Display, waiting
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.spool import Spool
from gelo.tasks.data.cache import using
from gelo.tasks.data.catalogue import COLLECTIONS
from gelo.tasks.ledger.trial import Trial


def run_sweep(
    spec: SweepSpec, settings: Settings, display: Display, lead: Mapping[str, Any], finish: Sequence[str] = ()
) -> Outcome:
    """Run or continue. lead: what `led` yields, which is held until the report is written; finish: cut trials that are to go on
    (`state.cuts.finish`).

    Raises UserError (every fault of the check in one), StorageAwayError, KeyboardInterrupt outside training."""
    faults = preflight(spec, settings)
    if faults:
        raise UserError(f"sweep {spec.name}", faults)
    folder = SweepFolder(settings.place(), spec.name)
    spec = known(spec, folder)
    trials = spec.trials()
    patience = 3600 * spec.resources.patience
    lead = {**lead, "waits": patience}
    with away.waits(away.longest(patience)), recorded(folder.root, display) as record:
        scored = list(dict.fromkeys(name for name, _ in pairs_of(spec, Path(settings.data))))
        with waiting(f"{counted(len(trials), 'trial')} to be described in {folder.root}", display.say):
            folder.save(spec, asdict(settings), needed_datasets(spec, Path(settings.data)), scored)
        bring_in(trials, folder)
        for label in let_go_on(finish, trials, Trial.labels(trials), folder):
            display.say(f"to be finished: {escape(label)}")
        spool, tell = Spool(folder.root / "tracking"), lambda text: display.say(escape(text))
        outbox = Outbox(spool, settings.tracking, spec.name, spec.model_dump_json(indent=1), tags_of(spec), tell)
        with waiting("MLflow", display.say):
            behind = outbox.open()
        if behind:
            display.say(f"log: {counted(behind, 'metric')} that waited written to MLflow")
        if waits := outbox.waits():
            tell(f"NOTE not logged: {waits}; asked again later")
        where = f"on {COLLECTIONS[spec.collection]} data, results in {folder.root}"
        display.say(f"sweep [bold]{spec.name}[/bold]: {counted(len(trials), 'trial')} {where}")
        with started(settings.address, settings.cpus, display, settings.resume(spec.name)):
            must_grant(spec.resources, settings.address, display)
            unshared(folder.storage, settings.tracking, settings.data)
            sweep = Sweep(spec, settings, folder, display, outbox, trials, lead)
            with using(Path(settings.cache).absolute(), settings.cache_limit) as trim, gauged(folder, record):
                outcome = sweep.run([trim, give_back])
            record.run.how = "stopped" if outcome.early else "ended"
        if sweep.spec is not spec:  # a search made it grow
            outbox.describe(sweep.spec.model_dump_json(indent=1))
        if not outcome.early:
            with waiting("MLflow to take the numbers", display.say):
                outbox.end("FAILED" if outcome.failures or outcome.faults else "FINISHED")
    return outcome


@contextmanager
def led(name: str, settings: Settings, display: Display) -> Iterator[Mapping[str, Any]]:
    """Lead the sweep for the time of the block: two drivers must not write at once, wherever the storage is. Yields what its workers are
    told. Storage elsewhere is waited for, which is said, and listed once."""
    folder = SweepFolder(settings.place(), name)

    def say(text: str) -> None:
        display.say(escape(text))

    away.heard.append(say)
    try:
        with away.waits(away.longest()), leading(folder.root, name, say) as lead:
            if is_local(folder.root):
                yield lead
            else:
                with scanned(folder.root.fs, folder.root.path):
                    yield lead
    finally:
        away.heard.remove(say)
