"""`gelo plan`: what a sweep costs, added up by hand, with nothing there and with everything done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from upath import UPath

from gelo.models.durable import publish_bytes
from gelo.sweeps.cli import app
from gelo.sweeps.spec.sweep import load_spec, parse_spec
from gelo.sweeps.state.folder import SweepFolder
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("COLUMNS", raising=False)  # whoever sets it wants lines of that width, in a file too
    monkeypatch.chdir(tmp_path)
    for name in ("GELO_DATA", "GELO_CACHE", "GELO_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def plan(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["plan", *words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_papers_faces_by_hand_without_any_data_or_weights(here: Path) -> None:
    """5,822,653 images in batches of 512, 40 epochs; 2 x 35.127 GFLOPs and 6 x 512 x 85,742 of the head an image (LoRA)."""
    found = plan("paper", "--tflops", "100", "--mfu", "0.5")
    row = next(row for row in found["trials"] if row["label"].startswith("ViT-B/16 faces"))
    steps = 40 * (5_822_653 // 512)
    assert (row["images"], row["steps"], row["state"], row["classes"]) == (5_822_653, steps, "new", 85_742)
    flops = (2 * 35.12690688e9 + 6 * 512 * 85_742) * 512 * steps
    assert row["flops"] == pytest.approx(flops, rel=1e-9)
    assert row["gpu_hours"] == pytest.approx(flops / 50e12 / 3600)
    assert row["bytes_checkpoint"] == 2 * (12 * 12 * 2 * 16 * 2 * 768 + 3 * 4 * 512 * 85_742), "two are kept"
    assert not list(here.iterdir()), "nothing is written"


def test_what_is_not_known_is_named_and_never_nothing(here: Path) -> None:
    found = plan("paper")
    row = next(row for row in found["trials"] if row["label"].startswith("ViT-B/16 spoofs"))
    assert row["images"] is None and row["steps"] is None and row["gpu_hours"] is None and row["memory_bytes"] > 1e9
    assert "images of oulu_casia_msu" in found["unknown"] and found["packs"]["oulu_casia_msu"] is None
    assert found["totals"]["left_without_hours"] == 2 and found["totals"]["gpu_hours_embedding"] is None
    assert found["assumed"]["tflops"] == {"fp32": 67.0, "tf32": 495.0, "bf16": 990.0}
    said = CliRunner().invoke(app, ["plan", "paper"]).stdout
    assert "not known, and in no number: images of celeba_spoof" in said and "of which 40% is reached" in said
    assert "state new, images ?, epochs 40, steps ?" in said, "lines where the output is no terminal"
    cpus = plan("demo")
    assert cpus["assumed"]["tflops"] == {} and cpus["totals"]["gpu_hours_left"] is None, (
        "the speed of CPUs is not known"
    )


def test_a_card_is_compared_and_precision_parts_and_recomputing_count(here: Path) -> None:
    faces = [
        "--set",
        "tasks.morphs=[]",
        "--set",
        "tasks={faces: {adaptation: lora}}",
        "--set",
        "backbones=[ViT-L/14]",
        "--memory",
        "80",
    ]

    def first(*more: str) -> dict[str, Any]:
        return next(row for row in plan("paper", *faces[2:], *more)["trials"] if row["trains"])

    whole = first()
    again = first("--set", "tasks.faces.checkpointing=true")
    parts = first("--set", "tasks.faces.accumulate=4")
    half = first("--set", "tasks.faces.precision=bf16")
    shared = first("--set", "resources.gpus=4")
    assert whole["memory_fits"] is False and again["memory_fits"] and parts["memory_fits"]
    assert (parts["at_once"], shared["at_once"], whole["at_once"]) == (128, 128, 512)
    assert again["flops"] == pytest.approx(1.5 * whole["flops"], rel=2e-3) and parts["flops"] == whole["flops"]
    assert half["gpu_hours"] == pytest.approx(whole["gpu_hours"] * 67 / 990)
    assert half["memory_bytes"] < 0.6 * whole["memory_bytes"]


def test_what_is_prepared_is_counted_and_what_is_done_is_said(here: Path) -> None:
    data = here / "out" / "data"
    records = [Record(str(n), b"", n % 3) for n in range(70)]
    write_dataset(
        data / "crops", name="crops", version="1", scale="full", classes=(), splits={"train": records}, source="a test",
        licence="none", protocols=("training",),
    )  # fmt: skip
    raw = {"name": "own", "backbones": ["mini-s"], "also": ["crops"], "datasets": ["shapes"], "tasks": {
        "faces": {"data": "crops", "adaptation": ["full", "lora"], "batch": 32, "epochs": 3, "remedy": ["none", {"wise": {"alpha": 0.5}}]}
    }}  # fmt: skip
    (here / "own.yaml").write_text(json.dumps(raw))
    found = plan("own.yaml", "--tflops", "1")
    trains = [row for row in found["trials"] if row["trains"]]
    assert [(row["images"], row["steps"], row["classes"]) for row in trains] == [(70, 6, 3)] * 2, (
        "WiSE costs no training"
    )
    stored = sum(path.stat().st_size for path in (data / "crops").glob("train-*.parquet"))
    assert found["packs"]["crops"] == stored + 8 * 71, "the encoded bytes, and where each image begins"
    spec = parse_spec(raw, "own.yaml")
    folder = SweepFolder(UPath("out"), "own")
    folder.save(spec, {}, ["crops", "shapes"])
    done = next(trial for trial in spec.trials() if trial.key == trains[0]["key"])
    place = folder.trial(done)
    for name in ("training.json", "DONE"):
        publish_bytes(place.trained / name, b"{}")
    after = plan("own.yaml", "--tflops", "1")
    assert [row["state"] for row in after["trials"] if row["trains"]] == ["trained", "waiting"]
    assert after["totals"]["left"] == 1
    assert after["totals"]["gpu_hours_left"] == pytest.approx(trains[1]["gpu_hours"])


def test_the_page_shows_what_is_said(here: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()
    block = text.partition("$ gelo plan paper --memory 80\n")[2].partition("```")[0]
    assert CliRunner().invoke(app, ["plan", "paper", "--memory", "80"]).stdout == block


def test_a_terminal_gets_a_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    from gelo.sweeps.spec.settings import Settings
    from gelo.sweeps.state.costs import H100, Assumed, planned
    from gelo.sweeps.terminal.planned import show

    found = planned(load_spec("paper"), Settings(), Assumed(H100, 0.4, 80e9))
    show(found, Console(force_terminal=True, width=180, color_system=None))
    said = capsys.readouterr().out
    assert "│" in said and "292.6 GB too much" in said and "GPU hours" in said


def test_attacked_images_cost_a_pass_and_one_back_each_step(here: Path) -> None:
    """10,000 test images of CIFAR-10, of which 200 are attacked in ten steps: 200 x 21 passes more."""
    words = ("paper", "--set", "datasets=[cifar10]", "--set", "tasks={}", "--set", "backbones=[ViT-B/16]")
    clean, found = (
        plan(*words, "--set", f"evaluate=[{suites}]")["embedding"] for suites in ("zero_shot", "zero_shot,robust")
    )
    assert (clean["images"], clean["attacked"], clean["passes_attacked"]) == (10_000, 0, 0)
    assert (found["images"], found["attacked"], found["passes_attacked"]) == (10_000, 200, 4_200)
    assert found["flops"] / clean["flops"] == pytest.approx(14_200 / 10_000)
    said = CliRunner().invoke(app, ["plan", *words, "--set", "evaluate=[robust]"]).stdout
    assert "10,000 images (views counted) and 200 attacked images (4,200 passes) by 1 encoder" in said.replace(
        "\n", " "
    )
