"""`crowd`: other people than in `faces`, drawn as they are, in an order in which any part of the split holds them all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gelo.tasks.data.catalogue import ENTRIES, datasets_for
from gelo.tasks.data.contents import shared
from gelo.tasks.mini import crowd, faces
from gelo.tasks.mini.face_model import person
from gelo.tasks.protocols import asked

pytestmark = pytest.mark.slow


def test_three_of_it_are_drawn_as_faces_are_and_none_of_those(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "IDENTITIES", 3)
    monkeypatch.setattr(faces, "TRAIN_IDENTITIES", 3)
    drawn, others = crowd.build(tmp_path / "crowd"), faces.build_faces(tmp_path / "faces")
    assert drawn.card.counts() == others.card.counts() == {"train": 24}
    np.testing.assert_array_equal(drawn.labels("train"), np.arange(24) % 3)
    assert drawn.ids("train")[:4].tolist() == ["c000/0", "c001/0", "c002/0", "c000/1"]
    assert set(drawn.column("train", "subject")) == set(drawn.card.classes) == {"c000", "c001", "c002"}
    assert shared(drawn, "train", others, "train") is None
    first = faces.portrait(person("crowd", 1), faces.wild, "crowd", 1, 2)
    assert drawn.records("train", [7], ("image",))[0]["image"] == first


def test_it_has_a_thousand_and_no_suite_scores_it() -> None:
    assert ENTRIES["crowd"].classes == crowd.IDENTITIES == 1000
    assert all("crowd" not in [entry.name for entry in datasets_for("miniature", suite)] for suite in asked())
