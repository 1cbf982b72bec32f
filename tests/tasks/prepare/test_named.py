"""What `gelo prepare` was told before anything is read: names that mean something already, places and options that nothing heeds."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from gelo.analysis.labels import IDENTITY
from gelo.models.faults import UserError
from gelo.tasks.data.catalogue import COLLECTIONS, ENTRIES, taken
from gelo.tasks.metricnames import LONGEST_PIECE
from gelo.tasks.prepare.layout import Asked
from gelo.tasks.prepare.named import reader_of
from gelo.tasks.protocols import asked, groups, suites


def told(name: str, source: Path, reader: str = "folder") -> str:
    """What is said of a name; "" where it is taken."""
    try:
        reader_of(name, source, reader, None, Asked())
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "name",
    [*ENTRIES, *asked(), *groups(), *suites(), *COLLECTIONS, *IDENTITY, "mean", "average", "gelo", "train", "Testing"],
)
def test_a_name_that_means_something_already_is_refused_in_any_case(name: str, tmp_path: Path) -> None:
    """Case 10: sets of gelo's, suites, averages, and the columns of the report's tables beside the sets."""
    for spelt in (name, name.upper(), name.capitalize()):
        assert "NAME" in told(spelt, tmp_path), spelt


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a b", "other signs"), ("a/b", "other signs"), ("../x", "other signs"), ("shapes ", "other signs"), ("a\n", "other signs"),
        ("café", "other signs"), (unicodedata.normalize("NFD", "café"), "other signs"), ("1st", "no letter first"),
        ("", "empty"), ("x" * (LONGEST_PIECE + 1), f"{LONGEST_PIECE + 1} signs"),
    ],
)  # fmt: skip
def test_a_name_that_metrics_or_folders_cannot_carry_is_refused(name: str, found: str, tmp_path: Path) -> None:
    assert found in told(name, tmp_path)


@pytest.mark.parametrize("name", ["mine", "my_shapes", "std", "median", "means", "Photos2024", "x" * LONGEST_PIECE])
def test_other_names_are_free(name: str, tmp_path: Path) -> None:
    assert told(name, tmp_path) == "" == taken(name)


def test_a_file_in_place_of_a_folder_is_said_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\n")
    assert f"a file; expected the folder of the unpacked download, or of your own files; --from {tmp_path}" in told(
        "mine", tmp_path / "list.csv", "table"
    )
    assert "no such folder" in told("mine", tmp_path / "gone", "table")
