"""A user's mistakes in words: none is lost among others, and many of one kind are one line."""

from __future__ import annotations

import errno
import pickle
import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gelo.models.durable import publish_folder
from gelo.models.faults import Fault, UserError, folded, pass_interrupt, system_errors

PLACES = [f"image-{number}" for number in range(1000)]


def test_one_kind_in_many_places_is_one_line_with_a_count_and_the_first() -> None:
    (told,) = folded(Fault(place, "truncated", "an image", "get it again") for place in PLACES)
    assert told.where == "1,000 places: image-0; image-1; image-2; image-3; image-4; and 995 more"
    assert (told.found, told.expected, told.remedy) == ("truncated", "an image", "get it again")


def test_many_that_want_the_same_are_one_line_with_what_was_found() -> None:
    (told,) = folded(Fault(place, f"{n} bytes are lacking", "an image") for n, place in enumerate(PLACES))
    assert told.where.startswith("1,000 places: image-0 (0 bytes are lacking); image-1 (1 bytes are lacking); ")
    assert told.where.endswith("and 995 more") and told.expected == "an image"


def test_a_failure_that_is_kept_as_text_is_no_flood() -> None:
    error = UserError("data", [Fault(place, f"{n} bytes", "an image") for n, place in enumerate(PLACES)])
    assert len(str(error)) < 400 and len(error.faults) == 1000
    again = pickle.loads(pickle.dumps(error))
    assert again.faults == error.faults and str(again) == str(error)


@given(st.lists(st.builds(Fault, *(st.sampled_from("abcdefg") for _ in range(3))), max_size=20))
def test_few_are_all_told(faults: list[Fault]) -> None:
    told = folded(faults)
    assert len(told) <= len(faults) and bool(told) == bool(faults)
    for fault in faults:  # each is a line of its own, or one of those that a line with a count stands for
        assert fault in told or any(
            " places: " in each.where and (each.found, each.expected) == (fault.found, fault.expected) for each in told
        )


@given(*(st.text(st.sampled_from("a \n\r\x0b\u2028"), min_size=1) for _ in range(4)))
def test_a_fault_is_one_line_whatever_a_name_holds(where: str, found: str, expected: str, remedy: str) -> None:
    assert len(str(Fault(where, found, expected, remedy)).splitlines()) == 1


def test_an_interrupt_is_found_behind_what_was_made_of_it() -> None:
    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise RuntimeError("while a class is built") from interrupt
    except RuntimeError as error:
        with pytest.raises(KeyboardInterrupt):
            pass_interrupt(error)
    pass_interrupt(ValueError("damaged"))


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("Error while serializing: I/O error: No space left on device (os error 28)", errno.ENOSPC),
        ("Error while serializing: I/O error: File too large (os error 27)", errno.EFBIG),
        ("Error while serializing: I/O error: failed to write whole buffer", errno.EIO),
        ("database or disk is full", errno.ENOSPC),
    ],
)
def test_what_a_library_makes_of_an_error_in_writing_is_the_systems_again(said: str, number: int) -> None:
    with pytest.raises(OSError, match="cannot write") as caught, system_errors("there"):
        raise RuntimeError(said)
    assert (caught.value.errno, caught.value.filename) == (number, "there")


def raw(place: Path) -> None:
    with place.open("wb", buffering=0) as stream:
        stream.write(b"x")


def arrow(place: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), place)


@pytest.mark.parametrize("write", [raw, arrow])
def test_a_full_disk_has_the_name_of_what_was_written(write: Callable[[Path], None], tmp_path: Path) -> None:
    """The system gives none to a write into an open file, nor does Arrow."""

    def full() -> Path:  # a link: Arrow removes what it could not write
        link = tmp_path / uuid.uuid4().hex
        link.symlink_to("/dev/full")
        return link

    with pytest.raises(OSError) as nameless:
        write(full())
    assert nameless.value.filename is None
    with pytest.raises(OSError) as caught, publish_folder(tmp_path / "shapes"):
        write(full())
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "shapes"))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.parametrize("error", [
    UserError("data", Fault("a", "No space left on device", "room")), PermissionError(13, "no"), ValueError("No such file (os error 2)"),
])  # fmt: skip
def test_any_other_error_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, system_errors("there"):
        raise error
    assert caught.value is error
