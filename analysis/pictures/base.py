"""What a picture is: an entry of the list, what it draws of a comparison, and the files that come of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

import matplotlib as mpl
import pandas as pd

from gelo.analysis.compare import Comparison
from gelo.analysis.pictures.canvas import STYLE, Plate
from gelo.analysis.pictures.written import pdf_of, plain, png_of, saved_svg, svg_of

FORMS = ("svg", "pdf", "png", "csv")  # of a picture's files; csv: its rows


@dataclass(frozen=True)
class Drawn:
    """One picture of a sweep. alt: one or two sentences with the numbers that it shows; rows: the plotted data, tidy, without NaN rows;
    of: which of an entry's several pictures it is, "" of one that is alone; note: what holds for this one and not for all sweeps."""

    figure: Plate
    alt: str
    rows: pd.DataFrame
    of: str = ""
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """An entry of the list. name: of files and ids, [a-z_]; caption: what is drawn and how to read it; draw: nothing, one or several of a
    sweep."""

    name: str
    title: str
    caption: str
    draw: Callable[[Comparison], Iterator[Drawn]]

    def finished(self, comparison: Comparison) -> list[Finished]:
        """All of them, with titles and captions of their own."""
        found: list[Finished] = []
        with mpl.rc_context(STYLE):
            for place, drawn in enumerate(self.draw(comparison)):
                words = re.sub(r"[^a-z0-9]+", "_", drawn.of.lower()).strip("_")[:60]
                name = "_".join(filter(None, (self.name, words)))
                name = name if name not in {each.name for each in found} else f"{name}_{place}"
                title = f"{self.title}: {drawn.of}" if drawn.of else self.title
                drawn.figure.settle()
                caption = " ".join(filter(None, (self.caption, drawn.note)))
                found.append(Finished(name, plain(title), plain(caption), drawn))
        return found


@dataclass(frozen=True)
class Finished:
    """A picture with the name that no other of the page has, its title and its whole caption."""

    name: str
    title: str
    caption: str
    drawn: Drawn

    @property
    def alt(self) -> str:
        return plain(self.drawn.alt)

    @property
    def rows(self) -> pd.DataFrame:
        return self.drawn.rows

    def svg(self, *, inline: bool = False) -> str:
        """See `written.svg_of`: a file of its own, or an element of a page."""
        return svg_of(self._saved, self.drawn.figure, self.name, self.alt, inline=inline)

    @cached_property
    def _saved(self) -> bytes:
        return saved_svg(self.drawn.figure)

    def files(self, forms: Collection[str] = FORMS) -> dict[str, bytes]:
        """By file name, of those of `FORMS` that are asked for."""
        figure, made = self.drawn.figure, {}
        if "svg" in forms:
            made["svg"] = self.svg().encode()
        if "pdf" in forms:
            made["pdf"] = pdf_of(figure)
        if "png" in forms:
            made["png"] = png_of(figure)
        if "csv" in forms:
            made["csv"] = self.rows.to_csv(index=False, lineterminator="\n").encode()
        return {f"{self.name}.{form}": content for form, content in made.items()}
