"""Frames of presentations: which video each belongs to, of which domain and attack, from CSV rows or from folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from models.faults import unknown
from tasks.prepare.columns import told
from tasks.prepare.listed import SPLITS, Row, kind_of, misnamed, plain
from tasks.prepare.tree import Tree

_FORM = "<split>/<domain>/<bona_fide or attack>/<video>/<frame>"


def video_of(path: str) -> str:
    """Folder and stem up to its last underscore; a stem without one is a video of its own.

    gurayozgur/FoundPAD: src/utils/utils.py takes the same, and keeps the folder too: names such as 1_3 return for every subject.
    """
    folder, slash, name = path.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return f"{folder}{slash}{stem.rpartition('_')[0] or stem}"


def as_frames(tree: Tree, rows: Iterable[Row], domain_of: Callable[[Row], str]) -> list[Row]:
    """The rows with a video and a domain: from their columns, else by `video_of` and `domain_of`.

    Videos of two classes, attacks, domains or splits are faults and left out.
    """
    frames = [
        replace(row, columns={"video": video_of(row.id), "domain": domain_of(row), **row.columns}) for row in rows
    ]
    one: dict[str, tuple[str, ...]] = {}
    split_between: dict[str, dict[str, None]] = {"class": {}, "attack": {}, "domain": {}, "split": {}}
    for row in frames:
        video = row.columns["video"]
        traits = (str(row.label), row.columns["attack"], row.columns["domain"], row.split)
        known = one.setdefault(video, traits)
        if known != traits:
            kind = next(name for name, a, b in zip(split_between, known, traits, strict=True) if a != b)
            split_between[kind][video] = None
    for kind, videos in split_between.items():
        if videos:
            name = f"{kind}es" if kind == "class" else f"{kind}s"
            tree.fault(
                tree.root, f"{len(videos):,} videos in two {name}: {told(list(videos), len(videos))}", f"one {kind} a video",
                "name the videos in a column `video`, or give each a folder of its own",
            )  # fmt: skip
    strays = {video for videos in split_between.values() for video in videos}
    return [row for row in frames if row.columns["video"] not in strays]


def in_folders(tree: Tree) -> list[Row]:
    """Frames at `<split>/<domain>/<bona_fide or attack>/<video>/<frame>`: the folder of a frame is its video.

    Faults: unknown splits, images at another depth, a folder called `live` or so on that could be either, names that no metric can carry.
    """
    rows, astray, odd = [], [], dict[str, None]()
    for split in tree.folders():
        if split not in SPLITS:
            tree.faults.append(unknown(str(tree.root / split), split, SPLITS, "split"))
            continue
        for path in tree.files(split):
            parts = path.split("/")
            if len(parts) != 5:
                astray.append(path)
                continue
            _, domain, kind, _, _ = parts
            genuine = plain(kind) == "bonafide"
            attack = kind_of(int(genuine), kind)
            wrong = misnamed(domain) or (None if genuine else misnamed(kind))
            if attack is None or wrong is not None:
                odd[f"{split}/{domain}/{kind}"] = None
            else:
                columns = {"attack": attack, "video": path.rpartition("/")[0], "domain": domain}
                rows.append(Row(path, int(genuine), split, columns))
    if astray:
        tree.fault(tree.root, f"{len(astray):,} images elsewhere: {told(astray, len(astray))}", _FORM)
    if odd:
        expected = "bona_fide or the name of an attack, of letters, digits and _ - . :, and so for domains"
        tree.fault(tree.root, f"folders {told(list(odd), len(odd))}", expected)
    if not rows and not astray and not odd:
        tree.fault(tree.root, "neither a CSV nor frames", f"train.csv, test.csv and maybe dev.csv, or {_FORM}")
    return rows
