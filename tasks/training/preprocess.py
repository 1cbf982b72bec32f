"""What a task's papers show their encoder, in training and in testing; `backbone` is the encoder's own transform in both.

morph: MADation, stretched, Pillow's bilinear, the channels in OpenCV's order (BGR), mean and standard deviation 0.5
(gurayozgur/MADation: src/data/loaders.py). spoof: FoundPAD, ImageNet's statistics, stretched by OpenCV's bilinear to 256 and cropped to
224 in training (`augment: spoof` crops), to 224 at once in testing (gurayozgur/FoundPAD: src/data/loaders.py). FRoundation's is CLIP's own
(TaharChettaoui/FRoundation: src/data/transform.py); its tests enlarge 112 to 224 pixels by OpenCV's cubic, ours by Pillow's bicubic as its
training does (docs/biometrics.md).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from gelo.models.backbones.transforms import Transform

Preprocess = Literal["backbone", "morph", "spoof"]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


class Pair(NamedTuple):
    """The transform of training images, before augmentation, and that of test images."""

    train: Transform
    test: Transform


def transforms(kind: Preprocess, own: Transform) -> Pair:
    """Both transforms for an encoder whose own is `own`; sizes scale with its input, 256 / 224 in the training of spoofs."""
    if kind == "backbone":
        return Pair(own, own)
    if kind == "morph":
        stretched = Transform(
            size=own.size, interpolation="bilinear", resize="squash", mean=HALF, std=HALF, channels="bgr"
        )
        return Pair(stretched, stretched)
    test = Transform(
        size=own.size, interpolation="bilinear", resize="squash", mean=IMAGENET_MEAN, std=IMAGENET_STD, antialias=False
    )
    return Pair(test.model_copy(update={"size": round(own.size * 256 / 224)}), test)
