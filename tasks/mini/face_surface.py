"""The head as a turned, lit ellipsoid, and the colours of a person.

Every pixel of the head is taken back to the face's own coordinates (fx right, fy down, the nose between), where the features are signed
distances; so a turned head shows its features shifted, foreshortened and partly hidden, as a real one does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.mini.camera import Picture, paint
from gelo.tasks.mini.face_model import Identity, View
from gelo.tasks.mini.worlds.canvas import Colour, Plane, cosine, cover, place, sine

_SKIN = np.array([[0.27, 0.16, 0.11], [0.55, 0.36, 0.25], [0.80, 0.59, 0.45], [0.97, 0.82, 0.72]])
_HAIR = np.array([[0.05, 0.04, 0.04], [0.25, 0.15, 0.09], [0.55, 0.38, 0.20], [0.90, 0.76, 0.46]])
_IRIS = np.array([[0.14, 0.07, 0.04], [0.45, 0.26, 0.08], [0.30, 0.50, 0.22], [0.25, 0.52, 0.80], [0.62, 0.70, 0.78]])
CENTRE = 0.06  # the head's centre lies a little below the canvas's


@dataclass(frozen=True, slots=True)
class Surface:
    """The turned head: face coordinates and light of each pixel, each (64, 64)."""

    px: Plane  # head coordinates in the picture plane
    py: Plane
    fx: Plane
    fy: Plane
    facing: Plane  # 1 towards the viewer on the face's own front, below 0 behind the ears
    head: Plane  # coverage of the head
    shade: Plane
    width: float
    height: float


def surface(who: Identity, view: View) -> Surface:
    """Place, turn and light the head. Age widens the jaw; youth shortens the head."""
    width, height = who["head_width"], who["head_height"] * (0.94 + 0.09 * view.age)
    jaw = who["jaw"] + 0.12 * (view.age - 0.3)
    px, py = place(view.shift[0], view.shift[1] + CENTRE, view.zoom, view.roll)
    low = np.clip(py / height, 0.0, 1.0)
    narrow = 1.0 - (1.0 - jaw) * low * low * (1.0 - 0.35 * who["chin"] + 0.35 * who["chin"] * low)
    nx, ny = px / (width * narrow), py / height
    reach = nx * nx + ny * ny
    nz = np.sqrt(np.maximum(0.0, 1.0 - reach))
    cy, sy, cp, sp = float(cosine(view.yaw)), float(sine(view.yaw)), float(cosine(view.pitch)), float(sine(view.pitch))
    u, depth = nx * cy - nz * sy, nx * sy + nz * cy
    v, facing = ny * cp - depth * sp, ny * sp + depth * cp
    lx, ly = view.light
    lz = float(np.sqrt(max(0.1, 1.0 - 0.5 * (lx * lx + ly * ly))))
    glow = np.clip(nx * lx + ny * ly + nz * lz, 0.0, 1.3)
    shade = (1.0 - view.hard) + view.hard * 1.25 * glow
    return Surface(
        px, py, u * width, v * height, facing, cover(np.sqrt(reach) - 1.0, width * view.zoom), shade, width, height
    )


def skin_colour(who: Identity, view: View) -> Colour:
    """Skin, (3,): tone from dark to light, cooler or warmer, a little paler with age."""
    warm = who["skin_warm"] - 0.5
    base = _ramp(_SKIN, who["skin_tone"]) * np.array([1.0 + 0.16 * warm, 1.0, 1.0 - 0.32 * warm])
    return base + 0.08 * max(0.0, view.age - 0.3) * (0.8 - base)


def hair_colour(who: Identity, view: View) -> Colour:
    """Hair, (3,): dark to fair, more or less red, grey from three fifths of life on."""
    base = _ramp(_HAIR, who["hair_tone"])
    red = 0.75 * max(0.0, who["hair_red"] - 0.45)
    base = base + red * (np.array([0.62, 0.20, 0.08]) - base)
    return base + min(0.85, max(0.0, 2.0 * (view.age - 0.5))) * (np.array([0.74, 0.74, 0.75]) - base)


def iris_colour(who: Identity) -> Colour:
    """Iris, (3,): dark brown, hazel, green, blue, grey."""
    return _ramp(_IRIS, who["iris"])


def _ramp(stops: NDArray[np.float64], at: float) -> Colour:
    position = min(max(at, 0.0), 1.0) * (len(stops) - 1)
    low = min(int(position), len(stops) - 2)
    return stops[low] + (position - low) * (stops[low + 1] - stops[low])


def lit_skin(s: Surface, who: Identity, view: View, skin: Colour, hair: Colour) -> Picture:
    """Skin with beard shadow, blush and age spots, under the light."""
    picture = np.zeros((*s.fx.shape, 3)) + skin
    chin = np.clip((s.fy - 0.16) / 0.14, 0.0, 1.0) * np.clip((np.abs(s.fx) + s.fy - 0.25) / 0.15, 0.0, 1.0)
    beard = max(0.0, who["beard"]) * min(1.0, 0.5 + view.age)
    paint(picture, 0.75 * hair + 0.1 * skin, beard * chin)
    cheek_x, cheek_y = (np.abs(s.fx) - 0.28) / 0.14, (s.fy - 0.14) / 0.11
    blush = np.maximum(0.0, 1.0 - cheek_x * cheek_x - cheek_y * cheek_y)
    paint(
        picture, skin * np.array([1.08, 0.78, 0.78]), blush * (0.35 + 0.4 * who["skin_warm"]) * (1.0 - 0.6 * view.age)
    )
    wrinkles = max(0.0, 1.6 * (view.age - 0.4))
    if wrinkles > 0.0:
        folds = np.maximum(0.0, 1.0 - np.abs(np.abs(s.fx) - 0.17 - 0.35 * (s.fy - 0.15)) / 0.025) * (
            (s.fy > 0.12) & (s.fy < 0.38)
        )
        lines = np.maximum(0.0, 1.0 - np.abs(wave(s.fy, 0.085)) / 0.3) * ((s.fy < -0.28) & (np.abs(s.fx) < 0.33))
        bags = np.maximum(0.0, 1.0 - np.abs(s.fy - who["eye_y"] - 0.13) / 0.022) * (
            np.abs(np.abs(s.fx) - who["eye_spacing"]) < 0.10
        )
        paint(picture, skin * 0.62, np.minimum(1.0, wrinkles * (0.7 * folds + 0.55 * lines + 0.6 * bags)))
    return picture * s.shade[..., None]


def wave(x: Plane, period: float) -> Plane:
    """A triangle wave in [-1, 1]."""
    t = x / period
    return 4.0 * np.abs(t - np.floor(t + 0.5)) - 1.0
