"""The miniatures' merge list: byte-pair merges learnt from our own captions, in the file format of open_clip's tokenizer.

`python -m gelo.tasks.mini.vocabulary` writes it, and the same bytes each time.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from gelo.models.backbones.registry import MINI
from gelo.models.durable import publish_bytes
from gelo.tasks.mini.prompts import PROMPTS
from gelo.tasks.mini.worlds import WORLDS
from gelo.tasks.mini.worlds.palette import NAMES

MERGES = MINI / "merges.txt.gz"
COUNT = 700  # merges: every word of the captions becomes one token, with some left over

# Words that users' own prompts may hold beside those of the captions.
EXTRA = (
    "image photograph sketch cartoon attack morph morphing spoof printed print replay replayed screen mask paper real fake "
    "bona fide live human man woman young old camera shown display texture two faces mixed blended bright dark left right"
)


def corpus() -> list[str]:
    """Every caption template with every class, the words of the drawings, the prompts and some plain words."""
    texts = [
        template.format(name, **_words()) for w in WORLDS.values() for template in w.captions for name in w.classes
    ]
    texts += [text for prompts in PROMPTS.values() for group in prompts.texts() for text in group]
    texts += [*NAMES, "small big plain day sunset grey night blond hair with glasses with a beard without glasses"]
    texts += ["blob circles squares triangles stars hearts crosses circle square", EXTRA]
    return texts


def learn(texts: Iterable[str], count: int) -> list[tuple[str, str]]:
    """The `count` most frequent pair merges, or as many as there are; ties by the pair itself."""
    words = Counter(word for text in texts for word in text.lower().split())
    pieces = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in pieces.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = {word: _merge(parts, best) for word, parts in pieces.items()}
    return merges


def write(path: Path = MERGES) -> int:
    """Write the merge list; returns the vocabulary's size (bytes, bytes at a word's end, merges, two marks)."""
    merges = learn(corpus(), COUNT)
    lines = ["gelo miniature merges 1", *(" ".join(pair) for pair in merges)]
    publish_bytes(path, gzip.compress("\n".join(lines).encode(), mtime=0))
    return 512 + len(merges) + 2


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out


def _words() -> dict[str, str]:
    return {
        "colour": "red",
        "ground": "blue",
        "size": "big",
        "figure": "circles",
        "time": "day",
        "hair": "black",
        "extra": "with glasses",
    }


if __name__ == "__main__":
    print(write())
