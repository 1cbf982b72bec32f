"""A figure as SVG, PDF and PNG: equal bytes for equal input. In the SVG every mark has its words, every id the picture's name before it."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.text import Text

from gelo.analysis.pictures.canvas import STYLE, Plate
from gelo.models.secrets import redacted

SVG = "http://www.w3.org/2000/svg"
HREF = "{http://www.w3.org/1999/xlink}href"
_NOTHING = {
    "Creator": None,
    "Date": None,
    "Format": None,
    "Type": None,
}  # no version and no date: equal input, equal bytes
_LONG = re.compile(r"-?\d+\.\d{3,}")  # of coordinates, in points: a hundredth of one is not seen
_PLACES = ("d", "x", "y", "x1", "x2", "y1", "y2")
_URL = re.compile(r"url\(#([^)]+)\)")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0


def saved_svg(figure: Plate) -> bytes:
    """The picture as matplotlib saves it, which takes most of its time; `svg_of` makes what is shown of it."""
    return _saved(figure, "svg", metadata=_NOTHING)


def svg_of(saved: bytes, figure: Plate, name: str, alt: str, *, inline: bool) -> str:
    """The picture as SVG with role img and the label `alt`. saved: of `saved_svg`; name: before every id.

    A mark has `data-tip` and `data-series` where it was told any. inline: an element of a page, whose script shows the tips; else a file of
    its own, in which they are <title> as well, and which begins as XML.
    """
    root = ElementTree.fromstring(saved)
    for parent in list(root.iter()):
        for element in [*parent.findall(f"{{{SVG}}}metadata"), *parent.findall(f"{{{SVG}}}style")]:
            parent.remove(
                element
            )  # its one rule is of every element of a page: the root's own style says it to its children
    pointed = {found for element in root.iter() for found in _pointed(element)}
    for element in root.iter():
        own = element.attrib.pop("id", "")
        series, tip = figure.told.get(own, ("", ""))
        if own in pointed or tip or series:
            element.set("id", f"{name}-{own}")
        if series:
            element.set("data-series", plain(series))
        if tip:
            element.set("data-tip", plain(tip))
            if not inline:
                title = ElementTree.Element(f"{{{SVG}}}title")
                title.text = plain(tip)
                element.insert(0, title)
        for attribute, value in element.attrib.items():
            if attribute == HREF and value.startswith("#"):
                element.set(attribute, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(attribute, _URL.sub(rf"url(#{name}-\1)", value))
            elif attribute in _PLACES:
                element.set(attribute, _LONG.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value))
    root.attrib |= {"role": "img", "aria-label": plain(alt), "style": "stroke-linejoin: round; stroke-linecap: butt"}
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", HREF[1:].partition("}")[0])
    told = ElementTree.tostring(root, encoding="unicode")
    return told if inline else f'<?xml version="1.0" encoding="utf-8"?>\n{told}\n'


def pdf_of(figure: Plate) -> bytes:
    return _saved(figure, "pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})


def png_of(figure: Plate) -> bytes:
    return _saved(figure, "png", metadata={"Software": None}, dpi=150)


def plain(text: str) -> str:
    """A user's words as they may stand in a file: no login or key, no character that XML forbids."""
    return _FORBIDDEN.sub("", redacted(text))


def _saved(figure: Plate, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of a script that the font lacks: the tip has the name
        for text in figure.findobj(Text):
            text.set_text(plain(text.get_text()))
        figure.savefig(out, format=form, **options)
    return out.getvalue()


def _pointed(element: ElementTree.Element) -> set[str]:
    """The ids that an element refers to."""
    found = {each for value in element.attrib.values() for each in _URL.findall(value)}
    reference = element.get(HREF, "")
    return found | ({reference[1:]} if reference.startswith("#") else set())
