"""What the tests of morph and spoof readers ask: a set with its rows, a refusal in words, results of directions by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gelo.models.durable import is_done
from gelo.models.faults import UserError
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.prepare.biometric import attacks
from gelo.tasks.prepare.general.official import Official
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.prepare.readers import KNOWN
from gelo.tasks.protocols import PROTOCOLS
from gelo.tasks.results import Result
from gelo.tasks.scoring import Head, Scoring
from tests.tasks.prepare.attack_trees import BONA_FIDE, MAD22


def partial(name: str, source: Path, **options: Any) -> Dataset:
    return prepare(name, source, source.parent / f"data-{source.name}", allow_partial=True, **options)[0]


def refused(name: str, source: Path, **options: Any) -> str:
    data = source.parent / "refused"
    with pytest.raises(UserError) as error:
        prepare(name, source, data, **options)
    assert not is_done(data / name)
    return "\n".join(str(fault).replace(f"{source}/", "") for fault in error.value.faults)


def rows(dataset: Dataset, split: str) -> dict[str, tuple[Any, ...]]:
    """id -> label and protocol columns, in the card's order."""
    columns = [dataset.column(split, name) for name in ("label", *dataset.card.columns)]
    return {str(i): tuple(row) for i, *row in zip(dataset.ids(split), *columns, strict=True)}


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts of the miniature in place of the real ones, so that its trees are whole."""
    monkeypatch.setattr(attacks, "BONA_FIDE_IMAGES", BONA_FIDE)
    monkeypatch.setattr(attacks, "SYN_MAD_MORPHS", sum(MAD22.values()) - MAD22["MorDIFF"])
    monkeypatch.setattr(attacks, "SMDD", {1: 5, 0: 3})
    known = KNOWN["smdd"]
    fewer = Official("smdd", known.read, 2, {"train": 8}, known.home, known.size, known.licence)
    monkeypatch.setitem(KNOWN, "smdd", fewer)


def scored(protocol: Any, dataset: Dataset, angles: dict[str, float]) -> dict[str, Result]:
    """Results by suite where the feature of an image is a direction in the plane, at `angles` degrees from its id.

    Both the text and the head then order images by angle: attack lies at 0 and bona fide at 90 degrees.
    """

    def features(split: str, view: str) -> np.ndarray:
        turned = np.deg2rad([angles[str(identity)] for identity in dataset.ids(split)])
        return np.stack([np.cos(turned), np.sin(turned)], axis=1)

    texts, head = [np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])], Head(np.eye(2), np.zeros(2))
    wiring = PROTOCOLS[protocol]
    results = wiring.score(Scoring(dataset, features, texts, 100.0, head, 0, "v", "t"))
    return {result.suite: result for result, _ in results}
