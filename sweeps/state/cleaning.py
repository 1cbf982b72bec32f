"""What of a sweep, and of the caches, nobody needs any more: found, told, and removed when asked. Never a result, never a `trained/` of the
ledger, never what a running sweep uses."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

from gelo.models.durable import DONE, is_local
from gelo.models.faults import Fault, UserError
from gelo.models.untrusted import read_or
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.running import refuse_running
from gelo.tasks.data.cache import TEXT, Entry, entries
from gelo.tasks.data.manifest import open_dataset

PARTIAL = ".partial-"
_KEPT = (
    2  # newest checkpoints of a trial that is not trained: the one before the newest is there in case that is damaged
)
_OLD = 86400.0  # seconds: a half-written data set may be in the making, which no lock tells
_LISTED = ("grid", "random")  # searches whose spec alone says which trials there are


@dataclass(frozen=True, slots=True)
class Litter:
    """One thing that may go. kind: half-written, checkpoint, orphan or scratch; bytes: what goes with it."""

    kind: str
    path: UPath
    bytes: int
    why: str


def litter_of(folder: SweepFolder) -> list[Litter]:
    """Of one sweep, by path. Raises UserError for one that cannot be read, that runs, or whose trials have other keys here."""
    spec = folder.spec()
    refuse_running(folder)
    sizes = _sizes(folder.root)
    ledger = {trial.key for trial in spec.trials()} | _planned(folder)
    there = {parts[1] for parts in sizes if parts[0] == "trials" and len(parts) > 2}
    if there and not there & ledger:
        found, expected = f"{len(there)} trials, none of them one of sweep.json's", "trials of its spec"
        remedy = "clean it with the gelo that ran it"
        raise UserError(f"sweep {folder.name}", Fault(str(folder.root / "trials"), found, expected, remedy))
    why: dict[tuple[str, ...], tuple[str, str]] = {}
    checkpoints: dict[str, set[str]] = defaultdict(set)
    for parts in sizes:
        partial = next((place for place, part in enumerate(parts) if part.startswith(PARTIAL)), None)
        if partial is not None:
            why[parts[: partial + 1]] = ("half-written", "its writer was killed")
        elif parts[0] == ".tune":
            why[parts[:1]] = ("scratch", "Ray Tune's own, which gelo does not read")
        elif parts[0] == "trials" and len(parts) > 2 and parts[1] not in ledger and spec.search in _LISTED:
            why[parts[:2]] = ("orphan", "no trial of sweep.json")
        elif parts[0] == "trials" and len(parts) > 4 and parts[2] == "checkpoints":
            checkpoints[parts[1]].add(parts[3])
        elif parts[0] == "trials" and len(parts) > 3 and parts[2] == "trained" and (*parts[:3], DONE) not in sizes:
            why[parts[:3]] = ("half-written", f"without {DONE}")
    for key, names in checkpoints.items():
        base = ("trials", key, "checkpoints")
        done = sorted(name for name in names if (*base, name, DONE) in sizes)
        trained = ("trials", key, "trained", DONE) in sizes
        for name in names:
            if trained:
                why[*base, name] = ("checkpoint", "its trial is trained")
            elif name not in done:
                why[*base, name] = ("half-written", f"without {DONE}")
            elif name not in done[-_KEPT:]:
                why[*base, name] = ("checkpoint", "there are newer ones")
    return [
        Litter(kind, folder.root.joinpath(*parts), _below(parts, sizes), reason)
        for parts, (kind, reason) in sorted(why.items())
    ]


def cache_litter(cache: Path, data: Path, sweeps: Sequence[SweepFolder]) -> list[tuple[Entry, str]]:
    """(entry, why) of what the cache holds of data sets and encoders that nothing names any more.

    Named: the sets below `data` and below the sweeps' own, and the encoders of the sweeps. Of data sets that a sweep has elsewhere, those
    that its results tell of.
    """
    places = {data, *(Path(str(sweep.read()["settings"]["data"])) for sweep in sweeps)}
    sets = {print_ for place in places for print_ in _sets(place)}
    encoders, texts = set[str](), set[str]()
    for sweep in sweeps:
        bases = read_or(sweep.root / "bases.json", _rows, [])
        encoders |= {each["vision"] for each in bases}
        texts |= {str(each["text"]) for each in bases if "text" in each}
        away = not Path(str(sweep.read()["settings"]["data"])).is_dir()
        for trial in sweep.spec().trials():
            place = sweep.trial(trial)
            made = place.training()
            encoders |= {str(made[name]) for name in ("vision", "detector") if name in made}
            texts |= {str(made["text"])} if "text" in made else set()
            if away:
                sets |= {str(made.get("data", "")), *(r.data for r in place.results())}
    found = []
    for entry in entries(cache):
        if entry.kind == TEXT:
            found += [] if entry.made_by in texts else [(entry, "by a text tower that no sweep here names")]
        elif entry.dataset not in sets:
            found.append((entry, "of a data set that is not prepared here"))
        elif entry.kind == "embeddings" and entry.made_by not in encoders:
            found.append((entry, "by an encoder that no sweep here names"))
    return found


def half_made(data: Path) -> list[Litter]:
    """Data sets whose preparation was killed, a day ago or longer."""
    old = [p for p in data.glob(f"{PARTIAL}*") if time.time() - p.stat().st_mtime > _OLD]
    return [Litter("half-written", UPath(p), _size(p), "its preparation was killed") for p in sorted(old)]


def remove(litter: Iterable[Litter]) -> None:
    """Remove it, and nothing that a link leads to. Raises OSError."""
    for each in litter:
        if not is_local(each.path):
            each.path.fs.rm(each.path.path, recursive=True)
            continue
        local = Path(str(each.path))
        if local.is_symlink() or not local.is_dir():
            local.unlink(missing_ok=True)
        else:
            shutil.rmtree(local)


def _planned(folder: SweepFolder) -> set[str]:
    """Keys that a search has planned beside the spec's own, from the trial.json of each: in a search they are the ledger."""
    return set() if folder.spec().search in _LISTED else {entry.name for entry in (folder.root / "trials").iterdir()}


def _sizes(root: UPath) -> dict[tuple[str, ...], int]:
    """Bytes of every file below, by the parts of its path; links are not followed."""
    if is_local(root):
        base = Path(str(root))
        return {p.relative_to(base).parts: p.lstat().st_size for p in _files(base)}
    start = len(root.path.rstrip("/")) + 1
    found = root.fs.find(root.path, detail=True)
    return {tuple(path[start:].split("/")): int(info.get("size") or 0) for path, info in found.items()}


def _files(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
        else:
            yield entry


def _below(parts: tuple[str, ...], sizes: dict[tuple[str, ...], int]) -> int:
    return sum(size for path, size in sizes.items() if path[: len(parts)] == parts)


def _size(path: Path) -> int:
    return sum(p.lstat().st_size for p in _files(path)) if path.is_dir() else path.lstat().st_size


def _sets(data: Path) -> Iterator[str]:
    for card in data.glob("*/dataset.json"):
        try:
            yield open_dataset(card.parent).fingerprint
        except UserError:
            continue


def _rows(bases: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in bases.values() if "vision" in row]
