"""The four CSVs and the page: form, bytes, escapes, absent values."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from gelo.analysis.pagetables import tint, tint_colours
from gelo.analysis.report import Report, write_report
from gelo.models.secrets import redacted
from tests.analysis.sweeps import SETS, demo, write_result, write_sweep, write_trial

IDENTITY = ["trial", "backbone", "task", "adaptation", "remedy", "seed"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """The storage of a demo with a wise curve, and its report, made once."""
    storage = tmp_path_factory.mktemp("storage")
    demo(storage, wise=True)
    return storage, write_report(storage, "demo")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_the_four_tables_and_the_page(written: tuple[Path, Report]) -> None:
    storage, report = written
    folder = Path(str(report.path))
    assert folder == storage / "demo" / "report"
    names = ["biometric.csv", "gelo.csv", "index.html", "linear_probe.csv", "zero_shot.csv"]
    assert sorted(path.name for path in folder.iterdir()) == names
    zero_shot = rows(folder / "zero_shot.csv")
    assert list(zero_shot[0]) == [*IDENTITY, *SETS, "average", "gelo"]
    assert list(rows(folder / "linear_probe.csv")[0]) == [*IDENTITY, *SETS[:-1], "average", "gelo"]
    assert [zero_shot[0][name] for name in IDENTITY] == ["b0", "mini-s", "none", "none", "none", "0"]
    assert (zero_shot[0]["shapes"], zero_shot[0]["average"], zero_shot[0]["gelo"]) == ("62.00", "75.50", "")
    assert (zero_shot[2]["trial"], zero_shot[2]["gelo"]) == ("ff0", "0.700")
    assert len(zero_shot) == 20 and len(report.main) == 4
    page = (folder / "index.html").read_text()
    assert len(page) < 3_000_000 and page.count("<svg ") == 9
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page), "the page fetches nothing"
    assert "MINIATURE" in page


def test_biometric_columns_and_their_gaps(written: tuple[Path, Report]) -> None:
    folder = Path(str(written[1].path))
    table = rows(folder / "biometric.csv")
    columns = list(table[0])
    assert columns[6:9] == ["fr_pairs_accuracy", "fr_pose_accuracy", "fr_age_accuracy"]
    assert (
        columns.index("fr_templates_tar_at_far_1e-3")
        < columns.index("mad_mean_eer")
        < columns.index("mad_text_mean_eer")
    )
    assert columns.index("pad_mean_hter") < columns.index("mad_blend_eer")
    by_key = {row["trial"]: row for row in table}
    assert by_key["ff0"]["fr_pairs_accuracy"] == "85.00" and by_key["ff0"]["mad_mean_eer"] == ""
    assert by_key["mf0"]["mad_mean_eer"] == "12.50" and by_key["b0"]["fr_templates_tar_at_far_1e-4"] == ""
    page = (folder / "index.html").read_text()
    assert "2,000 impostor pairs cannot resolve a rate of 1e-4" in page
    assert "an untouched backbone has no trained detector for mad" in page


def test_gelo_table(written: tuple[Path, Report]) -> None:
    table = {row["trial"]: row for row in rows(Path(str(written[1].path)) / "gelo.csv")}
    assert list(table["b0"])[6:] == ["gelo_zero_shot", "gelo_probe", "train_seconds", "trainable_parameters"]
    assert (table["b0"]["train_seconds"], table["b0"]["trainable_parameters"]) == ("0.0", "0")
    assert (table["fl1"]["train_seconds"], table["fl1"]["trainable_parameters"]) == ("13.5", "20000")
    assert table["w00"]["train_seconds"] == "", "a merge has no training of its own"


@pytest.mark.slow
def test_identical_results_give_identical_bytes(tmp_path: Path, written: tuple[Path, Report]) -> None:
    demo(tmp_path, wise=True)
    other = Path(str(write_report(tmp_path, "demo").path))
    kept = {path.name: path.read_bytes() for path in Path(str(written[1].path)).iterdir()}
    assert len(kept) == 5
    for name, content in kept.items():
        assert (other / name).read_bytes() == content, name
        assert b"\r" not in content


def test_a_failed_trial_leaves_empty_cells_and_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET", "hunter2hunter2")
    root = write_sweep(tmp_path, backbones=["mini-s"])
    base = write_trial(root, "b", "mini-s", "none")
    write_result(base, "zero_shot", "shapes", {"shapes/top1": 0.5})
    broken = write_trial(root, "f", "mini-s", "faces", {"kind": "lora", "targets": ["<script>alert(1)</script>"]})
    other = write_trial(root, "g", "mini-s", "faces", {"kind": "lora", "targets": ["$v$"]})
    write_result(other, "zero_shot", "shapes", {"shapes/top1": 0.4})
    error = "<img src=x onerror=alert(1)> at s3://me:pass@store/x?X-Amz-Signature=abcdef with hunter2hunter2"
    (broken / "failure.json").write_text(json.dumps({"error": error, "kind": "OSError"}))
    folder = Path(str(write_report(tmp_path, "demo").path))
    table = {row["trial"]: row for row in rows(folder / "zero_shot.csv")}
    assert (table["f"]["shapes"], table["f"]["average"], table["f"]["gelo"]) == ("", "", "")
    assert table["g"]["gelo"] == "0.800"
    page = (folder / "index.html").read_text()
    assert "<script>" not in page and "<img src=x" not in page
    assert "&lt;script&gt;" in page and "&lt;img src=x" in page
    for secret in ("me:pass", "abcdef", "hunter2"):
        assert secret not in page
    assert "the trial failed" in page


@pytest.mark.slow
def test_who_is_not_the_plain_encoder_is_named_above_everything(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, backbones=["mini-s"])
    write_trial(root, "b0", "mini-s", "none")
    retrieval, wise = {"kind": "retrieval", "weight": 0.5}, {"kind": "wise", "alpha": 0.5}
    for key, remedy in (("r0", retrieval), ("w0", wise), ("s0", {"kind": "stack", "remedies": [wise, retrieval]})):
        trial = write_trial(root, key, "mini-s", "faces", "full", remedy=remedy)
        write_result(trial, "zero_shot", "mine", {"mine/top1": 0.5})
    page = (write_report(tmp_path, "demo").path / "index.html").read_text()
    banner = page.partition("NOT THE PLAIN ENCODER: ")[2].partition("</div>")[0]
    assert "retrieval" in banner and "wise + retrieval" in banner and banner.count(";") == 1
    assert (
        "NOT THE PLAIN" not in (write_report(demo(tmp_path / "plain").parent, "demo").path / "index.html").read_text()
    )


def test_secrets_are_taken_out() -> None:
    assert redacted("postgresql://user:pw@host/db") == "postgresql://***@host/db"
    assert redacted("get https://h/x?token=abc&n=1") == "get https://h/x?token=***&n=1"
    assert redacted("trial b0: loss=3") == "trial b0: loss=3"


def test_colours_go_from_worse_to_better() -> None:
    assert (tint(None, 1.0), tint(-1.0, 1.0), tint(0.0, 1.0), tint(1.0, 1.0)) == ("", "w8", "", "b8")
    assert tint(5.0, 1.0) == tint(1.0, 1.0)
    assert [tint(share, 1.0) for share in (0.1, 0.3, 0.6)] == ["b2", "b3", "b6"]  # 8 share^0.7, rounded
    assert (tint_colours(False)["w8"], tint_colours(False)["b8"]) == ("#f09854", "#74a9d8")


@pytest.mark.slow
def test_leaks_stand_on_the_page_with_the_results_that_they_are_in(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, backbones=["mini-s"])
    leak = "12 of 12 images of test stand in train too, byte for byte: <a> = b"
    for key, task in (("b0", "none"), ("f0", "faces")):
        trial = write_trial(root, key, "mini-s", task, "none" if task == "none" else "full")
        write_result(trial, "probe", "mine", {"mine/top1": 0.5}, notes={"leak": leak})
        write_result(trial, "zero_shot", "mine", {"mine/top1": 0.5}, notes={"leak": "none found"})
        write_result(
            trial, "probe", "old", {"old/top1": 0.5}, notes={"leak_unchecked": "old was prepared by an older gelo"}
        )
    page = (write_report(tmp_path, "demo").path / "index.html").read_text()
    assert "LEAKS: images that were learnt from are scored." in page
    assert f"<strong>probe/mine</strong>, 2 trials: {leak.replace('<', '&lt;').replace('>', '&gt;')}" in page
    assert "<strong>probe/old</strong>, 2 trials: old was prepared by an older gelo" in page
    assert "zero_shot/mine</strong>" not in page
    older = (write_report(demo(tmp_path / "older").parent, "demo").path / "index.html").read_text()
    assert "LEAKS" not in older and "None found among those that could be compared." in older
    assert "scored by an older gelo, which did not look for leaks" in older


@pytest.mark.slow
def test_pictures_are_files_where_they_are_asked_for(tmp_path: Path) -> None:
    demo(tmp_path)
    plain = write_report(tmp_path, "demo").path
    assert not (plain / "pictures").exists()
    page = (plain / "index.html").read_text()
    drawn = write_report(tmp_path, "demo", forms=("svg", "pdf", "png", "csv")).path
    assert (drawn / "index.html").read_text() == page
    names = re.findall(r'<figure id="([^"]+)"', page)
    files = {file.name: file.read_bytes() for file in (drawn / "pictures").iterdir()}
    assert names and set(files) == {f"{name}.{kind}" for name in names for kind in ("svg", "pdf", "png", "csv")}
    starts = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}
    assert all(files[f"{name}.{kind}"].startswith(start) for name in names for kind, start in starts.items())
