"""Whether names of frames say which video each is of: `<video>_<number>` does; a number that stands elsewhere may mean several things."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from gelo.tasks.prepare.biometric.attack_lists import Row, plain

FIRST = "the number of a frame may stand first or in the middle"
WORDS = "one beginning, but no number after the last underscore"
NUMBERED = "numbered, but without an underscore before the number"
ALONE = "all of a class in one video, called as no video is"
_COUNT = re.compile(r"(?i)(f|fr|frame|img|image|face|crop|no)?[-.]?\d+([.-]\d+)*")
_FRAME = frozenset({"f", "fr", "frame", "img", "image", "face", "crop", "no"})
_OTHER = frozenset({"v", "vid", "video", "clip", "session", "take", "person", "subject", "user", "client", "id"})
_NO_VIDEO = frozenset(
    {
        "bonafide", "genuine", "real", "live", "attack", "spoof", "fake",
        "frame", "frames", "f", "img", "image", "images", "dsc", "dscn", "photo", "picture", "pic", "face", "crop",
    }
)  # fmt: skip


def video_of(path: str) -> str:
    """Folder and stem up to its last underscore; a stem without one is a video of its own.

    gurayozgur/FoundPAD: src/training/trainer.py takes the same, and keeps the folder too: names such as 1_3 return for every subject.
    """
    folder, stem = _parts(path)
    return f"{folder}{stem.rpartition('_')[0] or stem}"


def doubtful(rows: Iterable[Row]) -> dict[str, list[str]]:
    """Frames whose video their names leave open, by the reason: that `video_of` and a person might take them differently."""
    found: dict[str, list[str]] = {}
    bare: list[list[str]] = []
    ordered = sorted(rows, key=lambda row: row.id)
    folders: dict[str, dict[str, list[str]]] = {}
    for row in ordered:
        folder, stem = _parts(row.id)
        folders.setdefault(folder, {}).setdefault(stem, []).append(row.id)
    for stems in folders.values():
        for reason, odd in _in_folder(stems):
            paths = [path for stem in odd for path in stems[stem]]
            (found.setdefault(reason, []).extend if reason else bare.append)(paths)
    odd_shapes = {
        _shape(_parts(path)[1]) for path in found.get(FIRST, ())
    }  # a set has one way of calling its frames, in all its folders
    if odd_shapes:
        found[FIRST] = [row.id for row in ordered if _shape(_parts(row.id)[1]) in odd_shapes]
    if len(bare) > 1:  # numbers that begin anew in each folder; those of one folder may be single images
        found.setdefault(NUMBERED, []).extend(path for paths in bare for path in paths)
    for _, alike in groupby(sorted(ordered, key=_kind), key=_kind):
        paths = [row.id for row in alike]
        videos = {video_of(path) for path in paths}
        if len(paths) > 1 and len(videos) == 1 and plain(videos.pop().rpartition("/")[2]) in _NO_VIDEO:
            found.setdefault(ALONE, []).extend(paths)
    return found


def _in_folder(stems: Iterable[str]) -> Iterable[tuple[str, list[str]]]:
    """Stems of one folder in doubt, by the reason; "" of those that are numbers alone."""
    heads: dict[str, list[str]] = {}
    shapes: dict[str, list[str]] = {}
    for stem in stems:
        shapes.setdefault(_shape(stem), []).append(stem)
        if "_" in stem:
            heads.setdefault(stem.rpartition("_")[0], []).append(stem)
    for shape, alike in shapes.items():
        if len(alike) > 1 and shape == "#":
            yield "", alike
        elif len(alike) > 1 and "_" not in shape:
            yield NUMBERED, alike
        elif len(alike) > 1 and _reversed(alike):
            yield FIRST, alike
    for alike in heads.values():
        if len(alike) > 1 and len(set(map(_shape, alike))) > 1 and not all(map(_counted, alike)):
            yield WORDS, alike


def _reversed(stems: list[str]) -> bool:
    """Whether names of one shape, which differ in numbers alone, may have the frame's number before the last one.

    1_024 counts at its end; 001_2 and 1_2 may count at their beginning, vid_001_2 and frame_1_2 in the middle; vid_1 counts videos; and
    where nearly every video has one frame, another number may count them.
    """
    if not all(map(_counted, stems)):
        return True
    *before, last = (
        {part.lower() for part in column} for column in zip(*(stem.split("_") for stem in stems), strict=True)
    )
    if before[-1] <= _OTHER:
        return True
    counting = [len(names) > 1 and all(map(_COUNT.fullmatch, names)) for names in before]
    for place, names in enumerate(before):
        first = place == 0 and (_padded(names) or not _padded(last))
        middle = not _padded(last) and (_padded(names) or (place > 0 and before[place - 1] <= _FRAME))
        if counting[place] and (first or middle):
            return True
    frames = Counter(stem.rpartition("_")[0] for stem in stems)
    return counting[-1] and 2 * sum(count == 1 for count in frames.values()) > len(frames)


def _shape(stem: str) -> str:
    """Names of one shape differ in numbers alone."""
    return re.sub(r"\d+", "#", stem)


def _counted(stem: str) -> bool:
    return _COUNT.fullmatch(stem.rpartition("_")[2]) is not None


def _padded(names: set[str]) -> bool:
    """Whether some of these counts have zeros before them, as in 007."""
    return any(re.search(r"(?<!\d)0\d", name) for name in names)


def _parts(path: str) -> tuple[str, str]:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}", name.rpartition(".")[0] or name


def _kind(row: Row) -> tuple[str, int]:
    return row.split, row.label
