"""The worlds: what can be drawn, how it is captioned. One file per skill; `WORLDS` is the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gelo.tasks.mini.worlds import colours, counts, flags, numerals, people, scenes, scripts, shapes, signs, textures
from gelo.tasks.mini.worlds.canvas import Drawing, Rng


@dataclass(frozen=True, slots=True)
class World:
    """classes in label order; draw(rng, label, wide) -> Drawing; captions: templates, `{}` = the class, `{word}` = one of its words."""

    classes: tuple[str, ...]
    draw: Callable[[Rng, int, bool], Drawing]
    captions: tuple[str, ...]

    def caption(self, rng: Rng, label: int, words: dict[str, str]) -> str:
        """One of the captions that fit this drawing."""
        return self.captions[int(rng.integers(len(self.captions)))].format(self.classes[label], **words)


WORLDS: dict[str, World] = {
    module.__name__.rsplit(".", 1)[-1]: World(module.CLASSES, module.draw, module.CAPTIONS)
    for module in (shapes, textures, colours, counts, signs, scripts, scenes, flags, numerals, people)
}
SHIFTED = World(shapes.CLASSES, shapes.draw_shifted, shapes.CAPTIONS)
OUTLINED = World(shapes.CLASSES, shapes.draw_outlined, shapes.CAPTIONS)
