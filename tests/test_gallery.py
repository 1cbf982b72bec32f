"""The gallery keeps the page as it was written, and a picture of what its reader sees first."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from docs import gallery
from gelo.analysis.report import write_report
from tests.analysis.sweeps import demo


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
def test_a_page_is_kept_with_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo(tmp_path)
    write_report(tmp_path, "demo")
    monkeypatch.setattr(gallery, "GALLERY", tmp_path / "gallery")
    assert gallery.main(["demo", "--storage", str(tmp_path)]) == 0
    assert (tmp_path / "gallery" / "demo.html").read_bytes() == (
        tmp_path / "demo" / "report" / "index.html"
    ).read_bytes()
    with Image.open(tmp_path / "gallery" / "demo.png") as picture:
        assert picture.size == (gallery.WIDTH, gallery.HEIGHT)
        assert len(picture.convert("L").getcolors() or ()) > 20, "something is on it"


def test_a_sweep_without_a_report_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gallery.main(["nobody", "--storage", str(tmp_path)]) == 2
    assert "nobody/report/index.html: not there, expected a report; gelo report nobody" in capsys.readouterr().err
