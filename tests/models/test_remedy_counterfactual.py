"""Counterfactual images: what is replaced, by what and why, against class means and chances made by numpy from whole images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax

from gelo.models.adapt import Full, adapt
from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import Binary, CosFace, HeadSpec, Softmax
from gelo.models.heads.head import Head
from gelo.models.remedies import Counterfactual
from gelo.models.remedies.counterfactual import Edited, edited
from gelo.models.training.run import Run, Step
from gelo.models.training.stream import Batch
from tests.models.toy_run import IMAGES, Noise, settings

GRID, MOST = 4, 6


def run_of(encoder: Encoder, classes: int, head: HeadSpec | None = None, **transform: Any) -> Run:
    """Images whose class shows in one half of them."""
    side, rng = encoder.transform.size, np.random.default_rng(5)
    task, general = Noise(0, side, encoder.dim, classes), Noise(1, side, encoder.dim, 4)
    marks = rng.integers(0, 256, (classes, side // 2, side // 2, 3))
    task.pixels[:, : side // 2, : side // 2] = marks[task.labels]
    shown = Transform(size=side, **transform) if transform else None
    made = Head(head or Softmax(), encoder.dim, classes, 0)
    return Run(
        encoder,
        adapt(encoder.visual, Full(), 0),
        made,
        settings(),
        3,
        3,
        {"reference": general},
        transform=shown,
        task=task,
    )


def cells(side: int) -> list[tuple[slice, slice]]:
    step = side // GRID
    spans = [slice(n * step, (n + 1) * step) for n in range(GRID)]
    return [(down, across) for down in spans for across in spans]


def chances(run: Run, images: np.ndarray, row: int) -> np.ndarray:
    """Of each class, by the mean unit feature of its other images."""
    shown = (run.transform or run.base.transform).model_copy(update={"size": run.base.transform.size})
    encoder, task = run.base.with_transform(shown), run.task
    assert task is not None

    def unit(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    if not hasattr(run, "known"):
        run.known = unit(encoder.encode_images(task.pixels).astype(np.float64))  # type: ignore[attr-defined]
    known = run.known  # type: ignore[attr-defined]
    others = np.arange(IMAGES) != row
    means = [unit(known[(task.labels == each) & others].mean(axis=0)) for each in np.unique(task.labels)]
    return softmax(
        encoder.logit_scale * unit(encoder.encode_images(images).astype(np.float64)) @ np.array(means).T, axis=1
    )


def replaced(run: Run, made: Edited, place: int) -> tuple[list[int], np.ndarray]:
    """The cells in which an edited image differs from its original, and the image of the reference that they are of."""
    assert run.task is not None
    original, image = run.task.pixels[made.rows[place]], made.pixels[place]  # type: ignore[attr-defined]
    side = len(image)
    changed = [n for n, cell in enumerate(cells(side)) if not np.array_equal(original[cell], image[cell])]
    general = run.sources["reference"].pixels  # type: ignore[attr-defined]
    general = general[..., ::-1] if run.transform is not None and run.transform.channels == "bgr" else general
    fits = [
        fill for fill in general if all(np.array_equal(fill[cells(side)[n]], image[cells(side)[n]]) for n in changed)
    ]
    assert len(fits) == 1, "every cell that changed is that of one and the same reference image"
    return changed, fits[0]


@pytest.mark.parametrize(
    "transform", [{}, {"mean": (0.5,) * 3, "std": (0.5,) * 3, "channels": "bgr"}], ids=["own", "morph"]
)
def test_an_edit_is_the_greedy_walk_to_the_first_set_without_which_the_class_is_another(
    transform: dict[str, Any], encoder: Encoder
) -> None:
    run = run_of(encoder, 4, **transform)
    made = edited(run, Counterfactual(grid=GRID, most=MOST, images=10))
    assert run.task is not None and len(made.labels) == 10 and len(set(made.regions)) > 1
    for place, row in enumerate(made.rows):
        assert made.labels[place] == run.task.labels[row]
        original = run.task.pixels[row]  # type: ignore[attr-defined]
        assert int(chances(run, original[None], row).argmax()) == made.labels[place], "it was recognised"
        changed, fill = replaced(run, made, place)
        assert len(changed) == made.regions[place] <= MOST
        now, walked = original.copy(), []
        while int(chances(run, now[None], row).argmax()) == made.labels[place]:
            tried = []
            for cell in cells(len(now)):
                tried.append(now.copy())
                tried[-1][cell] = fill[cell]
            falls = chances(run, np.stack(tried), row)[:, made.labels[place]]
            best = min((n for n in range(GRID**2) if n not in walked), key=lambda n: falls[n])
            walked.append(best)
            now = tried[best]
        assert sorted(walked) == changed and np.array_equal(now, made.pixels[place])
        few = edited(run, Counterfactual(grid=GRID, most=MOST, images=2))
    assert np.array_equal(few.pixels, made.pixels[:2])


def test_of_two_classes_bona_fide_images_alone_are_edited(encoder: Encoder) -> None:
    run = run_of(encoder, 2, Binary())
    made = edited(run, Counterfactual(grid=2, most=4, images=100))
    assert len(made.labels) and (made.labels == 1).all()


def test_the_loss_is_the_heads_on_the_edited_images(encoder: Encoder) -> None:
    run = run_of(encoder, 4, CosFace(scale=8.0))
    hooks = Counterfactual(grid=2, most=4, batch=4, weight=0.3).hooks()
    hooks.prepare(run)
    (shown,) = hooks.streams(run)["counterfactual"].slices(2, run.world)
    assert len(shown.labels) == 4
    batch = Batch(shown.source, shown.pixels, shown.labels, shown.rows, {"counterfactual": shown})
    losses = {"task": torch.zeros(())}
    hooks.losses(Step(run, batch, run.features(shown.pixels)), losses)
    pixels = hooks.edited.pixels[shown.rows]
    features = torch.from_numpy(encoder.encode_images(pixels))
    expected = run.head.loss(features, torch.from_numpy(hooks.edited.labels[shown.rows]))
    assert losses["counterfactual"].item() == pytest.approx(0.3 * expected.item(), rel=1e-4)
    assert losses["counterfactual"].requires_grad


def test_what_makes_no_sense_is_refused(encoder: Encoder) -> None:
    with pytest.raises(UserError, match=r"head.sample: a head that sees a part of the classes"):
        Counterfactual().hooks().prepare(run_of(encoder, 4, CosFace(sample=0.5)))
    with pytest.raises(
        UserError, match=r"the task's images: \d+ images whose class can be painted over; expected at least 29"
    ):
        Counterfactual(grid=2, batch=IMAGES + 1).hooks().prepare(run_of(encoder, 4))
    run = run_of(encoder, 4)
    run.task = None
    with pytest.raises(ValueError, match="has to know them"):
        Counterfactual().hooks().prepare(run)
