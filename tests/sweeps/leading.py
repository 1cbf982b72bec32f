"""A driver for tests of the lease: leads the sweep in the folder `argv[1]`, and writes a file a turn until it is told to end.

argv[2]: seconds by which its wall clock is off. argv[4], where there is one: after so many files it stops itself (SIGSTOP), between two
writes: what was on its way could not be called back. It says `leads` once it does, and what it is told.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from datetime import datetime, timedelta
from typing import Any

from upath import UPath

from gelo.models.durable import publish_bytes
from gelo.models.faults import UserError
from gelo.sweeps.state import lease
from gelo.sweeps.state.lease import LeaseLostError, leading


def main() -> None:
    root, skew = UPath(sys.argv[1]), float(sys.argv[2])
    last = int(sys.argv[4]) if sys.argv[4:] else None
    real = time.time

    class Off(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(real(), tz) + timedelta(seconds=skew)

    lease.datetime = Off  # type: ignore[misc]
    time.time = lambda: real() + skew
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    try:
        with leading(root, "mine", lambda text: print(text, flush=True)):
            print("leads", flush=True)
            turn = 0
            while not over.wait(0.05):
                publish_bytes(root / f"{sys.argv[3]}.txt", str(turn := turn + 1).encode())
                if turn == last:
                    os.kill(os.getpid(), signal.SIGSTOP)
    except LeaseLostError as error:
        print("lost:", error.faults[0], flush=True)
        sys.exit(3)
    except UserError as error:
        print("refused:", error.faults[0], flush=True)
        sys.exit(2)


main()
