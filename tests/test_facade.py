"""`import gelo`, the face for notebooks: lazy, and each function is the command of its name or says the same of the same files."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from upath import UPath

import gelo
from gelo.models.backbones.zoo import load_backbone
from gelo.models.faults import UserError
from gelo.models.trained import load_tower
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import SweepFolder
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.results import Result
from tests.analysis.sweeps import write_result
from tests.sweeps.test_single import colours

ROOT = Path(__file__).parents[1]
SPEC: dict[str, Any] = {
    "name": "small", "backbones": ["mini-s"], "also": ["tiny"], "evaluate": ["zero_shot"],
    "tasks": {"faces": {"data": "tiny", "adaptation": ["lora", "lora_experts"], "epochs": 1, "batch": 8}},
}  # fmt: skip


def in_python(lines: str, folder: Path, **environment: str) -> str:
    """What a program prints that is run in another folder."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GELO_")}
    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=folder, env=own | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# what `import gelo` is


def test_importing_it_is_quick_and_loads_nothing_heavy(tmp_path: Path) -> None:
    """The best of three, by the process's own time: other programs share the machine."""
    lines = (
        "import sys, time; t = time.process_time(); import gelo; print(time.process_time() - t); print(*sys.modules)"
    )
    said = [in_python(lines, tmp_path).splitlines() for _ in range(3)]
    assert min(float(seconds) for seconds, _ in said) <= 0.3
    loaded = {name.partition(".")[0] for name in said[0][1].split()}
    assert not loaded & {"torch", "ray", "mlflow", "open_clip", "numpy", "pandas", "pydantic", "scipy", "rich", "typer"}


@pytest.mark.parametrize("module", [gelo, gelo.metrics], ids=lambda module: module.__name__)
def test_what_type_checkers_are_told_is_what_there_is(module: ModuleType) -> None:
    """Names and the modules they come from stand twice: for mypy, and for `__getattr__`."""
    assert module.__file__ is not None
    told, stars = {}, []
    for node in ast.parse(Path(module.__file__).read_text()).body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for line in (line for line in node.body if isinstance(line, ast.ImportFrom)):
                if line.names[0].name == "*":
                    stars.append(line.module)
                    continue
                told |= {n.name: f"gelo.{n.name}" if line.module == "gelo" else line.module for n in line.names}
    assert told == module._PLACES
    assert tuple(stars) == getattr(module, "_FAMILIES", ())
    for family in map(importlib.import_module, stars):
        for each in family.OWN:
            assert getattr(module, each.__name__) is each is getattr(family, each.__name__)
            assert each.__name__ in dir(module)
    assert {*told, "__version__"} - {"__version__"} == {*module.__all__} - {"__version__"}
    assert len(module.__all__) == len(set(module.__all__)) and set(module.__all__) <= set(dir(module))
    for name, place in told.items():
        found = getattr(module, name)
        assert found is (
            importlib.import_module(place) if place == f"gelo.{name}" else getattr(sys.modules[place], name)
        )


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gelo' has no attribute 'lora'"):
        _ = gelo.lora  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        from gelo import nothing  # type: ignore[attr-defined] # noqa: F401


def test_the_version_is_that_of_the_checkout_where_nothing_is_installed(tmp_path: Path) -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import gelo; print(gelo.__version__)"
    bare = subprocess.run([sys.executable, "-S", "-c", lines], cwd=tmp_path, capture_output=True, text=True)
    assert bare.stdout.strip() == project["version"], bare.stderr
    assert gelo.__version__ == importlib.import_module("importlib.metadata").version("gelo-sweeps")


def test_every_function_says_what_it_does_in_full() -> None:
    for function in (gelo.load, gelo.evaluate, gelo.results, gelo.tables, gelo.run):
        assert function.__doc__ is not None
        assert "Raises UserError" in function.__doc__ and "Example:\n" in function.__doc__


# a sweep of two trials, trained in this process on a few plain colours


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`out/small` with a trained LoRA trial and one whose tower does not merge, `data/tiny` and an empty `cache`."""
    place = tmp_path_factory.mktemp("facade")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data = colours(place / "data", "tiny")
    spec = parse_spec(SPEC, "small")
    folder = SweepFolder(UPath(place / "out"), "small")
    settings = Settings(storage=str(place / "out"), data=str(place / "data"), cache=str(place / "cache"))
    folder.save(spec, vars(settings), ["tiny"])
    base = load_backbone("mini-s")
    for trial in spec.trials():
        if trial.training is not None:
            assert train(trial, base, data, place / "cache", folder.trial(trial))
    torch.set_num_threads(threads)
    yield place


@pytest.fixture(scope="module")
def trials(world: Path) -> dict[str, Trial]:
    """By adaptation."""
    found = SweepFolder(UPath(world / "out"), "small").spec().trials()
    return {trial.adaptation.kind: trial for trial in found}


def pictures(encoder: gelo.Encoder) -> np.ndarray:
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (80, 70, 3), dtype=np.uint8)) for _ in range(3)]
    return np.stack([encoder.transform.to_uint8(image) for image in images])


def test_a_backbone_is_loaded_by_its_name() -> None:
    encoder, other = gelo.load("mini-s"), load_backbone("mini-s")
    assert encoder.vision_fingerprint == other.vision_fingerprint
    assert np.array_equal(encoder.encode_images(pictures(encoder)), other.encode_images(pictures(other)))
    assert encoder.encode_texts(["a photo of a cat"]).shape == (1, encoder.dim)


@pytest.mark.parametrize("kind", ["lora", "lora_experts"])
def test_a_trial_is_loaded_by_key_by_its_beginning_by_label_and_by_folder(
    world: Path, trials: dict[str, Trial], kind: str
) -> None:
    """Against the tower that was kept, built by hand; one of the two does not merge."""
    trial = trials[kind]
    folder = world / "out" / "small" / "trials" / trial.key
    assert (folder / "trained" / "tower.json").exists() == (kind == "lora_experts")
    base = load_backbone("mini-s")
    by_hand = load_tower(folder / "trained").encoder(base).encode_images(pictures(base))
    assert not np.array_equal(by_hand, base.encode_images(pictures(base)))
    label = Trial.labels(SweepFolder(UPath(world / "out"), "small").spec().trials())[trial.key]
    names: list[str | Path] = [
        f"small/{trial.key}", f"small/{trial.key[:5]}", f"small/{label}", folder, str(folder), folder / "trained",
    ]  # fmt: skip
    for name in names:
        encoder = gelo.load(name, storage=world / "out")
        assert np.array_equal(encoder.encode_images(pictures(encoder)), by_hand), name


def test_a_baseline_of_a_sweep_is_the_backbone(world: Path, trials: dict[str, Trial]) -> None:
    encoder = gelo.load(f"small/{trials['none'].key}", storage=world / "out")
    assert encoder.vision_fingerprint == load_backbone("mini-s").vision_fingerprint


def test_weights_that_are_no_longer_those_that_were_trained_are_refused(
    world: Path, trials: dict[str, Trial], tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / trials["lora"].key
    shutil.copytree(world / "out" / "small" / "trials" / trials["lora"].key, folder)
    assert gelo.load(folder).dim, "a copy outside of any sweep loads"
    shutil.copy(
        world / "out" / "small" / "trials" / trials["lora_experts"].key / "trained" / "encoder.safetensors",
        folder / "trained" / "encoder.safetensors",
    )
    with pytest.raises(UserError, match="damaged: SHA-256"):
        gelo.load(folder)


def test_a_name_that_is_nothing_is_one_error_with_the_nearest(world: Path, trials: dict[str, Trial]) -> None:
    storage, key = world / "out", trials["lora"].key
    label = trials["lora"].label

    def refused(name: str | Path, *parts: str, **options: Any) -> None:
        with pytest.raises(UserError) as caught:
            gelo.load(name, storage=options.pop("storage", storage), **options)
        assert len(caught.value.faults) == 1
        for part in parts:
            assert part in str(caught.value), str(caught.value)

    refused(f"smalx/{key}", "unknown sweep 'smalx'", "nearest: small")
    refused(f"small/{label[:-1]}9", "unknown trial", f"nearest: {label}", key)
    refused(f"small/{'z' * 12}", "unknown trial 'zzzzzzzzzzzz'", key)
    refused("mini-z", "unknown backbone 'mini-z'", "nearest: mini-")
    refused("small", "a whole sweep", f"small/{key} ({label})")
    refused(storage / "small", "no trial.json in it", f"nearest: {storage / 'small' / 'trials'}")
    refused(
        storage / "small" / "trials" / f"{key[:-1]}z",
        "no such folder",
        f"nearest: {storage / 'small' / 'trials' / key}",
    )
    refused(str(world / "data" / "tiny"), "no trial.json in it")
    refused("mini-s", "device", "nodevice", device="nodevice")
    refused("mini-s", f"{world / 'nofile'}: missing", weights=world / "nofile")


def test_a_trial_that_is_not_trained_says_how_to_go_on(tmp_path: Path) -> None:
    spec = parse_spec(SPEC, "small")
    SweepFolder(UPath(tmp_path), "small").save(spec, vars(Settings()), ["tiny"])
    for name in (f"small/{spec.trials()[1].key}", tmp_path / "small" / "trials" / spec.trials()[1].key):
        with pytest.raises(UserError, match=r"not trained yet.*gelo resume small"):
            gelo.load(name, storage=tmp_path)


def test_the_beginning_of_several_keys_is_refused_with_all_of_them(tmp_path: Path) -> None:
    spec = parse_spec(SPEC | {"seeds": list(range(9))}, "small")
    SweepFolder(UPath(tmp_path), "small").save(spec, vars(Settings()), ["tiny"])
    first = [trial.key[0] for trial in spec.trials()]  # 19 keys, 16 digits
    digit = next(each for each in first if first.count(each) > 1)
    with pytest.raises(UserError, match=f"'{digit}' begins {first.count(digit)} keys"):
        gelo.load(f"small/{digit}", storage=tmp_path)


# evaluate


def by_command(world: Path, encoder: str, *options: str) -> list[dict[str, Any]]:
    """`gelo evaluate --json` in a process of its own, with a cache of its own."""
    places = ["--storage", "out", "--data", "data", "--cache", "other"]
    lines = f"import sys; sys.argv[1:] = {['evaluate', encoder, *options, *places, '--json']!r}; from gelo.__main__ import main; main()"
    return json.loads(in_python(lines, world))


def evaluated(world: Path, *arguments: Any, **options: Any) -> list[Result]:
    return gelo.evaluate(
        *arguments, datasets="tiny", storage=world / "out", data=world / "data", cache=world / "cache", **options
    )


@pytest.mark.slow
@pytest.mark.parametrize("which", ["mini-s", "lora", "lora_experts"])
def test_its_numbers_are_those_of_the_command(world: Path, trials: dict[str, Trial], which: str) -> None:
    """To the bit, all fields of every result."""
    name = f"small/{trials[which].key}" if which in trials else which
    found = evaluated(world, name, ["zero_shot", "probe"])
    assert {"zero_shot", "probe"} <= {result.suite for result in found}
    told = by_command(world, name, "--suite", "zero_shot,probe", "--dataset", "tiny")
    assert [result.model_dump(mode="json") for result in found] == told
    assert evaluated(world, name, "zero_shot,probe") == found, "names with commas between them, as the option has them"


def test_an_encoder_as_an_object_has_the_same_numbers_and_no_past(world: Path, trials: dict[str, Trial]) -> None:
    name = f"small/{trials['lora'].key}"
    (by_name,), encoder = evaluated(world, name, "zero_shot"), gelo.load(name, storage=world / "out")
    (as_object,) = evaluated(world, encoder, "zero_shot")
    assert (as_object.values, as_object.intervals, as_object.vision) == (
        by_name.values,
        by_name.intervals,
        by_name.vision,
    )
    assert "given as an object" in as_object.unchecked and "given as an object" not in by_name.unchecked


def test_an_encoder_that_was_changed_in_place_is_scored_as_it_is_now(world: Path) -> None:
    """And fills no cache under the fingerprint that it had."""
    encoder = gelo.load("mini-s")
    (before,) = evaluated(world, encoder, "zero_shot")
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoder.visual.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=noise)
    (after,) = evaluated(world, encoder, "zero_shot")
    assert after.vision != before.vision and after.values != before.values
    assert evaluated(world, gelo.load("mini-s"), "zero_shot")[0].values == before.values


def test_what_cannot_be_scored_is_raised_or_on_request_a_warning(world: Path) -> None:
    place = {"storage": world / "out", "data": world / "data", "cache": world / "cache"}
    with pytest.raises(UserError, match="unknown data set 'tin'"):
        gelo.evaluate("mini-s", "zero_shot", datasets=["tiny", "tin"], **place)
    with pytest.warns(UserWarning, match=r"unknown data set 'tin'.*nearest: tiny"):
        (result,) = gelo.evaluate("mini-s", "zero_shot", datasets=["tiny", "tin"], allow_partial=True, **place)
    assert result.dataset == "tiny"
    with pytest.raises(UserError, match="nearest: zero_shot"):
        evaluated(world, "mini-s", "zero_short")
    with pytest.raises(UserError, match="cache_limit: -1"):
        evaluated(world, "mini-s", "zero_shot", cache_limit=-1)


# results


def test_results_are_one_row_a_trial_and_metric_and_say_what_the_files_say(world: Path, tmp_path: Path) -> None:
    """Against the JSON files, read by hand; the label is that of `gelo status`."""
    spec = parse_spec(SPEC, "small")
    folder = SweepFolder(UPath(tmp_path), "small")
    folder.save(spec, vars(Settings()), ["tiny"])
    for number, trial in enumerate(spec.trials()):
        place = Path(str(folder.trial(trial).root))
        write_result(
            place, "zero_shot", "tiny", {"tiny/top1": 0.5 + number / 10}, intervals={"tiny/top1": (0.4, 0.9)},
            absent={"tiny/top5": "4 classes, more than 5 needed"},
        )  # fmt: skip
        write_result(place, "fr", "pairs", {"pairs/accuracy": 0.7}, counts={"genuine": 3, "impostor": 4})
    frame = gelo.results("small", storage=tmp_path)
    columns = importlib.import_module("gelo.analysis.frame").COLUMNS
    assert list(frame.columns[: len(columns)]) == columns and "adaptation.rank" in frame
    expected = {}
    for file in (tmp_path / "small" / "trials").glob("*/results/*/*.json"):
        told = json.loads(file.read_text())
        for metric in {**told["values"], **told["absent"]}:
            expected[file.parents[2].name, metric] = (
                told["values"].get(metric), told["intervals"].get(metric, [None, None]), sum(told["counts"].values()), told["dataset"],
            )  # fmt: skip
    assert len(frame) == len(expected) == 9
    for row in frame.replace({np.nan: None}).to_dict("records"):
        value, interval, n, dataset = expected[row["trial"], row["metric"]]
        assert (row["value"], [row["low"], row["high"]], row["n"], row["dataset"]) == (value, interval, n, dataset)
        assert row["better"] == "higher" and row["protocol_version"] == 1 and row["sweep"] == "small"
        assert (row["reason"] != "") == (value is None)
    labels = {row["key"]: row["label"] for row in _status(folder)}
    assert dict(zip(frame.trial, frame.label, strict=True)) == labels
    assert list(frame.task)[:3] == ["none"] * 3, "baselines first, as in the report"
    twice = gelo.results("small", "small", storage=tmp_path)
    assert len(twice) == len(frame), "a sweep that is named twice is there once"


def _status(folder: SweepFolder) -> list[dict[str, Any]]:
    from gelo.sweeps.state.status import standing

    return standing(folder)


def test_a_result_file_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    spec = parse_spec(SPEC, "small")
    folder = SweepFolder(UPath(tmp_path), "small")
    folder.save(spec, vars(Settings()), ["tiny"])
    first, second, _ = (Path(str(folder.trial(trial).root)) for trial in spec.trials())
    write_result(first, "zero_shot", "tiny", {"tiny/top1": 0.5})
    write_result(second, "zero_shot", "tiny", {"tiny/top1": 0.5})
    (second / "results" / "zero_shot" / "tiny.json").write_text("{}")
    with pytest.warns(UserWarning, match="not a result"):
        assert len(gelo.results("small", storage=tmp_path)) == 1


def test_results_of_no_sweep_an_unknown_one_and_one_without_results(world: Path) -> None:
    with pytest.raises(UserError, match="at least one name"):
        gelo.results(storage=world / "out")
    with pytest.raises(UserError, match=r"unknown sweep 'smalx'.*nearest: small"):
        gelo.results("smalx", storage=world / "out")
    with pytest.raises(UserError, match="nothing has run yet"):
        gelo.results("small", storage=world / "out")


# metrics


def test_metrics_by_hand() -> None:
    of = gelo.metrics
    genuine, impostor = of.as_scores([0.9, 0.8, 0.4]), of.as_scores([0.5, 0.2, 0.1])
    equal = of.eer(genuine, impostor, chosen_on="dev")
    assert equal.value == pytest.approx(1 / 3)
    assert of.frr(genuine, of.Threshold(0.6, "by hand", "dev")) == pytest.approx(1 / 3)
    assert of.hter(genuine, impostor, of.Threshold(0.6, "by hand", "dev")) == pytest.approx(1 / 6)
    assert of.auc(genuine, impostor) == pytest.approx(8 / 9), "higher is genuine: 8 of 9 pairs in the right order"
    assert of.top1([0, 1, 1], [0, 1, 2]) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="not finite"):
        of.as_scores([0.1, float("nan")])


def test_every_metric_is_there_but_what_only_serves_others() -> None:
    """Public names of tasks/metrics that `gelo.metrics` leaves out are named here."""
    inner = {
        "DECADES", "ENOUGH", "GRID", "LEVEL", "LIMIT", "Z95", "Combined", "Complement", "Estimate", "Highest", "Rate", "Read", "exact",
        "kept", "needs", "needs_resolution", "rule_of_30", "subjects", "tar_at_far_sorted",
    }  # fmt: skip
    found = set()
    for file in (ROOT / "tasks" / "metrics").glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign):
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    assert {name for name in found if not name.startswith("_")} == {*gelo.metrics.__all__} | inner


# run


def test_specs_in_a_mapping_are_what_the_yaml_writes() -> None:
    from gelo._given import plain

    written = {
        "adaptation": [gelo.Lora(rank=8, targets=("q", "v")), "full"],
        "remedy": [gelo.NoRemedy(), gelo.L2SP(strength=0.1)],
    }
    assert plain(written) == {
        "adaptation": [{"lora": {"rank": 8, "targets": ["q", "v"]}}, "full"],
        "remedy": ["none", {"l2sp": {"strength": 0.1}}],
    }
    both = gelo.Stack(remedies=(gelo.L2SP(strength=0.1), gelo.Wise(alpha=0.5)))
    together = [{"l2sp": {"strength": 0.1}}, {"wise": {"alpha": 0.5}}]
    assert plain({"remedy": both}) == {"remedy": [together]}
    assert plain({"remedy": ["none", both]}) == {"remedy": ["none", together]}
    spec = {"name": "s", "backbones": ["mini-s"], "tasks": {"faces": {"adaptation": gelo.Lora(rank=8), "remedy": both}}}
    (trial,) = [trial for trial in parse_spec(plain(spec), "s").trials() if trial.remedy.kind == "stack"]
    assert trial.adaptation.model_dump()["rank"] == 8 and trial.remedy == both


def test_a_mistake_is_raised_before_anything_is_started(tmp_path: Path) -> None:
    place: dict[str, Any] = {"storage": tmp_path / "out", "data": tmp_path / "data", "cache": tmp_path / "cache"}
    with pytest.raises(UserError, match=r"unknown preset or YAML file 'demoo'.*nearest: demo"):
        gelo.run("demoo", **place)
    with pytest.raises(UserError) as caught:
        gelo.run({"name": "x", "backbones": ["mini-x"], "tasks": {"face": {}}}, **place)
    assert len(caught.value.faults) == 2 and "nearest: faces" in str(caught.value)
    with pytest.raises(UserError, match="none: a mapping says all itself"):
        gelo.run({"name": "x", "backbones": ["mini-s"]}, overrides={"seeds": [1]}, **place)
    with pytest.raises(UserError, match=r"--set seeds|seeds\.0"):
        gelo.run("demo", overrides={"seeds": [-1]}, **place)
    with pytest.raises(UserError, match="cpus: 0"):
        gelo.run("demo", cpus=0, **place)
    with pytest.raises(UserError, match="which one trial asks for"):
        gelo.run({"name": "x", "backbones": ["mini-s"], "resources": {"cpus": 4096}}, **place)
    assert not (tmp_path / "out" / "x").exists()


def _block() -> str:
    """The one complete program of docs/notebooks.md."""
    text = (ROOT / "docs" / "notebooks.md").read_text()
    (block,) = [
        part.partition("```")[0] for part in text.split("```python\n")[1:] if "gelo.run(" in part.partition("```")[0]
    ]
    return block


@pytest.mark.slow
@pytest.mark.cluster
def test_the_block_of_the_page_is_a_notebook_that_works_in_any_folder(small_world: Path, tmp_path: Path) -> None:
    """Then the command line finds the sweep complete, with the same numbers; the kernel's own handlers stand again."""
    lines = (
        "import signal\nhandler = signal.getsignal(signal.SIGINT)\n" + _block() + "\n"
        "assert signal.getsignal(signal.SIGINT) is handler\n"
        "assert gelo.run(SPEC, show=False).complete\n"  # nothing left to do
        "import json; open('frame.json', 'w').write(json.dumps(frame.to_dict('records')))\n"
    )
    (tmp_path / "models").mkdir()  # a user's own
    data = {"GELO_DATA": str(small_world / "data"), "GELO_CACHE": str(tmp_path / "cache")}
    said = in_python(lines, tmp_path, **data)
    assert "sweep first" in said
    rows = json.loads((tmp_path / "frame.json").read_text())
    command = "import sys; sys.argv[1:] = {!r}; from gelo.__main__ import main; main()"
    standing = json.loads(in_python(command.format(["status", "first", "--json"]), tmp_path, **data))["trials"]
    assert {row["state"] for row in standing} == {"complete"}
    trained = next(row["key"] for row in standing if "lora" in row["label"])
    arguments = ["evaluate", f"first/{trained}", "--suite", "zero_shot", "--dataset", "shapes", "--json"]
    (result,) = json.loads(in_python(command.format(arguments), tmp_path, **data))
    told = {row["metric"]: row["value"] for row in rows if row["trial"] == trained and not row["reason"]}
    assert told == result["values"]
