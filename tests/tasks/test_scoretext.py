"""Score files as programs write them: whatever the line ends, encoding, separator and decimal mark, the same numbers or a fault."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from gelo.models.faults import UserError
from gelo.tasks.scorefiles.metrics import measure
from gelo.tasks.scorefiles.scorefile import read

ENDS = ("\n", "\r\n", "\r", "\r\r\n")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be")
SEPARATORS = (",", ";", "\t", "|", " ")


def refusal(path: Path, protocol: str = "templates") -> str:
    with pytest.raises(UserError) as refused:
        read(path, protocol)
    return str(refused.value)


def put(tmp_path: Path, text: str | bytes, name: str = "s.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def encoded(text: str, encoding: str) -> bytes:
    return (b"\xfe\xff" if encoding == "utf-16-be" else b"") + text.encode(encoding)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seed=st.integers(0, 1 << 30))
def test_the_same_numbers_whatever_wrote_the_file_and_in_any_order(
    data: st.DataObject, seed: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    label = np.append(rng.integers(0, 2, 30), [0, 1])
    score = np.round(rng.normal(size=32) + label, data.draw(st.integers(1, 5), "digits"))
    order = data.draw(st.permutations(range(32)), "order") if data.draw(st.booleans(), "shuffled") else list(range(32))
    separator = data.draw(st.sampled_from(SEPARATORS), "separator")
    comma = data.draw(st.booleans(), "decimal comma") and separator != ","
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]), "quotes")
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator, quoting=quoting, lineterminator="\n")
    writer.writerow(["label", "score"])
    writer.writerows([int(label[n]), str(score[n]).replace(".", "," if comma else ".")] for n in order)
    text = stream.getvalue() + data.draw(
        st.sampled_from(["", "\n", "\n\n", f"{separator}\n" if separator != " " else " \n"]), "rest"
    )
    text = text.replace("\n", data.draw(st.sampled_from(ENDS), "end"))
    path = put(tmp_path, encoded(text, data.draw(st.sampled_from(ENCODINGS), "encoding")))
    file = read(path, "templates")
    np.testing.assert_array_equal(file.scores, score[order])
    np.testing.assert_array_equal(file.labels, label[order])
    assert measure(file).values["fr/s/auc"] == pytest.approx(roc_auc_score(label, score))


def test_names_are_read_from_a_file_of_many_columns(tmp_path: Path) -> None:
    rows = [
        "id;score;label;attack;subject",
        "ä1;0,5;bona fide;;s1",
        "ö2;-1,25;attack;print;s 2",
        '"x;3";,5;attack;"print";s3',
    ]
    for end, encoding in zip(ENDS, ENCODINGS, strict=True):
        file = read(put(tmp_path, encoded(end.join(rows), encoding)), "morph")
        assert file.scores.tolist() == [0.5, -1.25, 0.5]
        assert file.given["id"].tolist() == ["ä1", "ö2", "x;3"]
        assert file.given["subject"].tolist() == ["s1", "s 2", "s3"]


def test_a_line_of_excel_that_says_the_separator_and_its_empty_columns_are_passed_over(tmp_path: Path) -> None:
    path = put(tmp_path, "\ufeffsep=;\r\nscore;label;;\r\n0,5;1;;\r\n0,25;0;;\r\n;;;\r\n;;;;;\r\n")
    assert read(path, "templates").scores.tolist() == [0.5, 0.25]
    index = put(tmp_path, ",score,label\n0,0.5,1\n1,0.25,0\n")
    assert "header: a column without a name" in refusal(index)
    assert "pandas writes its index so, unless index=False" in refusal(index)


def test_quoted_fields_may_hold_lines_and_separators(tmp_path: Path) -> None:
    text = 'id,score,label\n"one\nline, and ""more""",0.5,1\n"b\r\nc",0.25,0\nd,x,1\n'
    said = refusal(put(tmp_path, text))
    assert "1 no numbers: row 3 (x)" in said
    file = read(put(tmp_path, text.replace(",x,", ",1,")), "templates")
    assert file.given["id"].tolist() == ['one\nline, and "more"', "b\nc", "d"]
    assert "record 4 has 2" in refusal(put(tmp_path, text.replace("d,x,1", "d,1")))


@pytest.mark.parametrize(
    "text",
    [
        'score,label\n0.5,"1\n0.25,0\n0.75,1\n',
        'id,score,label\n"a,0.5,1\nb,0.25,0\n"c,0.75,1\nd,1,0\n',
        'id,score,label\na,0.5,1\n"b"x,0.25,0\nc,1,0\n',
    ],
)
def test_quotes_that_do_not_close_swallow_no_row(text: str, tmp_path: Path) -> None:
    assert "quotes: " in refusal(put(tmp_path, text))


def test_rows_are_counted_as_a_spreadsheet_counts_them(tmp_path: Path) -> None:
    said = refusal(put(tmp_path, "score,label\n0.5,1\n\n0.25,0\n,\n  \nx,1\n0.1,2\n"))
    assert "1 no numbers: row 6 (x)" in said
    assert "1 unknown: row 7 (2)" in said
    file = read(put(tmp_path, "score,label\n\n0.5,1\n\n0.25,0\n"), "templates")
    assert file.rows.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["1,234", "2,345", "12"], "three digits behind every mark: row 1 (1,234), row 2 (2,345)"),
        (["1.234", "2.345", "12"], "1,234 or 1234?"),
        (["0,5", "0.25", "1"], "decimal commas in 1 rows and points in 1: row 1 (0,5), row 2 (0.25)"),
        (["1.234,5", "2,5", "3"], "decimal commas in 1 rows and points in 1"),
        (["1,234,567", "2,5", "3"], "1 no numbers: row 1 (1.234.567)"),
        (["1,5", "x", "2,5"], "1 no numbers: row 2 (x)"),
    ],
)
def test_a_mark_that_may_stand_before_thousands_is_refused_by_name(
    values: list[str], said: str, tmp_path: Path
) -> None:
    path = put(tmp_path, "\n".join(["score;label", *(f"{value};{n % 2}" for n, value in enumerate(values))]))
    assert said in refusal(path)


@pytest.mark.parametrize(
    ("values", "read_as"),
    [
        (["1,234", "0,345", "12"], [1.234, 0.345, 12]),
        (["1.234", "0.345", "12"], [1.234, 0.345, 12]),
        (["1234,567", "1,234", "-2,345"], [1234.567, 1.234, -2.345]),
        (["+1,5", ",25", "3,5e-1"], [1.5, 0.25, 0.35]),
    ],
)
def test_one_number_that_no_thousands_explain_settles_the_column(
    values: list[str], read_as: list[float], tmp_path: Path
) -> None:
    path = put(tmp_path, "\n".join(["score;label", *(f"{value};{n % 2},0" for n, value in enumerate(values))]))
    assert read(path, "templates").scores.tolist() == read_as
    quoted = put(tmp_path, "\n".join(["score,label", *(f'"{value}",{n % 2}' for n, value in enumerate(values))]))
    assert read(quoted, "templates").scores.tolist() == read_as


def test_decimal_commas_between_commas_are_named(tmp_path: Path) -> None:
    said = refusal(put(tmp_path, "score,label\n0,5,1\n0,25,0\n"))
    assert "2 of another length: line 2 has 3, line 3 has 3; expected 2 values" in said
    assert "decimal commas need another separator, such as semicolons" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.5,1\n0.25,0\n", "header: '0.5,1' in the first line; expected names of columns, such as score,label"),
        ("0,5;1\n0,25;0\n", "header: '0,5;1' in the first line; expected names of columns, such as score,label"),
        ("score;label,fold\n0.5;1,1\n", "unknown column of templates"),
        ("score,label", "no rows"),
        ("\n\n", "no rows"),
        (b"s\0c\0o\0r\0e\0,\0l\0\n\0", "zero bytes, as in a binary file or UTF-16 without its mark"),
        (
            "score,label\n1,1\n0,M\u00fcller\n".encode("cp1252"),
            "line 3: invalid start byte: byte 0xfc (Windows-1252 would read 'Müller')",
        ),
        (b"\xff\xfes\0c\0o", "UTF-16 by its first bytes, but damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "an Excel workbook of the old kind (.xls)"),
        (b"\x1f\x8b\x08\0\0\0", "compressed (gzip)"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    ],
)
def test_what_no_rule_reads_is_named(text: str | bytes, said: str, tmp_path: Path) -> None:
    assert said in refusal(put(tmp_path, text))


def test_a_workbook_is_named_with_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    said = refusal(tmp_path / "s.xlsx")
    assert (
        "content: an Excel workbook (.xlsx); expected a CSV file with a header, or a Parquet file; save it as CSV UTF-8"
        in said
    )
    assert "1 fault" in said


def test_names_in_the_two_forms_of_unicode_are_one(tmp_path: Path) -> None:
    path = put(tmp_path, "score,label,video\n0.5,1,Zo\u00eb\n0.25,1,Zoe\u0308\n0.1,0,b\n")
    assert set(read(path, "spoof").given["video"].tolist()) == {"Zo\u00eb", "b"}


def test_one_name_for_videos_of_two_folders_is_refused(tmp_path: Path) -> None:
    rows = [
        f"person{who}/{kind}/f_{n}.png,clip{1 + (kind == 'attack')},{int(kind == 'live')},0.{who}{n}"
        for kind in ("live", "attack")
        for who in (1, 2)
        for n in range(3)
    ]
    text = "\n".join(["id,video,label,score", *rows])
    said = refusal(put(tmp_path, text), "spoof")
    assert (
        "video: 2 with frames of several folders, by id: clip1, clip2; expected the frames of a video in one folder"
        in said
    )
    assert "video: 2 with" in refusal(put(tmp_path, text.replace("/", "\\")), "spoof")
    apart = [row.replace(",clip", f",{row.split('/')[0]}/clip") for row in rows]
    result = measure(read(put(tmp_path, "\n".join(["id,video,label,score", *apart])), "spoof"))
    assert result.counts["videos"] == 4
    whole = measure(read(put(tmp_path, text.replace(",clip", ",/clip")), "spoof"))
    assert whole.counts["videos"] == 2


def test_an_order_that_is_not_lfws_has_no_folds(tmp_path: Path) -> None:
    label = np.tile([1, 0], 50)  # every tenth half genuine, as LFW's, but one by one
    distance = np.round(np.random.default_rng(0).uniform(0, 4, 100), 3)
    rows = [f"{d},{one}" for d, one in zip(distance, label, strict=True)]
    result = measure(read(put(tmp_path, "\n".join(["distance,label", *rows])), "verification"))
    assert "not genuine pairs and then as many impostors" in result.absent["fr/s/accuracy"]
