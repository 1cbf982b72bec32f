"""From Parquet to features: nothing dropped, nothing recomputed, equal with and without Ray, and equal to open_clip called directly."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import nn

from gelo.models.backbones.registry import BACKBONES, MINI
from gelo.models.backbones.transforms import Transform
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.tasks.data.embed import EncoderRef, embed, features, needs, text_features
from gelo.tasks.data.manifest import CHUNK, Dataset
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.data.records import Record
from gelo.tasks.data.stream import Executor, decode, decode_all, flow, spread, works
from gelo.tasks.data.understood import Reading
from gelo.tasks.data.write import write_dataset
from gelo.tasks.protocols.zeroshot import classifier

pytestmark = pytest.mark.slow

PROMPTS = Prompts(("red circle", "blue square"), ("a photo of a {}", "a {}"))


def encoded(index: int) -> bytes:
    """Images of several sizes and modes, every fifth stored on its side."""
    rng = np.random.default_rng(index)
    height, width = (64, 64) if index % 3 else (50 + index % 40, 90)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    image = image.convert(("RGB", "L", "P", "RGBA")[index % 4])
    exif = Image.Exif()
    if index % 5 == 0:
        exif[0x0112] = 6
    stream = io.BytesIO()
    image.save(stream, "PNG", exif=exif)
    return stream.getvalue()


def write(root: Path, images: list[bytes], name: str = "toy", reading: Reading = "faithful") -> Dataset:
    records = (Record(f"r{index}", image, index % 2) for index, image in enumerate(images))
    return write_dataset(
        root / name, name=name, version="1", scale="miniature", classes=PROMPTS.classes, splits={"test": records},
        source="a test", licence="Apache-2.0", reading=reading,
    )  # fmt: skip


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return [encoded(index) for index in range(CHUNK + 12)]


@pytest.fixture(scope="module")
def dataset(images: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write(tmp_path_factory.mktemp("data"), images)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.set_num_threads(1)
    return load_backbone("mini-s")


@pytest.fixture(scope="module")
def ref(encoder: Encoder) -> EncoderRef:
    return EncoderRef(encoder.vision_fingerprint, "mini-s", None, None)


@pytest.fixture(scope="module")
def plain(dataset: Dataset, encoder: Encoder, ref: EncoderRef, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache filled by the plain loop, both views."""
    cache = tmp_path_factory.mktemp("plain")
    assert embed(needs(ref, dataset, "test", ("image", "flip")), encoder.transform, cache, "local") == 2 * (CHUNK + 12)
    return cache


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def clip() -> tuple[nn.Module, open_clip.SimpleTokenizer]:
    """The same weights in a model that open_clip builds, and its tokenizer."""
    open_clip.add_model_config(MINI / "mini-s.json")
    model = open_clip.create_model("mini-s", pretrained=None).eval()
    assert BACKBONES["mini-s"].file is not None
    state = {name: tensor.float() for name, tensor in load_file(BACKBONES["mini-s"].file).items()}
    model.load_state_dict(state, strict=True)
    length = open_clip.get_model_config("mini-s")["text_cfg"]["context_length"]
    return model, open_clip.SimpleTokenizer(bpe_path=str(MINI / "merges.txt.gz"), context_length=length)


def direct(model: nn.Module, images: list[bytes], reading: Reading = "faithful") -> np.ndarray:
    """open_clip alone, one image at a time, as it stands or upright and in RGB."""
    transform = open_clip.image_transform(64, is_train=False)
    opened: list[Image.Image] = [Image.open(io.BytesIO(image)) for image in images]
    if reading == "faithful":
        opened = [ImageOps.exif_transpose(image).convert("RGB") for image in opened]
    with torch.no_grad():
        pixels = [transform(image).unsqueeze(0) for image in opened]  # type: ignore[operator]
        return torch.cat([model.encode_image(each) for each in pixels]).numpy()  # type: ignore[operator]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("reading", ["faithful", "open_clip"])
def test_features_equal_open_clip_called_directly(
    reading: Reading,
    encoder: Encoder,
    ref: EncoderRef,
    images: list[bytes],
    clip: tuple[nn.Module, object],
    tmp_path: Path,
) -> None:
    dataset = write(tmp_path, images, reading=reading)
    embed(needs(ref, dataset, "test", ("image",)), encoder.transform, tmp_path / "cache", "local")
    expected = direct(clip[0], images, reading)
    found = features(ref, dataset, "test", tmp_path / "cache")
    assert found.dtype == np.float32
    unit = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found / unit, expected / unit, rtol=0, atol=1e-6)


def test_flipped_features_are_those_of_the_mirrored_image(
    plain: Path, dataset: Dataset, ref: EncoderRef, encoder: Encoder
) -> None:
    pixels = np.concatenate([decode(work, encoder.transform, plain) for work in works(dataset, "test")])
    found = features(ref, dataset, "test", plain, "flip")
    assert np.abs(found - features(ref, dataset, "test", plain)).max() > 1e-3
    np.testing.assert_array_equal(found[:CHUNK], encoder.encode_images(np.ascontiguousarray(pixels[:CHUNK, :, ::-1])))


def test_zero_shot_logits_equal_open_clip_image_by_image(
    plain: Path,
    dataset: Dataset,
    ref: EncoderRef,
    encoder: Encoder,
    images: list[bytes],
    clip: tuple[nn.Module, open_clip.SimpleTokenizer],
) -> None:
    model, tokenizer = clip
    with torch.no_grad():
        columns = []
        for texts in PROMPTS.texts():
            of_class = nn.functional.normalize(model.encode_text(tokenizer(texts)), dim=-1)  # type: ignore[operator]
            columns.append(nn.functional.normalize(of_class.mean(0), dim=-1))
        unit = nn.functional.normalize(torch.from_numpy(direct(model, images)), dim=-1)
        expected = (model.logit_scale.exp() * unit @ torch.stack(columns, 1)).numpy()  # type: ignore[operator]
    found = features(ref, dataset, "test", plain)
    found = found / np.linalg.norm(found, axis=1, keepdims=True)
    logits = encoder.logit_scale * found @ classifier(text_features(encoder, PROMPTS, plain))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-6 * encoder.logit_scale)


@pytest.fixture
def piped(ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray Data's pipeline from the first image on, as on a cluster of several machines."""
    monkeypatch.setattr("gelo.tasks.data.stream.alone", lambda: False)


def test_ray_gives_the_same_bytes_as_the_plain_loop(
    plain: Path, dataset: Dataset, ref: EncoderRef, encoder: Encoder, tmp_path: Path, piped: None
) -> None:
    ticks: list[int] = []
    wanted = needs(ref, dataset, "test", ("image", "flip"))
    assert embed(wanted, encoder.transform, tmp_path, "ray", tick=ticks.append) == sum(ticks) == 2 * (CHUNK + 12)
    for folder in ("decoded", "embeddings"):
        assert files(tmp_path / folder) == files(plain / folder)
        assert len(files(tmp_path / folder)) == (2 if folder == "decoded" else 4)


def test_a_pipeline_takes_over_where_the_first_chunks_tell_that_threads_would_take_long(
    ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(job: int) -> tuple[str, int]:
        time.sleep(0.02)
        return "here", job

    def piped(left: Sequence[int]) -> Iterator[tuple[str, int]]:
        yield from (("piped", job) for job in left)

    jobs = range(20)
    assert list(flow(jobs, slow, piped, "ray")) == [("here", job) for job in jobs]
    assert list(flow(jobs, slow, piped, "local")) == [("here", job) for job in jobs]
    monkeypatch.setattr("gelo.tasks.data.stream.PATIENCE", 0.01)
    found = list(flow(jobs, slow, piped, "ray"))
    assert sorted(job for _, job in found) == list(jobs)
    assert {place for place, job in found if job < 4} == {"here"}
    assert {place for place, job in found if job >= 4} == {"piped"}


def test_spreading_stops_at_the_first_error_and_stays_few_ahead() -> None:
    begun: list[int] = []

    def run(job: int) -> int:
        begun.append(job)
        if job == 3:
            raise ValueError("job 3")
        return job

    done = []
    with pytest.raises(ValueError, match="job 3"):
        for job in spread(range(1000), run, 2):
            done.append(job)
    assert done == [0, 1, 2]
    assert max(begun) <= 3 + 2 * 2 + 1


def test_half_a_pass_is_gone_on_with_and_a_whole_one_costs_nothing(
    plain: Path, dataset: Dataset, ref: EncoderRef, encoder: Encoder, tmp_path: Path
) -> None:
    wanted = needs(ref, dataset, "test", ("image", "flip"))
    there = [need for need in wanted if need.work.chunk.index == 0]
    embed(there, encoder.transform, tmp_path, "local")
    written = {need: need.path(tmp_path).stat().st_mtime_ns for need in there}
    ticks: list[int] = []
    assert embed(wanted, encoder.transform, tmp_path, "local", tick=ticks.append) == 2 * 12
    assert ticks == [12, 12]
    assert {need: need.path(tmp_path).stat().st_mtime_ns for need in there} == written
    assert files(tmp_path / "embeddings") == files(plain / "embeddings")
    assert embed(wanted, encoder.transform, tmp_path, "local") == 0


def test_the_cache_is_keyed_by_weights_transform_and_data_set(
    dataset: Dataset, encoder: Encoder, ref: EncoderRef, images: list[bytes], tmp_path: Path
) -> None:
    state = encoder.visual_state()
    name = next(iter(state))
    state[name] = state[name].clone()
    state[name].view(-1)[0] += 1e-3
    moved = encoder.with_visual(state)
    squashed = encoder.transform.model_copy(update={"interpolation": "bilinear"})
    other = Encoder(
        encoder.visual, encoder.text, squashed, name="mini-s", dim=encoder.dim, scale="miniature", config=encoder.config
    )
    changed = write(tmp_path, [*images[:-1], encoded(999)])
    refs = [ref, *(EncoderRef(e.vision_fingerprint, "mini-s", None, None) for e in (moved, other))]
    first = [needs(r, d, "test", (view,))[0] for r in refs for d in (dataset, changed) for view in ("image", "flip")]  # type: ignore[arg-type]
    assert len({need.path(tmp_path) for need in first}) == len(first) == 12
    assert squashed.fingerprint != encoder.transform.fingerprint


def test_weights_that_changed_under_their_name_fill_no_cache(
    dataset: Dataset, encoder: Encoder, tmp_path: Path
) -> None:
    stale = EncoderRef("0" * 16, "mini-s", None, None)
    with pytest.raises(UserError, match="weights changed"):
        embed(needs(stale, dataset, "test", ("image",)), encoder.transform, tmp_path, "local")
    assert not (tmp_path / "embeddings").exists()


def test_text_features_are_computed_once_and_equal_open_clip(
    encoder: Encoder, tmp_path: Path, clip: tuple[nn.Module, open_clip.SimpleTokenizer]
) -> None:
    model, tokenizer = clip
    found = text_features(encoder, PROMPTS, tmp_path)
    with torch.no_grad():
        for own, texts in zip(found, PROMPTS.texts(), strict=True):
            theirs = model.encode_text(tokenizer(texts)).numpy()  # type: ignore[operator]
            np.testing.assert_allclose(own, theirs, rtol=0, atol=1e-5)
    before = files(tmp_path)
    again = text_features(encoder, PROMPTS, tmp_path)
    assert files(tmp_path) == before
    np.testing.assert_array_equal(np.stack(again), np.stack(found))


def bomb(side: int) -> bytes:
    """A PNG of a few bytes whose header claims side x side pixels."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(b"")) + part(b"IEND", b"")


@pytest.fixture
def damaged(images: list[bytes], tmp_path: Path) -> Dataset:
    """Five unreadable images in two chunks: one that Pillow has no decoder for, one of which nothing says which value is white."""
    bad = list(images)
    bad[3], bad[5], bad[CHUNK + 1] = b"no image at all", images[5][: len(images[5]) // 2], bomb(20_000)
    bad[7] = (
        b"DDS " + struct.pack("<7I", 124, 0x1007, 8, 8, 32, 0, 0) + bytes(44) + struct.pack("<2I", 32, 0) + bytes(48)
    )
    floats = io.BytesIO()
    Image.new("F", (9, 9), 812.0).save(floats, "TIFF")
    bad[9] = floats.getvalue()
    return write(tmp_path, bad)


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_every_unreadable_image_is_named_and_none_is_dropped(
    damaged: Dataset, encoder: Encoder, ref: EncoderRef, tmp_path: Path, executor: Executor, piped: None
) -> None:
    with pytest.raises(UserError) as refused:
        decode_all(works(damaged, "test"), encoder.transform, tmp_path / "c", executor, lambda n: None)
    assert sorted(fault.where for fault in refused.value.faults) == [
        f"toy/test id 'r{CHUNK + 1}'",
        "toy/test id 'r3'",
        "toy/test id 'r5'",
        "toy/test id 'r7'",
        "toy/test id 'r9'",
    ]
    assert "NotImplementedError" in str(refused.value) and "812" in str(refused.value)
    assert "400000000" in str(refused.value) or "20000 x 20000" in str(refused.value)
    with pytest.raises(UserError, match="toy/test id"):
        embed(needs(ref, damaged, "test", ("image",)), encoder.transform, tmp_path / "c", executor)
    assert not files(tmp_path / "c"), "no chunk with a hole in it is kept"


def test_decoding_goes_on_past_a_damaged_set(images: list[bytes], tmp_path: Path) -> None:
    transform = Transform(size=64)
    good, bad = write(tmp_path, images[:3], "good"), write(tmp_path, [b"x"], "bad")
    with pytest.raises(UserError, match="bad/test id 'r0'"):
        decode_all([*works(bad, "test"), *works(good, "test")], transform, tmp_path / "c", "local", lambda n: None)
    assert len(files(tmp_path / "c")) == 1
