"""What `gelo clean` would remove, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from gelo.sweeps.state.cleaning import Litter
from gelo.sweeps.terminal.listing import Listing
from gelo.tasks.data.cache import Entry


def show(found: Sequence[Litter], stale: Sequence[tuple[Entry, str]], console: Console) -> int:
    """A row each; how many bytes they are, at least 1 where there is anything."""
    rows = [(each.kind, str(each.path), each.bytes, each.why) for each in found]
    rows += [(entry.kind, str(entry.path), entry.bytes, why) for entry, why in stale]
    if not rows:
        return 0
    table = Listing("what nobody needs any more", ("kind", "MB", "why", "where"), right=("MB",))
    for kind, path, size, why in rows:
        table.add(kind, f"{size / 1e6:,.1f}", why, path)
    console.print(table)
    return max(1, sum(size for _, _, size, _ in rows))
