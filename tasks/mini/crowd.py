"""`crowd`: faces of 1,000 identities, to train on the first few or all of them (`classes`): what does their number change?

In no collection: a sweep names it as a task's `data`, and a minute is spent on drawing it then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gelo.tasks.data.manifest import Dataset
from gelo.tasks.mini.faces import build_identities

IDENTITIES = 1000


def build(root: Path) -> Dataset:
    """Split train: 1,000 identities x 8 captures as in `faces`, none of whose identities is among them."""
    return build_identities(root, "crowd", tuple(f"c{number:03d}" for number in range(IDENTITIES)))


BUILDERS: dict[str, Callable[[Path], Dataset]] = {"crowd": build}
