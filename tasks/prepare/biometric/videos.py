"""Frames of presentations: which video each belongs to, of which domain and attack, from CSV rows or from folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gelo.models.faults import unknown
from gelo.tasks.prepare.biometric.attack_lists import SPLITS, Row, kind_of, misnamed, plain, role
from gelo.tasks.prepare.biometric.framenames import doubtful, video_of
from gelo.tasks.prepare.biometric.videonames import told_apart
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.tree import Tree

_FORM = "<split>/<domain>/<bona_fide or attack>/<video>/<frame>"
_LISTED, _NAMES, _FOLDERS = "by column video", "by folder and stem up to the last underscore", "by folder"


def as_frames(
    tree: Tree, rows: Sequence[Row], domain_of: Callable[[Row], str], *, published: bool = False
) -> tuple[list[Row], tuple[str, ...]]:
    """The rows with a video and a domain: from their columns, else by `video_of` and `domain_of`; and what to say of each split.

    published: the names are those of FoundPAD's lists, read as its script reads them; others must not leave the video open.
    Faults, and their frames left out: names that do (`doubtful`), videos of a CSV in several folders (`told_apart`), videos of two
    classes, attacks, domains, splits or subjects.
    """
    video: dict[str, tuple[str, str]] = {}
    listed = [row for row in rows if "video" in row.said]
    video |= {identity: (name, _LISTED) for identity, name in told_apart(tree, listed).items()}
    video |= {
        row.id: (row.columns["video"], _FOLDERS) for row in rows if "video" in row.columns and "video" not in row.said
    }
    unnamed = [row for row in rows if "video" not in row.columns]
    video |= {row.id: (video_of(row.id), _NAMES) for row in (unnamed if published else _clear(tree, unnamed))}
    frames = [
        replace(row, columns={"domain": domain_of(row), **row.columns, "video": video[row.id][0]})
        for row in rows
        if row.id in video
    ]
    frames = _of_one_kind(tree, frames)
    how = ", ".join(dict.fromkeys(video[row.id][1] for row in frames))
    return frames, tuple(_counts(split, [row for row in frames if row.split == split], how) for split in SPLITS)


def _clear(tree: Tree, rows: Sequence[Row]) -> list[Row]:
    """Without the frames whose video their names leave open; a fault for each reason."""
    doubts = doubtful(rows)
    for reason, paths in doubts.items():
        tree.fault(
            tree.root,
            f"{len(paths):,} frames whose names do not tell their video ({reason}): {told(paths, len(paths))}",
            "names such as <video>_<number of the frame>",
            "name the videos in a column `video` of the CSV",
        )
    out = {path for paths in doubts.values() for path in paths}
    return [row for row in rows if row.id not in out]


def _of_one_kind(tree: Tree, frames: Iterable[Row]) -> list[Row]:
    """Without videos of two classes, attacks, domains, splits or subjects; a fault for each kind."""
    frames = list(frames)
    one: dict[str, dict[str, str]] = {}
    between: dict[str, dict[str, None]] = {"class": {}, "attack": {}, "domain": {}, "split": {}, "subject": {}}
    for row in frames:
        video = row.columns["video"]
        traits = {"class": str(row.label), **row.columns, "split": row.split}
        known = one.setdefault(video, traits)
        kind = next((name for name in between if known.get(name) != traits.get(name)), None)
        if kind is not None:
            between[kind][video] = None
    for kind, videos in between.items():
        if videos:
            name = f"{kind}es" if kind == "class" else f"{kind}s"
            tree.fault(
                tree.root,
                f"{len(videos):,} videos in two {name}: {told(list(videos), len(videos))}",
                f"one {kind} a video",
                "name the videos in a column `video`, or give each a folder of its own",
            )
    strays = {video for videos in between.values() for video in videos}
    return [row for row in frames if row.columns["video"] not in strays]


def _counts(split: str, frames: Sequence[Row], how: str) -> str:
    """`test: 12 frames of 4 videos (2 bona fide, 2 attacks), by column video`; "" without a frame."""
    if not frames:
        return ""
    label = {row.columns["video"]: row.label for row in frames}
    genuine = sum(label.values())
    alone = ", each image a video of its own" if len(label) == len(frames) > 1 else ""
    kinds = f"{genuine:,} bona fide, {len(label) - genuine:,} attacks"
    return f"{split}: {len(frames):,} frames of {len(label):,} videos ({kinds}), {how}{alone}"


def in_folders(tree: Tree) -> list[Row]:
    """Frames at `<split>/<domain>/<bona_fide or attack>/<video>/<frame>`: the folder of a frame is its video.

    Faults: unknown splits, images at another depth, a folder called `live` or so on that could be either, names that no metric can carry.
    """
    rows, astray, odd = [], [], dict[str, None]()
    for place in tree.folders():
        split = role(tree, place)
        if split is None:
            tree.faults.append(unknown(str(tree.root / place), place, SPLITS, "split"))
            continue
        for path in tree.files(place):
            parts = path.split("/")
            if not split:
                tree.leave(path, f"split {place}, left out by --split")
                continue
            if len(parts) != 5:
                astray.append(path)
                continue
            _, domain, kind, _, _ = parts
            genuine = plain(kind) == "bonafide"
            attack = kind_of(int(genuine), kind)
            wrong = misnamed(domain) or (None if genuine else misnamed(kind))
            if attack is None or wrong is not None:
                odd[f"{place}/{domain}/{kind}"] = None
            else:
                columns = {"attack": attack, "video": path.rpartition("/")[0], "domain": domain}
                rows.append(Row(path, int(genuine), split, columns, place))
    if astray:
        tree.fault(tree.root, f"{len(astray):,} images elsewhere: {told(astray, len(astray))}", _FORM)
    if odd:
        expected = "bona_fide or the name of an attack, of letters, digits and _ - . :, and so for domains"
        tree.fault(tree.root, f"folders {told(list(odd), len(odd))}", expected)
    if not rows and not astray and not odd:
        tree.fault(tree.root, "neither a CSV nor frames", f"train.csv, test.csv and maybe dev.csv, or {_FORM}")
    return rows
