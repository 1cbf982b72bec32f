"""FLYP against the contrastive loss written out in NumPy, and what becomes of prompts and head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from open_clip.loss import ClipLoss
from pydantic import ValidationError
from scipy.special import log_softmax, logsumexp
from torch.nn import functional as F

from gelo.models.adapt import AdaptationSpec, Full, Lora, NoAdaptation, adapt
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import Binary, CosFace, HeadSpec, Softmax
from gelo.models.heads.head import Head
from gelo.models.remedies import FLYP
from gelo.models.remedies.flyp import Contrast, contrastive, drawn
from gelo.models.training.run import Run, Step
from gelo.models.training.stream import Batch
from tests.models.toy_run import Noise, go, settings

LABELS = np.array([0, 1, 1, 0, 1, 1])


@dataclass
class Named(Noise):
    """With these prompts."""

    own: tuple[tuple[str, ...], ...] = ()

    def prompts(self) -> list[list[str]]:
        return [list(of_class) for of_class in self.own]


ONE = (("the cat",), ("a dog",))


def step_of(
    encoder: Encoder, adaptation: AdaptationSpec, pixels: NDArray[np.uint8], own: tuple[tuple[str, ...], ...] = ONE
) -> Step:
    model = adapt(encoder.visual, adaptation, 0, encoder.text)
    run = Run(encoder, model, Head(Binary(), encoder.dim, 2, 0), settings(), 3, 3)
    images = encoder.transform.normalise(torch.from_numpy(pixels))
    source = Named(0, encoder.transform.size, encoder.dim, own=own)
    batch = Batch(source, images, torch.from_numpy(LABELS), np.arange(len(LABELS)))
    return Step(run, batch, run.features(images))


def loss_of(spec: FLYP, step: Step) -> torch.Tensor:
    found = {"task": torch.ones(())}
    spec.hooks().losses(step, found)
    assert found["task"].item() == spec.task_weight
    return found["flyp"]


def by_hand(images: NDArray[np.floating], texts: NDArray[np.floating], scale: float) -> float:
    """Image i with text i against every other, both ways, in float64."""
    images = images / np.linalg.norm(images, axis=1, keepdims=True)
    texts = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    total = 0.0
    for i in range(len(images)):
        row = [scale * float(images[i] @ texts[j]) for j in range(len(texts))]
        column = [scale * float(images[j] @ texts[i]) for j in range(len(images))]
        total += float(logsumexp(row)) - row[i] + float(logsumexp(column)) - column[i]
    return total / (2 * len(images))


@pytest.mark.parametrize("adaptation", [Full(), Full(towers="both"), NoAdaptation()], ids=str)
def test_it_is_the_symmetric_loss_of_images_and_prompts_of_their_class(
    adaptation: AdaptationSpec, encoder: Encoder, pixels: NDArray[np.uint8]
) -> None:
    """Two images of one class count as each other's negatives."""
    found = loss_of(FLYP(weight=0.7, task_weight=0.25), step_of(encoder, adaptation, pixels))
    images = encoder.encode_images(pixels).astype(np.float64)
    texts = encoder.encode_texts([ONE[label][0] for label in LABELS]).astype(np.float64)
    assert found.item() == pytest.approx(0.7 * by_hand(images, texts, encoder.logit_scale), rel=1e-5)


def test_it_is_open_clips_own_loss() -> None:
    torch.manual_seed(0)
    images, texts = (F.normalize(torch.randn(7, 5, dtype=torch.float64), dim=1) for _ in range(2))
    scale = torch.tensor(12.5, dtype=torch.float64)
    assert contrastive(images, texts, scale).item() == pytest.approx(ClipLoss()(images, texts, scale).item(), rel=1e-12)
    logits = 12.5 * images.numpy() @ texts.numpy().T
    explicit = -(np.diag(log_softmax(logits, 1)).mean() + np.diag(log_softmax(logits, 0)).mean()) / 2
    assert contrastive(images, texts, scale).item() == pytest.approx(explicit, rel=1e-12)


def test_its_gradients_are_those_of_differences() -> None:
    torch.manual_seed(0)
    images, texts = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)

    def loss(i: torch.Tensor, t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return contrastive(F.normalize(i, dim=1), F.normalize(t, dim=1), s)

    assert torch.autograd.gradcheck(loss, (images, texts, scale))


def test_gradients_reach_what_trains_and_nothing_else(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    step = step_of(encoder, Lora(rank=2, towers="both"), pixels)
    trainable = step.run.model.trainable()
    found = torch.autograd.grad(loss_of(FLYP(), step), list(trainable.values()), allow_unused=True)
    moved = {name for name, gradient in zip(trainable, found, strict=True) if gradient is not None and gradient.any()}
    assert moved == {name for name in trainable if "lora_B" in name or name == "text.logit_scale"}, "A moves once B has"
    frozen = step_of(encoder, Lora(rank=2), pixels)
    loss_of(FLYP(), frozen).backward()
    assert all(parameter.grad is None for parameter in encoder.text.model.parameters())


def test_a_template_is_drawn_for_each_image_and_step(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    rows = np.arange(2000)
    first = drawn(4, rows, 3, 0)
    assert set(first) == {0, 1, 2, 3} and np.bincount(first).min() > 400
    assert (first != drawn(4, rows, 3, 1)).mean() > 0.6 and (first != drawn(4, rows, 4, 0)).mean() > 0.6
    assert np.array_equal(drawn(4, rows[500:600], 3, 0), first[500:600]), "a process draws its part of the same"
    assert not drawn(1, rows, 3, 0).any()
    own = (("the cat", "a cat"), ("the dog", "a dog"))
    step = step_of(encoder, Full(), pixels, own)
    places = drawn(2, np.arange(len(LABELS)), step.run.seed, step.run.step)
    texts = encoder.encode_texts([own[label][place] for label, place in zip(LABELS, places, strict=True)])
    expected = by_hand(encoder.encode_images(pixels), texts, encoder.logit_scale)
    assert set(places) == {0, 1} and loss_of(FLYP(), step).item() == pytest.approx(expected, rel=1e-4)


def test_classes_without_names_are_asked_by_their_number(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    found = loss_of(FLYP(prompt="{} dog"), step_of(encoder, Full(), pixels, ()))
    texts = encoder.encode_texts([f"{label} dog" for label in LABELS])
    assert found.item() == pytest.approx(by_hand(encoder.encode_images(pixels), texts, encoder.logit_scale), rel=1e-4)


def test_features_of_a_text_tower_that_stays_are_made_once(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    step, hooks, calls = step_of(encoder, Full(), pixels), FLYP().hooks(), []
    handle = encoder.text.model.token_embedding.register_forward_hook(lambda *given: calls.append(1))  # type: ignore[union-attr, operator]
    for _ in range(3):
        hooks.losses(step, {"task": torch.zeros(())})
    handle.remove()
    assert len(calls) == 1


def test_prompts_that_cannot_tell_classes_apart_are_refused(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(UserError, match=r"1 class names; expected one for each of 2 classes"):
        loss_of(FLYP(), step_of(encoder, Full(), pixels, (("the cat",),)))
    cut = "the cat the cat the cat the cat {}"  # of which the tokenizer here takes the first eight
    with pytest.raises(UserError, match=r"1 of 2 classes become the tokens of another"):
        loss_of(FLYP(prompt=cut), step_of(encoder, Full(), pixels, ()))


@pytest.mark.parametrize(
    "given", [{"weight": 0, "task_weight": 0}, {"weight": -1}, {"prompt": "a person"}, {"prompt": "{} {}"}], ids=str
)
def test_settings_that_say_nothing_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FLYP.model_validate(given)
    assert FLYP().label == "flyp(weight=1.0, task_weight=1.0)" and "person" in FLYP(prompt="person {}").label


@pytest.mark.parametrize("head", [Binary(), Softmax(), CosFace(), CosFace(sample=0.5)], ids=str)
def test_alone_its_head_is_that_of_the_text_tower(head: HeadSpec, encoder: Encoder, tmp_path: Path) -> None:
    """The paper's: no head is trained, classes are told by the mean of their prompts."""
    ended = go(encoder, Full(towers="both"), tmp_path, FLYP(task_weight=0), head=head)
    trained = ended.model.publish().encoder(encoder)
    assert trained.text_fingerprint != encoder.text_fingerprint
    blocks = [trained.encode_texts(of_class).astype(np.float64) for of_class in Noise(0, 32, 16).prompts()]
    means = np.stack([(block / np.linalg.norm(block, axis=1, keepdims=True)).mean(0) for block in blocks])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    weight, bias = head.detector({name: tensor.numpy() for name, tensor in ended.head.whole().items()})
    scale = head.scale if isinstance(head, CosFace) else trained.logit_scale
    np.testing.assert_allclose(weight, scale * means, rtol=1e-4, atol=1e-4)
    assert not np.asarray(bias).any()


def test_what_is_dropped_in_training_is_not_in_the_classifier(encoder: Encoder) -> None:
    model = adapt(encoder.visual, Lora(rank=2, dropout=0.5, towers="both"), 0, encoder.text)
    model.load({name: tensor + 0.1 for name, tensor in model.state().items()})
    model.train()
    run, prompts = Run(encoder, model, Head(Binary(), encoder.dim, 2, 0), settings(), 3, 3), [["the cat"], ["a dog"]]
    tokens = encoder.tokenizer(["the cat", "a dog"])
    assert not torch.equal(model.texts(tokens), model.texts(tokens)) and model.text is not None
    made = run.classifier(prompts)
    assert torch.equal(made, run.classifier(prompts)) and model.text.training
    trained = model.publish().encoder(encoder).encode_texts(["the cat", "a dog"])
    expected = trained / np.linalg.norm(trained, axis=1, keepdims=True)
    np.testing.assert_allclose(made.numpy(), expected.T, atol=1e-5)


def test_with_the_tasks_loss_the_head_is_what_that_has_trained(encoder: Encoder, tmp_path: Path) -> None:
    beside, plain = go(encoder, NoAdaptation(), tmp_path / "a", FLYP()), go(encoder, NoAdaptation(), tmp_path / "b")
    for name, tensor in plain.head.whole().items():
        assert torch.equal(tensor, beside.head.whole()[name]), "features do not move: the head learns as without"


def test_the_texts_it_holds_are_chunked_alike_whoever_asks_first(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    step = step_of(encoder, Full(), pixels, ())
    made = []
    for order in ([300, 2, 599], [2, 599, 300]):
        hooks = Contrast(FLYP(prompt="{}"))
        source = Named(0, encoder.transform.size, encoder.dim, own=tuple((str(n),) for n in range(600)))
        source.labels = np.arange(600)
        hooks._read(step.run, source)
        made.append(torch.stack([hooks._features(step.run, torch.tensor([n]))[0] for n in order]))
    assert torch.equal(made[0], made[1][[2, 0, 1]])
