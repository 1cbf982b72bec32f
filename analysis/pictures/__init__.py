"""The pictures of a sweep: one file each (or a family), and the list of all in the order of the page."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from upath import UPath

from gelo.analysis.compare import Comparison
from gelo.analysis.pictures.base import FORMS, Drawn, Finished, Picture
from gelo.analysis.pictures.classes import CLASSES
from gelo.analysis.pictures.crosstask import CROSSTASK
from gelo.analysis.pictures.det import DET
from gelo.analysis.pictures.drift import DRIFT
from gelo.analysis.pictures.equalgain import EQUAL_GAIN
from gelo.analysis.pictures.losses import LOSSES
from gelo.analysis.pictures.remedycurves import CURVES
from gelo.analysis.pictures.retained import RETAINED
from gelo.analysis.pictures.slopes import SLOPES
from gelo.analysis.pictures.steps import STEPS
from gelo.analysis.pictures.swept import SWEPT
from gelo.analysis.pictures.trade import TRADE
from gelo.models.durable import publish_bytes

__all__ = ["FORMS", "PICTURES", "Drawn", "Finished", "Picture", "filed", "pictures"]

PICTURES: tuple[Picture, ...] = (
    TRADE, EQUAL_GAIN, RETAINED, SLOPES, STEPS, CURVES, DET, CROSSTASK, CLASSES, SWEPT, DRIFT, LOSSES,
)  # fmt: skip


def pictures(comparison: Comparison) -> Iterator[Finished]:
    """All that the sweep has data for, one after the other, so that not all are in memory at once."""
    for picture in PICTURES:
        yield from picture.finished(comparison)


def filed(folder: UPath, drawn: Iterable[Finished], forms: Collection[str] = FORMS) -> Iterator[Finished]:
    """The same pictures; the files of each, whole or not at all, are there when it has passed. Raises OSError where the folder cannot be
    written."""
    for each in drawn:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in each.files(forms).items():
            publish_bytes(folder / name, content)
        yield each
