"""Small words of messages."""

from __future__ import annotations

_KINDS = {
    list: "a list",
    dict: "a mapping",
    str: "text",
    bool: "a yes or no",
    type(None): "nothing",
    int: "a number",
    float: "a number",
}


def counted(count: int, noun: str) -> str:
    """`1 image`, `2 images`, `0 classes`, `5,000 classes`."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def legible(name: str) -> str:
    """A file's name with the bytes that are no UTF-8 as escapes, so that it can be written and printed."""
    return name.encode("utf-8", "backslashreplace").decode()


def kind_of(value: object) -> str:
    """What a value of a user's file is, in words: `a list`, `a mapping`, `nothing`."""
    return _KINDS.get(type(value), f"a {type(value).__name__}")
