"""The columns of a score file: text to labels and names, and what is wrong with them, by row."""

from __future__ import annotations

import re
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gelo.models.faults import Fault
from gelo.tasks.protocols import spoof
from gelo.tasks.protocols.detection import BONA_FIDE
from gelo.tasks.protocols.inputs import naming
from gelo.tasks.scorefiles.text import Columns, arrow_text

SPLITS = ("test", "dev")
# Read in lower case, without blanks, "_" and "-".
GENUINE = frozenset({"1", "1.0", "1,0", "true", "genuine", "mated", "same", "bonafide", "real", "live"})
IMPOSTOR = frozenset({"0", "0.0", "0,0", "false", "impostor", "nonmated", "different", "attack", "morph", "spoof"})
_LABELS = "1, genuine, mated, same, bonafide, real or live; 0, impostor, nonmated, different, attack, morph or spoof"


def labels_of(columns: Columns, faults: list[Fault]) -> NDArray[np.int64]:
    """1, 0, or -1 where a fault was added, (N,); empty without the column."""
    if "label" not in columns.names:
        return np.empty(0, dtype=np.int64)
    text = arrow_text(columns.table["label"])
    words = pc.unique(text)
    plain = [_plain(word) for word in words.to_pylist()]
    meant = np.array([1 if word in GENUINE else 0 if word in IMPOSTOR else -1 for word in plain], dtype=np.int64)
    labels = meant[pc.index_in(text, words).to_numpy()]
    wrong = np.flatnonzero(labels < 0)
    if wrong.size:
        faults.append(Fault("label", f"{wrong.size} unknown: {columns.shown(wrong, text.to_numpy())}", _LABELS))
    return labels


def class_faults(labels: NDArray[np.int64], split: NDArray[np.str_] | None) -> list[Fault]:
    scored = labels if split is None else labels[split != "dev"]
    if (scored < 0).any() or not scored.size or (scored.any() and not scored.all()):
        return []
    return [
        Fault("label", f"all {scored.size:,} rows are {'genuine (1)' if scored[0] else 'impostor (0)'}", "both classes")
    ]


def given_faults(given: dict[str, NDArray[np.str_]], columns: Columns) -> list[Fault]:
    """What each optional column asks of itself."""
    faults = []
    for name in ("id", "subject", "video", "domain"):
        if name in given and (given[name] == "").any():
            empty = np.flatnonzero(given[name] == "")
            faults.append(
                Fault(name, f"{empty.size} empty: {columns.shown(empty)}", "a value in each row, or no such column")
            )
    if "id" in given:
        names, counts = np.unique(given["id"], return_counts=True)
        twice = names[(counts > 1) & (names != "")].tolist()
        if twice:
            faults.append(Fault("id", f"{len(twice)} duplicate: {naming(twice)}", "each id once"))
    if "fold" in given:
        wrong = np.flatnonzero(~np.char.isdecimal(given["fold"]))
        if wrong.size:
            found = f"{wrong.size} no fold numbers: {columns.shown(wrong, given['fold'])}"
            faults.append(Fault("fold", found, "whole numbers from 0 up"))
    if "split" in given:
        wrong = np.flatnonzero(~np.isin(given["split"], SPLITS))
        if wrong.size:
            faults.append(
                Fault("split", f"{wrong.size} unknown: {columns.shown(wrong, given['split'])}", "test or dev")
            )
        if "test" not in given["split"]:
            faults.append(Fault("split", "no row of test", "rows to score"))
    return faults


def attacks(
    attack: NDArray[np.str_], labels: NDArray[np.int64], columns: Columns
) -> tuple[NDArray[np.str_], list[Fault]]:
    """The column with `bona_fide` on bona fide rows, where a file may leave it empty or say so in other words; and faults."""
    plain = np.array([_plain(name) for name in attack.tolist()], dtype=str)
    genuine = np.isin(plain, ["bonafide", "genuine", "real", "live"])
    faults = []
    for wrong, what in (
        (np.flatnonzero((labels == 1) & (plain != "") & ~genuine), "bona fide rows name an attack"),
        (np.flatnonzero((labels == 0) & genuine), "attack rows say bona fide"),
        (np.flatnonzero((labels == 0) & (plain == "")), "attack rows name none"),
    ):
        if wrong.size:
            faults.append(
                Fault(
                    "attack",
                    f"{wrong.size} {what}: {columns.shown(wrong, attack)}",
                    "the attack of each attack row, empty or bona_fide on bona fide rows",
                    "each bona fide image stands once",
                )
            )
    return np.where((labels == 1) & ((plain == "") | genuine), BONA_FIDE, attack), faults


def video_faults(given: dict[str, NDArray[np.str_]], labels: NDArray[np.int64]) -> list[Fault]:
    """Videos with two labels, domains, attacks or subjects, in each split, which the protocol itself would refuse; and those of several
    folders, where the ids are paths: frames of different folders never merge, unless the video's name begins with a slash.
    """
    faults = []
    if "id" in given:
        folder = np.array([name.replace("\\", "/").rpartition("/")[0] for name in given["id"].tolist()], dtype=str)
        named, counts = np.unique(np.unique(np.stack([given["video"], folder]), axis=1)[0], return_counts=True)
        spread = [name for name in named[counts > 1].tolist() if not name.startswith("/")]
        if spread:
            found = f"{len(spread)} with frames of several folders, by id: {naming(spread)}"
            remedy = "names that tell videos apart, such as person1/clip1; /clip1 is one video, whatever its folders"
            faults.append(Fault("video", found, "the frames of a video in one folder", remedy))
    split = given.get("split", np.full(labels.size, "test"))
    for name in SPLITS:
        rows = split == name
        alike = np.zeros(int(rows.sum()))
        domain = given["domain"][rows] if "domain" in given else alike
        attack = given["attack"][rows] if "attack" in given else None
        subject = given["subject"][rows] if "subject" in given else None
        frames = spoof.Frames(alike, labels[rows], given["video"][rows], domain, alike, attack, subject)
        faults += spoof.gather(frames)[1]
    return faults


def text_of(column: pa.ChunkedArray) -> NDArray[np.str_]:
    """Names in Unicode's composed form, so that those that look alike are alike."""
    text = arrow_text(column)
    if not pc.all(pc.string_is_ascii(text)).as_py():
        text = pa.array(
            [normalize("NFC", name) for name in text.to_pylist()], pa.string()
        )  # Arrow 25's "NFC" decomposes
    return np.asarray(text.to_numpy(zero_copy_only=False), dtype=str)


def _plain(word: str) -> str:
    """`Bona-Fide` as `bonafide`; what does not begin with a letter (-1) as it is."""
    return re.sub(r"[\s_\-]+", "", word.lower()) if word[:1].isalpha() else word
