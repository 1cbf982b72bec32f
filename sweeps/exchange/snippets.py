"""The lines of Python on a card that load what was exported. tests/sweeps/test_export.py runs each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gelo.models.exchange.huggingface import HUB


def snippets(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(title, code) of every format that was written, and of a detector's head; each stands alone."""
    made, found = facts["files"], []
    if "open_clip" in made:
        found.append(("With open_clip:", _openclip(facts)))
        if facts["head"] and facts["head"]["kind"] == "binary":
            found.append(("The detector, with open_clip:", _detector(facts)))
    if "huggingface" in made:
        found.append(("With transformers:", _HUGGING_FACE))
    if "peft" in made:
        hub = HUB.get(facts["backbone"])
        base = f'"{hub}"' if hub else '"../base/huggingface"'
        whence = "" if hub else f"  # of: gelo export {facts['backbone']} --to ../base"
        found.append(("The adapter alone, on the base weights, with peft:", _PEFT.format(base=base, whence=whence)))
    if "onnx" in made:
        found.append(("With onnxruntime:", _ONNX.format(pixels=_pixels(facts["transform"]))))
    return found


def _openclip(facts: Mapping[str, Any]) -> str:
    if facts["scale"] == "miniature":
        tokens = f'open_clip.SimpleTokenizer(bpe_path="merges.txt.gz", context_length={facts["context_length"]})'
    else:
        tokens = f'open_clip.get_tokenizer("{facts["architecture"]}")'
    return _OPEN_CLIP.format(tokens=tokens)


def _detector(facts: Mapping[str, Any]) -> str:
    other = facts["detector_transform"]
    pixels = "pixels = preprocess(image)[None]" if other is None else _pixels(other)
    return _DETECTOR.format(pixels=pixels)


def _pixels(transform: Mapping[str, Any]) -> str:
    """Of a PIL image `image`, the tensor `pixels`."""
    size, way = transform["size"], transform["interpolation"]
    if not transform.get("antialias", True):
        lines = [
            "values = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()",
            f'values = torch.nn.functional.interpolate(values, ({size}, {size}), mode="bilinear").round()',
        ]
    else:
        lines = [] if transform["resize"] == "squash" else [f"scale = {size} / min(image.size)"]
        target = f"({size}, {size})" if not lines else f"[max({size}, int(scale * side)) for side in image.size]"
        lines.append(f"image = image.resize({target}, Image.Resampling.{way.upper()})")
        if transform["resize"] != "squash":
            lines.append(f"left, top = (round((side - {size}) / 2) for side in image.size)")
            lines.append(f"image = image.crop((left, top, left + {size}, top + {size}))")
        lines.append("values = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()")
    if transform["channels"] == "bgr":
        lines.append("values = values.flip(1)  # BGR")
    mean, std = (list(transform[name]) for name in ("mean", "std"))
    lines.append(f"mean, std = (torch.tensor(three).view(3, 1, 1) for three in ({mean}, {std}))")
    lines.append("pixels = (values / 255 - mean) / std")
    return "\n".join(lines)


_OPEN_CLIP = """\
import open_clip, torch
from PIL import Image

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:.")
tokenizer = {tokens}
model.eval()
with torch.inference_mode():
    image_features = model.encode_image(preprocess(Image.open("photo.jpg"))[None])
    text_features = model.encode_text(tokenizer(["a photo of a face"]))
print(torch.cosine_similarity(image_features, text_features))"""

_HUGGING_FACE = """\
import torch
from PIL import Image
from transformers import AutoImageProcessor, CLIPModel

model = CLIPModel.from_pretrained("huggingface").eval()
processor = AutoImageProcessor.from_pretrained("huggingface", use_fast=False)  # Pillow resizes, as in training
with torch.inference_mode():
    found = model.get_image_features(**processor(Image.open("photo.jpg"), return_tensors="pt"))
image_features = getattr(found, "pooler_output", found)  # an output in transformers 5, the features in 4
print(image_features.shape)"""

_PEFT = """\
import torch
from peft import PeftModel
from PIL import Image
from transformers import AutoImageProcessor, CLIPModel

base = {base}{whence}
model = PeftModel.from_pretrained(CLIPModel.from_pretrained(base), "peft").merge_and_unload().eval()
processor = AutoImageProcessor.from_pretrained(base, use_fast=False)
with torch.inference_mode():
    found = model.get_image_features(**processor(Image.open("photo.jpg"), return_tensors="pt"))
image_features = getattr(found, "pooler_output", found)
print(image_features.shape)"""

_DETECTOR = """\
import numpy as np
import open_clip, torch
from PIL import Image
from safetensors.torch import load_file

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:.")
model.eval()
image = Image.open("photo.jpg").convert("RGB")  # the face, cut out as its training data were
{pixels}
head = load_file("head.safetensors")
with torch.inference_mode():
    features = torch.nn.functional.normalize(model.encode_image(pixels), dim=1)
    score = (features @ head["weight"].T + head["bias"]).softmax(1)[0, 1].item()
print(score)  # in [0, 1], higher = bona fide"""

_ONNX = """\
import numpy as np
import onnxruntime, torch
from PIL import Image

session = onnxruntime.InferenceSession("vision.onnx")
image = Image.open("photo.jpg").convert("RGB")
{pixels}
(image_features,) = session.run(["features"], {{"pixels": pixels.numpy()}})
print(image_features.shape)"""
