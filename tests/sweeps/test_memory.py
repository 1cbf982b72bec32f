"""A batch that does not fit is refused with what fits, memory that ran out is told with it, and a diverged loss is a state of its own."""

from __future__ import annotations

import errno
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from gelo.analysis.runs import read_runs
from gelo.analysis.select import select
from gelo.models.faults import Fault, UserError
from gelo.models.training.loop import DivergedError
from gelo.sweeps.spec.sweep import SweepSpec, parse_spec
from gelo.sweeps.state.memory import MARGIN, batch_faults, is_out_of_memory, out_of_memory, plan_of
from gelo.sweeps.state.preflight import preflight
from gelo.sweeps.state.status import standing
from tests.analysis.sweeps import write_result, write_sweep, write_trial
from tests.programs import printed_by


def spec(**changes: Any) -> SweepSpec:
    tasks = {"faces": {"adaptation": "lora", "batch": 256}}
    raw = {
        "name": "own",
        "collection": "paper",
        "backbones": ["ViT-B/16"],
        "tasks": tasks,
        "evaluate": ["zero_shot"],
        **changes,
    }
    return parse_spec(raw, "own.yaml")


def of_paper(name: str) -> int:
    return 85_742


@pytest.mark.parametrize("gpus", [0, 0.5, 1, 4])
def test_a_batch_that_is_too_big_is_refused_and_what_is_advised_is_taken(gpus: float) -> None:
    """Every advice, typed into the sweep, is refused no more."""
    found = spec(resources={"gpus": gpus})
    (trial,) = [trial for trial in found.trials() if trial.trains]
    plan = plan_of(trial, found.resources, 85_742)
    assert plan is not None and plan.ranks == max(1, int(gpus)) and plan.micro == 256 // plan.ranks
    room = plan.footprint().peak / MARGIN / 2 / min(1, gpus or 1)
    (fault,) = batch_faults(found, 1, room, of_paper)
    assert fault.where == "batch of ViT-B/16 faces lora"
    assert re.fullmatch(r"[\d.]+ GB with (64|256) images going through at once", fault.found)
    assert (" (a card)" if gpus else "this machine, with 1 trial at once") in fault.expected
    offers = re.split(r", or ", fault.remedy.removeprefix("what fits: "))
    assert len(offers) == 3
    for offer in offers:
        fields = dict(re.findall(r"(\w+): (\w+)", offer))
        assert not batch_faults(
            spec(
                resources={"gpus": gpus},
                tasks={"faces": {"adaptation": "lora", "batch": 256, **{k: json.loads(v) for k, v in fields.items()}}},
            ), 1, room, of_paper,
        ), offer  # fmt: skip
    assert batch_faults(found, 1, 1e15, of_paper) == []
    (hopeless,) = batch_faults(found, 1, 5e8, of_paper)
    assert "nothing of batch, accumulate and checkpointing" in hopeless.remedy


def test_trials_that_train_at_once_share_the_machine() -> None:
    tasks = {"faces": {"adaptation": ["full", "lora"], "batch": 64}}
    assert batch_faults(spec(tasks=tasks), 1, 25e9, of_paper) == []
    assert {f.where for f in batch_faults(spec(tasks=tasks), 4, 12e9, of_paper)} >= {"batch of ViT-B/16 faces full"}


def test_a_tower_whose_size_is_not_known_is_not_judged() -> None:
    assert (
        batch_faults(
            spec(backbones=["RN50-quickgelu:openai"], tasks={"faces": {"adaptation": "full"}}), 1, 1e6, of_paper
        )
        == []
    )


def test_memory_that_ran_out_is_told_with_what_would_have_fitted(tmp_path: Path) -> None:
    found = spec(resources={"gpus": 0})
    (trial,) = [trial for trial in found.trials() if trial.trains]
    place = tmp_path / "trials" / trial.key
    place.mkdir(parents=True)
    (place / "trial.json").write_text(json.dumps(trial.document()))
    told = out_of_memory(MemoryError("no room\nfor it"), {"root": str(tmp_path), "key": trial.key, "gpus": 0})
    assert re.match(r"no room; predicted are [\d.]+ GB with 256 images going through at once", told)
    assert re.search(
        r"what fits: accumulate: \d+ \([\d.]+ GB\), or checkpointing: true \([\d.]+ GB\), or batch: \d+", told
    )


@pytest.mark.parametrize(
    ("fields", "where", "found"),
    [
        ({"precision": "tf32"}, "precision of ", "tf32 on CPUs"),
        ({"precision": "bf16"}, "precision of ", "bf16 on CPUs"),
        ({"compile": True}, "compile of ", "no /nowhere/g++"),
    ],
)
def test_switches_that_this_machine_lacks_are_refused(
    fields: dict[str, Any], where: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gelo.sweeps.spec.settings import Settings

    monkeypatch.setenv("CXX", "/nowhere/g++")
    faults = preflight(
        parse_spec({"name": "own", "backbones": ["mini-s"], "tasks": {"faces": fields}}, "own.yaml"),
        Settings(storage=str(tmp_path / "out"), data=str(tmp_path), cache=str(tmp_path / "cache")),
    )
    (fault,) = faults
    assert fault.where.startswith(where) and fault.found.startswith(found)


def test_recomputing_a_tower_without_blocks_is_refused(tmp_path: Path) -> None:
    from gelo.sweeps.spec.settings import Settings

    tasks = {"faces": {"adaptation": "full", "checkpointing": True}}
    made = spec(backbones=["RN50-quickgelu:openai"], tasks=tasks)
    faults = preflight(made, Settings(storage=str(tmp_path / "out"), data=str(tmp_path), cache=str(tmp_path / "cache")))
    assert [fault.where for fault in faults if "checkpointing" in fault.where] == [
        "checkpointing (RN50-quickgelu:openai)"
    ]


def test_a_loss_that_is_not_finite_is_a_kind_of_its_own_across_processes() -> None:
    error = DivergedError("training", Fault("step 3", "loss nan", "a finite loss"))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is DivergedError and again.kind == "diverged" and str(again) == str(error)
    assert UserError("x", Fault("a", "b", "c")).kind == "user"


def test_a_trial_that_diverged_says_so_in_the_report_and_has_no_mean(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, datasets=["shapes"], evaluate=["zero_shot"])
    base, lost = write_trial(root, "b", "mini-s", "none"), write_trial(root, "m", "mini-s", "morphs", "full")
    write_result(base, "zero_shot", "shapes", {"shapes/top1": 0.5})
    (lost / "failure.json").write_text(
        json.dumps({"kind": "diverged", "error": "training: 1 fault\n  step 3: loss nan"})
    )
    status = select(read_runs(tmp_path, "demo"))["m"]
    assert status.state == "diverged" and status.missing == (("zero_shot", "shapes"),)
    assert "diverged" in status.reasons[0]


def test_a_trial_that_diverged_says_so_in_the_status(tmp_path: Path) -> None:
    from upath import UPath

    from gelo.sweeps.state.folder import SweepFolder

    made = parse_spec(
        {"name": "own", "backbones": ["mini-s"], "tasks": {"faces": {}}, "evaluate": ["zero_shot"]}, "own.yaml"
    )
    folder = SweepFolder(UPath(tmp_path), "own")
    folder.save(made, {"data": str(tmp_path)}, [])
    (trial,) = [trial for trial in made.trials() if trial.trains]
    error = DivergedError("trial own", Fault("step 3", "loss nan", "a finite loss", "lower lr_backbone"))
    folder.trial(trial).set_failure({"kind": "diverged", "error": str(error)})
    (row,) = [row for row in standing(folder) if row["key"] == trial.key]
    assert (row["state"], row["note"]) == ("diverged", "step 3: loss nan; expected a finite loss; lower lr_backbone")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the resident set is read from Linux")
def test_what_is_freed_goes_back_to_the_system() -> None:
    """Arrays of 100 kB, below the size that glibc maps by itself, every other one kept until all are there: the rest lies in its heap."""
    program = (
        "import re\n"
        "from gelo.sweeps.state.memory import give_back\n"
        "held = lambda: int(re.search(r'RssAnon:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1000\n"
        "before = held(); blocks = [bytearray(100_000) for _ in range(4000)]; full = held()\n"
        "last = blocks[-1]; del blocks; kept = held(); give_back()\n"
        "print(before, full, kept, held())"
    )
    before, full, kept, after = (int(word) for word in printed_by(program).split())
    assert full > before + 350 and kept > before + 350, "else there is nothing to give back here"
    assert after < before + 60, (before, full, kept, after)


def test_torchs_word_for_memory_that_is_short_on_cpus_is_known() -> None:
    with pytest.raises(RuntimeError) as short:
        torch.empty(10**15)
    assert is_out_of_memory(short.value) and is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory")) and is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
