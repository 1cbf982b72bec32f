"""A file of scores and labels, CSV or Parquet, read and checked whole: the way in for a lab that wants the metrics alone.

One row a comparison (verification, templates), image (morph) or frame (spoof). Columns: `score` (higher = genuine / bona fide)
or `distance` (lower is; negated here, once), `label`, and the optional columns that the protocol declares.
"""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.models.faults import Fault, UserError, unknown
from gelo.tasks.data import bounded
from gelo.tasks.metrics.scores import Scores
from gelo.tasks.protocols import score_files
from gelo.tasks.protocols.detection import BONA_FIDE
from gelo.tasks.protocols.tally import part_faults
from gelo.tasks.scorefiles.columns import attacks, class_faults, given_faults, labels_of, text_of, video_faults
from gelo.tasks.scorefiles.numbers import NUMBER, numbers
from gelo.tasks.scorefiles.text import Columns, arrow_text, read_csv
from gelo.tasks.scorefiles.textfile import NotTextError


@dataclass(frozen=True)
class ScoreFile:
    """One file, checked. name: from the file's, as metrics can carry it; digest: SHA-256 of its bytes.

    scores (N,): higher = genuine / bona fide, so -distance where `distance` is True. labels (N,): 1 genuine / bona fide, 0
    impostor / attack. rows (N,): their numbers, as a spreadsheet counts them below the header. given: the optional columns that are
    there, (N,) str; `attack` is `bona_fide` exactly where label is 1.
    """

    name: str
    protocol: str
    scores: Scores
    labels: NDArray[np.int64]
    distance: bool
    rows: NDArray[np.int64]
    given: dict[str, NDArray[np.str_]]
    digest: str

    @property
    def ids(self) -> NDArray[np.str_]:
        """The column `id`, else the rows by number, (N,)."""
        rows: NDArray[np.str_] = np.char.add("row ", self.rows.astype(str))
        return self.given.get("id", rows)


def read(path: Path, protocol: str) -> ScoreFile:
    """Read `path` for one protocol. Raises UserError with every fault: a missing, empty or broken file, unknown, doubled or
    missing columns, rows of another length, scores that are no finite numbers, labels that are neither, one class only,
    duplicate ids, and columns that contradict each other.
    """
    declared = score_files()[protocol]
    faults: list[Fault] = []
    try:
        content = path.read_bytes()
    except OSError as error:
        fault = Fault(str(path), error.strerror or str(error), "a CSV or Parquet file of scores and labels")
        raise UserError("scores", fault) from None
    columns = _columns(content, protocol, faults)
    if columns is None:
        raise UserError(str(path), faults)
    given = {name: text_of(columns.table[name]) for name in declared.columns if name in columns.names}
    distance = "distance" in columns.names
    column = "distance" if distance else "score"
    scores = numbers(columns, column, faults)
    if distance and declared.pairs and (scores < 0).any():
        faults.append(
            Fault(
                "distance",
                f"{int((scores < 0).sum())} below 0: {columns.shown(np.flatnonzero(scores < 0), scores)}",
                "distances from 0 up",
                "a column where higher means genuine is called score",
            )
        )
    labels = labels_of(columns, faults)
    if "label" in columns.names:
        faults += class_faults(labels, given.get("split"))
    faults += given_faults(given, columns)
    if "attack" in given and labels.size:
        given["attack"], wrong = attacks(given["attack"], labels, columns)
        faults += wrong
        faults += part_faults("attack", sorted(set(given["attack"].tolist()) - {BONA_FIDE, ""}))
    if "domain" in given:
        faults += part_faults("domain", sorted(set(given["domain"].tolist())))
    if "video" in given and labels.size and (labels >= 0).all():
        faults += video_faults(given, labels)
    if faults:
        raise UserError(str(path), faults)
    name = re.sub(r"[^A-Za-z0-9_\-.:]+", "_", path.name.split(".")[0]) or "scores"
    digest = hashlib.sha256(content).hexdigest()
    return ScoreFile(
        name, protocol, Scores(-scores if distance else scores), labels, distance, columns.rows, given, digest
    )


def _columns(content: bytes, protocol: str, faults: list[Fault]) -> Columns | None:
    """The known columns, each once, under their names; None where there is nothing to check further."""
    known = ("score", "distance", "label", *score_files()[protocol].columns)
    try:
        found = _parquet(content) if content[:4] == b"PAR1" else read_csv(content, known, faults)
    except (NotTextError, csv.Error, pa.ArrowException, OSError) as error:
        line, remedy = (error.line, error.remedy) if isinstance(error, NotTextError) else (0, "")
        reason = error.reason if isinstance(error, NotTextError) else str(error).splitlines()[0]
        wanted = "UTF-8 text" if line else "a CSV file with a header, or a Parquet file"
        faults.append(Fault(f"line {line}" if line else "content", reason, wanted, remedy))
        return None
    empty = [
        place
        for place, name in enumerate(found.names)
        if not name and not any(arrow_text(found.table[place]).unique().to_pylist())
    ]
    names = [name for place, name in enumerate(found.names) if place not in empty]
    if not set(names) & set(known) and any(map(NUMBER.fullmatch, names)):
        top = found.separator.join(found.names)
        faults.append(Fault("header", f"{top!r} in the first line", "names of columns, such as score,label"))
        return None
    for name in dict.fromkeys(names):
        if not name:
            remedy = "name it or leave it out; pandas writes its index so, unless index=False"
            faults.append(Fault("header", "a column without a name", "a name for each column", remedy))
        elif name not in known:
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
    if not len(found.rows):
        faults.append(Fault("content", "no rows", "a row for each comparison"))
        return None
    first = {name: found.names.index(name) for name in known if name in names}
    kept = pa.table({name: found.table.column(place) for name, place in first.items()})
    return Columns(list(first), kept, found.rows, found.separator)


def _parquet(content: bytes) -> Columns:
    table = bounded.parquet(pa.BufferReader(content), whole=True).read()
    return Columns([name.strip() for name in table.column_names], table, np.arange(1, len(table) + 1))
