"""Sheets as LaTeX: a `table` each, with booktabs' rules, to be taken into a document that loads booktabs and graphicx. Text is escaped to
ASCII, so that every engine and encoding takes it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gelo.analysis.printed import Entry, Line, Sheet

PACKAGES = ("booktabs", "graphicx")
LONGEST = 40  # lines of one float: a page holds no more
_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\texttt{\char34}", "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}", "*": "{*}", "−": "$-$", "–": "--", "±": r"$\pm$",
    "·": r"\textperiodcentered{}", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$", "…": r"\dots{}", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}  # fmt: skip
_JOINED = "-',"  # two of a kind, which LaTeX would make one sign of: two hyphens a dash


def escaped(text: str) -> str:
    """Text that every sign of stands for itself, on one line; a sign that ASCII lacks and LaTeX has no word for is its code point."""
    line = " ".join(text.split())
    return "".join(
        ("{}" if sign == before and sign in _JOINED else "") + (_SIGNS.get(sign) or _plain(sign))
        for before, sign in zip(f" {line}", line, strict=False)
    )


def _plain(sign: str) -> str:
    return sign if " " <= sign <= "~" else rf"\texttt{{U+{ord(sign):04X}}}"


def written(sheets: Sequence[Sheet]) -> str:
    """One after the other, behind a comment that says which packages they need."""
    needed = "".join(rf"\usepackage{{{name}}}" for name in PACKAGES)
    return "\n".join(
        [f"% made by gelo; needs {needed}", *(_float(*part) for sheet in sheets for part in _parts(sheet))]
    )


def _parts(sheet: Sheet) -> Iterator[tuple[Sheet, Sequence[Sequence[Line]], str]]:
    """(sheet, its blocks or some of their lines, what its title says of that): no part has more than `LONGEST` lines."""
    lines = [(place, line) for place, block in enumerate(sheet.blocks) for line in block]
    starts = range(0, max(len(lines), 1), LONGEST)
    for number, start in enumerate(starts, 1):
        blocks: dict[int, list[Line]] = {}
        for place, line in lines[start : start + LONGEST]:
            first = replace(
                line, names=(sheet.blocks[place][0].names[0], *line.names[1:])
            )  # its backbone is said again
            blocks.setdefault(place, []).append(line if place in blocks else first)
        yield sheet, list(blocks.values()), f", part {number} of {len(starts)}" if len(starts) > 1 else ""


def _float(sheet: Sheet, blocks: Sequence[Sequence[Line]], part: str) -> str:
    label = re.sub(r"[^A-Za-z0-9-]", "-", f"{sheet.sweep}-{sheet.name}{part}")
    said = " ".join([f"{sheet.sweep}: {sheet.title}{part}.", *sheet.said])
    heads = [*map(escaped, sheet.names), *map(_head, sheet.heads)]
    lines = [
        "", r"\begin{table}[htbp]", r"\centering", rf"\caption{{{escaped(said)}}}", rf"\label{{tab:{label}}}",
        r"\smallskip", r"\footnotesize",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{'l' * len(sheet.names)}{'r' * len(sheet.heads)}@{{}}}}", r"\toprule", _row(heads),
    ]  # fmt: skip
    for block in blocks:
        lines += [r"\midrule", *(_row([*map(escaped, line.names), *map(_cell, line.entries)]) for line in block)]
    lines += [r"\bottomrule", r"\end{tabular}}"]
    shown = {entry.note for block in blocks for line in block for entry in line.entries} - {None}
    if shown:
        notes = [f"{_note(place)} {escaped(note)}" for place, note in enumerate(sheet.notes, 1) if place in shown]
        lines += [
            r"\par\medskip",
            r"\begin{minipage}{\linewidth}\raggedright",
            " \\\\\n".join(notes),
            r"\end{minipage}",
        ]
    return "\n".join([*lines, r"\end{table}", ""])


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _head(head: str) -> str:
    """A head on several lines, so that its column is as narrow as its numbers."""
    lines = textwrap.wrap(head, 10, break_long_words=False, break_on_hyphens=False)
    return _stacked([escaped(line) for line in lines], "b")


def _stacked(lines: Sequence[str], at: str = "t") -> str:
    """Lines below each other in one cell, the first or the last of them on the row's own line."""
    return rf"\begin{{tabular}}[{at}]{{@{{}}r@{{}}}}" + r"\\".join(lines) + r"\end{tabular}"


def _cell(entry: Entry) -> str:
    text = escaped(entry.text) if entry.text else "--"
    text = rf"\textbf{{{text}}}" if entry.bold else text
    text += _note(entry.note) if entry.note is not None else ""
    return _stacked([text, rf"{{\scriptsize ({escaped(entry.behind)})}}"]) if entry.behind else text


def _note(number: int) -> str:
    return rf"\textsuperscript{{{number}}}"
