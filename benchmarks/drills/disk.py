"""A disk that is full, at each kind of write: `sudo python -m benchmarks.drills.disk` (it mounts tmpfs).

The storage, the cache, the prepared sets and MLflow's SQLite file in turn lie on a disk of a share of what the sweep needs; each share ends
at another write. The run has to end with one message that names the place, and the same command on a larger disk on the bits of the run
that had room.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.drills.kept import files_of
from benchmarks.drills.sweep import LIMIT, SPEC
from benchmarks.drills.world import Said, World, world
from benchmarks.line import note

PLACES = ("storage", "cache", "data", "tracking")
SHARES = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)
ROOM = 64 << 20  # bytes of the larger disk beyond what is needed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", nargs="*", choices=PLACES, default=PLACES)
    parser.add_argument("--shares", nargs="*", type=float, default=SHARES)
    parser.add_argument("--data", type=Path, help="prepared sets to copy; made where nothing is said")
    asked = parser.parse_args()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="gelo-drill-") as scratch:
        folder = Path(scratch)
        with world(folder, folder / "data", folder / "cache") as here:
            here.environment["RAY_AUTH_MODE"] = "disabled"
            (folder / "full.yaml").write_text(SPEC.format(name="full", workers=1))
            homes = {name: folder / name for name in PLACES}
            if asked.data:
                shutil.copytree(asked.data, homes["data"])
            code = (first := _gelo(here, homes, "run", "full.yaml")).wait(2 * LIMIT)
            assert code == 0, first.text
            whole = files_of(str(homes["storage"]), "full")
            sizes = {name: _size(home) for name, home in homes.items()}
            note(f"with room: {first.ended - first.began:.0f} s, {len(whole)} files, bytes {sizes}")
            for place in asked.places:
                for share in asked.shares:
                    found.append(drill(here, homes, place, share, sizes[place], whole))
                    note(json.dumps(found[-1]))
    good = sum(not each["faults"] for each in found)
    print(json.dumps({"drill": "disk", "runs": len(found), "as it should": good, "runs_in_detail": found}))


def drill(
    here: World, homes: dict[str, Path], place: str, share: float, size: int, whole: dict[str, str]
) -> dict[str, Any]:
    """One sweep from nothing, whose `place` is on a small disk and then on a larger one."""
    own = {name: here.folder / f"{place}-{share}" / name for name in PLACES}
    for name, home in own.items():
        home.mkdir(parents=True)
        if name in ("cache", "data") and name != place:  # made before: another drill's matter
            shutil.copytree(homes[name], home, dirs_exist_ok=True)
    kept = here.folder / "kept"
    with disk(own[place], int(share * size)):
        first = _gelo(here, own, "run", "full.yaml")
        code = first.wait(LIMIT)
        shutil.copytree(own[place], kept, symlinks=True)
    faults = [f"traceback: {first.text[-500:]}"] if "Traceback" in first.text else []
    told = [line for _, line in first.lines if re.search(r"disk|space|room|full", line, re.IGNORECASE)]
    if code != 0 and not any(str(own[place]) in line or f"--{place}" in line for line in told):
        faults.append(f"no place named: {first.text[-500:]}")
    with disk(own[place], size + ROOM):
        shutil.copytree(kept, own[place], dirs_exist_ok=True, symlinks=True)
        shutil.rmtree(kept)
        second = _gelo(here, own, "run", "full.yaml")
        again = second.wait(LIMIT)
        faults += [] if again == 0 else [f"the larger disk: {again}, {second.text[-500:]}"]
        files = files_of(str(own["storage"]), "full")
        faults += [f"other: {name}" for name in whole.keys() | files.keys() if whole.get(name) != files.get(name)]
    shutil.rmtree(own[place].parent)
    return {
        "place": place, "share": share, "bytes": int(share * size), "codes": [code, again], "said": told[:3], "faults": faults[:5],
    }  # fmt: skip


@contextmanager
def disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of so many bytes at a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={max(size, 1 << 16)}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _gelo(here: World, homes: dict[str, Path], *arguments: str) -> Said:
    places = ("--storage", homes["storage"], "--cache", homes["cache"], "--data", homes["data"])
    for home in homes.values():
        home.mkdir(parents=True, exist_ok=True)
    tracking = ("--tracking", f"sqlite:///{homes['tracking'] / 'mlflow.db'}")
    return Said(here, *arguments, *map(str, places), *tracking, "--cpus", "2")


def _size(folder: Path) -> int:
    """Bytes in whole pages, as tmpfs counts them."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
