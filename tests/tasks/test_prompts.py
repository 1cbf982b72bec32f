"""Prompts and class names that users write: each class is asked for by its own words, or nothing is read."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gelo.models.faults import UserError
from gelo.tasks.data.prompts import read_classes, read_prompts, reads_alike

COLOURS = ("black", "blue", "green", "red", "white", "yellow")
words = st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="{}"), min_size=1, max_size=12)


def prompts(path: Path, classes: object, templates: object = ("a {}",)) -> Path:
    path.write_text(yaml.safe_dump({"templates": list(templates), "classes": classes}, allow_unicode=True))  # type: ignore[call-overload]
    return path


def refused(path: Path, classes: tuple[str, ...] = COLOURS) -> str:
    with pytest.raises(UserError) as error:
        read_prompts(path, classes)
    return str(error.value)


@given(order=st.permutations(COLOURS))
def test_the_classes_own_names_are_matched_by_name_whatever_their_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    file = prompts(tmp_path_factory.mktemp("p") / "p.yaml", [name.title() for name in order])
    assert [name.lower() for name in read_prompts(file, COLOURS).classes] == list(COLOURS)


@given(order=st.permutations(range(6)), other=st.integers(0, 5))
def test_a_list_with_one_strange_word_is_in_label_order_or_refused(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], other: int
) -> None:
    names = [COLOURS[n] for n in order]
    names[other] = "a hue of its own"
    file = prompts(tmp_path_factory.mktemp("p") / "p.yaml", names)
    if all(name == COLOURS[n] for n, name in enumerate(names) if n != other):
        assert read_prompts(file, COLOURS).classes == tuple(names)
    else:
        assert "where the class is" in refused(file)


def test_two_classes_of_one_text_are_named_by_their_places(tmp_path: Path) -> None:
    text = refused(prompts(tmp_path / "p.yaml", ["black", "red", "green", "Red", "white", "yellow"]))
    assert "places 2 and 4 are one text, 'Red'" in text


@pytest.mark.parametrize("form", ["yaml", "json"])
@given(names=st.lists(words, min_size=2, max_size=5, unique_by=lambda name: reads_alike(name) or name))
def test_a_mapping_says_which_is_which(tmp_path_factory: pytest.TempPathFactory, form: str, names: list[str]) -> None:
    classes = tuple(f"class {n}" for n in range(len(names)))
    path = tmp_path_factory.mktemp("p") / f"p.{form}"
    content = {"templates": ["a {}"], "classes": dict(reversed(list(zip(classes, names, strict=True))))}
    path.write_text(json.dumps(content) if form == "json" else yaml.safe_dump(content, allow_unicode=True))
    assert read_prompts(path, classes).classes == tuple(unicodedata.normalize("NFC", name) for name in names)


@pytest.mark.parametrize("name", ["010", "1.0e+3", "12:30", "0x1F", "2024-01-02", "1_000", ".inf", "'on'", '"null"'])
def test_a_name_is_the_text_that_stands_there(tmp_path: Path, name: str) -> None:
    """YAML's own rules make another thing of most: 8, 1000.0, 750, 31, a day, 1000, infinity."""
    (tmp_path / "p.yaml").write_text(f"templates: ['a {{}}']\nclasses: [{name}, red]\n")
    assert read_prompts(tmp_path / "p.yaml", ("a", "b")).classes == (name.strip("'\""), "red")
    (tmp_path / "c.yaml").write_text(f"- {name}\n- red\n")
    assert read_classes(tmp_path / "c.yaml") == (name.strip("'\""), "red")
    (tmp_path / "m.yaml").write_text(f"{name}: red\n")
    assert read_classes(tmp_path / "m.yaml") == {name.strip("'\""): "red"}


@pytest.mark.parametrize("name", ["on", "No", "YES", "off", "true", "False", "null", "~"])
def test_a_word_that_yaml_takes_for_a_yes_a_no_or_nothing_is_to_be_quoted(tmp_path: Path, name: str) -> None:
    assert not isinstance(yaml.safe_load(name), str)
    (tmp_path / "p.yaml").write_text(f"templates: ['a {{}}']\nclasses:\n- red\n- {name}\n")
    text = refused(tmp_path / "p.yaml", ("a", "b"))
    assert f"{name} (line 4): YAML takes that for a yes, a no or nothing; expected text" in text
    assert f'put it in quotes: "{name}"' in text


def test_json_numbers_are_the_text_that_stands_there(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"0": 10.50, "1": "\\ud83d\\ude00"}')
    assert read_classes(tmp_path / "c.json") == {"0": "10.50", "1": "\U0001f600"}


@pytest.mark.parametrize("name", ["twice.yaml", "twice.json"])
def test_a_key_given_twice_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"0": "red", "0": "blue"}')
    with pytest.raises(UserError, match="key '0' is given twice"):
        read_classes(tmp_path / name)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_names_by_line_in_any_encoding_that_says_itself(tmp_path: Path, encoding: str, end: str) -> None:
    (tmp_path / "c.txt").write_bytes(end.join(["été", "red", ""]).encode(encoding))
    assert read_classes(tmp_path / "c.txt") == ("été", "red")


@pytest.mark.parametrize(
    "lines", ["0 red\n1 blue\n", "1: red\n2: blue\n", "0,red\n1,blue\n", "0\tred\n1\tblue\n", "1. red\n2. blue"]
)
def test_numbered_lines_are_not_taken_for_names(tmp_path: Path, lines: str) -> None:
    (tmp_path / "c.txt").write_text(lines)
    with pytest.raises(UserError, match="lines that begin with numbers"):
        read_classes(tmp_path / "c.txt")


@pytest.mark.parametrize("lines", ["1 dollar\n5 dollars\n", "0\n1\n2\n", "3d glasses\n4x4\n"])
def test_names_that_have_numbers_are_names(tmp_path: Path, lines: str) -> None:
    (tmp_path / "c.txt").write_text(lines)
    assert read_classes(tmp_path / "c.txt") == tuple(lines.splitlines())


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no names"),
        (b"\xff\xd8\xff\xe0 picture", "a JPEG image"),
        ("n\xe9\n".encode("cp1252"), "not text|codec"),
        (b"red\n\nblue\n", "empty"),
    ],
)
def test_what_is_no_list_of_names_is_said(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "c.txt").write_bytes(content)
    with pytest.raises(UserError, match=found):
        read_classes(tmp_path / "c.txt")
