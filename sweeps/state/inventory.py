"""The sweeps of a storage place: what `gelo ls` shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from upath import UPath

from gelo.models.faults import UserError
from gelo.sweeps.state.folder import SweepFolder, names_in
from gelo.sweeps.state.status import standing
from gelo.sweeps.terminal.listing import Listing


def sweeps_in(storage: UPath) -> list[dict[str, Any]]:
    """One row a sweep, the one touched last first: name, state, trials complete and in all, bytes, touched (ISO 8601, UTC).

    state: complete, or how many trials are in which state; of a sweep that cannot be read, why.
    """
    rows = [_row(SweepFolder(storage, name)) for name in names_in(storage)]
    return sorted(rows, key=lambda row: (row["touched"], row["name"]), reverse=True)


def _row(folder: SweepFolder) -> dict[str, Any]:
    size, touched = _measured(folder.root)
    row: dict[str, Any] = {"name": folder.name, "bytes": size, "touched": touched}
    try:
        trials = standing(folder)
    except UserError as error:
        return row | {"state": f"cannot be read: {error.faults[0].found}", "complete": 0, "trials": 0}
    counts = {
        state: sum(trial["state"] == state for trial in trials) for state in dict.fromkeys(t["state"] for t in trials)
    }
    complete = counts.pop("complete", 0)
    state = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "complete"
    return row | {"state": state, "complete": complete, "trials": len(trials)}


def _measured(root: UPath) -> tuple[int, str]:
    """(bytes, when the newest file was written) of everything below a folder."""
    files = root.fs.find(root.path, detail=True).values()
    times = [
        time
        for file in files
        if (time := file.get("mtime") or file.get("LastModified") or file.get("updated")) is not None
    ]
    stamps = [
        datetime.fromtimestamp(t, UTC) if isinstance(t, int | float) else t for t in times if not isinstance(t, str)
    ]
    newest = max(stamps).isoformat(timespec="seconds") if stamps else ""
    return sum(int(file.get("size") or 0) for file in files), newest


def sweeps_table(storage: str, rows: list[dict[str, Any]]) -> Listing:
    """The rows of `sweeps_in` for a terminal."""
    table = Listing(
        f"sweeps in {storage}", ("name", "complete", "size", "touched", "state"), right=("complete", "size")
    )
    for row in rows:
        complete, size = f"{row['complete']} of {row['trials']}", f"{row['bytes'] / 1e6:,.1f} MB"
        table.add(row["name"], complete, size, row["touched"].replace("T", " ").removesuffix("+00:00"), row["state"])
    return table
