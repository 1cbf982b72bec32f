"""The columns of a score file: text to numbers, labels and names, and what is wrong with them, by row."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.faults import Fault
from tasks.protocols import spoof
from tasks.protocols.detection import BONA_FIDE
from tasks.protocols.inputs import naming

SPLITS = ("test", "dev")
# Read in lower case, without blanks, "_" and "-".
GENUINE = frozenset({"1", "1.0", "true", "genuine", "mated", "same", "bonafide", "real", "live"})
IMPOSTOR = frozenset({"0", "0.0", "false", "impostor", "nonmated", "different", "attack", "morph", "spoof"})
_LABELS = "1, genuine, mated, same, bonafide, real or live; 0, impostor, nonmated, different, attack, morph or spoof"
_NUMBER = r"^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^(?i:-?nan|-?inf(inity)?)$"


def numbers(table: pa.Table, column: str, faults: list[Fault]) -> NDArray[np.float64]:
    """The scores (N,), NaN where a fault was added; empty without the column."""
    if column not in table.column_names:
        return np.empty(0)
    values = table[column]
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_decimal(values.type)):
        text = pc.replace_substring_regex(_arrow_text(values), r"^\+", "")
        number = pc.match_substring_regex(text, _NUMBER)
        wrong = np.flatnonzero(~number.to_numpy())
        if wrong.size:
            faults.append(
                Fault(column, f"{wrong.size} no numbers: {shown(wrong, text.to_numpy())}", "numbers with a decimal point")
            )  # fmt: skip
        values = pc.if_else(number, text, "nan")
        found = np.asarray(pc.cast(values, pa.float64()), dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(found) & number.to_numpy())
    else:
        found = np.asarray(pc.cast(values, pa.float64()), dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(found))
    if bad.size:
        faults.append(Fault(column, f"{bad.size} not finite: {shown(bad, found)}", "finite numbers"))
    return found


def labels_of(table: pa.Table, faults: list[Fault]) -> NDArray[np.int64]:
    """1, 0, or -1 where a fault was added, (N,); empty without the column."""
    if "label" not in table.column_names:
        return np.empty(0, dtype=np.int64)
    text = _arrow_text(table["label"])
    words = pc.unique(text)
    plain = [_plain(word) for word in words.to_pylist()]
    meant = np.array([1 if word in GENUINE else 0 if word in IMPOSTOR else -1 for word in plain], dtype=np.int64)
    labels = meant[pc.index_in(text, words).to_numpy()]
    wrong = np.flatnonzero(labels < 0)
    if wrong.size:
        faults.append(Fault("label", f"{wrong.size} unknown: {shown(wrong, text.to_numpy())}", _LABELS))
    return labels


def class_faults(labels: NDArray[np.int64], split: NDArray[np.str_] | None) -> list[Fault]:
    scored = labels if split is None else labels[split != "dev"]
    if (scored < 0).any() or not scored.size or (scored.any() and not scored.all()):
        return []
    return [
        Fault("label", f"all {scored.size:,} rows are {'genuine (1)' if scored[0] else 'impostor (0)'}", "both classes")
    ]


def given_faults(given: dict[str, NDArray[np.str_]]) -> list[Fault]:
    """What each optional column asks of itself."""
    faults = []
    for name in ("id", "subject", "video", "domain"):
        if name in given and (given[name] == "").any():
            empty = np.flatnonzero(given[name] == "")
            faults.append(Fault(name, f"{empty.size} empty: {shown(empty)}", "a value in each row, or no such column"))
    if "id" in given:
        names, counts = np.unique(given["id"], return_counts=True)
        twice = names[(counts > 1) & (names != "")].tolist()
        if twice:
            faults.append(Fault("id", f"{len(twice)} duplicate: {naming(twice)}", "each id once"))
    if "fold" in given:
        wrong = np.flatnonzero(~np.char.isdecimal(given["fold"]))
        if wrong.size:
            found = f"{wrong.size} no fold numbers: {shown(wrong, given['fold'])}"
            faults.append(Fault("fold", found, "whole numbers from 0 up"))
    if "split" in given:
        wrong = np.flatnonzero(~np.isin(given["split"], SPLITS))
        if wrong.size:
            faults.append(Fault("split", f"{wrong.size} unknown: {shown(wrong, given['split'])}", "test or dev"))
        if "test" not in given["split"]:
            faults.append(Fault("split", "no row of test", "rows to score"))
    return faults


def attacks(attack: NDArray[np.str_], labels: NDArray[np.int64]) -> tuple[NDArray[np.str_], list[Fault]]:
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
                    "attack", f"{wrong.size} {what}: {shown(wrong, attack)}",
                    "the attack of each attack row, empty or bona_fide on bona fide rows", "each bona fide image stands once",
                )
            )  # fmt: skip
    return np.where((labels == 1) & ((plain == "") | genuine), BONA_FIDE, attack), faults


def video_faults(given: dict[str, NDArray[np.str_]], labels: NDArray[np.int64]) -> list[Fault]:
    """Videos with two labels, domains or attacks, in each split: what the protocol itself would refuse."""
    faults = []
    split = given.get("split", np.full(labels.size, "test"))
    for name in SPLITS:
        rows = split == name
        alike = np.zeros(int(rows.sum()))
        domain = given["domain"][rows] if "domain" in given else alike
        attack = given["attack"][rows] if "attack" in given else None
        faults += spoof.gather(spoof.Frames(alike, labels[rows], given["video"][rows], domain, alike, attack))[1]
    return faults


def _arrow_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.utf8_trim_whitespace(pc.fill_null(pc.cast(column, pa.string()), ""))
    except pa.ArrowException:  # nested values have no text of their own
        return pa.chunked_array([pa.array([str(value) for value in column.to_pylist()], pa.string())])


def text_of(column: pa.ChunkedArray) -> NDArray[np.str_]:
    return np.asarray(_arrow_text(column).to_numpy(), dtype=str)


def shown(places: NDArray[np.intp], values: NDArray[np.generic] | None = None) -> str:
    """Rows as a user counts them, the first below the header being 1, with what stands there."""
    shown = [f"row {place + 1}" + ("" if values is None else f" ({values[place]!s})") for place in places[:8].tolist()]
    return ", ".join(shown) + (f" and {places.size - 8} more" if places.size > 8 else "")


def _plain(word: str) -> str:
    """`Bona-Fide` as `bonafide`; what does not begin with a letter (-1) as it is."""
    return re.sub(r"[\s_\-]+", "", word.lower()) if word[:1].isalpha() else word
