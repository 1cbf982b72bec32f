"""Presentation attacks in miniature: a live face against a print, a screen and a mask, in four domains. Label 1 = bona
fide.

A domain is a capture set: its camera (blur, noise, tone, compression), its colour of light, its grounds. Training and
dev know a, b and c; test holds other subjects of these and the unseen domain d, which is the cross-domain question of
OULU/CASIA/MSU against CelebA-Spoof (docs/protocols.md, 1 and 6). A video is three frames of one presentation; its id
is `domain/subject/attack_n`, a frame's that and `_k`.

print: paper held to the camera. Fewer tones and colours, the printer's raster, paper tilted and lit evenly, sometimes
its edge in the picture.
replay: a screen. Moire of the two pixel lattices, a cool glow, lifted black, sometimes a bezel or a reflection.
mask: a worn mask. Cut-outs round the eyes, a rim, one stiff material without blush, expression or blinking, a waxy
shine.

How hard it is, and how that was chosen: traces were strengthened until a detector with 7,000 training samples errs in
5 to 20 % of videos in the known domains. Measured EER of a detector from `mini-s` (from `mini-l`, 4,500 samples): a
18 (7), b 18 (7), c 20 (13), unseen d 20 (13) %; print 9 (13), replay 21 (13), mask 18 (18) %. A linear probe on the
untouched encoders: 20 to 32 (18 to 25) %. A domain has 40 test videos, 16 of them bona fide, so a single video moves
its EER by several points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.mini.camera import Picture, blocks, grain, paint, png, resample, saturate, soften, tone
from gelo.tasks.mini.face_draw import scene
from gelo.tasks.mini.face_model import Identity, View, person, wild
from gelo.tasks.mini.face_surface import surface
from gelo.tasks.mini.worlds.canvas import (
    SIZE,
    Plane,
    Rng,
    X,
    Y,
    cosine,
    cover,
    generator,
    patches,
    sine,
)

CLASSES = ("attack", "bona_fide")
ATTACKS = ("print", "replay", "mask")
PRESENTATIONS = ("bona_fide_0", "bona_fide_1", "print_0", "replay_0", "mask_0")
FRAMES = 3
SUBJECTS = {"train": 20, "dev": 5, "test": 8, "val": 10}  # in every domain; no subject is in two splits or domains


@dataclass(frozen=True, slots=True)
class Domain:
    """One capture set. `bend` is the camera's tone curve, `cast` the light's colour, `ground` the range of ground brightness."""

    blur: float
    noise: float
    bend: float
    block: float
    cast: tuple[float, float, float]
    ground: tuple[float, float]
    hard: tuple[float, float]
    cells: int


DOMAINS: dict[str, Domain] = {
    "a": Domain(0.3, 0.030, 0.00, 0.10, (1.00, 1.00, 1.00), (0.55, 0.90), (0.20, 0.45), 2),  # office, good webcam
    "b": Domain(0.8, 0.060, 0.20, 0.25, (1.08, 0.98, 0.84), (0.25, 0.65), (0.30, 0.65), 5),  # home, lamp, old camera
    "c": Domain(0.5, 0.045, -0.15, 0.05, (0.90, 1.00, 1.08), (0.05, 0.40), (0.25, 0.55), 4),  # dim lab, cool light
    "d": Domain(
        1.0, 0.040, 0.30, 0.35, (1.04, 1.04, 0.94), (0.10, 0.95), (0.45, 0.75), 7
    ),  # outdoors, phone, strong compression
}

VAL_DOMAINS: dict[str, Domain] = {
    "e": Domain(0.6, 0.052, 0.10, 0.15, (0.96, 1.03, 1.04), (0.35, 0.80), (0.25, 0.50), 3),  # shop, built-in camera
    "f": Domain(0.9, 0.035, -0.08, 0.28, (1.05, 1.00, 0.90), (0.15, 0.60), (0.35, 0.70), 6),  # corridor, door camera
}


def frame(who: Identity, view: View, attack: str, domain: Domain, video: Rng, rng: Rng) -> Picture:
    """One frame. `video` draws what a presentation keeps (its own stream restarted for every frame), `rng` what changes between frames."""
    match attack:
        case "bona_fide":
            picture = scene(who, view, video)
        case "print":
            picture = _print(scene(who, view, video), video, rng)
        case "replay":
            picture = _replay(scene(who, view, video), video, rng)
        case "mask":
            picture = _mask(who, view, video)
        case _:
            raise ValueError(f"attack {attack!r}; one of bona_fide, {', '.join(ATTACKS)}")
    lit = np.clip(tone(picture * np.array(domain.cast), domain.bend), 0.0, 1.0)
    lit = blocks(soften(lit, domain.blur * rng.uniform(0.6, 1.4)), domain.block * rng.uniform(0.5, 1.5))
    return grain(lit, rng, domain.noise * rng.uniform(0.6, 1.4))


def _print(picture: Picture, video: Rng, rng: Rng) -> Picture:
    strength, angle = video.uniform(0.8, 1.3), video.uniform(0.2, 1.2)
    paper = saturate(soften(picture, 0.4), 1.0 - 0.35 * strength)
    paper = 0.10 * strength + paper * (1.0 - 0.22 * strength)
    c, s = float(cosine(angle)), float(sine(angle))
    pitch = video.uniform(48.0, 70.0)
    raster = sine(pitch * (c * X + s * Y)) * sine(pitch * (c * Y - s * X))
    paper = paper * (1.0 + 0.14 * strength * raster)[..., None]
    tilt, turn = video.uniform(-0.12, 0.12, size=2), rng.uniform(-0.03, 0.03)
    depth = 1.0 + tilt[0] * X + tilt[1] * Y
    shrink = video.uniform(0.92, 1.12)
    u, v = (
        (X + turn * Y) * depth * shrink + rng.uniform(-0.02, 0.02),
        (Y - turn * X) * depth * shrink + rng.uniform(-0.02, 0.02),
    )
    paper = resample(paper, (u + 1.0) * (SIZE / 2) - 0.5, (v + 1.0) * (SIZE / 2) - 0.5)
    paper = paper * (1.0 + 0.15 * (patches(video, 3) - 0.5))[..., None]  # creases and uneven light on the sheet
    table = np.zeros((SIZE, SIZE, 3)) + video.uniform(0.1, 0.8, size=3)
    paint(table, paper, cover(np.maximum(np.abs(u), np.abs(v)) - 0.99))
    return table


def _replay(picture: Picture, video: Rng, rng: Rng) -> Picture:
    strength, angle = video.uniform(0.8, 1.3), video.uniform(-0.8, 0.8)
    screen = saturate(soften(picture, 0.25), 1.0 + 0.15 * strength)
    screen = tone(screen, -0.15) * np.array([0.92, 0.99, 1.10]) + 0.07 * strength
    c, s = float(cosine(angle)), float(sine(angle))
    period, start = video.uniform(16.0, 36.0), rng.uniform(0.0, 6.28)
    for channel in range(3):  # the lattices of the three colours are offset: a moire of coloured bands
        bands = sine(period * (c * X + s * Y + 0.15 * X * Y) + start + 2.1 * channel)
        screen[..., channel] += 0.10 * strength * bands
    if video.random() < 0.5:  # a window mirrored in the glass
        x, y = video.uniform(-0.8, 0.8, size=2)
        glare = np.maximum(0.0, 1.0 - 2.5 * ((X - x) * (X - x) + 0.4 * (Y - y) * (Y - y)))
        screen = screen + 0.22 * strength * glare[..., None]
    if video.random() < 0.35:
        edge = video.uniform(0.86, 0.97)
        side = X if video.random() < 0.5 else Y
        paint(
            screen, np.full(3, video.uniform(0.02, 0.12)), cover(edge - side * (1.0 if video.random() < 0.5 else -1.0))
        )
    return screen


def _mask(who: Identity, view: View, video: Rng) -> Picture:
    strength = video.uniform(0.8, 1.3)
    stiff = replace(view, smile=0.0, mouth_open=0.0, brow_raise=0.0, blink=0.0, age=0.3)
    picture = scene(who, stiff, video)
    s = surface(who, stiff)
    inside = s.head * (s.facing > 0.1)
    waxy = saturate(soften(picture, 2.0 * strength), 1.0 - 0.35 * strength)
    holes: Plane = np.full((SIZE, SIZE), 9.0)
    for side in (-1.0, 1.0):
        a, b = s.fx - side * who["eye_spacing"], s.fy - who["eye_y"]
        holes = np.minimum(holes, np.sqrt(a * a + 1.6 * b * b) - 1.25 * who["eye_size"])
    paint(picture, waxy, inside * (1.0 - cover(holes)))
    paint(picture, picture * (1.0 - 0.45 * strength), inside * cover(np.abs(holes) - 0.03))
    rim = np.sqrt((s.px / s.width) * (s.px / s.width) + (s.py / s.height) * (s.py / s.height)) - 0.9
    paint(picture, picture * (1.0 - 0.35 * strength), inside * cover(np.abs(rim) - 0.045))
    shine_x, shine_y = s.fx - 0.35 * view.light[0], s.fy + 0.3
    shine = np.maximum(0.0, 1.0 - (shine_x * shine_x + 1.5 * shine_y * shine_y) / 0.05)
    return picture + 0.28 * strength * (inside * shine)[..., None]


def _view(domain: Domain, video: Rng, rng: Rng) -> View:
    """What a subject does before this camera: ground and light from the video, turn and expression from the frame."""
    base, moved = wild(video, 0.2), wild(rng, 0.2)
    level = video.uniform(*domain.ground)
    near, far = _tint(level, video), _tint(level, video)
    return replace(
        base, ground=(near, far), ground_cells=domain.cells, hard=video.uniform(*domain.hard), cap=0.0, scarf=0.0,
        yaw=base.yaw + 0.25 * moved.yaw, pitch=0.5 * base.pitch + 0.2 * moved.pitch, smile=0.5 * base.smile + 0.3 * moved.smile,
        blink=moved.blink, gaze=moved.gaze, mouth_open=0.4 * moved.mouth_open,
    )  # fmt: skip


def _tint(level: float, rng: Rng) -> tuple[float, float, float]:
    red, green, blue = (min(1.0, max(0.0, level + rng.uniform(-0.12, 0.12))) for _ in range(3))
    return red, green, blue


def build_spoofs(root: Path) -> Dataset:
    """Splits train (900 frames of a, b, c), dev (225, other subjects of a, b, c), test (480, others again, and d)."""
    domains = {"train": "abc", "dev": "abc", "test": "abcd"}
    return write_dataset(
        root, name="spoofs", version="1", scale="miniature", classes=CLASSES,
        splits={split: _split(split, domains[split]) for split in domains}, columns=("attack", "subject", "video", "domain"),
        source="tasks/mini/spoofs.py", licence="Apache-2.0 (generated)",
    )  # fmt: skip


def build_spoofs_val(root: Path) -> Dataset:
    """Split val: 300 frames of e and f, cameras and subjects that neither training nor tests have."""
    return write_dataset(
        root, name="spoofs_val", version="1", scale="miniature", classes=CLASSES, splits={"val": _split("val", "ef")},
        columns=("attack", "subject", "video", "domain"), source="tasks/mini/spoofs.py", licence="Apache-2.0 (generated)",
    )  # fmt: skip


def _split(split: str, domains: str) -> Iterator[Record]:
    for name in domains:
        domain = {**DOMAINS, **VAL_DOMAINS}[name]
        for number in range(SUBJECTS[split]):
            subject = f"{split}{number:02d}"
            who = person("spoofs", name, subject)
            for presentation in PRESENTATIONS:
                attack, video = presentation[:-2], f"{name}/{subject}/{presentation}"
                for k in range(FRAMES):
                    rng = generator("spoofs", video, k)
                    view = _view(domain, generator("spoofs", video), rng)
                    picture = frame(who, view, attack, domain, generator("presentation", video), rng)
                    columns = {"attack": attack, "subject": f"{name}/{subject}", "video": video, "domain": name}
                    yield Record(f"{video}_{k}", png(picture), int(attack == "bona_fide"), columns)


BUILDERS: dict[str, Callable[[Path], Dataset]] = {"spoofs": build_spoofs, "spoofs_val": build_spoofs_val}
