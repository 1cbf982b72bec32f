"""`gelo recommend` and `gelo compare` as typed: names, exit codes, files, and the same answers in Python."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from upath import UPath

import gelo
from gelo.models.faults import UserError
from gelo.sweeps.cli import program
from gelo.sweeps.engine import signals
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state.folder import SweepFolder
from tests.analysis.curve_files import write_curve
from tests.analysis.test_recommend import write_tested

KEPT = {"none": (0.30, 0.70), "l2sp": (0.25, 0.95), "distill": (0.20, 0.975)}


def write(storage: Path, name: str, remedies: list[str]) -> dict[str, str]:
    """A finished sweep as `gelo run` leaves it; the keys by remedy."""
    tasks = {"faces": {"adaptation": "full", "remedy": remedies}}
    spec = parse_spec(
        {"name": name, "backbones": ["mini-s"], "tasks": tasks, "datasets": ["counts", "shapes", "signs"]}, name
    )
    folder = SweepFolder(UPath(storage), name)
    folder.save(spec, {"storage": str(storage)}, ["counts", "shapes", "signs"])
    keys = {}
    for trial in spec.trials():
        root = Path(str(folder.trial(trial).root))
        if trial.task == "none":
            write_tested(root, 0.0, 1.0)
            continue
        (root / "trained").mkdir()
        (root / "trained" / "training.json").write_text(json.dumps({"source": trial.key}))
        (root / "trained" / "DONE").write_text("")
        write_tested(root, *KEPT[trial.remedy.kind])
        write_curve(root, [0.0, KEPT[trial.remedy.kind][0]], [1.0, KEPT[trial.remedy.kind][1]])
        keys[trial.remedy.kind] = trial.key
    return keys


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):  # type: ignore[no-untyped-def]
    """(exit code, stdout, stderr) of a command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signals, "install", lambda: None)  # pytest keeps its own
    for name in ("GELO_STORAGE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr("sys.argv", ["gelo", *words])
        with pytest.raises(SystemExit) as ended:
            program.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_recommend_names_the_trial_and_the_command(typed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    keys = write(tmp_path / "here it is", "demo", list(KEPT))
    storage = ("--storage", str(tmp_path / "here it is"))
    code, out, err = typed("recommend", "demo", "--keep", "0.93", *storage)
    assert code == 0, err
    assert f"gelo export demo/{keys['l2sp']} --to DIR --storage '{tmp_path / 'here it is'}'" in out
    assert "+25.0" in out and "0.950" in out and "Miniature" in out
    code, out, _ = typed("recommend", "demo", "--gain", "15", "--json", *storage)
    answer = json.loads(out)["answers"][0]
    assert (
        code == 0
        and answer["chosen"]["trial"] == keys["distill"]
        and answer["test"]["kept"]["value"] == pytest.approx(0.975)
    )
    found = gelo.recommend("demo", gain=15, storage=tmp_path / "here it is")
    assert found.answers[0].trial == keys["distill"]


def test_recommend_ends_with_2_where_it_cannot(typed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path / "out", "demo", list(KEPT))
    code, out, _ = typed("recommend", "demo", "--keep", "0.99")
    assert code == 2 and "Nearest: full + distill" in out
    for words, told in ((("demo",), "neither --keep nor --gain"), (("dmeo", "--gain", "3"), "nearest: demo")):
        code, out, err = typed("recommend", *words)
        assert code == 2 and told in err and "Traceback" not in err and not out


@pytest.mark.slow
def test_compare_takes_keys_beginnings_and_sweeps(typed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    keys = write(tmp_path / "out", "demo", list(KEPT))
    write(tmp_path / "out", "again", ["none"])
    code, out, err = typed("compare", f"demo/{keys['none']}", f"demo/{keys['l2sp'][:6]}", "--to", "compared.csv")
    assert code == 0, err
    assert "B better" in out and "McNemar" in out
    with Path("compared.csv").open() as stream:
        rows = {row["metric"]: row for row in csv.DictReader(stream)}
    assert float(rows["zero_shot/shapes/top1"]["difference"]) == pytest.approx(0.2)
    code, out, err = typed("compare", "demo", "again", "--json")
    told = json.loads(out)
    assert code == 0 and {row["verdict"] for row in told["rows"]} == {"not told apart"}
    assert len(told["pairs"]) == 2 and len(told["trials_of_a_alone"]) == 2
    assert len(gelo.compare("demo", "again", storage=tmp_path / "out").rows) == len(told["rows"])


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("demo", "demo/none", "unknown trial 'none'"),
        ("mini-s", "demo", "a backbone, which has no results of its own"),
        ("demo", "gone", "unknown sweep 'gone'"),
    ],
)
def test_compare_refuses_in_words(one: str, other: str, told: str, typed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path / "out", "demo", ["none"])
    code, _, err = typed("compare", one, other)
    assert code == 2 and told in err and "Traceback" not in err


def test_compare_refuses_a_sweep_beside_a_trial(tmp_path: Path) -> None:
    keys = write(tmp_path, "demo", ["none"])
    with pytest.raises(UserError, match="a sweep and a trial; expected two sweeps, or two trials"):
        gelo.compare("demo", f"demo/{keys['none']}", storage=tmp_path)
    write(tmp_path, "other", ["l2sp"])
    with pytest.raises(UserError, match="none with the same fields"):
        folder = tmp_path / "other" / "trials"
        for trial in folder.iterdir():  # all but the tuned one: the untouched backbone is in both
            if "untouched" in (trial / "trial.json").read_text():
                (trial / "trial.json").unlink()
        gelo.compare("demo", "other", storage=tmp_path)
