"""An identity and a view to a 64 x 64 photograph of a face, and where its landmarks lie. About 2 ms an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.mini.camera import Picture, grain, paint, soften
from gelo.tasks.mini.face_model import Identity, View
from gelo.tasks.mini.face_parts import body, ears, features, hair_behind, hair_front, worn
from gelo.tasks.mini.face_surface import CENTRE, hair_colour, lit_skin, skin_colour, surface
from gelo.tasks.mini.worlds.canvas import SIZE, Rng, cosine, mix, patches, sine


def face(who: Identity, view: View, rng: Rng) -> Picture:
    """The photograph, float64 (64, 64, 3) in [0, 1]; `rng` gives ground pattern and camera noise only."""
    return photograph(scene(who, view, rng), view, rng)


def photograph(picture: Picture, view: View, rng: Rng) -> Picture:
    """Colour of the light, blur and noise of the camera."""
    return grain(soften(picture * np.array(view.cast), 2.0 * view.blur), rng, view.noise)


def scene(who: Identity, view: View, rng: Rng) -> Picture:
    """What stands before the camera: ground, shoulders, hair, head, features, things worn."""
    ground_a, ground_b = np.array(view.ground[0]), np.array(view.ground[1])
    image = mix(ground_a, ground_b, patches(rng, view.ground_cells))
    s = surface(who, view)
    skin, hair = skin_colour(who, view), hair_colour(who, view)
    flat = 1.0 - 0.4 * view.hard
    body(image, s, view, skin * flat)
    hair_behind(image, s, who, view, hair * flat)
    ears(image, s, who, view, skin * flat)
    paint(image, lit_skin(s, who, view, skin, hair), s.head)
    features(image, s, who, view, skin, hair)
    hair_front(image, s, who, view, hair)
    worn(image, s, who, view)
    return image


def landmarks(who: Identity, view: View) -> NDArray[np.float64]:
    """Where 14 points of the face lie, (14, 2) pixel positions (x, y): eye corners, brows, nose tip, mouth, chin, cheeks, crown."""
    s, e, y = who["eye_spacing"], who["eye_size"], who["eye_y"]
    width, height = who["head_width"], who["head_height"] * (0.94 + 0.09 * view.age)
    mouth = y + 0.03 + who["nose_length"] + who["mouth_gap"]
    points = np.array(
        [
            (-s - e, y), (-s + e, y), (s - e, y), (s + e, y), (-s, y - who["brow_gap"]), (s, y - who["brow_gap"]),
            (0.0, y + 0.03 + who["nose_length"]), (-who["mouth_width"], mouth), (who["mouth_width"], mouth), (0.0, mouth),
            (0.0, 0.98 * height), (-0.98 * width, 0.0), (0.98 * width, 0.0), (0.0, -0.98 * height),
        ]
    )  # fmt: skip
    nx, ny = points[:, 0] / width, points[:, 1] / height
    nz = np.sqrt(np.maximum(0.0, 1.0 - nx * nx - ny * ny))
    cy, sy, cp, sp = float(cosine(view.yaw)), float(sine(view.yaw)), float(cosine(view.pitch)), float(sine(view.pitch))
    up, depth = ny * cp + nz * sp, nz * cp - ny * sp  # the inverse of `surface`
    px, py = width * (nx * cy + depth * sy), height * up
    c, r = float(cosine(view.roll)) * view.zoom, float(sine(view.roll)) * view.zoom
    x, y_ = view.shift[0] + px * c - py * r, view.shift[1] + CENTRE + px * r + py * c
    return np.stack([(x + 1.0) * (SIZE / 2) - 0.5, (y_ + 1.0) * (SIZE / 2) - 0.5], axis=1)
