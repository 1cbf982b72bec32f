"""`gelo results`: what it writes is what Python gives; options that do not go together are one message."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
from upath import UPath

import gelo
from gelo.sweeps.cli import program
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state.folder import SweepFolder
from tests.analysis.curve_files import write_curve
from tests.analysis.sweeps import write_result


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sweeps of two trials; the first kept a curve."""
    place = tmp_path_factory.mktemp("results")
    for name in ("first", "second"):
        spec = parse_spec({"name": name, "backbones": ["mini-s"], "tasks": {"faces": {"adaptation": "lora"}}}, name)
        folder = SweepFolder(UPath(place), name)
        folder.save(spec, vars(Settings()), ["shapes"])
        for number, trial in enumerate(spec.trials()):
            root = Path(str(folder.trial(trial).root))
            for dataset in ("shapes", "signs"):
                write_result(
                    root, "zero_shot", dataset, {f"{dataset}/top1": 0.5 + number / 10},
                    intervals={f"{dataset}/top1": (0.4, 0.9)}, notes={"interval_unit": "image"},
                )  # fmt: skip
            if name == "first" and number:
                write_curve(root, [0.0, 0.2], [1.0, 0.75])
    return place


class Ran:
    """One command, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, storage: Path) -> None:
        self.capsys, self.monkeypatch, self.storage = capsys, monkeypatch, storage

    def __call__(self, *words: str, code: int = 0) -> tuple[str, str]:
        self.monkeypatch.setattr("sys.argv", ["gelo", "results", *words, "--storage", str(self.storage)])
        with pytest.raises(SystemExit) as ended:
            program.main()
        said = self.capsys.readouterr()
        assert ended.value.code == code, said.err
        return said.out, said.err


@pytest.fixture
def ran(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, storage: Path) -> Ran:
    return Ran(capsys, monkeypatch, storage)


def test_rows_are_those_of_python_as_csv_and_as_parquet(ran: Ran, storage: Path, tmp_path: Path) -> None:
    frame = gelo.results("first", "second", storage=storage)
    assert len(frame) == 8 and set(frame["sweep"]) == {"first", "second"} and set(frame["unit"]) == {"image"}
    out, _ = ran("first", "second")
    assert out == frame.to_csv(index=False, lineterminator="\n")
    back = pd.read_csv(io.StringIO(out), keep_default_na=False)
    assert back["value"].tolist() == frame["value"].tolist(), "to the last bit"
    _, err = ran("first", "second", "--to", str(tmp_path / "all.parquet"))
    assert "all.parquet" in err
    told = pd.read_parquet(tmp_path / "all.parquet").to_json(orient="records")
    assert json.loads(told) == json.loads(frame.to_json(orient="records"))
    assert Path(tmp_path / "all.parquet").stat().st_size > 0


def test_curves_are_asked_for_and_are_missing_where_none_was_kept(ran: Ran, storage: Path) -> None:
    frame = gelo.results("first", "second", storage=storage, curves=True)
    assert set(frame["sweep"]) == {"first"} and frame["step"].unique().tolist() == [0, 50]
    assert ran("first", "--curves")[0] == gelo.results("first", storage=storage, curves=True).to_csv(index=False)
    assert "no forgetting curve" in ran("second", "--curves", code=2)[1]


@pytest.mark.parametrize(
    ("name", "form", "first"), [("t.md", "md", "## first: "), ("t.tex", "latex", "% made by gelo")]
)
def test_tables_are_those_of_python_and_a_file_says_its_form(
    ran: Ran, storage: Path, tmp_path: Path, name: str, form: Literal["md", "latex"], first: str
) -> None:
    ran("first", "second", "--to", str(tmp_path / name))
    written = (tmp_path / name).read_text()
    assert written == gelo.tables("first", "second", format=form, storage=storage)
    assert written.startswith(first) and "first: Zero-shot" in written and "second: Zero-shot" in written
    assert ran("first", "--format", form, "--intervals")[0] == gelo.tables(
        "first",
        format=form,
        intervals=True,
        storage=storage,
    )
    assert "40.00 to 90.00" in ran("first", "--format", form, "--intervals", "--table", "zero_shot")[0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("first", "--to", "x.docx"), "no known ending"),
        (("first", "--format", "parquet"), "say --to FILE.parquet"),
        (("first", "--format", "csv", "--table", "zero_shot"), "--table: with csv"),
        (("first", "--format", "md", "--curves"), "--curves: with md"),
        (("first", "--format", "md", "--table", "zero"), "unknown table 'zero'"),
        (("first", "--format", "md", "--published"), "toy models and generated toy data"),
        (("first", "--format", "md", "--published", "--intervals"), "stands its interval or the difference"),
        (("frist",), "nearest: first"),
        (("first", "--to", "."), "no known ending"),
        (("first", "--format", "csv", "--to", "."), "--to .: a folder"),
    ],
)
def test_a_mistake_is_one_message(ran: Ran, words: tuple[str, ...], told: str) -> None:
    out, err = ran(*words, code=2)
    assert told in " ".join(err.split()) and not out and "Traceback" not in err


def test_a_damaged_file_is_said_and_the_rest_is_written(ran: Ran, storage: Path) -> None:
    path = next((storage / "second" / "trials").glob("*/results/zero_shot/signs.json"))
    whole = path.read_text()
    path.write_text("{}")
    out, err = ran("second")
    assert "not a result" in err and len(out.splitlines()) == 1 + 3
    with pytest.warns(UserWarning, match="sweep second: .*not a result"):
        assert len(gelo.results("second", storage=storage)) == 3
    path.write_text(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gelo.results("second", storage=storage)


def test_no_name_is_told(storage: Path) -> None:
    with pytest.raises(gelo.UserError, match="at least one name"):
        gelo.tables(storage=storage)
