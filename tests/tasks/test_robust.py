"""Zero-shot under attack: its numbers, and its features in the cache, keyed by all that they depend on, resumed, the same everywhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.tasks.data import embed as embedding
from gelo.tasks.data.attacked import Aim, aim_of
from gelo.tasks.data.cache import entries
from gelo.tasks.data.embed import EncoderRef, embed, features, needs, text_features
from gelo.tasks.data.manifest import CHUNK, Dataset
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.data.records import Record
from gelo.tasks.data.stream import decode
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.owed import owed
from gelo.tasks.protocols import PROTOCOLS, robust, zeroshot
from gelo.tasks.protocols.attack import Attack
from gelo.tasks.protocols.base import Protocol

CONTEXT: Any = {"data": "d" * 16, "vision": "v" * 16, "text": "t" * 16, "scale": "miniature"}
CLASSES = ("red", "green", "blue")
ATTACK = Attack(steps=3, images=24)


def picture(row: int) -> bytes:
    """A noisy plane of the colour of its class."""
    rng = np.random.default_rng(row)
    pixels = rng.integers(0, 90, (64, 64, 3), dtype=np.uint8)
    pixels[:, :, row % 3] += 60
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    records = (Record(f"r{row}", picture(row), row % 3) for row in range(CHUNK + 12))
    return write_dataset(
        tmp_path_factory.mktemp("data") / "toy", name="toy", version="1", scale="full", classes=CLASSES,
        splits={"test": records}, source="a test", licence="none",
    )  # fmt: skip


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load_backbone("mini-s")
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def ref(encoder: Encoder) -> EncoderRef:
    return EncoderRef(encoder.vision_fingerprint, "mini-s", None, None)


@pytest.fixture(scope="module")
def aim(dataset: Dataset, encoder: Encoder) -> Aim:
    found = aim_of(ATTACK, dataset, encoder.text_fingerprint)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def bank(dataset: Dataset, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.float64]:
    prompts = Prompts(CLASSES, ("a photo of a {}.",))
    return zeroshot.classifier(text_features(encoder, prompts, tmp_path_factory.mktemp("text")))


def files(cache: Path) -> dict[str, bytes]:
    return {str(path.relative_to(cache)): path.read_bytes() for path in sorted((cache / "embeddings").rglob("*.npy"))}


def test_features_of_attacked_images_are_those_of_the_chosen_rows_and_half_a_pass_is_gone_on_with(
    dataset: Dataset, encoder: Encoder, ref: EncoderRef, aim: Aim, bank: NDArray[np.float64], tmp_path: Path
) -> None:
    wanted, banks = needs(ref, dataset, "test", ("image", "attacked"), aim), {aim: bank}
    assert [need.rows for need in wanted[:2]] == [CHUNK, 12] and sum(need.rows for need in wanted[2:]) == ATTACK.images
    assert embed(wanted, encoder.transform, tmp_path, "local", banks=banks) == CHUNK + 12 + ATTACK.images
    rows, whole = ATTACK.chosen(CHUNK + 12), files(tmp_path)
    clean = features(ref, dataset, "test", tmp_path)[rows]
    attacked = features(ref, dataset, "test", tmp_path, "attacked", aim)
    assert attacked.shape == clean.shape == (24, encoder.dim) and np.abs(attacked - clean).max() > 0.01

    def loss(found: NDArray[np.floating]) -> float:
        cosines = found / np.linalg.norm(found, axis=1, keepdims=True) @ bank
        chances = np.exp(100 * (cosines - cosines.max(axis=1, keepdims=True)))
        return float(-np.log(chances[range(24), rows % 3] / chances.sum(axis=1)).mean())

    assert loss(attacked) > loss(clean), "labels and rows belong together"
    assert embed(wanted, encoder.transform, tmp_path, "local", banks=banks) == 0
    lost = wanted[-1]
    content = lost.path(tmp_path).read_bytes()
    lost.path(tmp_path).write_bytes(content[:-8])  # as a kill may leave it
    ticks: list[int] = []
    assert embed(wanted, encoder.transform, tmp_path, "local", tick=ticks.append, banks=banks) == lost.rows
    assert files(tmp_path) == whole and ticks == [lost.rows]
    assert {entry.kind for entry in entries(tmp_path)} == {"decoded", "embeddings"}, "what prunes the cache sees them"


def test_an_attack_of_radius_0_leaves_the_clean_prediction_of_every_image(
    dataset: Dataset, encoder: Encoder, ref: EncoderRef, aim: Aim, bank: NDArray[np.float64], tmp_path: Path
) -> None:
    found = []
    for radius in (0.0, 1 / 255, 6 / 255):
        at = replace(aim, attack=replace(ATTACK, epsilon=radius, step=max(radius, 1e-4)))
        embed(
            needs(ref, dataset, "test", ("image", "attacked"), at),
            encoder.transform,
            tmp_path,
            "local",
            banks={at: bank},
        )
        rows = at.attack.chosen(CHUNK + 12)
        clean = features(ref, dataset, "test", tmp_path)[rows]
        attacked = features(ref, dataset, "test", tmp_path, "attacked", at)
        result, table = robust.score(
            "x",
            dataset.ids("test")[rows],
            clean,
            attacked,
            dataset.labels("test")[rows],
            bank,
            attack=at.attack,
            **CONTEXT,
        )
        zero_shot, _ = zeroshot.score(
            "x", dataset.ids("test")[rows], clean, dataset.labels("test")[rows], bank, **CONTEXT
        )
        assert result.values["robust/x/top1_clean"] == zero_shot.values["zero_shot/x/top1"]
        assert result.intervals["robust/x/top1_clean"] == zero_shot.intervals["zero_shot/x/top1"]
        found.append(result.values["robust/x/top1"])
        if not radius:
            np.testing.assert_allclose(attacked, clean, rtol=0, atol=1e-5)
            assert table["clean"].equals(table["predicted"]) and found[0] == result.values["robust/x/top1_clean"]
    assert found[0] > found[1] >= found[2], found


def test_a_row_of_a_pipeline_gives_the_same_bytes_as_a_thread_of_this_process(
    dataset: Dataset, encoder: Encoder, ref: EncoderRef, aim: Aim, bank: NDArray[np.float64], tmp_path: Path
) -> None:
    import pickle

    wanted = [need for need in needs(ref, dataset, "test", ("attacked",), aim) if need.work.chunk.index == 1]
    embed(wanted, encoder.transform, tmp_path, "local", banks={aim: bank})
    pixels = decode(wanted[0].work, encoder.transform, tmp_path)
    row = {"work": 7, "rider": wanted, "pixels": pixels, "faults": []}
    actor = pickle.loads(pickle.dumps(({aim: bank}, row)))  # what reaches another process
    index, (found,), error = embedding.unpack(embedding._Encode("cpu", actor[0])({"packed": pickle.dumps(actor[1])}))
    assert index == 7 and error is None
    np.testing.assert_array_equal(found, np.load(wanted[0].path(tmp_path)))


def test_the_cache_is_keyed_by_everything_that_attacked_features_depend_on(
    dataset: Dataset, ref: EncoderRef, aim: Aim, tmp_path: Path
) -> None:
    others = [
        replace(ATTACK, **{name: getattr(ATTACK, name) * 2 or 1})
        for name in ("epsilon", "step", "steps", "images", "seed")
    ]
    aims = [
        aim,
        *(replace(aim, attack=each) for each in others),
        replace(aim, text="0" * 16),
        replace(aim, prompts="0" * 16),
    ]
    places = {needs(ref, dataset, "test", ("attacked",), each)[0].path(tmp_path) for each in aims}
    moved = replace(ref, vision="0" * 16)
    places |= {needs(moved, dataset, "test", ("attacked",), aim)[0].path(tmp_path)}
    places |= {needs(ref, dataset, "test", ("image",), aim)[0].path(tmp_path)}
    assert len(places) == len(aims) + 2 == 10
    again = aim_of(replace(ATTACK), dataset, aim.text)
    assert again is not None and needs(ref, dataset, "test", ("attacked",), again) == needs(
        ref, dataset, "test", ("attacked",), aim
    )


def test_what_is_attacked_against_texts_that_cannot_be_asked_is_left_out(
    dataset: Dataset, encoder: Encoder, ref: EncoderRef, aim: Aim, tmp_path: Path
) -> None:
    wanted = needs(ref, dataset, "test", ("attacked",), aim)
    assert embed(wanted, encoder.transform, tmp_path, "local") == 0
    assert needs(ref, dataset, "test", ("image", "attacked")) == needs(ref, dataset, "test", ("image",))
    assert aim_of(None, dataset, "t") is None


def test_the_numbers_of_a_result() -> None:
    rng = np.random.default_rng(0)
    classifier, labels = np.eye(4), rng.integers(0, 4, 50)
    clean, attacked = np.eye(4)[labels], np.eye(4)[np.where(np.arange(50) < 20, (labels + 1) % 4, labels)]
    ids = [f"i{row}" for row in range(50)]
    result, table = robust.score("x", ids, clean, attacked, labels, classifier, of=900, **CONTEXT)
    assert result.values == {"robust/x/top1": 0.6, "robust/x/top1_clean": 1.0}
    low, high = result.intervals["robust/x/top1"]
    exact = stats.binomtest(30, 50).proportion_ci()  # Clopper and Pearson's is wider than mid-P
    assert exact.low < low < 0.6 < high < exact.high
    assert result.counts == {"images": 50, "classes": 4, "test_images": 900}
    assert result.notes["attack"].startswith("L-inf PGD on pixels in [0, 1], epsilon 1/255, 10 steps of 1/255")
    assert (table["predicted"].to_numpy() == labels).sum() == 30 and (table["clean"].to_numpy() == labels).all()
    one = np.ones((50, 4))
    result, _ = robust.score("x", ids, one, one, 0 * labels, classifier[:, :1], **CONTEXT)
    assert set(result.absent.values()) == {"robustness: 1 class, at least 2 needed"} and not result.values
    attacked[3] = np.nan
    with pytest.raises(UserError, match=r"features of attacked images.*1 not finite: i3"):
        robust.score("x", ids, clean, attacked, labels, classifier, **CONTEXT)


def test_the_protocol_owes_one_result_a_set_and_states_its_attack() -> None:
    declared = PROTOCOLS["robust"]
    assert list(owed([("a", "robust"), ("b", "robust")], "faces")) == [
        ("robust", "a", "robust"),
        ("robust", "b", "robust"),
    ]
    assert declared.attack == Attack(1 / 255, 1 / 255, 10, 200, 0) and declared.prompted
    fields: Any = {name: getattr(declared, name) for name in declared.__slots__}
    for wrong in ({"attack": None}, {"prompted": False}, {"reads": (("test", ("image",)),)}):
        with pytest.raises(ValueError, match="go together"):
            Protocol(**{**fields, **wrong})
