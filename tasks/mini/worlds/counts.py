"""How many: one to eight equal figures, none touching another."""

from __future__ import annotations

from gelo.tasks.mini.worlds.canvas import Drawing, Rng, cover, finish, paint, place, plain
from gelo.tasks.mini.worlds.figures import FIGURES
from gelo.tasks.mini.worlds.palette import shade, two

CLASSES: tuple[str, ...] = ("one", "two", "three", "four", "five", "six", "seven", "eight")
CAPTIONS = (
    "{} objects",
    "{} {figure}",
    "{} {colour} {figure}",
    "a picture of {} objects",
    "a group of {} {figure}",
    "there are {} {figure}",
    "{} things on a {ground} background",
    "{} shapes",
    "{} {colour} things",
)
PLURALS = {
    "circle": "circles",
    "square": "squares",
    "triangle": "triangles",
    "star": "stars",
    "heart": "hearts",
    "cross": "crosses",
}
_SET = ("circle", "square", "triangle")


def draw(rng: Rng, label: int, wide: bool = False) -> Drawing:
    """`label` + 1 figures in cells of a 3 x 3 grid. `wide`: more kinds of figure and sizes."""
    colour, ground = two(rng)
    figures = tuple(PLURALS) if wide else _SET
    figure = figures[int(rng.integers(len(figures)))]
    image = plain(shade(rng, ground))
    ink = shade(rng, colour)
    size = rng.uniform(0.16, 0.27) if wide else rng.uniform(0.18, 0.25)
    room = 0.62 - 2.0 * size
    for cell in rng.permutation(9)[: label + 1]:
        cx = (cell % 3 - 1) * 0.62 + rng.uniform(-0.5, 0.5) * room
        cy = (cell // 3 - 1) * 0.62 + rng.uniform(-0.5, 0.5) * room
        u, v = place(cx, cy, size, rng.uniform(-0.4, 0.4))
        paint(image, ink, cover(FIGURES[figure](u, v), size))
    return Drawing(finish(rng, image, 0.06), {"colour": colour, "ground": ground, "figure": PLURALS[figure]})
