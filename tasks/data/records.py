"""One labelled image, and the Parquet schema that a data set's shards share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

CORE = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
        pa.field("label", pa.int64(), nullable=False),
    ]
)

# Protocol columns a data set may carry beside the core, and their types.
PROTOCOL_COLUMNS: dict[str, pa.DataType] = {
    "subject": pa.string(),  # who is shown; folds and bootstraps keep subjects apart
    "media": pa.string(),  # one video or still of an IJB template
    "template": pa.string(),  # IJB template id
    "detector_score": pa.float64(),  # face detector's confidence, weights the pooling
    "attack": pa.string(),  # morph generator or attack instrument; "bona_fide" for genuine
    "video": pa.string(),  # frames of one presentation
    "domain": pa.string(),  # capture set of a presentation
    "caption": pa.string(),  # text for contrastive training
    "group": pa.string(),  # a part of the set on which accuracy is asked by itself, such as "landbird on water"; "" for none
}


@dataclass(frozen=True, slots=True)
class Record:
    """One labelled image.

    id: unique within the data set. image: the original encoded bytes, untouched. label: class index from 0 (for MAD and PAD
    1 = bona fide, 0 = attack; for faces the identity's index). columns: protocol columns, names from `PROTOCOL_COLUMNS`.
    at: (start, length) of the bytes in the one file that they were read from, where they lie there in one piece.
    """

    id: str
    image: bytes
    label: int
    columns: Mapping[str, str | float] = field(default_factory=dict)
    at: tuple[int, int] | None = None


def schema_for(columns: tuple[str, ...]) -> pa.Schema:
    """The shard schema with these protocol columns. Raises KeyError for a column that is not known."""
    return pa.schema([*CORE, *(pa.field(name, PROTOCOL_COLUMNS[name], nullable=False) for name in columns)])
