"""Small words of messages."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """`1 image`, `2 images`, `0 classes`, `5,000 classes`."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"
