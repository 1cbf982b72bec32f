"""What is painted over and around the head: shoulders, hair, ears, eyes, brows, nose, mouth, mole, and things worn."""

from __future__ import annotations

import numpy as np

from gelo.tasks.mini.camera import Picture, paint
from gelo.tasks.mini.face_model import Identity, View
from gelo.tasks.mini.face_surface import Surface, iris_colour
from gelo.tasks.mini.worlds.canvas import Colour, Plane, cosine, cover, sine


def body(image: Picture, s: Surface, view: View, skin: Colour) -> None:
    paint(image, skin * 0.8, cover(np.maximum(np.abs(s.px) - 0.62 * s.width, 0.3 - s.py)))
    slope = 0.95 * s.height + 0.25 * np.abs(s.px) * np.abs(s.px)
    paint(image, np.array(view.cloth) * (1.0 - 0.3 * view.hard), cover(slope - s.py))


def hair_behind(image: Picture, s: Surface, who: Identity, view: View, hair: Colour) -> None:
    volume = who["hair_volume"] + 0.06
    wide, high = s.width + 0.8 * volume, s.height + volume
    crown = (np.sqrt((s.px / wide) * (s.px / wide) + (s.py / high) * (s.py / high)) - 1.0) * wide
    end = who["hair_length"] + view.haircut
    fall = np.maximum(np.abs(s.px) - wide, np.abs(s.py - 0.5 * end) - 0.5 * abs(end))
    shape = np.minimum(np.maximum(crown, s.py - max(end, -0.1)), fall if end > 0.0 else crown + 2.0)
    paint(image, hair * 0.8, cover(shape))


def ears(image: Picture, s: Surface, who: Identity, view: View, skin: Colour) -> None:
    for side in (-1.0, 1.0):
        behind = side * float(sine(view.yaw))  # > 0: this ear has turned towards the viewer's far side
        if behind > 0.35:
            continue
        x = side * s.width * (0.98 * float(cosine(view.yaw)) + 0.02)
        a, b = (s.px - x) / (0.75 * who["ear"]), (s.py + 0.02) / (1.5 * who["ear"])
        paint(image, skin * 0.85, cover(np.sqrt(a * a + b * b) - 1.0, who["ear"]))


def features(image: Picture, s: Surface, who: Identity, view: View, skin: Colour, hair: Colour) -> None:
    """Eyes, brows, nose, mouth and mole on the side of the head that is seen."""
    seen = s.head * (s.facing > 0.05)
    for side in (-1.0, 1.0):
        _eye(image, s, who, view, skin, side, seen)
        _brow(image, s, who, view, hair, side, seen)
    _nose(image, s, who, view, skin, seen)
    _mouth(image, s, who, view, skin, seen)
    if who["mole_size"] > 0.0:
        size = 0.018 + 0.6 * who["mole_size"]
        a, b = s.fx - who["mole_x"], s.fy - who["mole_y"]
        paint(image, skin * 0.28, seen * cover(np.sqrt(a * a + b * b) - size))


def _eye(image: Picture, s: Surface, who: Identity, view: View, skin: Colour, side: float, seen: Plane) -> None:
    size, tilt = who["eye_size"], side * who["eye_tilt"]
    dx, dy = s.fx - side * who["eye_spacing"], s.fy - who["eye_y"]
    a, b = dx + tilt * dy, dy - tilt * dx
    lids = who["eye_aspect"] * (1.0 - 0.85 * view.blink) * (1.0 - 0.15 * view.age)
    edge = (a / size) * (a / size)
    open_ = np.maximum(np.abs(b) - size * lids * (1.0 - edge), np.abs(a) - size)
    socket = np.maximum(0.0, 1.0 - edge / 2.6 - (b / size) * (b / size) / 1.6)
    paint(image, skin * 0.55, 0.4 * seen * socket)
    ball = seen * cover(open_)
    paint(image, np.array([0.93, 0.92, 0.90]) * s.shade[..., None], ball)
    gaze = a - 0.25 * size * view.gaze
    iris = np.sqrt(gaze * gaze + b * b) - 0.60 * size
    paint(image, iris_colour(who), ball * cover(iris))
    paint(image, np.full(3, 0.03), ball * cover(iris + 0.36 * size))
    lash = np.abs(b + size * lids * (1.0 - edge)) - (0.008 + 0.016 * who["lash"])
    paint(image, np.full(3, 0.08), seen * cover(np.maximum(lash, np.abs(a) - 1.08 * size)))


def _brow(image: Picture, s: Surface, who: Identity, view: View, hair: Colour, side: float, seen: Plane) -> None:
    a = side * s.fx - who["eye_spacing"]
    t = a / who["brow_length"]
    lift = who["eye_y"] - who["brow_gap"] - 0.04 * view.brow_raise
    line = lift - who["brow_arch"] * (1.0 - t * t) + who["brow_tilt"] * a
    thick = who["brow_thick"] * (1.0 - 0.35 * np.maximum(0.0, t)) * (1.0 - 0.25 * view.age)
    paint(image, 0.62 * hair, 0.92 * seen * cover(np.maximum(np.abs(s.fy - line) - thick, np.abs(t) - 1.0)))


def _nose(image: Picture, s: Surface, who: Identity, view: View, skin: Colour, seen: Plane) -> None:
    top, length = who["eye_y"] + 0.03, who["nose_length"] * (1.0 + 0.08 * view.age)
    t = np.clip((s.fy - top) / length, 0.0, 1.0)
    x = s.fx - 0.14 * float(sine(view.yaw)) * t  # the tip stands out, so it moves further than the cheeks
    half = who["nose_width"] * (0.25 + 0.20 * who["nose_bridge"] * (1.0 - t) + 0.75 * t * t)
    inside = (s.fy > top) & (s.fy < top + length)
    flank = np.maximum(0.0, 1.0 - np.abs(np.abs(x) - half) / 0.022) * inside
    away = 0.5 + 0.5 * np.clip(-x * view.light[0] * 30.0, -1.0, 1.0)
    paint(image, skin * 0.55, 0.65 * seen * flank * away)
    paint(image, np.minimum(1.0, skin * 1.15), 0.35 * seen * np.maximum(0.0, 1.0 - np.abs(x) / 0.025) * inside)
    low = s.fy - (top + length)
    for side in (-1.0, 1.0):
        a = x - side * 0.58 * who["nose_width"]
        paint(image, skin * 0.28, 0.85 * seen * cover(np.sqrt(a * a + 2.2 * low * low) - 0.023))
    wing = np.abs(low - 0.02 + 1.2 * x * x / who["nose_width"]) - 0.010
    paint(image, skin * 0.5, 0.7 * seen * cover(np.maximum(wing, np.abs(x) - 1.05 * who["nose_width"])))


def _mouth(image: Picture, s: Surface, who: Identity, view: View, skin: Colour, seen: Plane) -> None:
    y = who["eye_y"] + 0.03 + who["nose_length"] + who["mouth_gap"]
    half = who["mouth_width"] * (1.0 + 0.18 * view.smile)
    x = s.fx - 0.05 * float(sine(view.yaw))
    t = np.clip(x / half, -1.0, 1.0)
    line = s.fy - y + 0.05 * view.smile * t * t - 0.02 * view.smile
    arch = 1.0 - t * t
    gap, full = 0.07 * view.mouth_open, who["lip_full"] * (1.0 - 0.3 * view.age)
    upper, lower = full * (1.0 - 0.4 * who["lip_tilt"]), full * (1.0 + 0.6 * who["lip_tilt"])
    lips = np.maximum(-line - upper * arch * (0.75 + np.abs(t)), line - (gap + 1.2 * lower) * arch)
    red = np.array([0.72, 0.22, 0.24]) * (0.55 + 0.45 * skin[0])
    colour = skin * 0.72 + (0.2 + 0.65 * who["lip_red"]) * (red - skin * 0.72)
    mouth = seen * (np.abs(x) < half)
    paint(image, colour * s.shade[..., None], mouth * cover(lips))
    parted = np.maximum(-line - 0.006, line - np.maximum(0.006, gap * arch))
    paint(image, np.array([0.25, 0.06, 0.06]), mouth * cover(parted))
    if gap > 0.02:
        paint(image, np.array([0.92, 0.90, 0.86]), 0.9 * mouth * cover(np.maximum(-line, line - 0.45 * gap * arch)))


def hair_front(image: Picture, s: Surface, who: Identity, view: View, hair: Colour) -> None:
    """Fringe above the hairline, drawn higher on the side of the parting, and the sides of the head down to the hair's end."""
    across = s.fx / s.width
    rise = who["hairline"] + 0.10 * max(0.0, view.age - 0.5) - 0.25 * view.haircut
    edge = -s.height * (rise - 0.35 * across * across - 0.12 * np.clip((across - who["hair_part"]) * 4.0, -1.0, 1.0))
    fringe = s.fy - edge
    behind = s.facing - 0.34 - 0.25 * np.clip(s.fy, -0.5, 0.5)  # past the temples
    sides = np.maximum(behind * 0.5, s.fy - max(-0.25, who["hair_length"] + view.haircut))
    strands = 0.88 + 0.12 * np.abs(((s.fx + 0.3 * s.fy) * 14.0) % 2.0 - 1.0)
    paint(image, hair * (s.shade * strands)[..., None], s.head * cover(np.minimum(fringe, sides)))


def worn(image: Picture, s: Surface, who: Identity, view: View) -> None:
    """Glasses, cap and scarf, as far as the view has them."""
    seen = s.head * (s.facing > 0.0)
    frame, extra = np.array(view.frame), np.array(view.extra)
    if view.glasses > 0.0:
        radius, dy = 0.155, s.fy - who["eye_y"] - 0.01
        for side in (-1.0, 1.0):
            dx = s.fx - side * who["eye_spacing"]
            ring = np.sqrt(dx * dx + 1.3 * dy * dy) - radius
            paint(image, 0.3 * frame + 0.1, view.glasses * seen * cover(ring))
            paint(image, 0.6 * frame, seen * cover(np.abs(ring) - 0.014))
        bridge = np.maximum(
            np.abs(dy) - 0.014,
            np.minimum(np.abs(s.fx) - who["eye_spacing"] + radius, who["eye_spacing"] + radius - np.abs(s.fx)),
        )
        paint(image, 0.6 * frame, seen * cover(bridge))
    if view.cap > 0.0:
        dome = (
            np.sqrt(
                (s.px / (s.width + 0.1)) * (s.px / (s.width + 0.1))
                + (s.py / (s.height + 0.1)) * (s.py / (s.height + 0.1))
            )
            - 1.0
        )
        paint(
            image, extra * (0.6 + 0.4 * s.shade)[..., None], cover(np.maximum(dome * s.width, s.py + 0.48 * s.height))
        )
        brim = np.maximum(
            np.abs(s.py + 0.46 * s.height) - 0.05, np.abs(s.px - 0.3 * float(sine(view.yaw))) - s.width * 0.95
        )
        paint(image, extra * 0.55, cover(brim))
    if view.scarf > 0.0:
        folds = 0.8 + 0.2 * np.abs(((s.py + 0.3 * s.px) * 9.0) % 2.0 - 1.0)
        paint(
            image,
            extra * folds[..., None],
            cover(np.maximum(0.62 * s.height + 0.1 * np.abs(s.px) - s.py, np.abs(s.px) - s.width - 0.12)),
        )
