"""Rows and sentences on terminals of any width: nothing is cut off, and lines break between words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_BESIDE = 3  # columns that a cell's frame takes
_LAST, _WORD = (
    12,
    24,
)  # columns that the last cell of a row has at least where it holds more, and where it has a long word


class Listing:
    """Rows below headings: a table where every cell but the last fits on one line, else a block of lines for each row.

    The last cell may take several lines. `section` draws a line after the row that was added last; right: headings of numbers.
    """

    def __init__(self, title: str, headings: Sequence[str], right: Sequence[str] = ()) -> None:
        self.title, self.headings, self.right = title, tuple(headings), tuple(right)
        self.rows: list[tuple[str, ...]] = []
        self._ends: set[int] = set()

    def add(self, *cells: str) -> None:
        self.rows.append(cells)

    def section(self) -> None:
        self._ends.add(len(self.rows) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = list(zip(self.headings, *self.rows, strict=True))
        widths = [max(map(cell_len, column)) for column in columns]
        longest = max((cell_len(word) for cell in columns[-1] for word in cell.split()), default=0)
        needed = [*widths[:-1], max(min(longest, _WORD), min(widths[-1], _LAST))]
        if sum(needed) + _BESIDE * len(needed) + 1 > options.max_width:
            yield from self._blocks(options.max_width)
            return
        table = Table(title=Text(self.title))
        for place, heading in enumerate(self.headings):
            last = place == len(self.headings) - 1
            table.add_column(
                heading,
                no_wrap=not last,
                min_width=needed[place],
                overflow="fold",
                justify="right" if heading in self.right else "left",
            )
        for number, row in enumerate(self.rows):
            table.add_row(*map(Text, row), end_section=number in self._ends)
        yield table

    def _blocks(self, width: int) -> RenderResult:
        yield from broken(Text(self.title, "italic"), width)
        for first, *rest in self.rows:
            yield from broken(Text(first, "bold"), width)
            for heading, cell in zip(self.headings[1:], rest, strict=True):
                if cell:
                    yield from broken(Text(f"{heading}: {cell}"), width, 2)


_ADDRESS = ("http://", "https://")


def broken(text: Text, width: int, indent: int = 0) -> list[Text]:
    """Lines of at most `width` columns, the later ones indented by two more, broken between words.

    A word that is longer than a line is broken behind a `/`, `_` or `=`, and elsewhere only where it has none; an address of a page never:
    in pieces it opens nothing.
    """
    room = max(8, width - indent - 2)
    cuts: list[int] = []
    place = used = 0
    for unit in _units(text.plain, room):
        if used and used + cell_len(unit.rstrip()) > room:
            cuts.append(place)
            used = 0
        place, used = place + len(unit), used + cell_len(unit)
    lines = text.divide(cuts)
    for line in lines:
        line.rstrip()
    return [Text(" " * (indent + 2 * (number > 0))) + line for number, line in enumerate(lines)]


def _units(text: str, room: int) -> Iterator[str]:
    """What stays on one line: words with the blanks behind them, and pieces of words that are too long."""
    for word in re.findall(r"\s*\S+\s*", text):
        if cell_len(word.rstrip()) <= room or word.lstrip().startswith(_ADDRESS):
            yield word
            continue
        for piece in re.findall(r"[^/_=]*[/_=]+\s*|[^/_=]+", word):
            yield from [piece] if cell_len(piece.rstrip()) <= room else chop_cells(piece, room)


def say(console: Console, text: str | Text, indent: int = 0) -> None:
    """One sentence, broken to the width of a terminal; whole on one line where the output goes to a file or a program."""
    words = Text(text) if isinstance(text, str) else text
    if console.soft_wrap and not console.is_terminal and "COLUMNS" not in os.environ:
        console.print(Text(" " * indent) + words, highlight=False)
        return
    for line in broken(words, console.width, indent):
        console.print(line, highlight=False, soft_wrap=True)
