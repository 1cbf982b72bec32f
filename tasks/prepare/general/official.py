"""The official general sets: reader, images and classes by split, the metric of CLIP's authors, and where the download lives.

Counts: docs/protocols.md, the docstrings of torchvision's readers and the publishers' pages. `each`: images of every class where a split
is balanced, or of each in label order: Fashion-MNIST and its kin have MNIST's file names and totals, and other images of each class.
Licences are notes, not advice: the publisher's page decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gelo.tasks.prepare.formats import arrays
from gelo.tasks.prepare.general import foldered, lists
from gelo.tasks.prepare.layout import Layout

Metric = Literal["top1", "mean_per_class"]


@dataclass(frozen=True, slots=True)
class Official:
    """One official set. `size`: of the download; `home`: the project that publishes it; `unchecked`: what no catalogue can check.

    roles, faces: of one that another distribution registers. roles: `training`, and protocols that it is scored with; () for those of
    any general set. faces: it shows people, so that no preview is made unless somebody asks.
    """

    name: str
    read: Callable[..., Layout]
    classes: int
    images: Mapping[str, int]
    home: str
    size: str
    licence: str
    metric: Metric = "top1"
    each: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)
    partitions: int = 0
    unchecked: str = ""
    roles: tuple[str, ...] = ()
    faces: bool = False


OFFICIAL: dict[str, Official] = {
    official.name: official
    for official in (
        Official(
            "food101", lists.food101, 101, {"train": 75_750, "test": 25_250}, "ETH Zurich, Food-101 (Bossard 2014)", "5 GB",
            "images of Foodspotting, research use", each={"train": 750, "test": 250},
        ),
        Official(
            "cifar10", arrays.cifar10, 10, {"train": 50_000, "test": 10_000}, "University of Toronto, CIFAR (Krizhevsky 2009)",
            "170 MB", "none stated", each={"train": 5_000, "test": 1_000},
        ),
        Official(
            "cifar100", arrays.cifar100, 100, {"train": 50_000, "test": 10_000}, "University of Toronto, CIFAR (Krizhevsky 2009)",
            "169 MB", "none stated", each={"train": 500, "test": 100},
        ),
        Official(
            "sun397", lists.sun397, 397, {"train": 19_850, "test": 19_850}, "Princeton and MIT, SUN database, with Partitions.zip", "37 GB",
            "images of web searches, research use", each={"train": 50, "test": 50}, partitions=10,
        ),
        Official(
            "stanford_cars", lists.stanford_cars, 196, {"train": 8_144, "test": 8_041},
            "Stanford, Cars (Krause 2013); its page is gone, so your own copy", "1.9 GB", "research use",
        ),
        Official(
            "fgvc_aircraft", lists.fgvc_aircraft, 100, {"train": 3_334, "val": 3_333, "test": 3_333},
            "Oxford VGG, FGVC-Aircraft 2013b", "2.6 GB", "non-commercial research", metric="mean_per_class",
        ),
        Official(
            "dtd", lists.dtd, 47, {"train": 1_880, "val": 1_880, "test": 1_880}, "Oxford VGG, Describable Textures r1.0.1", "600 MB",
            "research use", each={"train": 40, "val": 40, "test": 40}, partitions=10,
        ),
        Official(
            "mnist", arrays.mnist, 10, {"train": 60_000, "test": 10_000}, "LeCun, Cortes, Burges: the MNIST database", "12 MB",
            "CC BY-SA 3.0", each={
                "train": (5_923, 6_742, 5_958, 6_131, 5_842, 5_421, 5_918, 6_265, 5_851, 5_949),
                "test": (980, 1_135, 1_032, 1_010, 982, 892, 958, 1_028, 974, 1_009),
            },
        ),
        Official(
            "flowers102", lists.flowers102, 102, {"train": 1_020, "val": 1_020, "test": 6_149}, "Oxford VGG, 102 Category Flowers",
            "330 MB", "none stated", metric="mean_per_class", each={"train": 10, "val": 10},
        ),
        Official(
            "stl10", arrays.stl10, 10, {"train": 5_000, "test": 8_000}, "Stanford, STL-10 (Coates 2011)", "2.6 GB",
            "images of ImageNet, research use", each={"train": 500, "test": 800},
        ),
        Official(
            "gtsrb", lists.gtsrb, 43, {"train": 26_640, "test": 12_630}, "INI Bochum, GTSRB: Training_fixed, Final_Test and its GT",
            "270 MB", "free to use with citation",
        ),
        Official(
            "country211", foldered.country211, 211, {"train": 31_650, "val": 10_550, "test": 21_100},
            "OpenAI, CLIP's data page (from YFCC100M)", "11 GB", "Creative Commons by image",
            each={"train": 150, "val": 50, "test": 100},
        ),
        Official(
            "sst2", foldered.sst2, 2, {"train": 6_920, "val": 872, "test": 1_821}, "OpenAI, CLIP's data page (Stanford Sentiment, drawn)",
            "131 MB", "none stated",
        ),
        Official(
            "imagenet_v2", foldered.imagenet_v2, 1_000, {"test": 10_000}, "ImageNetV2 project, matched-frequency format-val", "1.2 GB",
            "MIT for the collection", each={"test": 10},
        ),
        Official(
            "imagenet", foldered.imagenet, 1_000, {"test": 50_000}, "image-net.org, ILSVRC 2012 validation and devkit_t12", "6.3 GB",
            "non-commercial research, by agreement", each={"test": 50},
        ),
    )
}  # fmt: skip
