"""A file of scores and labels, CSV or Parquet, read and checked whole: the way in for a lab that wants the metrics alone.

One row a comparison (verification, templates), image (morph) or frame (spoof). Columns: `score` (higher = genuine / bona fide)
or `distance` (lower is; negated here, once), `label`, and what `COLUMNS` lists for the protocol, all of it optional.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.faults import Fault, UserError, unknown
from tasks.metrics.scores import Scores
from tasks.protocols.detection import BONA_FIDE
from tasks.protocols.inputs import naming
from tasks.protocols.tally import part_faults
from tasks.scorecolumns import attacks, class_faults, given_faults, labels_of, numbers, shown, text_of, video_faults

FileProtocol = Literal["verification", "templates", "morph", "spoof"]
PROTOCOLS: tuple[FileProtocol, ...] = get_args(FileProtocol)
COLUMNS: dict[FileProtocol, tuple[str, ...]] = {
    "verification": ("id", "fold"),
    "templates": ("id",),
    "morph": ("id", "attack", "subject"),
    "spoof": ("id", "attack", "video", "domain", "split"),
}


@dataclass(frozen=True)
class ScoreFile:
    """One file, checked. name: from the file's, as metrics can carry it; digest: SHA-256 of its bytes.

    scores (N,): higher = genuine / bona fide, so -distance where `distance` is True. labels (N,): 1 genuine / bona fide, 0
    impostor / attack. given: the optional columns that are there, (N,) str; `attack` is `bona_fide` exactly where label is 1.
    """

    name: str
    protocol: FileProtocol
    scores: Scores
    labels: NDArray[np.int64]
    distance: bool
    given: dict[str, NDArray[np.str_]]
    digest: str


def read(path: Path, protocol: FileProtocol) -> ScoreFile:
    """Read `path` for one protocol. Raises UserError with every fault: a missing, empty or broken file, unknown, doubled or
    missing columns, rows of another length, scores that are no finite numbers, labels that are neither, one class only,
    duplicate ids, and columns that contradict each other.
    """
    faults: list[Fault] = []
    try:
        content = path.read_bytes()
    except OSError as error:
        fault = Fault(str(path), error.strerror or str(error), "a CSV or Parquet file of scores and labels")
        raise UserError("scores", fault) from None
    table = _table(content, protocol, faults)
    if table is None:
        raise UserError(str(path), faults)
    given = {name: text_of(table[name]) for name in COLUMNS[protocol] if name in table.column_names}
    distance = "distance" in table.column_names
    column = "distance" if distance else "score"
    scores = numbers(table, column, faults)
    if distance and protocol in ("verification", "templates") and (scores < 0).any():
        faults.append(
            Fault(
                "distance", f"{int((scores < 0).sum())} below 0: {shown(np.flatnonzero(scores < 0), scores)}",
                "distances from 0 up", "a column where higher means genuine is called score",
            )
        )  # fmt: skip
    labels = labels_of(table, faults)
    if "label" in table.column_names:
        faults += class_faults(labels, given.get("split"))
    faults += given_faults(given)
    if "attack" in given and labels.size:
        given["attack"], wrong = attacks(given["attack"], labels)
        faults += wrong
        faults += part_faults("attack", sorted(set(given["attack"].tolist()) - {BONA_FIDE, ""}))
    if "domain" in given:
        faults += part_faults("domain", sorted(set(given["domain"].tolist())))
    if "video" in given and (labels >= 0).all():
        faults += video_faults(given, labels)
    if faults:
        raise UserError(str(path), faults)
    name = re.sub(r"[^A-Za-z0-9_\-.:]+", "_", path.name.split(".")[0]) or "scores"
    digest = hashlib.sha256(content).hexdigest()
    return ScoreFile(name, protocol, Scores(-scores if distance else scores), labels, distance, given, digest)


def _table(content: bytes, protocol: FileProtocol, faults: list[Fault]) -> pa.Table | None:
    """The file with stripped column names, each once, the known ones kept; None where there is nothing to check further."""
    try:
        table = pq.read_table(pa.BufferReader(content)) if content[:4] == b"PAR1" else _csv(content, faults)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        faults.append(Fault(f"line {line}", f"{error.reason}: byte 0x{content[error.start]:02x}", "UTF-8 text"))
        return None
    except pa.ArrowException as error:
        found = str(error).splitlines()[0]
        faults.append(Fault("content", found, "a CSV file with a header, or a Parquet file"))
        return None
    names = [name.strip() for name in table.column_names]
    if len(names) == 1 and ";" in names[0]:
        faults.append(Fault("header", f"{names[0]!r}: semicolons between the columns", "commas, and points in numbers"))
        return None
    known = ("score", "distance", "label", *COLUMNS[protocol])
    for name in dict.fromkeys(names):
        if name not in known:
            faults.append(unknown("header", name, known, f"column of {protocol}"))
        elif names.count(name) > 1:
            faults.append(Fault("header", f"column {name!r} {names.count(name)} times", "each column once"))
    if not {"score", "distance"} & set(names):
        faults.append(
            Fault("header", "no score", "a column `score` (higher = genuine) or `distance` (lower = genuine)")
        )
    elif {"score", "distance"} <= set(names):
        faults.append(Fault("header", "score and distance", "one of the two"))
    if "label" not in names:
        faults.append(Fault("header", "no label", "a column `label` (1 genuine or bona fide, 0 impostor or attack)"))
    if not table.num_rows:
        faults.append(Fault("content", "no rows", "a row for each comparison"))
    first = {name: names.index(name) for name in known if name in names}
    kept = pa.table({name: table.column(place) for name, place in first.items()})
    return kept if table.num_rows else None


def _csv(content: bytes, faults: list[Fault]) -> pa.Table:
    """All columns as text, so that every value that is no number can be shown; rows of another length are faults."""
    short: list[str] = []

    def odd(row: pa_csv.InvalidRow) -> str:
        short.append(f"line {row.number} has {row.actual_columns}")
        return "skip"

    reading = pa_csv.ReadOptions(use_threads=False)  # only so does a row know its line
    content.decode()  # what Arrow reads it does not always decode
    header = next(csv.reader(io.StringIO(content.split(b"\n", 1)[0].decode("utf-8-sig"))), [])
    table = pa_csv.read_csv(
        pa.BufferReader(content), reading, pa_csv.ParseOptions(invalid_row_handler=odd),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
    )  # fmt: skip
    if short:
        found = f"{len(short)} of another length: {naming(short)}"
        faults.append(
            Fault("rows", found, f"{len(table.column_names)} values", "rows named below are counted without these")
        )
    return table
