"""The cache within a size: the least recently used entries go whole, and what is asked for again is made again."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from gelo.models.backbones.transforms import Transform
from gelo.models.faults import UserError
from gelo.tasks.data.cache import entries, prune, touch, using
from gelo.tasks.data.catalogue import locate
from gelo.tasks.data.stream import decode_all, works


def entry(cache: Path, kind: str, made_by: str, dataset: str, size: int, age: int) -> Path:
    place = cache / kind / made_by / dataset / "test"
    place.mkdir(parents=True)
    (place / "00000.npy").write_bytes(bytes(size))
    for path in (place / "00000.npy", place, place.parent):
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return place


def test_the_longest_unused_go_until_the_rest_fits(tmp_path: Path) -> None:
    old = entry(tmp_path, "decoded", "t", "a", 500, age=300)
    middle = entry(tmp_path, "embeddings", "e", "a", 300, age=200)
    young = entry(tmp_path, "embeddings", "e", "b", 200, age=100)
    assert [(e.kind, e.dataset, e.bytes) for e in entries(tmp_path)] == [
        ("decoded", "a", 500),
        ("embeddings", "a", 300),
        ("embeddings", "b", 200),
    ]
    assert prune(tmp_path, 1000) == []
    assert [e.path for e in prune(tmp_path, 999)] == [old.parent]
    assert not (tmp_path / "decoded" / "t").exists(), "no empty folders stay"
    touch(tmp_path, "embeddings", "e", "a")
    assert [e.path for e in prune(tmp_path, 300)] == [young.parent]
    assert middle.exists()
    assert prune(tmp_path, math.inf) == [], "no limit"
    assert [e.dataset for e in prune(tmp_path, 0)] == ["a"]
    assert entries(tmp_path) == []


def test_what_text_towers_were_asked_counts_file_by_file(tmp_path: Path) -> None:
    place = tmp_path / "text" / "tower"
    place.mkdir(parents=True)
    for name, size, age in (("a.npy", 500, 300), ("a.flaw.txt", 0, 300), ("b.npy", 400, 200)):
        (place / name).write_bytes(bytes(size))
        os.utime(place / name, (1_000_000 - age, 1_000_000 - age))
    assert sum(e.bytes for e in entries(tmp_path)) == 900
    touch(tmp_path, "text", "tower", "a.npy")
    assert {e.dataset for e in prune(tmp_path, 500)} == {"a.flaw.txt", "b.npy"}
    assert [each.name for each in place.iterdir()] == ["a.npy"]
    assert prune(tmp_path, 0) and not place.exists()


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 1])
def test_pruned_images_are_decoded_again_alike(tmp_path: Path, limit: int) -> None:
    digits = locate("digits", tmp_path / "data", build=True)
    todo, transform = works(digits, "test"), Transform(size=64)
    place = todo[0].place(tmp_path / "decoded" / transform.fingerprint, "")
    decode_all(todo, transform, tmp_path, "local", lambda n: None)
    before = np.load(place)
    (gone,) = prune(tmp_path, limit)
    assert gone.dataset == digits.fingerprint
    assert not place.exists()
    decode_all(todo, transform, tmp_path, "local", lambda n: None)
    np.testing.assert_array_equal(np.load(place), before)


def test_a_run_spares_what_it_used_and_prunes_the_rest_to_its_limit(tmp_path: Path) -> None:
    old = entry(tmp_path, "decoded", "t", "a", 500, age=300)
    used = entry(tmp_path, "decoded", "t", "b", 700, age=200)
    with using(tmp_path, 0.0) as trim:
        touch(tmp_path, "decoded", "t", "b")
        assert [e.path for e in trim()] == [old.parent]
        new = entry(tmp_path, "embeddings", "e", "b", 300, age=0)
        touch(tmp_path, "embeddings", "e", "b")
    assert used.exists() and new.exists()
    with using(tmp_path, None):
        pass
    with using(tmp_path, math.inf):
        pass
    assert used.exists()
    with using(tmp_path, 3e-7):
        pass
    assert not used.exists() and new.exists(), "at the end of a run the limit holds"


def test_nothing_goes_while_another_run_holds_the_cache(tmp_path: Path) -> None:
    place = entry(tmp_path, "decoded", "t", "a", 500, age=300)
    with using(tmp_path, 0.0) as trim:
        with using(tmp_path, 0.0) as other:
            assert trim() == other() == []
            with pytest.raises(UserError, match="in use by another gelo"):
                prune(tmp_path, 0)
        assert place.exists()
        assert [e.path for e in trim()] == [place.parent]
    assert prune(tmp_path, 0) == []
