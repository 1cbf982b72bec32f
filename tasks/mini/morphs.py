"""Morphing attacks in miniature: passport photographs of one person against photographs made of two. Label 1 = bona
fide.

`warp`: landmark morph. Both photographs are bent until their landmarks meet half way, then mixed. It leaves what real
ones leave: doubled outlines where landmarks were inexact (hair, ears, collar, iris rims), the softness of resampling,
sometimes the seam of a face spliced into one of the two photographs. `blend`: feature-space morph. The mean identity
is drawn anew, as a generator would, and leaves a generator's traces: over-smooth skin, a faint lattice of its
upsampling, eyes that do not quite match. Training knows `warp` only, as SMDD knows one tool; subjects of train and
test differ; both attacks meet the same bona fide images (docs/protocols.md, 1 and 6). A morph has lost most of its
sensor noise to averaging and resampling, which is the trace that both generators share; every photograph then gets
the same kind of storage noise and compression, so that the trace is weakened, not clean.

How hard it is, and how that was chosen: artefacts were strengthened until a detector with 8,000 training samples
leaves chance on both attacks, `warp` (seen in training) to be easier than `blend` (unseen). Measured EER of a
detector from `mini-s`: warp 17 %, blend 29 %; from `mini-l`, 5,000 samples: 11 % and 24 %. A linear probe on the
untouched encoders reaches 16 to 18 % and 24 to 26 %: the trace is plain to a general feature too, so fine-tuning
gains little here on `mini-s`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.mini.camera import Picture, blocks, grain, png, resample, soften
from gelo.tasks.mini.face_draw import landmarks, photograph, scene
from gelo.tasks.mini.face_model import Identity, View, average, passport, person
from gelo.tasks.mini.face_surface import surface
from gelo.tasks.mini.worlds.canvas import SIZE, Plane, Rng, generator, patches

CLASSES = ("morph", "bona_fide")
TRAIN_SUBJECTS, TEST_SUBJECTS, VAL_SUBJECTS = 200, 50, 60
TRAIN_EACH, TEST_EACH, VAL_EACH = 500, 100, 150
INEXACT = 1.6  # how far a landmark finder may be off, in pixels

_columns, _rows = np.meshgrid(np.arange(SIZE, dtype=np.float64), np.arange(SIZE, dtype=np.float64))


def bona_fide(who: Identity, rng: Rng) -> Picture:
    """A passport photograph of one person."""
    view = passport(rng)
    return _store(photograph(scene(who, view, rng), view, rng), rng)


def warp(a: Identity, b: Identity, rng: Rng) -> Picture:
    """Landmark morph of two photographs, shares between 0.4 and 0.6; in two fifths of cases spliced into the first photograph."""
    view_a = passport(rng)
    view_b = replace(
        passport(rng), light=view_a.light, hard=view_a.hard, cast=view_a.cast, ground=view_a.ground, cloth=view_a.cloth
    )
    pictures = [photograph(scene(who, view, rng), view, rng) for who, view in ((a, view_a), (b, view_b))]
    points = [landmarks(a, view_a), landmarks(b, view_b)]
    found = [p + INEXACT * (2.0 * rng.random(p.shape) - 1.0) for p in points]
    share = rng.uniform(0.45, 0.55)
    spliced = rng.random() < 0.4
    target = found[0] if spliced else (1.0 - share) * found[0] + share * found[1]
    bent = [bend(picture, source, target) for picture, source in zip(pictures, found, strict=True)]
    mixed = bent[0] + share * (bent[1] - bent[0])
    if spliced:
        mask = _inner_face(a, view_a)[..., None]
        mixed = pictures[0] + mask * (mixed - pictures[0])
    return _store(soften(mixed, rng.uniform(0.4, 1.1)), rng)


def blend(a: Identity, b: Identity, rng: Rng) -> Picture:
    """The mean identity drawn anew, with a generator's traces."""
    view = passport(rng)
    who = average(a, b, rng.uniform(0.4, 0.6))
    one, other = (replace(view, gaze=rng.uniform(-0.5, 0.5), blink=rng.uniform(0.0, 0.25)) for _ in range(2))
    seed = rng.integers(2**31)
    halves = [scene(average(who, donor, 0.35), v, generator("blend", int(seed))) for donor, v in ((a, one), (b, other))]
    seam = np.clip((_columns - 31.5) / 10.0 + 0.5, 0.0, 1.0)[..., None]
    drawn = soften(halves[0] + seam * (halves[1] - halves[0]), rng.uniform(0.7, 1.5)) * np.array(view.cast)
    lattice = ((_columns % 4 < 2) ^ (_rows % 4 < 2)) * 2.0 - 1.0
    drawn = drawn + rng.uniform(0.04, 0.08) * (patches(rng, 6) * lattice)[..., None] * (0.3 + drawn)
    return _store(grain(soften(drawn, view.blur), rng, 0.25 * view.noise), rng)


def paste(a: Identity, b: Identity, rng: Rng) -> Picture:
    """Face swap: the inner face of the mean identity, photographed in the same view, set into the first one's photograph."""
    view = passport(rng)
    whole = photograph(scene(a, view, rng), view, rng)
    inner = photograph(scene(average(a, b, rng.uniform(0.4, 0.6)), view, rng), view, rng)
    mixed = whole + _inner_face(a, view)[..., None] * (inner - whole)
    return _store(soften(mixed, rng.uniform(0.3, 1.0)), rng)


def bend(picture: Picture, source: NDArray[np.float64], target: NDArray[np.float64]) -> Picture:
    """Move what lies at the `source` points (P, 2) to the `target` points; between them displacements are weighted by 1 / distance^4."""
    total: Plane = np.full((SIZE, SIZE), 1e-4)
    shift_x, shift_y = np.zeros((SIZE, SIZE)), np.zeros((SIZE, SIZE))
    for (sx, sy), (tx, ty) in zip(source, target, strict=True):
        dx, dy = _columns - tx, _rows - ty
        near = 1.0 / (1.0 + 0.15 * (dx * dx + dy * dy))
        weight = near * near
        total = total + weight
        shift_x, shift_y = shift_x + weight * (sx - tx), shift_y + weight * (sy - ty)
    return resample(picture, _columns + shift_x / total, _rows + shift_y / total)


def _inner_face(who: Identity, view: View) -> Plane:
    """Mask of the spliced part: an ellipse round eyes and mouth with an edge of a few pixels."""
    s = surface(who, view)
    a, b = s.px / (0.78 * s.width), (s.py - 0.05) / (0.76 * s.height)
    return np.clip((1.0 - np.sqrt(a * a + b * b)) * 7.0, 0.0, 1.0)


def _store(picture: Picture, rng: Rng) -> Picture:
    """What every photograph goes through at the end: slight softness, noise and compression."""
    return grain(blocks(soften(picture, rng.uniform(0.0, 0.25)), rng.uniform(0.0, 0.2)), rng, rng.uniform(0.005, 0.025))


def build_morphs(root: Path) -> Dataset:
    """Splits train (500 bona fide, 500 warp; 200 subjects) and test (100 bona fide, 100 warp, 100 blend; 50 other subjects)."""
    return write_dataset(
        root, name="morphs", version="1", scale="miniature", classes=CLASSES,
        splits={
            "train": _split("train", ("warp",), TRAIN_SUBJECTS, TRAIN_EACH),
            "test": _split("test", ("warp", "blend"), TEST_SUBJECTS, TEST_EACH),
        },
        columns=("attack", "subject"), source="tasks/mini/morphs.py", licence="Apache-2.0 (generated)",
    )  # fmt: skip


def build_morphs_val(root: Path) -> Dataset:
    """Split val: 150 bona fide, 150 `paste`, a generator that neither training nor tests have; 60 other subjects."""
    return write_dataset(
        root, name="morphs_val", version="1", scale="miniature", classes=CLASSES,
        splits={"val": _split("val", ("paste",), VAL_SUBJECTS, VAL_EACH)},
        columns=("attack", "subject"), source="tasks/mini/morphs.py", licence="Apache-2.0 (generated)",
    )  # fmt: skip


def _split(split: str, attacks: tuple[str, ...], subjects: int, each: int) -> Iterator[Record]:
    """`each` images of every kind, kinds in turn; the subject of a morph is its pair, smaller number first."""
    people = [person("morphs", split, i) for i in range(subjects)]
    makers = {"warp": warp, "blend": blend, "paste": paste}
    for number in range(each):
        first = number % subjects
        second = (first + 1 + (number // subjects) * 7) % subjects
        for attack in ("bona_fide", *attacks):
            rng = generator("morphs", split, attack, number)
            if attack == "bona_fide":
                picture, subject = bona_fide(people[first], rng), f"{split}-{first:03d}"
            else:
                picture = makers[attack](people[first], people[second], rng)
                subject = "+".join(f"{split}-{i:03d}" for i in sorted((first, second)))
            columns = {"attack": attack, "subject": subject}
            yield Record(f"{split}/{attack}/{number:03d}", png(picture), int(attack == "bona_fide"), columns)


BUILDERS: dict[str, Callable[[Path], Dataset]] = {"morphs": build_morphs, "morphs_val": build_morphs_val}
