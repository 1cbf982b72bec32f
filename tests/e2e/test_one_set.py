"""One set does not block the others, by the command line: what can be scored is shown, saved and logged; the fault is said; exit code 2."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from gelo.tasks.data.catalogue import datasets_for
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from tests.e2e.conftest import Gelo, Said

pytestmark = pytest.mark.slow

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 40), "blue": (30, 60, 220)}
NAMES = tuple(COLOURS)


def colours(
    data: Path,
    name: str,
    *,
    damaged: str = "",
    unseen: str = "",
    swap: bool = False,
    scale: str = "full",
    shade: int = 0,
    leak: bool = False,
) -> None:
    """Plain colours. damaged: an image that cannot be read; unseen: a class that train lacks; swap: red is called green and back; leak:
    test holds the images of train."""
    shutil.rmtree(data / name, ignore_errors=True)
    splits: dict[str, list[Record]] = {"train": [], "test": []}
    for split, records in splits.items():
        for label, (colour, rgb) in enumerate(COLOURS.items()):
            for step in range(0 if split == "train" and colour == unseen else 3):
                stream, shown = io.BytesIO(), {0: 1, 1: 0}.get(label, label) if swap else label
                moved = shade + 5 * step + 2 * (split == "test" and not leak)
                Image.new("RGB", (64, 64), tuple(max(0, v - moved) for v in rgb)).save(stream, "PNG")
                key = f"{split}/{colour}{step}"
                records.append(Record(key, stream.getvalue()[: 40 if key == damaged else None], shown))
    write_dataset(
        data / name, name=name, version="1", scale=scale, classes=NAMES, splits=splits, source="a test", licence="none",  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "out" / "data"


def test_the_table_comes_first_then_what_is_not_scored(gelo: Gelo, data: Path) -> None:
    colours(data, "whole")
    colours(data, "mine", unseen="blue")
    colours(data, "torn", damaged="test/green1")
    said = gelo(
        "evaluate", "mini-s", "--dataset", "torn", "--dataset", "whole", "--dataset", "mine", "--suite", "general"
    )
    said.refused("not scored: 1 fault", "torn/test id 'test/green1'", "unreadable image")
    for part in ("zero_shot/whole/top1", "probe/whole/top1", "zero_shot/mine/top1"):
        assert part in said.text.split("not scored")[0]
    assert "not given: probe/mine/top1 (linear probe: 3 test images of 1 class that train lacks: blue)" in said.text
    assert "torn/top1" not in said.text
    fine = gelo("evaluate", "mini-s", "--dataset", "whole", "--dataset", "mine", "--json")
    assert fine.code == 0 and len(json.loads(fine.out)) == 4


def test_evaluate_keeps_the_cache_within_its_limit(gelo: Gelo, data: Path) -> None:
    """Case 45: what this run does not need goes, of what it needs nothing."""
    colours(data, "one")
    colours(data, "two", shade=1)

    def entries() -> list[str]:
        return [line for line in gelo("cache").text.splitlines() if "decoded" in line or "embeddings" in line]

    assert gelo("evaluate", "mini-s", "--dataset", "one").code == 0
    assert gelo("evaluate", "mini-s", "--dataset", "two").code == 0
    assert len(entries()) == 4
    assert gelo("evaluate", "mini-s", "--dataset", "two", "--cache-limit", "0").code == 0
    assert len(entries()) == 2 and all("two" in line for line in entries())


def test_a_sweep_saves_and_logs_all_that_it_can_score_and_mlflow_follows_the_files(
    gelo: Gelo, data: Path, tmp_path: Path
) -> None:
    """Cases 12 and 03: a torn set and a class that train lacks; then both are prepared anew, with other labels."""
    for place, entry in enumerate(datasets_for("miniature", "zero_shot")):
        colours(data, entry.name, scale="miniature", shade=place)
    colours(data, "mine", unseen="blue")
    colours(data, "torn", damaged="test/green1")
    spec = {"name": "small", "backbones": ["mini-s"], "evaluate": ["zero_shot", "probe"], "also": ["mine", "torn"]}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(spec))

    def run() -> tuple[Said, dict[str, float], dict[str, float]]:
        said = gelo("run", "small.yaml")
        return said, *(read(tmp_path) for read in (filed, logged))

    said, files, mlflow = run()
    assert said.code == 2 and "Traceback" not in said.text, said.text
    assert "torn/test id 'test/green1'" in said.text and "go on with: gelo resume small" in said.text
    assert "not given: zero_shot/mean_12/top1 of mini-s untouched (torn: no result)" in said.text
    assert "zero_shot/mine/top1" in files and "probe/shapes/top1" in files and "probe/mine/top1" not in files
    assert mlflow == files
    before = files["zero_shot/mine/top1"]

    assert tags(tmp_path)["gelo.leaks"] == "none found"
    colours(data, "torn", leak=True)
    colours(data, "mine", unseen="blue", swap=True)
    said, files, mlflow = run()
    assert tags(tmp_path)["gelo.leaks"].startswith(
        "probe/torn: 9 of 9 images of test stand in train too, byte for byte: "
    )
    assert (
        "<strong>probe/torn</strong>, 1 trial: 9 of 9 images" in (tmp_path / "out/small/report/index.html").read_text()
    )
    assert said.code == 0, said.text
    assert files["zero_shot/mine/top1"] != before and {"zero_shot/torn/top1", "probe/torn/top1"} <= files.keys()
    sets = [value for name, value in files.items() if name.startswith("zero_shot/") and name.endswith("/top1")]
    assert mlflow == pytest.approx({**files, "zero_shot/mean_12/top1": sum(sets) / len(sets), "gelo/zero_shot_12": 1})
    assert (
        "not given: probe/mean_11/top1 of mini-s untouched (mine: linear probe: 3 test images of 1 class" in said.text
    )

    said, _, again = run()
    assert said.code == 0 and "log: 0 metrics" in said.text and again == mlflow


def filed(folder: Path) -> dict[str, float]:
    results = [json.loads(path.read_bytes()) for path in (folder / "out/small/trials").glob("*/results/*/*.json")]
    return {name: value for result in results for name, value in result["values"].items()}


def tags(folder: Path) -> dict[str, str]:
    return dict(trial_run(folder).data.tags)


def logged(folder: Path) -> dict[str, float]:
    """What the client reads, and every step is 0."""
    run = trial_run(folder)
    assert {entry.step for entry in run.data.to_proto().metrics} == {0}
    return dict(run.data.metrics)


def trial_run(folder: Path) -> Any:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/out/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    (run,) = (run for run in client.search_runs([experiment.experiment_id]) if "gelo.trial" in run.data.tags)
    return run
