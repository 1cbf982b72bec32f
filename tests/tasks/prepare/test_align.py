"""Faces upright: the similarity against a least-squares solver, the pixels against scipy's interpolation, and faults of a landmark file."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from gelo.models.faults import Fault, UserError
from gelo.tasks.data.manifest import read_chunk
from gelo.tasks.prepare.formats.align import TEMPLATE, aligned, similarities, warp
from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.prepare import prepare
from tests.tasks.prepare.ijb_trees import loose_crop, points

HEADER = "id,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5"


def solved(five: NDArray[np.float64]) -> NDArray[np.float64]:
    """[[a, -b, tx], [b, a, ty]] of the least squares, from its ten equations."""
    x, y, one, zero = five[:, 0], five[:, 1], np.ones(5), np.zeros(5)
    equations = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    a, b, tx, ty = np.linalg.lstsq(equations, TEMPLATE.T.ravel(), rcond=None)[0]
    return np.array([(a, -b, tx), (b, a, ty)])


def interpolated(pixels: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(112, 112, 3), not rounded: scipy's linear interpolation of an image that goes on in black for ever."""
    back = np.linalg.inv(np.vstack([matrix, (0, 0, 1)]))
    rows_first = np.array([(back[1, 1], back[1, 0]), (back[0, 1], back[0, 0])])
    bands = [
        affine_transform(
            pixels[..., band].astype(float), rows_first, (back[1, 2], back[0, 2]), (112, 112), order=1, mode="grid-constant"
        )
        for band in range(3)
    ]  # fmt: skip
    return np.stack(bands, axis=-1)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_similarity_is_the_least_squares_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    five = TEMPLATE * rng.uniform(0.1, 10) + rng.normal(0, 20, (5, 2)) + rng.normal(0, 500, 2)
    turn, shift = similarities(five[None])[0]
    expected = solved(five)
    assert [(turn.real, -turn.imag), (turn.imag, turn.real)] == pytest.approx(expected[:, :2], rel=1e-6, abs=1e-9)
    assert (shift.real, shift.imag) == pytest.approx(expected[:, 2], rel=1e-6, abs=1e-5)


def test_points_made_from_the_template_give_their_similarity_back_and_a_mirrored_face_is_turned_not_mirrored() -> None:
    there = 0.3 * Rotation.from_euler("z", 25, degrees=True).as_matrix()[:2, :2]
    turn, shift = similarities((TEMPLATE @ there.T + (7, -3))[None])[0]
    assert turn == pytest.approx(np.exp(-1j * np.radians(25)) / 0.3)
    assert turn * (7 - 3j) + shift == pytest.approx(0)
    mirrored = TEMPLATE * (-1, 1)
    turn, shift = similarities(mirrored[None])[0]
    assert solved(mirrored) == pytest.approx(
        np.array([(turn.real, -turn.imag, shift.real), (turn.imag, turn.real, shift.imag)])
    )


@pytest.mark.parametrize(
    "five",
    [np.full((5, 2), 31.7), np.full((5, 2), np.nan), TEMPLATE * np.inf, TEMPLATE * 1e200, TEMPLATE * 1e-5],
    ids=["one place", "nan", "inf", "overflow", "a hair apart"],
)
def test_points_that_fix_no_similarity_have_none(five: NDArray[np.float64]) -> None:
    assert np.isnan(similarities(five[None])).all()
    assert not np.isnan(similarities(TEMPLATE[None])).any()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 140), width=st.integers(1, 140))
def test_pixels_are_scipys_border_and_rounding_included(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    five = TEMPLATE * rng.uniform(0.2, 2) + rng.normal(0, 10, (5, 2)) + rng.normal(0, 40, 2)
    exact = interpolated(pixels, solved(five))
    ours = warp(pixels, *similarities(five[None])[0])
    assert np.abs(ours - exact).max() <= 0.5 + 1e-3


def test_the_template_itself_is_left_where_it_is_and_a_whole_pixel_moves_by_one() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    assert np.array_equal(warp(pixels, *similarities(TEMPLATE[None])[0]), pixels)
    moved = warp(pixels, 1, 1 + 2j)  # right by 1, down by 2, black behind
    assert np.array_equal(moved[2:, 1:], pixels[:-2, :-1])
    assert not moved[:2].any()
    assert not moved[:, 0].any()
    half = warp(np.full((112, 112, 3), 255, np.uint8), 1, 0.5)  # the first column is half black: 127.5, rounded up
    assert half[:, 0].tolist() == [[128] * 3] * 112
    assert (half[:, 1:] == 255).all()


def faces(root: Path) -> list[str]:
    """A user's images in one class: three faces, each with its own landmarks."""
    (root / "images" / "all").mkdir(parents=True)
    for number in range(3):
        (root / "images" / "all" / f"{number}.png").write_bytes(loose_crop(number))
    return [f"all/{number}.png,{','.join(map(str, points(number).ravel().tolist()))}" for number in range(3)]


def layout_of(*ids: str) -> Layout:
    return Layout(("all",), {"test": [Item(name, 0, name, lambda: loose_crop(1)) for name in ids]})


def told(rows: list[str], tmp_path: Path, header: str = HEADER) -> tuple[Layout, str]:
    path, faults = tmp_path / "points.csv", list[Fault]()
    path.write_text("\n".join([header, *rows]) + "\n")
    layout = aligned(layout_of("a", "b"), path, faults)
    return layout, "\n".join(map(str, faults))


def row(name: str, number: int = 1) -> str:
    return f"{name},{','.join(map(str, points(number).ravel().tolist()))}"


def test_prepared_with_landmarks_every_image_is_the_upright_face(tmp_path: Path) -> None:
    rows = faces(tmp_path)
    (tmp_path / "points.csv").write_text(
        "\r\n".join(["score," + HEADER, *(f'0.9,"{r[:9]}"{r[9:]}' for r in rows[::-1])])
    )
    dataset, _ = prepare(
        "mine", tmp_path / "images", tmp_path / "data", reader="folder", landmarks=tmp_path / "points.csv"
    )
    ids, images = read_chunk(dataset.chunks(next(iter(dataset.card.splits)))[0])
    assert sorted(ids) == [f"all/{number}.png" for number in range(3)]
    for name, data in zip(ids, images, strict=True):
        number = int(name[4])
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        assert pixels.shape == (112, 112, 3)
        source = np.asarray(Image.open(io.BytesIO(loose_crop(number))))
        assert np.abs(pixels - interpolated(source, solved(points(number)))).max() <= 0.5 + 1e-3


def test_a_landmark_file_without_faults_has_none_and_any_order_is_right(tmp_path: Path) -> None:
    layout, text = told([row("b", 2), row("a", 1)], tmp_path)
    assert not text
    there = {item.id: item.load() for item in layout.splits["test"]}
    swapped, text = told([row("b", 1), row("a", 2)], tmp_path)
    assert not text
    assert {item.id for item in swapped.splits["test"]} == {"a", "b"}
    assert all(item.load() != there[item.id] for item in swapped.splits["test"])
    assert [item.id for item in swapped.splits["test"][1:]] == ["b"]


def test_every_fault_of_a_landmark_file_is_told_at_once(tmp_path: Path) -> None:
    rows = [
        row("a"),
        row("a", 2),
        row("c"),
        "d,1,2,3",
        f"e,{','.join('5' * 10)}",
        row("b").replace(",", ",x", 1),
        f"f,{','.join(['nan'] * 10)}",
    ]
    layout, text = told(rows, tmp_path)
    assert "1 rows whose id stood before: 'a'" in text
    assert "1 lines of another width: 'd,1,2,3'" in text
    assert "1 ids with points that fix no similarity: 'e'" in text
    assert "2 lines whose x1 is not a finite number: 'b,x" in text
    assert "1 images of split test without a row: 'b'" in text
    assert "2 rows without an image: 'c', 'e'" in text
    assert [item.id for item in layout.splits["test"]] == ["a"]


@pytest.mark.parametrize("header", ["id,x1,y1", "a,b,c,d,e,f,g,h,i,j,k", "", "\x00\xff"])
def test_another_header_is_refused_with_the_columns_it_lacks(header: str, tmp_path: Path) -> None:
    layout, text = told([row("a"), row("b")], tmp_path, header)
    assert "points.csv line 1: no column " in text
    assert "y5" in text
    assert not layout.splits["test"], "no image that stands as it stood"


@pytest.mark.parametrize(
    "content", [b"", HEADER.encode(), b"\xff\xfe\x00" * 50, b"PK\x03\x04" + bytes(range(256)) * 20]
)
def test_a_file_that_is_no_table_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_bytes(content)
    faults: list[Fault] = []
    assert not aligned(layout_of("a"), tmp_path / "points.csv", faults).splits["test"]
    assert faults


def test_no_file_and_images_aligned_already_are_refused(tmp_path: Path) -> None:
    faces(tmp_path)
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        prepare("mine", tmp_path / "images", tmp_path / "data", reader="folder", landmarks=tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        prepare(
            "mine",
            tmp_path / "images",
            tmp_path / "data",
            reader="folder",
            landmarks=tmp_path / "none.csv",
            allow_partial=True,
        )
    layout, _ = told([row("a"), row("b")], tmp_path)
    faults: list[Fault] = []
    assert not aligned(replace(layout), tmp_path / "points.csv", faults).splits["test"]
    assert "own five points" in str(faults[0])


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", "\n\n"])
def test_whatever_wrote_a_landmark_file_the_faces_are_the_same(end: str, encoding: str, tmp_path: Path) -> None:
    plain, _ = told([row("a"), row("b", 2)], tmp_path)
    header = " , ".join(HEADER.split(","))
    text = end.join([header, row(" a").replace(",", " , "), row('"b"', 2), ""])
    (tmp_path / "points.csv").write_bytes(text.encode(encoding))
    faults: list[Fault] = []
    layout = aligned(layout_of("a", "b"), tmp_path / "points.csv", faults)
    assert not faults
    assert [item.load() for item in layout.splits["test"]] == [item.load() for item in plain.splits["test"]]
    assert layout.notes == ("aligned to 112 x 112 by the points of points.csv",)


def test_ids_of_landmarks_and_images_may_be_of_two_forms_of_unicode(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("\n".join([HEADER, row("Zo\u00eb"), row("Ame\u0301lie")]), encoding="utf-8")
    faults: list[Fault] = []
    layout = aligned(layout_of("Zoe\u0308", "Am\u00e9lie"), tmp_path / "points.csv", faults)
    assert not faults
    assert len(layout.splits["test"]) == 2


def test_a_landmark_file_with_semicolons_is_named(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("\n".join([HEADER, row("a")]).replace(",", ";"))
    faults: list[Fault] = []
    aligned(layout_of("a"), tmp_path / "points.csv", faults)
    assert "its columns are separated by ';': save it with ','" in str(faults[0])
