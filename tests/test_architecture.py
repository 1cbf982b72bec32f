"""docs/architecture.svg is true: its arrows are the code's imports, its rooms the folders; no module is in a circle or too long."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from docs.architecture import IMPORTS, PACKAGES, PICTURE, ROOMS, WAY, drawn
from tests import test_imports as graph

ROOT = graph.ROOT
PAGE = PICTURE.with_name("architecture.md")
MOST_LINES = 250


def _folders() -> set[str]:
    """The rooms that the code has: folders of the packages with code in them."""
    return {"/".join(file.split("/")[:2]) for file in graph.FILES if file.count("/") > 1}


def _modules(module: str) -> set[str]:
    """Our file of a module; none for a name in one."""
    path = module.replace(".", "/")
    here = path.split("/")[0] in graph.PACKAGES
    return {name for name in (f"{path}/__init__.py", f"{path}.py") if here and (graph.ROOT / name).is_file()}


def _imported(files: list[str]) -> dict[str, set[str]]:
    """What each file imports of ours when it is imported itself."""
    return {
        file: {to for module, top in graph.imports(file) if top for to in _modules(module)} - {file} for file in files
    }


def circles(links: dict[str, set[str]]) -> list[set[str]]:
    """Strongly connected components of more than one node (Tarjan)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_ones: list[str] = []
    found = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        open_ones.append(node)
        for to in sorted(links.get(node, ())):
            if to not in number:
                visit(to)
            if to in open_ones:
                lowest[node] = min(lowest[node], lowest[to])
        if lowest[node] == number[node]:
            at = open_ones.index(node)
            found.append(set(open_ones[at:]))
            del open_ones[at:]

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        for node in sorted(links):
            if node not in number:
                visit(node)
    finally:
        sys.setrecursionlimit(limit)
    return [each for each in found if len(each) > 1]


def _between(package: str) -> set[tuple[str, str]]:
    """(importer, imported) of a package's rooms, by what is imported at the files' own import."""
    room = {file: "/".join(file.split("/")[:2]) for file in graph.FILES if file.count("/") > 1}
    links = _imported([file for file in room if file.startswith(f"{package}/")])
    return {
        (room[file], room[to])
        for file, ends in links.items()
        for to in ends
        if to.startswith(f"{package}/") and room.get(to, room[file]) != room[file]
    }


def _arrows(inside: str = "") -> set[tuple[str, str]]:
    """Of the picture: between packages, or between the rooms of one."""
    pairs = {(arrow.start, arrow.end) for arrow in IMPORTS}
    return {pair for pair in pairs if (pair[0].split("/")[0] == inside if inside else "/" not in "".join(pair))}


def test_the_picture_is_the_declared_one() -> None:
    assert PICTURE.read_text() == drawn(), "python -m docs.architecture draws it again"


def test_rooms_of_the_picture_are_the_folders() -> None:
    rooms = {room.folder for room in ROOMS}
    there = {room for room in rooms if (ROOT / room).is_dir()}
    assert _folders() <= rooms, "a folder without a room in docs/architecture.py"
    assert rooms == there, f"a room without a folder: {rooms - there}"
    ends = {end for arrow in (*IMPORTS, *WAY) for end in (arrow.start, arrow.end)}
    assert ends <= rooms | set(PACKAGES)


def test_the_page_has_a_paragraph_for_each_room() -> None:
    text = PAGE.read_text()
    assert set(re.findall(r"^## (\w+): ", text, flags=re.MULTILINE)) == set(PACKAGES)
    paragraphs = re.findall(r"^\*\*([\w/]+)\*\* \w", text, flags=re.MULTILINE)
    assert sorted(paragraphs) == sorted(room.folder for room in ROOMS)


def test_arrows_between_packages_are_the_imports() -> None:
    """What an arrow leads to may be imported, and what that leads to; the meeting point of test_imports.py aside."""
    drawn_arrows = _arrows()
    links = {
        (file.split("/")[0], to)
        for file in graph.FILES
        if file not in graph.MEETING_POINTS
        for to in graph.tops(file) & set(PACKAGES)
        if to != file.split("/")[0] and to != "gelo"
    }
    links |= {("gelo", to) for to in graph.tops("gelo/__main__.py") & set(graph.PACKAGES)}
    reached = {
        (start, to)
        for start in PACKAGES
        for to in graph._all_from({name: {b for a, b in drawn_arrows if a == name} for name in PACKAGES}, start)
    }
    assert links <= reached, f"against the picture: {links - reached}"
    assert drawn_arrows <= links, f"drawn, but nothing imports so: {drawn_arrows - links}"


def test_nothing_below_imports_what_is_on_top() -> None:
    for file in graph.FILES:
        ours = {module for module, _ in graph.written(file) if module.startswith("gelo.")}
        assert not {m for m in ours if m.split(".")[1] in {p.stem for p in (ROOT / "gelo").glob("*.py")}}, file


def test_arrows_between_rooms_of_models_are_the_imports() -> None:
    links, shown = _between("models"), _arrows("models")
    assert links <= shown, f"against the picture: {links - shown}"
    there = {(start, end) for start, end in shown if {start, end} <= _folders()}
    assert there <= links, f"drawn, but nothing imports so: {there - links}"
    assert not circles({room.folder: {end for start, end in shown if start == room.folder} for room in ROOMS})


def test_no_modules_import_each_other() -> None:
    assert not circles(_imported(graph.FILES))


def test_no_module_is_longer_than_a_reader_keeps_in_mind() -> None:
    long = {file for file in (*graph.FILES, *graph.FACADE) if len((ROOT / file).read_text().splitlines()) > MOST_LINES}
    assert not long


def test_a_circle_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Around three corners; not one that closes in a function or for type checkers alone."""
    texts = {
        "a": "from gelo.models import b",
        "b": "import gelo.models.c",
        "c": "from . import a",
        "d": "from gelo.models import e",
        "e": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import d\ndef late():\n    from . import d",
    }
    (tmp_path / "models").mkdir()
    for name, text in texts.items():
        (tmp_path / "models" / f"{name}.py").write_text(text)
    monkeypatch.setattr(graph, "ROOT", tmp_path)
    links = _imported([f"models/{name}.py" for name in texts])
    assert circles(links) == [{"models/a.py", "models/b.py", "models/c.py"}]
    assert links["models/d.py"] == {"models/e.py"}


def test_the_picture_says_what_it_shows_and_asks_nobody() -> None:
    text = PICTURE.read_text()
    assert "<title" in text and "<desc" in text and "prefers-color-scheme: dark" in text
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert "](architecture.svg)" in PAGE.read_text()
