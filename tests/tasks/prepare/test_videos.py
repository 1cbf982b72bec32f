"""Spoof sets in their publishers' form and a user's own: every label, attack, video and domain by hand."""

from __future__ import annotations

from pathlib import Path

from gelo.tasks.data.asking import prompts_for
from gelo.tasks.prepare.biometric.videos import video_of
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.protocols import PROTOCOLS
from tests.tasks.prepare import attack_trees as trees
from tests.tasks.prepare.attack_checks import partial, refused, rows, scored
from tests.tasks.prepare.attack_trees import frames, photograph, put, table


def test_a_video_is_folder_and_stem_up_to_the_last_underscore() -> None:
    assert video_of("oulu/1_2_03_1/1_2_03_1_024.png") == "oulu/1_2_03_1/1_2_03_1"
    assert video_of("casia/s1/1_0.jpg") == "casia/s1/1" != video_of("casia/s2/1_0.jpg")
    assert video_of("Data/test/4985/live/000001.png") == "Data/test/4985/live/000001"
    assert video_of("msu/real_client001.mp4_012.png") == "msu/real_client001.mp4"
    assert video_of("_7.png") == "_7"


def test_celeba_spoof_as_cf_pad_lists_it(tmp_path: Path) -> None:
    trees.celeba_spoof(tmp_path / "tree")
    dataset, _ = prepare("celeba_spoof", tmp_path / "tree", tmp_path / "data")
    got = rows(dataset, "test")
    assert len(got) == 2 * 5 * 3
    assert got["Data/test/test00/test00_bona_fide_1_2.png"] == (
        1,
        "bona_fide",
        "Data/test/test00/test00_bona_fide_1",
        "celeba_spoof",
    )
    assert got["Data/test/test01/test01_print_0_0.png"] == (
        0,
        "attack",
        "Data/test/test01/test01_print_0",
        "celeba_spoof",
    )
    assert len({row[2] for row in got.values()}) == 2 * 5
    assert [row[0] for row in got.values()] == [record.label for record in frames("test", "d", 2)]
    assert prompts_for(dataset).texts() == [["biometric presentation attack"], ["bona-fide presentation"]]
    assert not dataset.card.partial


def test_oulu_casia_msu_knows_its_domains_by_the_first_folder(tmp_path: Path) -> None:
    trees.oulu_casia_msu(tmp_path / "tree")
    dataset, _ = prepare("oulu_casia_msu", tmp_path / "tree", tmp_path / "data")
    got = rows(dataset, "train")
    assert len(got) == 3 * 5 * 3
    assert {row[3] for row in got.values()} == {"oulu_npu", "casia_fasd", "msu_mfsd"}
    # subject train00 is in all three: without the folder their videos would be one
    assert len({row[2] for row in got.values()}) == 3 * 5
    (tmp_path / "tree" / "train.csv").write_text("image_path,label\n")
    assert "train.csv in '', 'cross_domain_cropface/ocm_i'" in refused("oulu_casia_msu", tmp_path / "tree")
    assert "no test.csv; expected one, at the top or in cross_domain_cropface/mco_ca" in refused(
        "celeba_spoof", tmp_path / "tree"
    )


def test_dev_beside_test_and_columns_win_over_paths(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    images = [record.image for record in frames("test", "d", 1)]
    for n, image in enumerate(images[:4]):
        put(root / f"x_{n}.png", image)
    header = "image_path,label,attack,video,domain"
    table(root / "test.csv", ["x_0.png,bonafide,,v0,phone", "x_1.png,attack,print,v1,tablet"], header)
    table(root / "dev.csv", ["x_2.png,bonafide,,v2,phone", "x_3.png,attack,mask:3d,v3,phone"], header)
    dataset, _ = prepare("celeba_spoof", root, tmp_path / "data")
    assert rows(dataset, "test") == {
        "x_0.png": (1, "bona_fide", "v0", "phone"),
        "x_1.png": (0, "print", "v1", "tablet"),
    }
    assert rows(dataset, "dev") == {
        "x_2.png": (1, "bona_fide", "v2", "phone"),
        "x_3.png": (0, "mask:3d", "v3", "phone"),
    }
    one = ["x_0.png,bonafide,,v0,phone,train", "x_1.png,attack,print,v1,phone,test", "x_2.png,bonafide,,v2,phone,val"]
    (root / "dev.csv").unlink()
    table(root / "test.csv", one, f"{header},split")
    assert "test.csv: split 'val' in 1 lines: 4; expected one of train, dev, test" in refused(
        "mine", root, reader="spoofs"
    )
    dataset = partial("mine", root, reader="spoofs")
    assert (list(rows(dataset, "train")), list(rows(dataset, "test"))) == (["x_0.png"], ["x_1.png"])
    assert dataset.card.protocols == ("training", "spoof")


def test_a_video_of_two_classes_attacks_domains_or_splits_is_named_and_left_out(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for n in range(10):
        put(root / f"{n}.png", photograph("warp", 0))
    header = "image_path,label,attack,video,domain,split"
    table(
        root / "all.csv",
        ["0.png,bonafide,,class,d,test", "1.png,attack,print,class,d,test", "2.png,attack,print,kind,d,test",
         "3.png,attack,mask,kind,d,test", "4.png,bonafide,,place,d,test", "5.png,bonafide,,place,e,test",
         "6.png,bonafide,,leak,d,train", "7.png,bonafide,,leak,d,test", "8.png,bonafide,,good,d,test", "9.png,attack,mask,bad,d,test"],
        header,
    )  # fmt: skip
    text = refused("mine", root, reader="spoofs")
    for kinds, video, one in (
        ("classes", "class", "class"),
        ("attacks", "kind", "attack"),
        ("domains", "place", "domain"),
        ("splits", "leak", "split"),
    ):
        assert f"1 videos in two {kinds}: {video!r}; expected one {one} a video" in text
    assert set(rows(partial("mine", root, reader="spoofs"), "test")) == {"8.png", "9.png"}
    table(root / "all.csv", ["same_1.png,bonafide", "same_2.png,attack"])
    for n in (1, 2):
        put(root / f"same_{n}.png", photograph("warp", 0))
    assert "1 videos in two classes: 'same'" in refused("mine", root, reader="spoofs"), "ids made from names too"


def test_spoofs_in_folders(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    trees.spoof_folders(root)
    dataset = partial("mine", root, reader="spoofs")
    assert not dataset.card.partial
    assert dataset.card.counts() == {"train": 30, "dev": 30, "test": 30}
    assert dataset.card.columns == ("attack", "video", "domain")
    got = rows(dataset, "test")
    assert got["test/a/replay/test00_0/2.png"] == (0, "replay", "test/a/replay/test00_0", "a")
    assert got["test/b/bona_fide/test00_1/0.png"] == (1, "bona_fide", "test/b/bona_fide/test00_1", "b")
    (root / "test" / "a" / "print").rename(root / "test" / "a" / "live")
    (root / "test" / "a" / "mask").rename(root / "test" / "a" / "a mask")
    (root / "train").rename(root / "training")
    put(root / "test" / "loose.png", photograph("warp", 0))
    text = refused("other", root, reader="spoofs")
    assert "unknown split 'training'" in text
    assert "1 images elsewhere: 'test/loose.png'; expected <split>/<domain>/" in text
    assert "folders 'test/a/a mask', 'test/a/live'; expected bona_fide or the name of an attack" in text
    (tmp_path / "empty").mkdir()
    assert "neither a CSV nor frames" in refused("other", tmp_path / "empty", reader="spoofs")


def test_videos_without_dev_and_with_dev_are_scored_by_hand(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    # frames of the head's mean angle: v0 60, v1 20 (bona fide), v2 10, v3 30 (print): one of two is wrong on each side of any threshold
    angles = {"v0_0.png": 70.0, "v0_1.png": 50.0, "v1_0.png": 20.0, "v2_0.png": 10.0, "v3_0.png": 30.0}
    for name in angles:
        put(root / name, photograph("warp", 0))
    table(root / "test.csv", [f"{name},{'bonafide' if name < 'v2' else 'attack'}" for name in angles])
    dataset, _ = prepare("celeba_spoof", root, tmp_path / "data")
    assert PROTOCOLS["spoof"].reads_of(dataset) == [("test", ("image",))]
    for suite, result in scored("spoof", dataset, angles).items():
        part = f"{suite}/domain_celeba_spoof"
        # pairs (bona fide, attack): 60 > 10, 60 > 30, 20 > 10, 20 < 30, so AUC 3/4; at a threshold between 20 and 30 both errors are 1/2
        assert result.values[f"{part}/auc"] == 0.75
        assert result.values[f"{part}/hter_at_test_eer"] == 0.5
        assert result.counts["videos"] == 4 and result.counts["frames"] == 5
        for leaf in ("hter", "acer"):
            assert result.absent[f"{part}/{leaf}"] == "no development split to choose the threshold on"
    dev = {"d0_0.png": 50.0, "d1_0.png": 35.0}
    for name in dev:
        put(root / name, photograph("warp", 0))
    table(root / "dev.csv", ["d0_0.png,bonafide", "d1_0.png,attack"])
    dataset, _ = prepare("celeba_spoof", root, tmp_path / "data", replace=True)
    assert [split for split, _ in PROTOCOLS["spoof"].reads_of(dataset)] == ["dev", "test"]
    result = scored("spoof", dataset, angles | dev)["pad"]
    # the threshold lies between 35 and 50 degrees: both attacks and one of two bona fide are refused
    assert result.values["pad/domain_celeba_spoof/hter"] == 0.25
    assert result.absent["pad/domain_celeba_spoof/acer"] == "acer: attack instruments not given"
    table(
        root / "test.csv",
        [f"{name},{'bonafide,' if name < 'v2' else 'attack,' + name[:2]}" for name in angles],
        "image_path,label,attack",
    )
    dataset, _ = prepare("celeba_spoof", root, tmp_path / "data", replace=True)
    assert scored("spoof", dataset, angles | dev)["pad"].values["pad/domain_celeba_spoof/acer"] == 0.25
    assert "on celeba_spoof/dev" in result.notes["threshold"]
