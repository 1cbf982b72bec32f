"""Rows and sentences at every width: no line is wider, no character is lost, and no number is split."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gelo.sweeps.terminal.listing import Listing, broken, say

_WORDS = st.text(st.sampled_from("ab/_=.-1,2字é"), min_size=1, max_size=50)


@given(st.lists(_WORDS, min_size=1, max_size=12), st.integers(16, 90), st.integers(0, 4))
def test_lines_fit_and_keep_every_character(words: list[str], width: int, indent: int) -> None:
    lines = [line.plain for line in broken(Text(" ".join(words)), width, indent)]
    assert max(map(cell_len, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(words)
    assert all(line.startswith(" " * indent) for line in lines)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.integers(20, 60))
def test_numbers_are_never_split(numbers: list[int], width: int) -> None:
    said = " images and ".join(f"{n:,}" for n in numbers)
    lines = [line.plain for line in broken(Text(said), width)]
    assert [n for line in lines for n in re.findall(r"[\d,]+", line)] == [f"{n:,}" for n in numbers]


def test_a_long_word_breaks_behind_its_parts() -> None:
    lines = [line.plain for line in broken(Text("zero_shot/photos_of_birds/mean_per_class"), 24)]
    assert lines == ["zero_shot/photos_of_", "  birds/mean_per_class"]


def test_the_address_of_a_page_stays_whole() -> None:
    """In two pieces it is neither clicked nor copied."""
    address = "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=gelo"
    lines = [line.plain for line in broken(Text(f"MLflow: {address} (Ctrl-C ends it)"), 60)]
    assert [line.strip() for line in lines] == ["MLflow:", address, "(Ctrl-C ends it)"]


def listing() -> Listing:
    listing = Listing("a title", ("key", "state", "note"))
    listing.add("f92cbee8d0e8", "complete", "[0] is no markup")
    listing.add("d5f4cc2a7cba", "waiting", "")
    return listing


def test_a_table_where_there_is_room_else_a_block_a_row() -> None:
    def shown(width: int) -> str:
        console = Console(width=width)
        with console.capture() as capture:
            console.print(listing())
        return capture.get()

    assert "│ f92cbee8d0e8 │ complete │ [0] is no markup" in shown(80)
    assert shown(24).splitlines() == [
        "a title", "f92cbee8d0e8", "  state: complete", "  note: [0] is no", "    markup", "d5f4cc2a7cba", "  state: waiting",
    ]  # fmt: skip


def test_a_sentence_is_whole_where_it_goes_to_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    sentence = " ".join(["word"] * 60)
    console = Console(soft_wrap=True, force_terminal=False)
    with console.capture() as shown:
        say(console, sentence, 2)
    assert shown.get() == f"  {sentence}\n"
    monkeypatch.setenv("COLUMNS", "40")
    narrow = Console(soft_wrap=True, force_terminal=False)
    with narrow.capture() as shown:
        say(narrow, sentence, 2)
    assert max(map(len, shown.get().splitlines())) <= 40


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=6), _WORDS), min_size=1, max_size=4), st.integers(16, 90))
def test_rows_keep_every_character_at_any_width(rows: list[tuple[str, str]], width: int) -> None:
    listing = Listing("", ("name", "note"))
    for row in rows:
        listing.add(*row)
    console = Console(width=width)
    with console.capture() as capture:
        console.print(listing)
    lines = capture.get().splitlines()
    assert max(map(cell_len, lines)) <= width
    if any(line.startswith("│") for line in lines):
        cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
        found = ["".join(column) for column in zip(*cells, strict=True)]
        assert found == ["".join(name for name, _ in rows), "".join(note for _, note in rows)]
    else:
        assert "".join("".join(lines).split()) == "".join(f"{name}note:{note}" for name, note in rows)
