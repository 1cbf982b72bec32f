"""Who may write below a folder: every write asks here first, so that a driver that is no longer a sweep's own stops at once.

A guard is of this process alone. What it cannot do: call back a request that is already on its way.
"""

from __future__ import annotations

from collections.abc import Callable

LEASE = ".lease"  # the folder of a sweep in which its lease lies: written to by whoever asks for it

_guards: dict[str, Callable[[], None]] = {}


def guard(root: str, check: Callable[[], None] | None) -> None:
    """Let `check` be called before each write below `root`; it raises where this process may write no more. None: no guard."""
    if check is None:
        _guards.pop(root, None)
    else:
        _guards[root] = check


def ask(path: str) -> None:
    """Raise what the guard of a folder above `path` raises. path, like `root`, as its file system calls it, without a protocol."""
    for root, check in list(_guards.items()):
        if path.startswith(f"{root}/") and not path.startswith(f"{root}/{LEASE}/"):
            check()
