"""What a store has of a sweep's trials, from one search: enough to say what it lacks, whatever has become of it since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from gelo.sweeps.tracking.answered import answered
from gelo.sweeps.tracking.runlog import SEAL
from gelo.sweeps.tracking.tracker import Tracker

_RUNS_PER_PAGE = 1000


class Found(NamedTuple):
    """A trial's run. seal: its tag, None where it has none; inputs: (name, digest) of its data sets."""

    run_id: str
    seal: str | None
    status: str
    inputs: frozenset[tuple[str, str]] = frozenset()


@answered
def standing(tracker: Tracker) -> dict[str, Found]:
    """The run of every trial of the experiment, by its key. Of two that have one key the older counts, and the other is deleted."""
    found: dict[str, Found] = {}
    for _, run, key in sorted(_runs(tracker), key=lambda each: (each[0], each[1].run_id)):
        if found.setdefault(key, run) is not run:
            tracker.client_of.delete_run(run.run_id)
    return found


def _runs(tracker: Tracker) -> Iterator[tuple[int, Found, str]]:
    """Start in ms, run and key of each, without its numbers, of which there may be very many."""
    token: Any = None
    while True:
        page = tracker.client_of.search_runs(
            [tracker.experiment_id], "tags.`gelo.role` = 'trial'", max_results=_RUNS_PER_PAGE, page_token=token
        )
        for run in page:
            tags, info = run.data.tags, run.info
            inputs = frozenset((one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs)
            if "gelo.trial" in tags:
                yield info.start_time, Found(info.run_id, tags.get(SEAL), info.status, inputs), tags["gelo.trial"]
        token = page.token
        if not token:
            return
