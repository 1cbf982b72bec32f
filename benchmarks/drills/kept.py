"""What a sweep left, so that an interrupted one can be compared with one that was left alone: bits of results, values in MLflow."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from upath import UPath

from benchmarks.drills.world import World

TIMING = (
    "seconds",
    "images_per_second",
    "memory_bytes",
    "peak_bytes",
    "peak_memory",
    "started",
    "ended",
    "finished",
    "host",
    "created",
)
_ROWS = """select t.value, m.key, m.step, m.value from metrics m join runs r on m.run_uuid = r.run_uuid
    join tags t on t.run_uuid = r.run_uuid and t.key = 'gelo.trial' join experiments e on e.experiment_id = r.experiment_id
    where r.lifecycle_stage = 'active' and e.name = %(experiment)s"""
_TIMED = ("train/images_per_second", "train/seconds", "train/memory_gb", "train/step_seconds")


def files_of(storage: str, sweep: str) -> dict[str, str]:
    """SHA-256 of each result and each trained weight by its path, of JSON without what is timing."""
    root, found = UPath(storage) / sweep / "trials", {}
    for path in sorted(root.rglob("*")):
        name = str(path)[len(str(root)) :]
        if path.suffix in (".json", ".parquet", ".safetensors") and ("/results/" in name or "/trained/" in name):
            data = path.read_bytes()
            if path.suffix == ".json":
                data = json.dumps(_untimed(json.loads(data)), sort_keys=True).encode()
            found[name] = hashlib.sha256(data).hexdigest()
    return found


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _untimed(each) for name, each in value.items() if not name.endswith(TIMING)}
    return [_untimed(each) for each in value] if isinstance(value, list) else value


def values_of(world: World, sweep: str) -> list[tuple[Any, ...]]:
    """(trial, metric, step, value) of every row in MLflow, sorted; of metrics that measure time only that they are there."""
    rows = world.rows(sweep, _ROWS)
    return sorted((trial, name, step, 0.0 if name in _TIMED else value) for trial, name, step, value in rows)


def differences(
    world: World, storage: str, sweep: str, whole: tuple[dict[str, str], list[tuple[Any, ...]]]
) -> list[str]:
    """What is not as `whole`, the files and values of a sweep that was left alone; nothing where all is."""
    files, values = files_of(storage, sweep), values_of(world, sweep)
    said = [f"file lost: {name}" for name in whole[0].keys() - files.keys()]
    said += [f"file more: {name}" for name in files.keys() - whole[0].keys()]
    said += [f"other bits: {name}" for name in files.keys() & whole[0].keys() if files[name] != whole[0][name]]
    keys, wanted = [row[:3] for row in values], [row[:3] for row in whole[1]]
    said += [f"metric lost: {key}" for key in set(wanted) - set(keys)]
    said += [f"metric more: {key}" for key in set(keys) - set(wanted)]
    said += [f"metric twice: {key}" for key in set(keys) if keys.count(key) > wanted.count(key) > 0]
    if not said and values != whole[1]:
        said.append("a metric has another value")
    return said
