"""The one JSON line that a benchmark ends with."""

from __future__ import annotations

import json
import platform
import statistics
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def note(text: str) -> None:
    """Progress, to stderr."""
    print(text, file=sys.stderr, flush=True)


def finish(
    name: str, ours: Sequence[float], theirs: Sequence[float], unit: str, aim: str, detail: dict[str, Any]
) -> None:
    """Print the result: medians of interleaved rounds and their ratio, ours / theirs."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    import os

    line = {
        "name": name,
        "ours": round(mine, 4),
        "theirs": round(other, 4),
        "unit": unit,
        "ratio": round(mine / other, 4),
        "aim": aim,
        "rounds": len(ours),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "versions": _versions("torch", "ray", "mlflow", "numpy"),
        "detail": detail,
    }
    print(json.dumps(line))


def _versions(*packages: str) -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
