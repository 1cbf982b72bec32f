"""The LaTeX compiles, and what stands on its pages is what was given: the PDF is read back by MuPDF."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gelo.analysis import latex
from gelo.analysis.cells import Cell
from gelo.analysis.compare import compare
from gelo.analysis.printed import Sheet, sheets
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import build
from tests.analysis.sweeps import demo
from tests.analysis.test_printed import HOSTILE, number, row, sheet

NEEDS = [name for name in ("pdflatex", "mutool") if shutil.which(name) is None]
compiles = pytest.mark.skipif(bool(NEEDS), reason=f"not here: {', '.join(NEEDS)}")


def pages(found: list[Sheet], folder: Path) -> str:
    """The text of the compiled document, without blanks: where LaTeX breaks a line is its own matter."""
    packages = "".join(rf"\usepackage{{{name}}}" for name in latex.PACKAGES)
    document = (
        rf"\documentclass{{article}}{packages}\begin{{document}}" + f"\n{latex.written(found)}\n" + r"\end{document}"
    )
    (folder / "paper.tex").write_text(document)
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace", timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Missing character" not in done.stdout and "Undefined control" not in done.stdout
    words = ["mutool", "draw", "-q", "-F", "txt", "paper.pdf"]
    return plain(subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300).stdout)


def plain(text: str) -> str:
    """As it is found in a PDF: no blanks, lone accents as their ASCII signs, no underscores, which are drawn as lines."""
    return re.sub(r"[\s_]", "", text).translate(str.maketrans("˜ˆ’−–", "~^'--"))


@compiles
@pytest.mark.slow
def test_the_tables_of_a_sweep_compile(tmp_path: Path) -> None:
    demo(tmp_path, wise=True)
    comparison = compare(read_runs(tmp_path, "demo"))
    found = sheets(comparison.runs, build(comparison), behind="interval")
    text = pages(found, tmp_path)
    assert len(found) == 3
    for each in found:
        for line in (line for block in each.blocks for line in block):
            for entry in line.entries:
                assert plain(f"{entry.text}({entry.behind})" if entry.behind else entry.text) in text
        assert all(plain(note) in text for note in each.notes)


@compiles
@pytest.mark.slow
def test_hostile_names_compile_and_are_read_as_they_are(tmp_path: Path) -> None:
    """Also where a name opens a row: LaTeX takes a bracket or a star there for its own."""
    rows = [
        row(HOSTILE, Cell("", HOSTILE + " é 名 \x07 ends")),
        row("wise", number(60, 59, 61)),
        row("none", number(50, 49, 51)),
    ]
    rows += [
        row("none", number(1), backbone=name)
        for name in ("[1ex]", "*", "\\input{/etc/passwd}", "%", "~", r"\end{tabular}")
    ]
    text = pages([sheet(rows)], tmp_path)
    assert text.count(plain(HOSTILE)) == 2, text
    assert "U+00E9U+540DU+0007ends" in text
    for name in ("[1ex]", "*", "\\input{/etc/passwd}", "\\end{tabular}"):
        assert f"{name}facesLoRAnone" in text
    assert "root:" not in text


@given(st.text())
def test_no_sign_that_latex_means_something_by_is_left_alone(text: str) -> None:
    """What is left of an escaped text without its escapes has none."""
    found = latex.escaped(text)
    assert found.isascii() and "\n" not in found
    known = sorted({*latex._SIGNS.values(), "{}"}, key=len, reverse=True)
    rest = re.sub("|".join(map(re.escape, known)), "", re.sub(r"\\texttt\{U\+[0-9A-F]{4,6}\}", "", found))
    assert not set(rest) & set('\\{}&%$#_~^<>|"`[]*')


def test_two_hyphens_are_no_dash() -> None:
    assert (latex.escaped("a--b"), latex.escaped("---"), latex.escaped("–")) == ("a-{}-b", "-{}-{}-", "--")


def test_a_long_table_is_several_floats_with_labels_of_their_own() -> None:
    found = latex.written([sheet([row(f"r{place}", number(50)) for place in range(95)])])
    assert found.count(r"\begin{table}") == found.count(r"\end{table}") == 3
    assert len(set(re.findall(r"\\label\{(.+)\}", found))) == 3 and "part 3 of 3" in found
    assert found.count("faces") == 95
