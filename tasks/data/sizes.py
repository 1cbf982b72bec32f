"""How many images a set has by split, for whoever plans before its files are there. What is not known is not here.

Published general sets: their catalogue (tasks/prepare/general/official.py). The other published ones: docs/protocols.md, and the
publishers' pages. Miniature sets: what their generators draw (tests/tasks/test_sizes.py compares each).
"""

from __future__ import annotations

from collections.abc import Mapping

from gelo.tasks.prepare.general.official import OFFICIAL

_BIOMETRIC: dict[str, Mapping[str, int]] = {
    "ms1mv2": {"train": 5_822_653},
    "webface4m": {"train": 4_235_242},
    "casia_webface": {"train": 490_623},
    "smdd": {"train": 40_000},  # 25,000 bona fide and 15,000 morphs
    **{name: {"test": 12_000} for name in ("lfw", "agedb_30", "calfw", "cplfw")},  # 6,000 pairs of two
    "cfp_fp": {"test": 14_000},
    "ijbb": {"test": 227_630},
    "ijbc": {"test": 469_375},
}
_GENERAL = ("shapes", "textures", "colours", "counts", "signs", "scripts", "scenes", "flags", "digits", "coloured")
_MINIATURE: dict[str, Mapping[str, int]] = {
    **{name: {"train": 240, "test": 240} for name in _GENERAL},
    "shapes_shifted": {"test": 240},
    "reference": {"train": 1_760, "val": 440},
    "faces": {"train": 1_200},
    "faces_val": {"val": 480},
    "crowd": {"train": 8_000},
    "pairs": {"test": 400},
    "pose": {"test": 300},
    "age": {"test": 300},
    "templates": {"test": 497},
    "morphs": {"train": 1_000, "test": 300},
    "morphs_val": {"val": 300},
    "spoofs": {"train": 900, "dev": 225, "test": 480},
    "spoofs_val": {"val": 300},
}


def published(name: str) -> Mapping[str, int]:
    """Images by split of a set as it is published, or drawn; {} where that is not known here."""
    return OFFICIAL[name].images if name in OFFICIAL else _BIOMETRIC.get(name) or _MINIATURE.get(name, {})
