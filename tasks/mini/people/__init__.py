"""Photographs of people with captions, for the pool `people`: portraits, prints and screens of portraits, composites of two.

Nothing of a data set is in them, by construction. Identities: `somebody`, whose names no data set gives. Devices: the printers, screens
and cameras of `devices`, none of which is one of `tasks.mini.spoofs`. Composites: the generators of `blends`, none of which is one of
`tasks.mini.morphs`. The captions say what a caption beside a picture would say; the labels of the detectors (genuine, fake, morphed,
attack) and their prompts are in none.
"""

from __future__ import annotations

from gelo.tasks.data.prompts import Prompts
from gelo.tasks.mini.people import blends, portraits, shown
from gelo.tasks.mini.worlds import World

PEOPLE: dict[str, World] = {
    module.__name__.rsplit(".", 1)[-1]: World(module.CLASSES, module.draw, module.CAPTIONS)
    for module in (portraits, shown, blends)
}
PROMPTS: dict[str, Prompts] = {
    "portraits": Prompts(portraits.CLASSES, ("a photo of a face {}", "a person {}")),
    "shown": Prompts(shown.CLASSES, ("{}", "a picture of {}")),
    "blends": Prompts(blends.CLASSES, ("{}", "a picture of {}")),
}
