"""The miniature data sets, made once a test session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import settings

from gelo.tasks.data.catalogue import ENTRIES, locate
from tests.s3 import _door, bucket, door  # noqa: F401

# Ray's workers step back behind other programs (niceness 15): beside other tests one that trains would get a thirtieth of a core.
os.environ.setdefault("RAY_worker_niceness", "0")
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


@pytest.fixture(autouse=True)
def _stays() -> Iterator[None]:
    """What a test leaves behind hurts those after it: a test that leaves its process elsewhere fails itself, and the folder is put back."""
    here = Path.cwd()
    yield
    try:
        there = Path.cwd()
    except FileNotFoundError:  # and the folder is gone
        there = None
    if there != here:
        os.chdir(here)
        pytest.fail(f"the test left its process in {there}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever needs the small world waits half a minute for it."""
    for item in items:
        if "small_world" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
