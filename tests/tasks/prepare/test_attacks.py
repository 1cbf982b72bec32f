"""Morph sets in their publishers' form and a user's own: every image, label and attack by hand; what is refused and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gelo.tasks.data.asking import prompts_for
from gelo.tasks.prepare.prepare import prepare
from tests.tasks.prepare import attack_trees as trees
from tests.tasks.prepare.attack_checks import partial, refused, rows, scored, small
from tests.tasks.prepare.attack_trees import MAD22, photograph, put, table


@pytest.fixture
def mad22(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole MAD22, its CSVs with the folders of another machine."""
    small(monkeypatch)
    trees.mad22(tmp_path / "tree")
    return tmp_path / "tree"


def test_mad22_is_one_item_an_image_with_the_attack_of_its_csv(mad22: Path, tmp_path: Path) -> None:
    dataset, _ = prepare("mad22", mad22, tmp_path / "data")
    expected: dict[str, tuple[Any, ...]] = {f"bonafide/{n:03d}_03.png": (1, "bona_fide") for n in range(4)}
    for attack, count in (
        ("FaceMorpher", 3),
        ("MIPGAN_I", 2),
        ("MIPGAN_II", 2),
        ("OpenCV", 3),
        ("Webmorph", 2),
        ("MorDIFF", 4),
    ):
        expected |= {f"{attack}/M_{n}_{n + 1}.png": (0, attack) for n in range(count)}
    assert rows(dataset, "test") == expected
    assert dataset.card.columns == ("attack",)
    assert not dataset.card.partial
    for identity, image in zip(dataset.ids("test"), dataset.column("test", "image"), strict=True):
        assert image == (mad22 / identity).read_bytes()
    texts = prompts_for(dataset).texts()
    assert texts == [["face image morphing attack"], ["bona-fide presentation"]], "label 1 is bona fide"


def test_mad22_says_which_csv_is_missing_unknown_or_twice(mad22: Path) -> None:
    csvs = mad22 / "Protocols"
    (csvs / "MorDIFF.csv").rename(csvs / "MorDif.csv")
    (csvs / "opencv.csv").write_text((csvs / "OpenCV.csv").read_text())
    table(csvs / "smdd_train_cropped.csv", [])  # MADation keeps its training list beside them
    text = refused("mad22", mad22)
    assert "Protocols/MorDif.csv: unknown morphing attack 'MorDif'" in text
    assert "nearest: MorDIFF" in text
    assert "Protocols/MorDIFF.csv: missing; expected one CSV for each of the six attacks" in text
    assert "another CSV of OpenCV" in text
    assert "smdd" not in text
    assert partial("mad22", mad22).card.counts() == {"test": 4 + 12}


def test_mad22_needs_the_same_bona_fide_beside_every_attack(mad22: Path) -> None:
    listed = (mad22 / "Protocols" / "Webmorph.csv").read_text().splitlines()
    (mad22 / "Protocols" / "Webmorph.csv").write_text("\n".join(line for line in listed if "002_03" not in line))
    text = refused("mad22", mad22)
    assert "Webmorph.csv: lacks 1 bona fide images of the other CSVs: 'bonafide/002_03.png'" in text


def test_counts_that_the_readmes_state_are_checked(tmp_path: Path) -> None:
    trees.mad22(tmp_path / "mad22")
    text = refused("mad22", tmp_path / "mad22")
    assert "4 bona fide images; expected 204" in text
    assert "12 morphs without MorDIFF's (FaceMorpher 3 of 1,000, MIPGAN_I 2 of 1,000, MIPGAN_II 2 of 999" in text
    assert "expected 4,483" in text
    trees.smdd(tmp_path / "smdd")
    text = refused("smdd", tmp_path / "smdd")
    assert "train.csv: 5 bona fide images; expected 25,000" in text
    assert "train.csv: 3 morphs; expected 15,000" in text


def test_an_image_that_is_bona_fide_in_one_csv_and_attack_in_another_is_named_and_left_out(mad22: Path) -> None:
    path = mad22 / "Protocols" / "OpenCV.csv"
    path.write_text(path.read_text().replace("001_03.png,bonafide", "001_03.png,attack"))
    text = refused("mad22", mad22)
    assert "1 images in two CSVs as different things" in text
    assert "bonafide/001_03.png (FaceMorpher: test, bona_fide; OpenCV: test, OpenCV)" in text
    assert "bonafide/001_03.png" not in rows(partial("mad22", mad22), "test")


def test_smdd_with_a_blank_after_each_comma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    trees.smdd(tmp_path / "tree")
    dataset, _ = prepare("smdd", tmp_path / "tree", tmp_path / "data")
    # read as pandas reads it, " bonafide" is not "bonafide" and all eight would be attacks
    assert rows(dataset, "train") == {
        **{f"o25k_t/img{n:06d}.png": (1, "bona_fide") for n in range(5)},
        **{f"m15k_t/morphed_img{n}_img{n + 1}.png": (0, "opencv") for n in range(3)},
    }
    assert not dataset.card.partial


def test_own_morphs_with_attacks_and_subjects_and_a_train_split(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for name in ("a", "b", "c", "d"):
        put(root / f"{name}.png", photograph("warp", 0))
    header = "image_path,label,attack,subject"
    table(root / "train.csv", ["a.png,bonafide,,s1", "b.png,attack,gan,s1+s2"], header)
    table(root / "test.csv", ["c.png,attack,warp,s3+s4", "d.png,bonafide,,s3"], header)
    dataset = partial("mine", root, reader="morphs")
    assert rows(dataset, "train") == {"a.png": (1, "bona_fide", "s1"), "b.png": (0, "gan", "s1+s2")}
    assert rows(dataset, "test") == {"c.png": (0, "warp", "s3+s4"), "d.png": (1, "bona_fide", "s3")}
    assert dataset.card.protocols == ("training", "morph")
    assert not dataset.card.partial
    table(root / "train.csv", ["a.png,bonafide,", "b.png,attack,gan"], "image_path,label,attack")
    assert "column subject in some CSVs only" in refused("other", root, reader="morphs")


def test_own_morphs_in_mad22s_form(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for name in ("live", "one", "two"):
        put(root / f"{name}.png", photograph("warp", 0))
    table(root / "lma.csv", ["live.png,bonafide", "one.png,attack"])
    table(root / "gan.csv", ["live.png,bonafide", "two.png,attack"])
    dataset = partial("mine", root, reader="morphs")
    assert rows(dataset, "test") == {"live.png": (1, "bona_fide"), "one.png": (0, "lma"), "two.png": (0, "gan")}
    assert dataset.card.protocols == ("morph",)
    (root / "gan.csv").rename(root / "g a n.csv")
    assert "g a n.csv: metric name piece 'g a n'" in refused("other", root, reader="morphs")
    (root / "g a n.csv").rename(root / "test.csv")
    assert "test.csv beside 'lma'" in refused("other", root, reader="morphs")


def test_morphs_without_subjects_are_scored_by_hand(mad22: Path, tmp_path: Path) -> None:
    dataset, _ = prepare("mad22", mad22, tmp_path / "data")
    angles = {str(i): 80.0 if i.startswith("bonafide") else 10.0 for i in dataset.ids("test")}
    angles |= {"bonafide/000_03.png": 40.0, "MorDIFF/M_0_1.png": 60.0}
    for suite, result in scored("morph", dataset, angles).items():
        assert result.notes["interval_unit"] == "image"
        # MorDIFF: 4 bona fide at 40, 80, 80, 80 and 4 morphs at 60, 10, 10, 10: one of four on both sides; the others are apart
        values = {name: result.values[f"{suite}/{name}/eer"] for name in MAD22}
        assert values == {**dict.fromkeys(MAD22, 0.0), "MorDIFF": 0.25}
        assert result.values[f"{suite}/mean/eer"] == pytest.approx(0.25 / 6)


def test_one_class_only_can_be_prepared_and_its_metrics_are_absent(tmp_path: Path) -> None:
    for n in range(2):
        put(tmp_path / "tree" / f"{n}.png", photograph("warp", 0))
    for label in ("bonafide", "attack"):
        table(tmp_path / "tree" / "test.csv", [f"{n}.png,{label}" for n in range(2)])
        for reader, protocol, suite in (("morphs", "morph", "mad"), ("spoofs", "spoof", "pad")):
            dataset = partial(f"{reader}_{label}", tmp_path / "tree", reader=reader)
            assert not dataset.card.partial
            result = scored(protocol, dataset, {"0.png": 10.0, "1.png": 80.0})[suite]
            assert not result.values
            assert f"{suite}/{dataset.name}.mean/eer" in result.absent
