"""Miniature IJB trees in the layout that deepinsight/insightface reads: loose crops, meta files, files of the 1:N protocol."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gelo.tasks.mini.face_model import person, wild
from gelo.tasks.mini.faces import portrait

# image, template, media: 3.jpg is in two templates, template 20 has one media of two images and one of one
MEMBERS = [
    ("1.jpg", 10, 501), ("2.jpg", 20, 502), ("3.jpg", 20, 502), ("4.jpg", 20, 503), ("3.jpg", 30, 504), ("5.jpg", 40, 505),
]  # fmt: skip
PAIRS = [(10, 20, 1), (10, 30, 0), (20, 40, 0), (30, 40, 1)]
SCORES = {"1.jpg": 0.999, "2.jpg": 0.5, "3.jpg": 0.25, "4.jpg": 0, "5.jpg": 1}
GALLERY_1, GALLERY_2, PROBE = [(10, 7)], [(20, 8)], [(30, 7), (40, 9)]


def points(number: int) -> NDArray[np.float64]:
    """Five points (5, 2) in a picture of 80 x 90 pixels, three decimals: a face turned by up to 30 degrees, another for each number."""
    rng = np.random.default_rng(number)
    angle, size = rng.uniform(-0.5, 0.5), rng.uniform(0.4, 0.7)
    upright = np.array([(-18.0, -20.0), (17.0, -20.0), (0.0, 0.0), (-14.0, 21.0), (15.0, 20.0)])
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    return np.round(upright @ turn * size + (40.0, 45.0) + rng.normal(0, 2, (5, 2)), 3)


def loose_crop(number: int) -> bytes:
    """A miniature face enlarged to 80 x 90 pixels."""
    face = Image.open(io.BytesIO(portrait(person("templates", number), wild, "ijb", number)))
    stream = io.BytesIO()
    face.resize((80, 90)).save(stream, "PNG")
    return stream.getvalue()


def ijb_tree(root: Path, target: str = "ijbc", *, identification: bool = True, letter: str = "G") -> Path:
    """Write the tree of the constants above below `root`; returns its folder `meta`."""
    meta = root / "meta"
    for folder in (meta, root / "loose_crop"):
        folder.mkdir(parents=True)
    for number in range(1, 6):
        (root / "loose_crop" / f"{number}.jpg").write_bytes(loose_crop(number))
    lines(meta / f"{target}_face_tid_mid.txt", MEMBERS)
    lines(meta / f"{target}_template_pair_label.txt", PAIRS)
    numbered = [(name, *points(int(name[0])).ravel().tolist(), score) for name, score in SCORES.items()]
    lines(meta / f"{target}_name_5pts_score.txt", numbered)
    if identification:
        for name, rows in (
            (f"gallery_{letter}1", GALLERY_1),
            (f"gallery_{letter}2", GALLERY_2),
            ("probe_mixed", PROBE),
        ):
            one_to_n(meta / f"{target}_1N_{name}.csv", rows)
    return meta


def one_to_n(path: Path, rows: Iterable[tuple[object, object]]) -> None:
    """A file of the 1:N protocol: two images a template, so two lines."""
    text = "TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT\n"
    for template, subject in rows:
        text += f"{template},{subject},img/{template}.jpg,1,5,6,70,80\n{template},{subject},frames/{template}.png,2,5,6,70,80\n"
    path.write_text(text)


def lines(path: Path, rows: Iterable[Iterable[object]]) -> None:
    path.write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))


def replace_line(path: Path, number: int, line: str) -> None:
    """Put another line in place of line `number`, from 1."""
    content = path.read_text().splitlines()
    content[number - 1] = line
    path.write_text("\n".join(content) + "\n")
