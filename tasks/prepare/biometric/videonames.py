"""Names of videos in a CSV, which may be unique within a person or a folder only: told apart, or refused."""

from __future__ import annotations

from collections.abc import Sequence

from gelo.tasks.prepare.biometric.attack_lists import Row
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.tree import Tree

Where = tuple[tuple[str, int], str]  # domain and class of a frame, and its folder


def told_apart(tree: Tree, rows: Sequence[Row]) -> dict[str, str]:
    """The video of each frame, by the frame's id. rows: those whose CSV has a column `video`.

    A name counts within its subject where the CSV says that too, and within its folder where each folder has a class or domain of its own,
    so that its videos cannot be one. Other names of several folders are a fault and left out, unless a leading slash says that they are of
    the whole set: frames of different folders never merge.
    """
    name = {row.id: _of_subject(row) for row in rows}
    places: dict[str, set[Where]] = {}
    for row in rows:
        if not row.columns["video"].startswith("/"):
            places.setdefault(name[row.id], set()).add(_where(row))
    spread = {video: sorted(found) for video, found in places.items() if len({folder for _, folder in found}) > 1}
    strays = {video: found for video, found in spread.items() if not _one_each(found)}
    if strays:
        shown = [f"{video} in {_some([folder or '.' for _, folder in found])}" for video, found in strays.items()]
        tree.fault(
            tree.root,
            f"{len(strays):,} names of the column video stand in several folders: {told(shown, len(shown))}",
            "the frames of a video in one folder",
            "give videos names of their own, such as person1/clip1, or a column `subject`; /clip1 is one video, whatever its folders",
        )
    apart = spread.keys() - strays.keys()
    return {
        row.id: f"{_where(row)[1]}//{name[row.id]}" if name[row.id] in apart else name[row.id]
        for row in rows
        if name[row.id] not in strays
    }


def _of_subject(row: Row) -> str:
    video = row.columns["video"]
    return f"{row.columns['subject']}/{video}" if "subject" in row.said else video


def _where(row: Row) -> Where:
    return (row.columns["domain"] if "domain" in row.said else "", row.label), row.id.rpartition("/")[0]


def _some(folders: Sequence[str]) -> str:
    names = list(dict.fromkeys(folders))
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _one_each(found: Sequence[Where]) -> bool:
    """Whether each folder has a domain and class that no other has."""
    kinds, folders = {kind for kind, _ in found}, {folder for _, folder in found}
    return len(kinds) == len(folders) == len(found)
