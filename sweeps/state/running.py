"""Who runs a sweep now: by the lock of its folder where that is on this machine, and by the heartbeat of its driver's record anywhere."""

from __future__ import annotations

import fcntl
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

from gelo.models.durable import is_local
from gelo.models.faults import Fault, UserError
from gelo.sweeps.state.beat import pause_of
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.record import DriverRun, read_runs

LOCK = ".lock"


def holder(folder: SweepFolder) -> str:
    """Who runs the sweep, in words; "" where nobody does. A driver that was killed may seem to run for a minute and a half elsewhere."""
    runs = read_runs(folder.root)
    last = runs[-1] if runs else None
    if _locked(folder):
        return _told(last) if last is not None else "a gelo on this machine"
    tells = (
        is_local(folder.root) and last is not None and last.host == socket.gethostname()
    )  # the lock did, for this machine
    if last is not None and not tells and last.alive(time.time(), pause_of(folder.root)):
        return _told(last)
    return ""


def refuse_running(folder: SweepFolder) -> None:
    """Raise UserError while somebody runs the sweep."""
    if who := holder(folder):
        fault = Fault(str(folder.root), f"run by {who}", "a sweep that nobody runs", "wait for its end, or stop it")
        raise UserError(f"sweep {folder.name}", fault)


def _told(run: DriverRun) -> str:
    since = datetime.fromtimestamp(run.started, UTC).isoformat(timespec="seconds")
    return f"process {run.pid} on {run.host} since {since}"


def _locked(folder: SweepFolder) -> bool:
    """Whether a process of this machine holds the folder's lock. Asking takes a shared one for a moment."""
    path = Path(str(folder.root)) / LOCK
    if not is_local(folder.root) or not path.exists():
        return False
    with path.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
