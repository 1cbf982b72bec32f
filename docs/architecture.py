"""Draws docs/architecture.svg from the rooms and arrows declared here: `python -m docs.architecture`.

Two kinds of arrows: `IMPORTS`, from whoever imports to what is imported, and `WAY`, what an image goes through until it is a number.
tests/test_architecture.py compares the imports with those of the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

PICTURE = Path(__file__).with_name("architecture.svg")
Side = Literal["left", "right", "top", "bottom"]
_COLUMN, _GAP, _ROW, _BETWEEN = 172, 24, 58, 20  # pixels
_LEFT, _WIDTH = 22, 1000


@dataclass(frozen=True, slots=True)
class Room:
    """A folder. column, row: where it is drawn in its package; over: the columns and rows that it takes. words: a line each."""

    folder: str
    words: tuple[str, ...]
    column: int
    row: int
    over: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class Arrow:
    """Between folders, drawn from side to side; along: how far from the middle of both sides, in pixels. word: what goes there."""

    start: str
    end: str
    sides: tuple[Side, Side]
    along: tuple[int, int] = (0, 0)
    word: str = ""


# Package: its words, the first and last column, the top and the rows.
PACKAGES = {
    "gelo": ("the commands; what a notebook imports", 0, 4, 12, 0),
    "sweeps": ("what is run", 0, 3, 80, 2),
    "analysis": ("what is concluded", 4, 4, 80, 2),
    "tasks": ("what is measured: data, protocols, trials", 0, 4, 300, 2),
    "models": ("encoders", 0, 4, 520, 2),
}
ROOMS = (
    Room("sweeps/cli", ("one file a command",), 0, 0),
    Room("sweeps/spec", ("YAML to trials; presets",), 1, 0),
    Room("sweeps/state", ("what is on storage",), 2, 0),
    Room("sweeps/terminal", ("progress, tables",), 3, 0),
    Room("sweeps/stages", ("what is missing, is done",), 0, 1),
    Room("sweeps/engine", ("Ray: who runs where",), 1, 1),
    Room("sweeps/exchange", ("trials out, with a card",), 2, 1),
    Room("sweeps/tracking", ("MLflow's only writer",), 3, 1),
    Room("analysis/pictures", ("one file a picture",), 4, 0),
    Room("analysis/page", ("the report, one file",), 4, 1),
    Room("tasks/prepare", ("publishers' files in",), 0, 0),
    Room("tasks/mini", ("drawn images",), 0, 1),
    Room("tasks/data", ("records in shards,", "decoded once,", "embedded once"), 1, 0, (1, 2)),
    Room("tasks/protocols", ("features to scores",), 2, 0),
    Room("tasks/training", ("batches of a task",), 2, 1),
    Room("tasks/metrics", ("scores to a number",), 3, 0),
    Room("tasks/scorefiles", ("others' scores in",), 3, 1),
    Room("tasks/ledger", ("a trial, its key,", "the results it owes,", "retention"), 4, 0, (1, 2)),
    Room("models/mini", ("four tiny CLIPs, their cards",), 0, 0),
    Room("models/exchange", ("others' formats",), 0, 1),
    Room("models/backbones", ("weight files in,", "encoders out"), 1, 0, (1, 2)),
    Room("models/training", ("the loop",), 2, 0),
    Room("models/adapt", ("one file a way",), 2, 1),
    Room("models/heads", ("one file a head:", "logits and loss"), 3, 0),
    Room("models/storage", ("S3 and the like,", "waited for"), 4, 0),
    Room("models/remedies", ("one file a remedy: while training, or after",), 3, 1, (2, 1)),
)
IMPORTS = (
    Arrow("gelo", "sweeps", ("bottom", "top"), (-98, 0)),
    Arrow("sweeps", "tasks", ("bottom", "top"), (-294, -392)),
    Arrow("analysis", "tasks", ("bottom", "top"), (0, 398)),
    Arrow("tasks", "models", ("bottom", "top"), (-392, -392)),
    Arrow("models/exchange", "models/backbones", ("right", "left"), (0, 39)),
    Arrow("models/training", "models/backbones", ("left", "right"), (0, -39)),
    Arrow("models/training", "models/adapt", ("bottom", "top")),
    Arrow("models/training", "models/heads", ("right", "left")),
    Arrow("models/training", "models/remedies", ("right", "left"), (18, -18)),
    Arrow("models/remedies", "models/adapt", ("left", "right"), (12, 12)),
)
WAY = (
    Arrow("tasks/prepare", "tasks/data", ("right", "left"), (0, -39), word="1"),
    Arrow("tasks/data", "models/backbones", ("bottom", "top"), (-40, -40), word="2"),
    Arrow("models/backbones", "tasks/data", ("top", "bottom"), (40, 40), word="3"),
    Arrow("tasks/data", "tasks/protocols", ("right", "left"), (-39, 0), word="4"),
    Arrow("tasks/protocols", "tasks/metrics", ("right", "left"), word="5"),
    Arrow("tasks/metrics", "sweeps/tracking", ("top", "bottom"), word="6"),
    Arrow("sweeps/tracking", "analysis", ("right", "left"), (0, 35), word="7"),
)
ALT = (
    "Four packages. An image enters at tasks/prepare, becomes a record in tasks/data, features in models/backbones, scores in "
    "tasks/protocols, a number in tasks/metrics, a logged metric in sweeps/tracking, and a finding in analysis. gelo imports sweeps, "
    "sweeps and analysis import tasks, tasks imports models."
)
_STYLE = """
svg { --ground: #ffffff; --ink: #1b1f24; --soft: #57606a; --hall: #f3f5f8; --room: #ffffff; --edge: #b6bec8 }
svg { --way: #b3500f; --on-way: #ffffff }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --ink: #e6edf3; --soft: #9aa5b1; --hall: #161b22; --room: #1f2630; --edge: #4b5563 }
  svg { --way: #f0883e; --on-way: #0d1117 }
}
text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: var(--ink); font-size: 13px }
.name { font-weight: 600; font-size: 14px } .soft { fill: var(--soft); font-size: 12.5px } .big { font-weight: 700; font-size: 16px }
.ground { fill: var(--ground) } .hall { fill: var(--hall); stroke: var(--edge) } .room { fill: var(--room); stroke: var(--edge) }
.import { stroke: var(--soft); stroke-width: 1.6; fill: none } .import-head { fill: var(--soft) }
.way { stroke: var(--way); stroke-width: 3; fill: none } .way-head, .badge { fill: var(--way) }
.number { fill: var(--on-way); font-weight: 700; font-size: 12px; text-anchor: middle }
"""


def drawn() -> str:
    """The whole picture: its ground is drawn too, so that it can be read wherever it is shown."""
    height = 792
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="t d">',
        f'<title id="t">How an image becomes a number</title><desc id="d">{escape(ALT)}</desc>',
        f"<style>{_STYLE}</style>",
        "<defs>" + _head("import", 8) + _head("way", 5) + "</defs>",
        f'<rect class="ground" width="{_WIDTH}" height="{height}"/>',
    ]
    for name, (words, *_) in PACKAGES.items():
        x, y, w, h = _box(name)
        parts.append(f'<rect class="hall" x="{x}" y="{y}" width="{w}" height="{h}" rx="8"/>')
        parts.append(f'<text x="{x + 12}" y="{y + 23}"><tspan class="big">{name}</tspan>{_beside(name, words)}</text>')
    for room in ROOMS:
        x, y, w, h = _box(room.folder)
        parts.append(f'<rect class="room" x="{x}" y="{y}" width="{w}" height="{h}" rx="5"/>')
        parts.append(f'<text class="name" x="{x + 10}" y="{y + 21}">{room.folder.split("/")[1]}</text>')
        for n, line in enumerate(room.words):
            parts.append(f'<text class="soft" x="{x + 10}" y="{y + 39 + 17 * n}">{escape(line)}</text>')
    parts += [_arrow(arrow, "import") for arrow in IMPORTS]
    parts += [_arrow(arrow, "way") for arrow in WAY]
    parts.append('<line class="way" x1="22" y1="748" x2="52" y2="748" marker-end="url(#way)"/>')
    steps = "1 records, 2 pixels, 3 features, 4 features with labels, 5 scores, 6 results, 7 metrics"
    parts.append(f'<text x="70" y="752">the way of an image: {steps}</text>')
    parts.append('<line class="import" x1="22" y1="774" x2="56" y2="774" marker-end="url(#import)"/>')
    parts.append(
        '<text x="70" y="778">imports: from who asks to who is asked. What is below never imports what is above.</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


def _box(name: str) -> tuple[int, int, int, int]:
    """x, y, width, height of a package or room."""
    if name in PACKAGES:
        _, first, last, top, rows = PACKAGES[name]
        left, right = _left(first) - (12 if first == 0 else 0), _left(last) + _COLUMN + 12
        return left, top, right - left, 36 + rows * (_ROW + _BETWEEN) - (8 if rows else 0)
    room = next(room for room in ROOMS if room.folder == name)
    _, _, _, top, _ = PACKAGES[name.split("/")[0]]
    (across, down), step = room.over, _ROW + _BETWEEN
    y = top + 36 + room.row * step
    return _left(room.column), y, across * _COLUMN + (across - 1) * _GAP, down * step - _BETWEEN


def _left(column: int) -> int:
    return _LEFT + column * (_COLUMN + _GAP)


def _beside(name: str, words: str) -> str:
    return "" if name == "analysis" else f'<tspan class="soft" dx="10">{escape(words)}</tspan>'


def _arrow(arrow: Arrow, kind: str) -> str:
    (x1, y1), (x2, y2) = (
        _point(name, side, along)
        for name, side, along in zip((arrow.start, arrow.end), arrow.sides, arrow.along, strict=True)
    )
    line = f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" marker-end="url(#{kind})"/>'
    if not arrow.word:
        return line
    x, y = (x1 + x2) // 2, (y1 + y2) // 2
    up, aside = (0, 14) if x1 == x2 else (17, 0)
    at = f'<circle class="badge" cx="{x + aside}" cy="{y - up}" r="9"/>'
    return f'{line}{at}<text class="number" x="{x + aside}" y="{y - up + 4}">{arrow.word}</text>'


def _point(name: str, side: Side, along: int) -> tuple[int, int]:
    x, y, w, h = _box(name)
    if side in ("top", "bottom"):
        return x + w // 2 + along, y if side == "top" else y + h
    return x if side == "left" else x + w, y + h // 2 + along


def _head(kind: str, size: int) -> str:
    """An arrow's head whose tip is the line's end."""
    return (
        f'<marker id="{kind}" viewBox="0 0 10 10" refX="9.5" refY="5" markerWidth="{size}" markerHeight="{size}" orient="auto">'
        f'<path class="{kind}-head" d="M0 0 L10 5 L0 10 z"/></marker>'
    )


if __name__ == "__main__":
    PICTURE.write_text(drawn())
