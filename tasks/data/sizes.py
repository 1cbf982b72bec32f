"""How many images the published sets have, by split, for whoever plans before the files are there. What is not known is not here.

General sets: their catalogue (tasks/prepare/general/official.py). The others: docs/protocols.md, and the publishers' pages.
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


def published(name: str) -> Mapping[str, int]:
    """Images by split of a set as it is published; {} where that is not known here."""
    return OFFICIAL[name].images if name in OFFICIAL else _BIOMETRIC.get(name, {})
