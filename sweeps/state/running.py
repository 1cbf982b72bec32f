"""Who runs a sweep now: by its lease, and where its holder is a process of another machine, by the heartbeat of its driver's record."""

from __future__ import annotations

import time

from gelo.models.faults import Fault, UserError
from gelo.sweeps.state.beat import pause_of
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.holder import Files
from gelo.sweeps.state.holder import holder as leader
from gelo.sweeps.state.lease import takeover
from gelo.sweeps.state.record import read_runs


def holder(folder: SweepFolder) -> str:
    """Who runs the sweep, in words; "" where nobody does. A driver that was killed on another machine may seem to run for a minute and a
    half."""
    lease = leader(folder.root)
    if lease is None or (fares := lease.process()) == "gone":
        return ""
    if fares == "elsewhere":
        runs = read_runs(folder.root)
        if not runs or not runs[-1].alive(time.time(), pause_of(folder.root)):
            return ""
    return f"{lease}{', which is stopped' if fares == 'stopped' else ''}"


def refuse_running(folder: SweepFolder) -> None:
    """Raise UserError while somebody runs the sweep, or may: when a driver elsewhere last wrote, the store's clock says, not its own."""
    who, lease = holder(folder), leader(folder.root)
    if not who and lease is not None and lease.process() == "elsewhere":
        silent = Files(folder.root).silent(lease.number)
        who = f"{lease}" if silent is not None and silent < takeover() else ""
    if who:
        fault = Fault(str(folder.root), f"run by {who}", "a sweep that nobody runs", "wait for its end, or stop it")
        raise UserError(f"sweep {folder.name}", fault)
