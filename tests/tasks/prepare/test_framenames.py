"""Names of frames: taken for the videos that they are of, as they were made, or refused; never for other videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gelo.models.faults import UserError
from gelo.tasks.prepare.biometric.attack_lists import Row
from gelo.tasks.prepare.biometric.attacks import spoofs
from gelo.tasks.prepare.biometric.framenames import doubtful, video_of
from gelo.tasks.prepare.layout import Layout
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.prepare.tree import Tree
from tests.tasks.prepare.attack_checks import partial, refused, rows
from tests.tasks.prepare.attack_trees import photograph, put, table

Name = Callable[[int, int], str]  # of video and frame

TOLD: dict[str, Name] = {  # a person would take them as FoundPAD does
    "vid1_001": lambda v, k: f"vid{v}_{k:03d}",
    "vid1_1": lambda v, k: f"vid{v}_{k}",
    "1_001": lambda v, k: f"{v}_{k:03d}",
    "vid1_frame1": lambda v, k: f"vid{v}_frame{k}",
    "s1_real_1_001": lambda v, k: f"s1_real_{v}_{k:03d}",
    "1_2_03_1_024": lambda v, k: f"1_{v}_03_1_{k:03d}",
    "client1.mp4_12": lambda v, k: f"client{v}.mp4_{k}",
    "video_1_1": lambda v, k: f"video_{v}_{k}",
    "vid1_0.25": lambda v, k: f"vid{v}_{k}.25",
}
OPEN: dict[str, Name] = {  # and these otherwise, or either way
    "001_vid1": lambda v, k: f"{k:03d}_vid{v}",
    "1_vid1": lambda v, k: f"{k}_vid{v}",
    "001_1": lambda v, k: f"{k:03d}_{v}",
    "1_1": lambda v, k: f"{k}_{v}",
    "01_01": lambda v, k: f"{k:02d}_{v:02d}",
    "001_vid_1": lambda v, k: f"{k:03d}_vid_{v}",
    "1_vid_1": lambda v, k: f"{k}_vid_{v}",
    "frame001_vid1": lambda v, k: f"frame{k:03d}_vid{v}",
    "frame1_vid_1": lambda v, k: f"frame{k}_vid_{v}",
    "frame_1_2": lambda v, k: f"frame_{k}_{v}",
    "vid1_001_face": lambda v, k: f"vid{v}_{k:03d}_face",
    "vid1_001_0": lambda v, k: f"vid{v}_{k:03d}_0",
    "vid1_1_0": lambda v, k: f"vid{v}_{k}_0",
    "s_001_1": lambda v, k: f"s_{k:03d}_{v}",
    "vid1-001": lambda v, k: f"vid{v}-{k:03d}",
    "vid1frame1": lambda v, k: f"vid{v}frame{k}",
    "vid1 1": lambda v, k: f"vid{v} {k}",
    "vid1_a": lambda v, k: f"vid{v}_{chr(96 + k)}",
    "vid_12": lambda v, k: f"vid_{10 * v + k}",
    "IMG_0012": lambda v, k: f"IMG_{10 * v + k:04d}",
    "real_12": lambda v, k: f"real_{10 * v + k}",
}
FOLDERS: dict[str, Callable[[str, int], str]] = {  # of a class's name and a video
    "class": lambda kind, v: kind,
    "person": lambda kind, v: f"person{v % 2}/{kind}",
    "video": lambda kind, v: f"{kind}/clip{v}",
    "flat": lambda kind, v: "",
}
BARE: dict[str, Name] = {
    "001": lambda v, k: f"{k:03d}",
    "frame1": lambda v, k: f"frame{k}",
    "7001": lambda v, k: f"{1000 * v + k}",
}


def made(name: Name, folder: Callable[[str, int], str]) -> dict[str, tuple[int, int]]:
    """path -> label and video of three frames of two videos a class."""
    return {
        f"{folder(kind, v)}/{name(v, k)}.png".removeprefix("/"): (label, v)
        for label, kind in ((1, "bonafide"), (0, "attack"))
        for v in (1 + 2 * label, 2 + 2 * label)
        for k in (1, 2, 3)
    }


def asked(frames: dict[str, tuple[int, int]]) -> dict[str, list[str]]:
    return doubtful(Row(path, label, "test", {"attack": "x"}) for path, (label, _) in frames.items())


def partition(frames: dict[str, tuple[int, int]], video: Callable[[str], object]) -> set[frozenset[str]]:
    groups: dict[object, set[str]] = {}
    for path in frames:
        groups.setdefault(video(path), set()).add(path)
    return {frozenset(group) for group in groups.values()}


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", TOLD)
def test_names_that_tell_their_video_are_read_as_they_were_made(name: str, folder: str) -> None:
    frames = made(TOLD[name], FOLDERS[folder])
    assert not asked(frames)
    assert partition(frames, video_of) == partition(frames, lambda path: frames[path][1])


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", [*OPEN, *BARE])
def test_other_names_are_read_as_they_were_made_or_refused(name: str, folder: str) -> None:
    frames = made((OPEN | BARE)[name], FOLDERS[folder])
    clear = [path for path in frames if path not in {path for paths in asked(frames).values() for path in paths}]
    if clear and folder == "flat" and name in BARE:
        return  # nothing tells what belongs together: each image is one, and the notes say so
    truth = partition(frames, lambda path: frames[path][1])
    assert not clear or partition(frames, video_of) == truth, (name, folder)
    if folder == "class":
        assert not clear


def listing(root: Path, frames: dict[str, tuple[int, int]]) -> Path:
    for path in frames:
        put(root / path, photograph("warp", 0))
    return table(
        root / "test.csv", [f"{path},{'bonafide' if label else 'attack'}" for path, (label, _) in frames.items()]
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_in_any_order_and_with_any_frames_left_out_videos_are_those_made_or_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = data.draw(st.sampled_from([*TOLD.values(), *OPEN.values()]), "name")
    frames = made(name, data.draw(st.sampled_from([*FOLDERS.values()]), "folder"))
    kept = data.draw(st.permutations(sorted(frames)), "order")[: data.draw(st.integers(6, 12), "how many")]
    frames = {path: frames[path] for path in kept}
    root = tmp_path_factory.mktemp("frames")
    listing(root, frames)
    tree = Tree(root)
    layout = spoofs(tree)
    if not tree.faults:
        video = {item.id: item.columns["video"] for item in layout.splits["test"]}
        assert partition(frames, video.__getitem__) == partition(frames, lambda path: frames[path][1])


def test_single_images_stay_single_and_the_notes_say_so(tmp_path: Path) -> None:
    frames = {"anna.png": (1, 1), "bob_smith.png": (1, 2), "7.png": (0, 3), "8.png": (0, 4)}
    listing(tmp_path, frames)
    layout = spoofs(Tree(tmp_path))
    assert layout.notes == (
        "test: 4 frames of 4 videos (2 bona fide, 2 attacks), by folder and stem up to the last underscore, each image a video of its own",
    )


def test_one_fault_says_what_to_do_and_frames_in_doubt_are_in_no_partial_set(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    listing(root, made(OPEN["001_vid1"], lambda kind, v: kind) | made(TOLD["vid1_1"], lambda kind, v: f"good/{kind}"))
    text = refused("mine", root, reader="spoofs")
    assert (
        "12 frames whose names do not tell their video (the number of a frame may stand first or in the middle): 'attack/001"
        in text
    )
    assert (
        "expected names such as <video>_<number of the frame>; name the videos in a column `video` of the CSV" in text
    )
    assert all(identity.startswith("good/") for identity in rows(partial("mine", root, reader="spoofs"), "test"))


def test_published_lists_are_read_as_foundpads_script_reads_them(tmp_path: Path) -> None:
    """CelebA-Spoof's stills are numbered, CASIA's frames are called 1_3: by the names of the official sets they are taken so."""
    for name, video in ((BARE["001"], "001"), (OPEN["1_1"], "1")):
        root = tmp_path / video
        frames = made(name, lambda kind, v: f"Data/test/{v}/{kind}")
        listing(root, frames)
        dataset, _ = prepare("celeba_spoof", root, tmp_path / "data", replace=True)
        got = rows(dataset, "test")
        assert got[f"Data/test/3/bonafide/{name(3, 1)}.png"][2] == f"Data/test/3/bonafide/{video}"
        assert {path: row[2] for path, row in got.items()} == {path: video_of(path) for path in frames}
        with pytest.raises(UserError):
            prepare("mine", root, tmp_path / "data", reader="spoofs")


def layout_of(root: Path, lines: list[str], header: str) -> tuple[Layout, str]:
    for line in lines:
        put(root / line.split(",")[0], photograph("warp", 0))
    table(root / "test.csv", lines, header)
    tree = Tree(root)
    layout = spoofs(tree)
    return layout, "\n".join(map(str, tree.faults))


def videos(layout: Layout) -> dict[str, object]:
    return {item.id: item.columns["video"] for item in layout.splits.get("test", ())}


def clips(where: Callable[[int, str], str], more: Callable[[int, str], str] = lambda who, kind: "") -> list[str]:
    """Lines of three frames of a video of each class of two persons; both persons call theirs clip1 and clip2."""
    return [
        f"{where(who, kind)}/{who}{kind}{k}.png,{kind},clip{1 + (kind == 'attack')}{more(who, kind)}"
        for kind in ("bonafide", "attack")
        for who in (1, 2)
        for k in range(3)
    ]


def test_one_name_in_two_folders_is_refused_unless_a_slash_makes_it_one(tmp_path: Path) -> None:
    header = "image_path,label,video"
    lines = clips(lambda who, kind: f"person{who}/{kind}")
    layout, text = layout_of(tmp_path / "a", lines, header)
    assert (
        "2 names of the column video stand in several folders: 'clip1 in person1/bonafide, person2/bonafide', 'clip2 in"
        in text
    )
    assert "such as person1/clip1, or a column `subject`; /clip1 is one video, whatever its folders" in text
    assert not layout.splits
    layout, text = layout_of(tmp_path / "b", [line.replace(",clip", ",/clip") for line in lines], header)
    assert not text
    assert set(videos(layout).values()) == {"/clip1", "/clip2"}
    layout, text = layout_of(tmp_path / "c", [f"{line}@{line.split('/')[0]}" for line in lines], header)
    assert not text
    assert len(set(videos(layout).values())) == 4
    assert layout.notes == ("test: 12 frames of 4 videos (2 bona fide, 2 attacks), by column video",)


def test_names_count_within_subjects_and_domains(tmp_path: Path) -> None:
    lines = clips(lambda who, kind: f"person{who}/{kind}", lambda who, kind: f",p{who}")
    layout, text = layout_of(tmp_path / "a", lines, "image_path,label,video,subject")
    assert not text
    assert set(videos(layout).values()) == {"p1/clip1", "p1/clip2", "p2/clip1", "p2/clip2"}
    assert {item.columns["subject"] for item in layout.splits["test"]} == {"p1", "p2"}
    layout, text = layout_of(tmp_path / "b", lines, "image_path,label,video,domain")
    assert not text
    assert set(videos(layout).values()) == {
        f"person{who}/{kind}//clip{n}" for who in (1, 2) for n, kind in ((1, "bonafide"), (2, "attack"))
    }
    flat = clips(lambda who, kind: "all", lambda who, kind: f",p{who}")
    layout, text = layout_of(tmp_path / "c", flat, "image_path,label,video,subject")
    assert not text
    assert len(set(videos(layout).values())) == 4
    _, text = layout_of(tmp_path / "d", flat, "image_path,label,video,domain")
    assert "2 videos in two domains" in text
    twice = clips(lambda who, kind: f"session{who}/{kind}", lambda who, kind: ",anna")
    for name, column in (("e", "subject"), ("f", "domain")):
        _, text = layout_of(tmp_path / name, twice, f"image_path,label,video,{column}")
        assert "2 names of the column video stand in several folders" in text, (
            "one person's two sessions are not one video"
        )


def test_names_count_within_the_folder_of_a_class_for_no_video_has_two(tmp_path: Path) -> None:
    lines = [
        f"{kind}/{k}_vid{v}.png,{kind},vid{v}" for kind in ("bonafide", "attack") for v in (1, 2) for k in (1, 2, 3)
    ]
    layout, text = layout_of(tmp_path / "a", lines, "image_path,label,video")
    assert not text
    assert layout.notes == ("test: 12 frames of 4 videos (2 bona fide, 2 attacks), by column video",)
    assert videos(layout)["attack/1_vid2.png"] == "attack//vid2"
    more = [*lines, "extra/1_vid1.png,attack,vid1"]
    _, text = layout_of(tmp_path / "b", more, "image_path,label,video")
    assert "1 names of the column video stand in several folders: 'vid1 in attack, extra, bonafide'" in text


def test_a_video_of_two_subjects_by_its_name_is_refused(tmp_path: Path) -> None:
    lines = [f"{kind}/vid{v}_{k}.png,{kind},s{k}" for kind in ("bonafide", "attack") for v in (1, 2) for k in (1, 2)]
    _, text = layout_of(tmp_path, lines, "image_path,label,subject")
    assert "4 videos in two subjects: 'bonafide/vid1'" in text


def test_a_lone_csv_is_of_the_split_that_its_name_says(tmp_path: Path) -> None:
    frames = made(TOLD["vid1_1"], FOLDERS["class"])
    for name, split in (
        ("training", "train"),
        ("Train_list", "train"),
        ("val", "dev"),
        ("frames", "test"),
        ("testing", "test"),
    ):
        root = tmp_path / name
        listing(root, frames).rename(root / f"{name}.csv")
        tree = Tree(root)
        assert list(spoofs(tree).splits) == [split]
        assert not tree.faults
