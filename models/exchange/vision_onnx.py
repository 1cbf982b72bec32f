"""The vision tower as ONNX: normalised pixels in, features out, any number of images at once; kept only where onnxruntime agrees."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from pathlib import Path

import numpy as np
import torch

from gelo.models.encoder import Encoder
from gelo.models.exchange.proof import Sample, refuse_other
from gelo.models.faults import Fault, UserError

FILE = "vision.onnx"
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE = 1e-4  # of the longest feature
_MANY = 2  # images of the example: one would be taken for a constant


def missing_packages() -> Fault | None:
    """What is not installed of the extra."""
    lacking = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not lacking:
        return None
    return Fault("--format onnx", f"no {', '.join(lacking)} here", "them installed", "pip install 'gelo-sweeps[onnx]'")


def write_onnx(folder: Path, encoder: Encoder, sample: Sample) -> list[str]:
    """`vision.onnx`: `pixels` float32 (N, 3, S, S), as the encoder's transform normalises them, to `features` (N, d), not normalised.

    Raises UserError where a package is missing, where torch cannot write the tower, and where onnxruntime makes other features of it.
    """
    fault = missing_packages()
    if fault is not None:
        raise UserError("export", fault)
    import onnxruntime

    target, level = folder / FILE, logging.root.manager.disable
    logging.disable(logging.WARNING)  # of what torch tries on its way
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                encoder.visual, (sample.pixels[:_MANY],), str(target), input_names=["pixels"], output_names=["features"],
                dynamic_shapes=({0: torch.export.Dim("images", min=1)},), dynamo=True, external_data=False, verbose=False,
            )  # fmt: skip
    except Exception as error:  # whatever a tower holds that torch has no operation of ONNX for
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError("export", Fault("--format onnx", line[:160], "a tower that torch can write as ONNX")) from None
    finally:
        logging.disable(level)
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    for images in (1, len(sample.pixels)):
        (features,) = session.run(["features"], {"pixels": sample.pixels[:images].numpy()})
        refuse_other(f"{images} images by onnxruntime", sample.images[:images], np.asarray(features), TOLERANCE)
    return [FILE]
