"""What each machine of a cluster sees: from this one, and what is said of several that differ."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch

from gelo.models.backbones.zoo import load_backbone
from gelo.sweeps.engine.nodes import Asked, Seen, doubts, look
from gelo.sweeps.spec.settings import Settings
from tests.sweeps.test_single import colours

SEEN = Seen("10.0.0.1:1", "head", 1000.0, {"ray": "2.60.0"}, 8, (), 500.0, {"mini-s": 2.0}, {"data set faces": "aa"})


def _settings(place: Path, **more: str) -> dict[str, object]:
    given = {"storage": str(place / "out"), "data": str(place / "data"), "cache": str(place / "cache"), **more}
    return vars(Settings(**{"tracking": f"sqlite:///{place}/mlflow.db", **given}))


def test_a_machine_that_lacks_nothing(tmp_path: Path) -> None:
    data = colours(tmp_path / "data", "tiny")
    before = time.time()
    seen = look(Asked(_settings(tmp_path), ("tiny", "faces"), {"mini-s": ""}), "here")
    assert seen.faults == () and before <= seen.clock <= time.time()
    base = load_backbone("mini-s")
    assert seen.fingerprints == {
        "data set tiny": data.fingerprint,
        "data set faces": "drawn when it is needed",
        "weights of mini-s": base.vision_fingerprint,
    }
    assert 0 < seen.encode["mini-s"] < 1000 and torch.__version__.startswith(seen.versions["torch"].partition("+")[0])
    assert list(doubts([replace(seen, free=21.0)])) == []
    assert not list((tmp_path / "out").iterdir()), "what it wrote is gone"


def test_what_a_machine_cannot_do_is_all_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    places = _settings(tmp_path, tracking="http://127.0.0.1:9")
    seen = look(Asked(places, ("nothing",), {"mini-s": str(tmp_path / "none.pt")}), "here")
    where = [each for each, _ in seen.faults]
    assert where == [
        f"--storage {tmp_path}/out",
        "--tracking http://127.0.0.1:9",
        "data set nothing",
        "weights of mini-s",
    ]
    assert all("\n" not in found and found for _, found in seen.faults)


def test_the_same_fault_of_several_machines_is_told_once() -> None:
    other = replace(SEEN, node="10.0.0.2:1", faults=(("--storage s3://b", "no such bucket"),))
    third = replace(other, node="10.0.0.3:1")
    (fault,) = doubts([SEEN, other, third])
    assert (fault.where, fault.found) == ("--storage s3://b", "no such bucket")
    assert "10.0.0.2:1, 10.0.0.3:1" in str(fault)


def test_what_must_be_the_same_everywhere_is_told_where_it_is_not() -> None:
    odd = replace(SEEN, node="10.0.0.3:1", versions={"ray": "2.59.0"}, fingerprints={"data set faces": "bb"})
    faults = list(doubts([SEEN, replace(SEEN, node="10.0.0.2:1"), odd]))
    assert [(each.where, each.found) for each in faults] == [
        ("ray", "2.59.0 on 10.0.0.3:1"),
        ("data set faces", "bb on 10.0.0.3:1"),
    ]
    assert "2.60.0" in faults[0].expected


def test_clocks_and_disks() -> None:
    late = replace(SEEN, node="10.0.0.2:1", clock=SEEN.clock - 300, free=5.0)
    clock, disk = doubts([SEEN, late])
    assert clock.where == "clock of 10.0.0.2:1" and "300 s" in clock.found
    assert disk.where == "disk of 10.0.0.2:1" and "5 GB" in disk.found
    assert list(doubts([SEEN, replace(late, clock=SEEN.clock - 59, free=21.0)])) == []
