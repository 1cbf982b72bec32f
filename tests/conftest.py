"""The miniature data sets, made once a test session."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import settings

from gelo.tasks.data.catalogue import ENTRIES, locate

# A busy machine is no fault of the code's; pytest-timeout ends what hangs.
settings.register_profile("gelo", deadline=None)
settings.load_profile("gelo")


def _make(data: Path, name: str) -> None:
    locate(name, data, build=True)


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data/` holding every data set of the miniature collection, and room for a `cache/`; one for all processes."""
    base = tmp_path_factory.getbasetemp()
    world = (
        base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    ) / "world"  # whoever comes second waits for the first
    names = [entry.name for entry in ENTRIES.values() if entry.scale == "miniature" and not entry.beside]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(_make, world / "data"), names))
    return world


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever needs the small world waits half a minute for it."""
    for item in items:
        if "small_world" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
