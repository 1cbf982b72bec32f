"""Sheets as Markdown: GitHub's tables, which other renderers of CommonMark with tables read too. All text is escaped, nothing is HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gelo.analysis.printed import Entry, Sheet

_MEANT = re.compile(r"([\\`*_\[\]<>&|~#$!])")
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def escaped(text: str) -> str:
    """Text that every sign of stands for itself, on one line."""
    return _MEANT.sub(r"\\\1", " ".join(text.split()))


def written(sheets: Sequence[Sheet]) -> str:
    """One after the other, each under a heading."""
    return "\n".join(_written(sheet) for sheet in sheets)


def _written(sheet: Sheet) -> str:
    heads = [*(escaped(name) for name in sheet.names), *(escaped(head) for head in sheet.heads)]
    lines = [
        f"## {escaped(f'{sheet.sweep}: {sheet.title}')}", "", " ".join(escaped(sentence) for sentence in sheet.said), "",
        _row(heads), _row([*([":---"] * len(sheet.names)), *(["---:"] * len(sheet.heads))]),
    ]  # fmt: skip
    for block in sheet.blocks:
        lines += [_row([*map(escaped, line.names), *map(_cell, line.entries)]) for line in block]
    if sheet.notes:
        lines += ["", *(f"{_note(place)} {escaped(note)}  " for place, note in enumerate(sheet.notes, 1))]
    return "\n".join([*lines, ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(entry: Entry) -> str:
    text = escaped(entry.text) if entry.text else "–"
    text = f"**{text}**" if entry.bold else text
    text += f" ({escaped(entry.behind)})" if entry.behind else ""
    return text + (_note(entry.note) if entry.note is not None else "")


def _note(number: int) -> str:
    return str(number).translate(_RAISED)
