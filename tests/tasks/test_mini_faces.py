"""The biometric miniatures: the same bits everywhere, no person on both sides of a split, protocol tables in balance."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gelo.tasks.data.catalogue import locate
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.mini import faces, morphs, spoofs
from gelo.tasks.mini.camera import grain, paint, png, resample, soften
from gelo.tasks.mini.face_draw import face, landmarks, scene
from gelo.tasks.mini.face_model import TRAITS, View, average, frontal, old, passport, person, profile, wild, young
from gelo.tasks.mini.worlds import canvas
from gelo.tasks.mini.worlds.canvas import generator

pytestmark = pytest.mark.slow

NAMES = [*faces.BUILDERS, *morphs.BUILDERS, *spoofs.BUILDERS]
GOLDEN: dict[str, str] = {
    "faces": "f5f397c119666ae0",
    "faces_val": "b5f8faa27dbde61f",
    "pairs": "5d4c1e5c4e8d7ab1",
    "pose": "ef36ac513eb010f7",
    "age": "87c12493fc1639f9",
    "templates": "6cd6c7b660edd8a7",
    "morphs": "1e8db86df7b0f144",
    "morphs_val": "63a330385d635118",
    "spoofs": "64c380a01a177153",
    "spoofs_val": "a8b202b406fbd11e",
}


@pytest.fixture(scope="module")
def built(small_world: Path) -> dict[str, Dataset]:
    return {name: locate(name, small_world / "data", build=True) for name in NAMES}


def decoded(dataset: Dataset, split: str) -> np.ndarray:
    """(N, 64, 64, 3) uint8."""
    return np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in dataset.column(split, "image")])


@pytest.mark.parametrize("name", NAMES)
def test_every_pixel_is_the_committed_one(built: dict[str, Dataset], name: str) -> None:
    digest = hashlib.sha256()
    for split in sorted(built[name].card.splits):
        digest.update(decoded(built[name], split).tobytes())
        digest.update("\n".join(built[name].ids(split)).encode())
    assert digest.hexdigest()[:16] == GOLDEN[name]


def test_a_second_build_has_the_same_fingerprint(built: dict[str, Dataset], tmp_path: Path) -> None:
    assert faces.build_pose(tmp_path / "pose").fingerprint == built["pose"].fingerprint


def test_sizes(built: dict[str, Dataset]) -> None:
    assert built["faces"].card.counts() == {"train": 1200}
    assert built["morphs"].card.counts() == {"train": 1000, "test": 300}
    assert built["spoofs"].card.counts() == {"train": 900, "dev": 225, "test": 480}
    assert sum(built[name].card.counts()["test"] for name in ("pairs", "pose", "age", "templates")) <= 1500
    for name in NAMES:
        for split in built[name].card.splits:
            assert decoded(built[name], split).shape[1:] == (64, 64, 3)


def test_no_identity_is_in_two_sets() -> None:
    people = [
        person(name, i).vector().tobytes()
        for name, count in (
            ("faces", 150),
            ("faces_val", 80),
            ("pairs", 100),
            ("pose", 100),
            ("age", 100),
            ("templates", 40),
        )
        for i in range(count)
    ]
    assert len(set(people)) == len(people)


@pytest.mark.parametrize(("name", "pairs"), [("pairs", 600), ("pose", 400), ("age", 400)])
def test_folds_are_balanced_and_share_no_subject(built: dict[str, Dataset], name: str, pairs: int) -> None:
    dataset = built[name]
    subject = dict(zip(dataset.ids("test"), dataset.column("test", "subject"), strict=True))
    rows = dataset.table("pairs").to_pylist()
    assert len(rows) == pairs == len({frozenset((r["id_1"], r["id_2"])) for r in rows})
    assert Counter((r["fold"], r["same"]) for r in rows) == {
        (f, s): pairs // 20 for f in range(10) for s in (True, False)
    }
    assert all((subject[r["id_1"]] == subject[r["id_2"]]) == r["same"] for r in rows)
    folds: dict[str, set[int]] = {}
    for row in rows:
        for key in ("id_1", "id_2"):
            folds.setdefault(subject[row[key]], set()).add(row["fold"])
    assert all(len(of) == 1 for of in folds.values())
    assert {i for r in rows for i in (r["id_1"], r["id_2"])} == set(subject), "every image is used"


def test_templates_resolve_one_in_a_thousand(built: dict[str, Dataset]) -> None:
    dataset = built["templates"]
    members, pairs = dataset.table("members").to_pylist(), dataset.table("pairs").to_pylist()
    assert sorted(m["id"] for m in members) == sorted(dataset.ids("test"))
    assert all(0.3 <= m["detector_score"] <= 1.0 for m in members)
    media: dict[str, Counter[str]] = {}
    for member in members:
        media.setdefault(member["template"], Counter())[member["media"]] += 1
    assert len(media) == 80 and all(2 <= len(m) <= 3 and set(m.values()) <= {2, 3} for m in media.values())
    assert Counter(p["same"] for p in pairs) == {True: 40, False: 3120}
    subject = dict(zip(dataset.ids("test"), dataset.column("test", "subject"), strict=True))
    owner = {m["template"]: subject[m["id"]] for m in members}
    assert all((owner[p["template_1"]] == owner[p["template_2"]]) == p["same"] for p in pairs)


def test_morph_labels_and_subjects(built: dict[str, Dataset]) -> None:
    dataset = built["morphs"]
    for split in ("train", "test"):
        attacks = dataset.column(split, "attack")
        assert np.array_equal(dataset.labels(split) == 1, attacks == "bona_fide")
    assert Counter(dataset.column("train", "attack")) == {"bona_fide": 500, "warp": 500}
    assert Counter(dataset.column("test", "attack")) == {"bona_fide": 100, "warp": 100, "blend": 100}
    seen = {
        split: {part for s in dataset.column(split, "subject") for part in s.split("+")} for split in ("train", "test")
    }
    assert not seen["train"] & seen["test"]
    assert all(
        ("+" in s) == (label == 0)
        for s, label in zip(dataset.column("test", "subject"), dataset.labels("test"), strict=True)
    )


def test_spoof_labels_videos_and_domains(built: dict[str, Dataset]) -> None:
    dataset = built["spoofs"]
    subjects: list[set[str]] = []
    for split, domains in (("train", "abc"), ("dev", "abc"), ("test", "abcd")):
        attacks, videos, ids = (dataset.column(split, c) for c in ("attack", "video", "id"))
        assert np.array_equal(dataset.labels(split) == 1, attacks == "bona_fide")
        assert set(dataset.column(split, "domain")) == set(domains)
        assert set(Counter(videos).values()) == {3}
        assert all(i.rsplit("_", 1)[0] == v for i, v in zip(ids, videos, strict=True))
        assert all(
            v == f"{s}/{a}_{v[-1]}" for v, s, a in zip(videos, dataset.column(split, "subject"), attacks, strict=True)
        )
        assert {(d, a) for d, a in zip(dataset.column(split, "domain"), attacks, strict=True)} == {
            (d, a) for d in domains for a in ("bona_fide", "print", "replay", "mask")
        }
        subjects.append(set(dataset.column(split, "subject")))
    assert not (subjects[0] & subjects[1] or subjects[0] & subjects[2] or subjects[1] & subjects[2])


def test_what_is_chosen_by_shows_other_people_generators_and_cameras(built: dict[str, Dataset]) -> None:
    for name, column in (("morphs", "attack"), ("spoofs", "domain")):
        chosen, others = built[f"{name}_val"], [(split, built[name]) for split in built[name].card.splits]
        assert chosen.card.counts() == {"val": 300} and chosen.card.classes == built[name].card.classes
        assert np.array_equal(chosen.labels("val") == 1, chosen.column("val", "attack") == "bona_fide")
        own = {part for subject in chosen.column("val", "subject") for part in subject.split("+")}
        seen = {part for split, of in others for subject in of.column(split, "subject") for part in subject.split("+")}
        assert not own & seen
        kinds = {kind for split, of in others for kind in of.column(split, column)}
        assert set(chosen.column("val", column)) & kinds <= {"bona_fide"}


def test_traits_stay_in_range_and_the_average_lies_between() -> None:
    a, b = person("x", 1), person("x", 2)
    middle = average(a, b)
    for name, (low, high) in TRAITS.items():
        assert low <= a[name] <= high
        assert min(a[name], b[name]) <= middle[name] <= max(a[name], b[name])
    assert np.array_equal(average(a, b, 0.0).vector(), a.vector())


@pytest.mark.parametrize("sampler", [wild, frontal, profile, young, old, passport])
def test_a_face_is_finite_and_a_function_of_its_key(sampler: faces.Sampler) -> None:
    pictures = [
        face(person("x", 3), sampler(rng), rng) for rng in (generator("t", 1), generator("t", 1), generator("t", 2))
    ]
    assert np.isfinite(pictures[0]).all() and pictures[0].min() >= 0.0 and pictures[0].max() <= 1.0
    assert np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[0], pictures[2])


def test_landmarks_find_the_eyes() -> None:
    """The pupils, darkest pixels of a pale person without lashes, lie between the eye corners in any pose."""
    who = person("x", 4)
    pale = type(who)(
        {
            **who.traits,
            "skin_tone": 1.0,
            "iris": 0.0,
            "eye_size": 0.13,
            "eye_aspect": 0.8,
            "lash": 0.0,
            "mole_size": -0.02,
        }
    )
    for yaw, roll in ((0.0, 0.0), (0.4, 0.0), (-0.3, 0.1)):
        view = View(yaw=yaw, roll=roll, pitch=0.1)
        picture = scene(pale, view, generator("t", 3))
        points = landmarks(pale, view)
        for corner in (0, 2):
            x, y = (points[corner] + points[corner + 1]) / 2
            window = picture[int(y) - 3 : int(y) + 5, int(x) - 3 : int(x) + 5].sum(axis=2)
            assert window.min() < 0.35 < 1.5 < picture[int(y) + 8, int(x)].sum()


def test_a_warp_without_displacement_changes_nothing_and_moves_by_one_pixel_when_asked() -> None:
    picture = generator("t", 5).random((64, 64, 3))
    points = np.array([(10.0, 10.0), (50.0, 20.0), (30.0, 55.0)])
    assert np.array_equal(morphs.bend(picture, points, points), picture)
    moved = morphs.bend(picture, points, points + 1.0)
    assert moved[11, 11] == pytest.approx(picture[10, 10], abs=0.02)


def test_camera_against_plain_numpy() -> None:
    rng = generator("t", 6)
    picture, coverage = rng.random((64, 64, 3)), np.clip(rng.random((64, 64)) * 3.0 - 2.0, 0.0, 1.0)
    coverage[:, :20] = 0.0
    mine, theirs = picture.copy(), picture.copy()
    paint(mine, np.array([0.2, 0.4, 0.9]), coverage)
    canvas.paint(theirs, np.array([0.2, 0.4, 0.9]), coverage)
    assert np.array_equal(mine, theirs)
    kernel = np.array([1.0, 2.0, 1.0]) / 4
    rows = np.apply_along_axis(lambda v: np.convolve(v, kernel, "valid"), 0, picture)
    assert soften(picture, 1.0)[1:-1, 1:-1] == pytest.approx(
        np.apply_along_axis(lambda v: np.convolve(v, kernel, "valid"), 1, rows)
    )
    y, x = np.mgrid[0:64, 0:64].astype(float)
    assert np.array_equal(resample(picture, x, y), picture)
    assert np.abs(grain(picture, rng, 0.05) - picture).max() <= 0.05
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), np.floor(picture * 255 + 0.5))


def test_an_unknown_attack_is_refused() -> None:
    rng = generator("t", 7)
    with pytest.raises(ValueError, match="print, replay, mask"):
        spoofs.frame(person("x", 1), View(), "prnt", spoofs.DOMAINS["a"], rng, rng)
