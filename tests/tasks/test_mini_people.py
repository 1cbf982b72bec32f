"""The pool `people`: other identities, devices and generators than any data set's, by construction and by value; the old pool as it was."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from open_clip.tokenizer import SimpleTokenizer

from gelo.tasks.mini import general, morphs, pool, pretrain, spoofs
from gelo.tasks.mini.camera import png
from gelo.tasks.mini.face_model import TRAITS, Identity, person, wild
from gelo.tasks.mini.faces import portrait
from gelo.tasks.mini.people import PEOPLE, PROMPTS, blends, devices, portraits, shown
from gelo.tasks.mini.prompts import PROMPTS as TASK_PROMPTS
from gelo.tasks.mini.vocabulary import MERGES
from gelo.tasks.mini.worlds import WORLDS, canvas
from gelo.tasks.mini.worlds.canvas import encode, generator

pytestmark = pytest.mark.slow
VOCABULARY, CONTEXT = 1067, 24


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def test_the_first_pool_is_as_it_was() -> None:
    """Digests made by the code of before there was a second pool: rows of the first shard, and of the second part."""
    rows = [0, 1, 2, 3, 4095, pool.SECOND_PART * pool.SHARD, pool.SECOND_PART * pool.SHARD + 7]
    drawn = [pool.draw(row) for row in rows]
    assert _digest(np.stack([each[0] for each in drawn]).tobytes(), repr([each[1:] for each in drawn]).encode()) == (
        "7376672d2ef56ce0"
    )


def test_the_first_pools_batches_are_as_they_were() -> None:
    """What mini-s sees at a step: captions, targets, class captions, and the numbers drawn by then. Digest as above."""
    few, at = [pool.draw(index) for index in range(48)], np.arange(pool.SHARD) % 48
    shard = pool.Shard(
        np.stack([one[0] for one in few])[at],
        np.array([one[1] for one in few])[at],
        np.array([one[2] for one in few])[at],
        [few[place][3] for place in at],
    )
    rng = np.random.Generator(np.random.PCG64([0, 5]))
    _, captions, targets = pretrain._batch(rng, [shard] * 48, 32)
    bare, starts = pool.bare_captions(rng)
    told = (captions, {name: ids.tolist() for name, ids in targets.items()}, bare, list(starts), float(rng.random()))
    assert _digest(repr(told).encode()) == "cacb44a8d9427b75"


def test_the_second_pool_draws_the_same_everywhere() -> None:
    drawn = [pool.draw(index, pool.PEOPLE) for index in range(24)]
    assert _digest(np.stack([each[0] for each in drawn]).tobytes()) == "0df837e2b481e6c7"
    assert _digest(repr([each[1:] for each in drawn]).encode()) == "a552395d87403ab0"


def test_half_of_the_second_pool_is_general() -> None:
    """By the pool's own draw of 1,000 images without their pixels; the bounds are five standard deviations of a fair coin."""
    photographs = sum(generator(pool.PEOPLE.stream, index).random() < pool.PHOTOGRAPHS for index in range(1000))
    assert abs(photographs - 500) < 5 * 15.9
    numbers = {pool.draw(index, pool.PEOPLE)[1] for index in range(60)}
    assert min(numbers) < len(WORLDS) <= max(numbers)
    assert tuple(pool.PEOPLE.worlds) == (*WORLDS, *PEOPLE)


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of every random stream that is opened."""
    opened: list[str] = []

    def sha256(name: bytes) -> object:
        opened.append(name.decode())
        return hashlib.sha256(name)

    monkeypatch.setattr(canvas, "hashlib", SimpleNamespace(sha256=sha256))
    return opened


def _of_data_sets() -> Iterator[bytes]:
    """A few images of every drawn data set, whose streams are named alike in all of it."""
    for name in (*general.DRAWN, "shapes_shifted"):
        for split in ("train", "test", "watch"):
            yield from (encode(general.pixels(name, split, index)[0]) for index in range(4))
    for name in ("faces", "pairs", "pose", "age", "templates"):
        yield from (portrait(person(name, who), wild, name, who, 0) for who in range(10))
    yield from (record.image for record in islice(morphs._split("train", ("warp",), 200, 500), 20))
    yield from (record.image for record in islice(morphs._split("test", ("warp", "blend"), 50, 100), 30))
    for split, domains in (("train", "abc"), ("test", "abcd")):
        yield from (record.image for domain in domains for record in islice(spoofs._split(split, domain), 15))


def test_no_random_stream_and_no_image_is_shared(streams: list[str]) -> None:
    theirs = {hashlib.sha256(image).hexdigest() for image in _of_data_sets()}
    assert {name.split("/")[0] for name in streams} >= {"shapes", "face", "person", "morphs", "spoofs", "presentation"}
    assert not [name for name in streams if "pretrain" in name]
    streams.clear()
    old = {hashlib.sha256(encode(pool.draw(index)[0])).hexdigest() for index in range(60)}
    assert all(name.startswith("pretrain/") for name in streams)
    streams.clear()
    new = [hashlib.sha256(encode(pool.draw(index, pool.PEOPLE)[0])).hexdigest() for index in range(120)]
    assert {re.sub(r"\d+$", "", name) for name in streams} == {"pretrain-people/", "person/pretrain-people/"}
    assert len(set(new)) == 120 and not set(new) & (theirs | old)
    assert hashlib.sha256(png(np.zeros((64, 64, 3)))).hexdigest() not in new


DOMAINS = {**spoofs.DOMAINS, **spoofs.VAL_DOMAINS}


def _people_of_data_sets() -> list[Identity]:
    counts = {"faces": 150, "faces_val": 80, "crowd": 1000, "pairs": 100, "pose": 100, "age": 100, "templates": 40}
    found = [person(name, who) for name, count in counts.items() for who in range(count)]
    found += [
        person("morphs", split, who)
        for split, count in (("train", 200), ("test", 50), ("val", 60))
        for who in range(count)
    ]
    for split, count in spoofs.SUBJECTS.items():
        found += [person("spoofs", domain, f"{split}{who:02d}") for domain in DOMAINS for who in range(count)]
    return found


def test_nobody_of_a_data_set_sits_for_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traits in units of their ranges: the nearest of 300 sitters is further from each data set's people than the hairs of one head."""
    sat: list[Identity] = []

    def noted(*key: str | int) -> Identity:
        sat.append(person(*key))
        return sat[-1]

    monkeypatch.setattr(portraits, "person", noted)
    for index in range(150):
        blends._like(portraits.sitter(generator("pretrain-people", index)), portraits.sitter(generator(index)))
    span = np.array([high - low for low, high in TRAITS.values()])
    own, theirs = (np.stack([who.vector() for who in some]) / span for some in (sat, _people_of_data_sets()))
    assert len(own) == 300 and len(theirs) == 2138
    assert len(np.unique(own, axis=0)) == 300
    apart = np.sqrt(((own[:, None] - theirs[None]) ** 2).sum(axis=2))
    assert apart.min() > 1.0, "two of 37 independent traits are about 3 apart"


def test_no_device_is_one_of_the_spoofs() -> None:
    for camera in devices.CAMERAS.values():
        for domain in DOMAINS.values():
            shared = {each.name for each in fields(camera)} & {each.name for each in fields(domain)}
            assert shared == {"blur", "noise", "bend", "block", "cast"}
            assert all(getattr(camera, name) != getattr(domain, name) for name in shared)
            assert all(one != other for one, other in zip(camera.cast, domain.cast, strict=True))
    source = inspect.getsource(spoofs)  # the ranges that its prints and screens are drawn from
    assert "pitch = video.uniform(48.0, 70.0)" in source and "video.uniform(0.2, 1.2)" in source
    assert "period, start = video.uniform(16.0, 36.0)" in source and "np.array([0.92, 0.99, 1.10])" in source
    for printer in devices.PRINTERS.values():
        assert _apart(printer.pitch, (48.0, 70.0)) and _apart(printer.angle, (0.2, 1.2))
        assert len(set(printer.stock)) > 1, "theirs is grey"
    for screen in devices.SCREENS.values():
        assert all(_apart(pitch, (16.0, 36.0)) for pitch in (screen.lines, screen.columns) if pitch[1])
        assert screen.tint[2] <= screen.tint[0], "theirs glows blue"


def _apart(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[1] <= other[0] or one[0] >= other[1]


def test_no_generator_is_one_of_the_morphs() -> None:
    assert not set(blends.GENERATORS) & {"warp", "blend", "bona_fide"}
    borrowed = {name for name, own in vars(blends).items() if getattr(own, "__module__", "").endswith("mini.morphs")}
    assert not borrowed and not {"average", "landmarks", "resample"} & set(vars(blends))


def _noise(*key: str | int) -> np.ndarray:
    return generator(*key).random((64, 64, 3))


def test_composites_are_what_they_are_called() -> None:
    """Of two random pictures: a cut keeps each side as it is, a fade stays between the two, details keep the coarse tones of the first."""
    a, b = _noise("a"), _noise("b")
    for index in range(12):
        cut = blends.halves(a, b, generator("cut", index))
        flat = cut.reshape(-1, 3)
        kept, other = (np.all(np.isclose(flat, each.reshape(-1, 3)), axis=1).mean() for each in (a, b))
        assert kept > 0.3 and other > 0.3 and kept + other > 0.8
        faded = blends.fade(a, b, generator("fade", index))
        share = (faded - a) / np.where(np.abs(b - a) < 1e-3, np.nan, b - a)
        assert 0.25 < np.nanmin(share) <= np.nanmax(share) < 0.75
        hybrid = blends.details(a, b, generator("details", index))
        coarse, fine = (np.kron(x.reshape(8, 8, 8, 8, 3).mean((1, 3)), np.ones((8, 8, 1))) for x in (hybrid, a))
        assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.6
        assert np.corrcoef((hybrid - coarse).ravel(), b.ravel())[0, 1] > 0.6
    assert np.allclose(blends.fade(a, a, generator("same")), a)


@cache
def _texts() -> frozenset[str]:
    """Every caption of 40 drawings a class, and the prompts."""
    return frozenset(_told())


def _told() -> Iterator[str]:
    for name, world in PEOPLE.items():
        for label in range(len(world.classes)):
            for index in range(40):
                words = world.draw(generator("texts", name, label, index), label, True).words
                yield from (template.format(world.classes[label], **words) for template in world.captions)
    for prompts in PROMPTS.values():
        yield from (text for group in prompts.texts() for text in group)


def test_captions_fit_into_the_shipped_vocabulary() -> None:
    """Nothing is cut at 24 tokens, what is no word of the merge list comes back from its pieces, and every token is one of the 1,067."""
    tokenizer = SimpleTokenizer(bpe_path=str(MERGES), context_length=CONTEXT)
    texts = _texts()
    assert len(texts) > 300
    for text in texts:
        ids = tokenizer.encode(text)
        assert len(ids) + 2 <= CONTEXT, text
        assert max(ids) < VOCABULARY - 2
        assert tokenizer.decode(ids).replace(" ,", ",").strip() == text
    assert len(tokenizer.encode("collage")) > 1, "a word in pieces is among them"


def test_no_caption_gives_a_detectors_label_away() -> None:
    labels = re.compile(r"\b(genuine|fake|morph\w*|attack\w*|spoof\w*|bona|fide|real|live|mask\w*)\b")
    asked = {text for name in ("morphs", "spoofs") for group in TASK_PROMPTS[name].texts() for text in group}
    for text in _texts():
        assert not labels.search(text), text
        assert text not in asked


@pytest.mark.parametrize("name", sorted(PEOPLE))
def test_every_class_draws_and_every_caption_fits(name: str) -> None:
    world = PEOPLE[name]
    for label, said in enumerate(world.classes):
        for index in range(6):
            drawing = world.draw(generator("fits", name, label, index), label, True)
            assert drawing.image.shape == (64, 64, 3) and drawing.image.dtype == np.float64
            assert drawing.image.min() >= 0.0 and drawing.image.max() <= 1.0 and drawing.image.std() > 0.01
            assert all("{" not in template.format(said, **drawing.words) for template in world.captions)
    texts, starts = pool.bare_captions(generator("bare"), pool.PEOPLE)
    assert len(texts) == pool.PEOPLE.classes == pool.PEOPLE.first[-1]
    start = starts[list(pool.PEOPLE.worlds).index(name)]
    assert all(said in texts[start + label] for label, said in enumerate(world.classes))


@pytest.mark.parametrize(
    ("device", "words"),
    [
        *[(lambda picture, rng, each=each: devices.printed(picture, each, rng), {"on paper", "with a white border"})
          for each in devices.PRINTERS.values()],
        *[(lambda picture, rng, each=each: devices.screened(picture, each, rng), {"in a frame", "on a screen", "with a light on it"})
          for each in devices.SCREENS.values()],
    ],
)  # fmt: skip
def test_devices_say_what_is_seen_of_them(device: Callable, words: set[str]) -> None:
    made = [device(np.full((64, 64, 3), 0.5), generator("device", index)) for index in range(40)]
    assert {said for _, said in made} == words
    assert all(np.isfinite(picture).all() and picture.std() > 0 for picture, _ in made)


def test_a_portrait_looks_where_its_class_says() -> None:
    """The tip of the nose lies to the left of the head's centre in the picture, to the right, or near it."""
    from gelo.tasks.mini.face_draw import landmarks

    for label, side in ((0, 0.0), (1, -1.0), (2, 1.0)):
        for index in range(20):
            sat = portraits.sitter(generator("looks", label, index), portraits._TURNS[label])
            beside = float(landmarks(sat.who, sat.view)[6, 0] - (32 * sat.view.shift[0] + 31.5))
            assert beside * side > 4.0 if side else abs(beside) < 4.0
    assert shown.CLASSES[2] == "a person in front of a camera"
