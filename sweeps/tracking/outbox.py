"""From a sweep to MLflow, by way of the spool: what is to be logged is kept first and sent then, and again until the store has it.

A store that is away stops nothing. What waits is tried again whenever something is sent, and with back-off at the end; what is left then,
the next run of the sweep brings. One search when a store is first reached, or comes back, says what it has (`standing`): a
store that was emptied, put back or exchanged for another is filled from the spool, without a history being read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from gelo.models.faults import UserError
from gelo.models.secrets import redacted
from gelo.models.words import counted
from gelo.sweeps.tracking import notes
from gelo.sweeps.tracking.logged import Metric, check_names
from gelo.sweeps.tracking.models import ensure_model
from gelo.sweeps.tracking.runlog import SEAL, Asked, Status
from gelo.sweeps.tracking.spool import Spool
from gelo.sweeps.tracking.standing import Found, standing
from gelo.sweeps.tracking.store import SQLITE, AwayError, resolve_uri, runs_page
from gelo.sweeps.tracking.tracker import NOTE, Tracker
from gelo.sweeps.tracking.view import columns_of, show

if TYPE_CHECKING:
    from upath import UPath

PATIENCE = 120.0  # seconds for which a sweep that is at its end asks a store that is away
_LONGEST_WAIT = 20.0  # seconds between two of these tries
_SENDERS = 4  # runs that are sent to a server at once: as many as its own default of workers


class Outbox:
    """What one sweep has to log. uri, name, spec_json, tags: as for `Tracker` and its `ensure_sweep`; say: prints one line.

    Made without a connection; `open` makes it. away: why the store has not taken all, None while it does.
    """

    def __init__(
        self,
        spool: Spool,
        uri: str,
        name: str,
        spec_json: str = "{}",
        tags: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.spool, self.uri, self.say = spool, resolve_uri(uri), say
        self._sweep = (name, spec_json, dict(tags or {}))
        self._tracker: Tracker | None = None
        self._there: dict[str, Found] = {}
        self._parent, self._sent = "", 0
        self._columns: set[str] = set()  # of the view of the sweep's runs
        self.away: UserError | None = None

    def open(self) -> int:
        """Reach the store and send what waits; returns how many rows. Raises UserError for a store that cannot be used, and for one that is
        away and never answered to this sweep: its address is more likely wrong."""
        sent = self.send()
        if self.away is not None and (not isinstance(self.away, AwayError) or self.spool.index.store != self._store):
            raise self.away
        return sent

    def describe(self, spec_json: str) -> None:
        """The sweep's own run takes another `spec_json`, of a sweep that grew."""
        name, _, tags = self._sweep
        self._sweep = (name, spec_json, tags)
        if self.away is None:
            self._asked(self._ensure_sweep, 0.0)

    def put(self, asked: Asked) -> None:
        """Keep what is asked of a run in the spool. Raises OSError of the storage, ValueError for a param that MLflow does not take."""
        check_names(asked.params)
        self.spool.put(asked)
        self._columns |= set(columns_of(asked.params, {name for name, _ in asked.wanted or ()}))

    def send(self, patience: float = 0.0) -> int:
        """Send all that waits, again for `patience` seconds where the store is away; returns how many rows were sent. Raises nothing of the
        store: see `away`."""
        self._sent = 0
        self.spool.save()
        self._asked(self._send_waiting, patience)
        self.spool.save()
        return self._sent

    def end(self, status: Status, patience: float = PATIENCE) -> int:
        """`send`, then end the sweep's own run."""
        sent = self.send(patience)
        if self.away is None:
            self._asked(lambda tracker: tracker.finish(self._parent, status), patience)
        return sent

    def report(self, metrics: Sequence[Metric], whole: tuple[str, ...], folder: UPath) -> None:
        """Give the sweep's own run its numbers and the files of its report, unless the store is away: each report makes them anew."""
        self._columns |= set(columns_of({}, {metric.name for metric in metrics}))
        if self.away is None:
            self._asked(lambda tracker: tracker.log(self._parent, metrics, whole), PATIENCE)
        if self.away is None:
            self._asked(lambda tracker: show(tracker, self._columns), PATIENCE)
        if self.away is None:
            self._asked(lambda tracker: tracker.keep(self._parent, folder, "report"), PATIENCE)

    def waits(self) -> str:
        """What the store lacks and why, in a line without an end; "" where it has all."""
        if self.away is None:
            return ""
        waiting = [known for _, known in self.spool.waiting()]
        fault, rows = self.away.faults[0], sum(known.rows - known.there for known in waiting)
        lacking = f"{counted(rows, 'metric')} of {counted(len(waiting), 'trial')} wait in {self.spool.root}"
        return f"{fault.where}: {fault.found}; {lacking if waiting else 'the report of this sweep is not there'}"

    @property
    def page(self) -> str:
        """The address of the sweep's runs with the columns that say most, of a server that has them; "" of a file, and of one that is
        away."""
        if self._tracker is None or self.uri.startswith(SQLITE):
            return ""
        return redacted(self.uri) + runs_page(self._tracker.experiment_id, bool(self._tracker.shown))

    def run_of(self, key: str) -> str:
        """The id of a trial's run. Raises KeyError for one that the store has not been asked for."""
        return self._there[key].run_id

    @property
    def _store(self) -> str:
        return hashlib.sha256(self.uri.encode()).hexdigest()[:16]

    def _asked(self, task: Callable[[Tracker], object], patience: float) -> None:
        """Do it, and remember why not."""
        tries = Retrying(
            retry=retry_if_exception_type(AwayError),
            stop=stop_after_delay(patience),
            wait=wait_exponential_jitter(initial=1, max=_LONGEST_WAIT, jitter=1),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            tries(self._with_tracker, task)
        except UserError as error:
            self.away = error

    def _with_tracker(self, task: Callable[[Tracker], object]) -> None:
        try:
            if self._tracker is None:
                self._tracker = Tracker(self.uri, self._sweep[0])
                self._parent = self._ensure_sweep(self._tracker)
                self._there = standing(self._tracker)
                self.spool.reached(self._store, {key: f"{run.seal} {run.status}" for key, run in self._there.items()})
            task(self._tracker)
        except UserError as error:
            self.away, self._tracker = (
                error,
                None,
            )  # what comes back may be another store, or an older state of this one
            raise
        self.away = None

    def _ensure_sweep(self, tracker: Tracker) -> str:
        root, experiment = self.spool.root.parent, tracker.experiment_id
        return tracker.ensure_sweep(*self._sweep, note=lambda run_id: notes.of_sweep(root, experiment, run_id))

    def _send_waiting(self, tracker: Tracker) -> None:
        keys = [key for key, _ in self.spool.waiting()]
        at_once = 1 if self.uri.startswith(SQLITE) else _SENDERS
        refused: UserError | None = None
        pool = ThreadPoolExecutor(at_once)
        try:
            for future in as_completed([pool.submit(self._bring, tracker, key) for key in keys]):
                try:
                    self._sent += future.result()
                except AwayError:
                    raise
                except UserError as error:  # of this run: the others go on
                    refused = error
        finally:
            pool.shutdown(cancel_futures=True)
        show(tracker, self._columns)
        if refused is not None:
            raise refused

    def _bring(self, tracker: Tracker, key: str) -> int:
        """Give a run what it lacks of its log; returns how many rows. The seal comes after what it seals, the status last."""
        log, known = self.spool.read(key), self.spool.index.runs[key]
        if log is None:  # gone or damaged: what is asked next makes it anew
            del self.spool.index.runs[key]
            return 0
        found, head = self._there.get(key), log.head
        if found is None or not log.has_head(found.seal):
            note = notes.of_trial(head.name, key, self.spool.root.parent, tracker.experiment_id, self._parent)
            tags = {**head.tags, NOTE: note, **({} if found else {SEAL: log.unsealed})}
            run_id = tracker.ensure_trial(
                self._parent, key, head.params, tags, head.name, head.started / 1000, absent=found is None
            )
            found = found or Found(run_id, log.unsealed, "RUNNING")
        since = log.acknowledged(found.seal)
        if since is None:  # another gelo's, or of another spool
            log, since = log.adopted(*tracker.rows(found.run_id, log.wanted())), 1
            self.spool.write(log, known.asked)
        rows, inputs = log.rows(since), [each for each in head.inputs if (each.name, each.digest) not in found.inputs]
        if log.seal != found.seal:
            own = ensure_model(tracker, found.run_id, head, head.model, log.rows()) if head.model is not None else {}
            tracker.write(found.run_id, rows, inputs, {SEAL: log.seal}, own)
        tracker.finish(found.run_id, head.status, head.ended / 1000, was=found.status)
        has = found.inputs | {(each.name, each.digest) for each in inputs}
        self._there[key] = Found(found.run_id, log.seal, head.status, has)
        self.spool.acknowledge(key, f"{log.seal} {head.status}")
        return len(rows)

    def _tell(self, state: RetryCallState) -> None:
        if state.next_action is not None:
            self.say(f"not logged: {self.waits()}; asked again in {state.next_action.sleep:.0f} s")
