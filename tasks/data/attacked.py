"""Attacked images of a data set: what they are made against, and their features. They are never stored; their features are cached."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from gelo.tasks.data.asking import prompts_for
from gelo.tasks.protocols.attack import Attack

if TYPE_CHECKING:
    from gelo.models.encoder import Encoder
    from gelo.tasks.data.manifest import Chunk, Dataset


@dataclass(frozen=True, slots=True)
class Aim:
    """What images are attacked against: settings, and the texts that an encoder classifies by: fingerprints of tower and prompts."""

    attack: Attack
    text: str
    prompts: str


Banks = Mapping[Aim, np.ndarray]  # (d, K) of the texts of each


def aim_of(attack: Attack | None, dataset: Dataset, text: str) -> Aim | None:
    """Of a protocol on a data set with the text tower of this fingerprint; None where it attacks nothing."""
    return None if attack is None else Aim(attack, text, prompts_for(dataset).fingerprint)


@dataclass(frozen=True, slots=True)
class Attacked:
    """The images of one chunk that are attacked: rows within it."""

    aim: Aim
    rows: tuple[int, ...]

    @property
    def fingerprint(self) -> str:
        """16 hex digits over the aim; which rows follows from it and from the data set."""
        parts = [self.aim.attack.fingerprint, self.aim.text, self.aim.prompts]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]

    def features(self, encoder: Encoder, chunk: Chunk, pixels: np.ndarray, bank: np.ndarray) -> np.ndarray:
        """float32 (rows, d) of the chunk's pixels, uint8 (n, S, S, 3), after the attack."""
        from gelo.models.pgd import attacked_features

        attack, rows = self.aim.attack, np.array(self.rows)
        labels = pq.ParquetFile(chunk.path).read_row_group(chunk.row_group, columns=["label"])["label"].to_numpy()
        start = np.stack([attack.start(chunk.first + row, encoder.transform.size) for row in self.rows])
        return attacked_features(
            encoder, pixels[rows], labels[rows], start, bank,
            epsilon=attack.epsilon, step=attack.step, steps=attack.steps,
        )  # fmt: skip


def attacked_in(aim: Aim, chunks: list[Chunk]) -> list[tuple[Chunk, Attacked]]:
    """The chunks of a split with the rows of each that are attacked; those without one left out."""
    chosen = aim.attack.chosen(sum(chunk.rows for chunk in chunks))
    found = []
    for chunk in chunks:
        inside = chosen[(chosen >= chunk.first) & (chosen < chunk.first + chunk.rows)] - chunk.first
        if inside.size:
            found.append((chunk, Attacked(aim, tuple(inside.tolist()))))
    return found
