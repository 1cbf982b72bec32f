"""What a trial should have: what it owes where sweep.json says what is scored, else what other trials have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gelo.analysis.runs import read_runs
from gelo.analysis.select import Status, choice, select
from gelo.sweeps.spec.sweep import load_spec
from gelo.sweeps.stages.embed import pairs_of
from gelo.tasks.ledger.owed import owed
from tests.analysis.sweeps import write_result, write_sweep, write_trial

SETS = ["shapes", "morphs", "spoofs", "mine"]


def sweep(storage: Path, **spec: Any) -> dict[str, Status]:
    """A baseline and a morph detector, both without a result of a trained head; a set of a user's own that only the baseline has."""
    root = write_sweep(storage, **spec)
    base, tuned = write_trial(root, "b", "mini-s", "none"), write_trial(root, "m", "mini-s", "morphs", "full")
    for folder in (base, tuned):
        write_result(folder, "zero_shot", "shapes", {"shapes/top1": 0.5})
        write_result(folder, "mad_text", "morphs", {"mean/eer": 0.4})
        write_result(folder, "pad_text", "spoofs", {"mean/hter": 0.4})
    write_result(base, "zero_shot", "mine", {"mine/top1": 0.5})
    return select(read_runs(storage, "demo"))


def test_a_head_that_gave_no_result_is_missed_where_the_spec_says_so(tmp_path: Path) -> None:
    """No trial has `mad`: results alone would not tell that the detector owes it."""
    found = sweep(tmp_path, datasets=SETS, evaluate=["zero_shot", "biometric"])
    assert found["b"].state == "complete" and "mad" not in found["b"].expected
    assert found["m"].missing == (("zero_shot", "mine"), ("mad", "morphs"))
    assert found["m"].reasons == ("no zero_shot result for mine", "no mad result for morphs")
    assert "pad" not in found["m"].expected


def test_what_the_spec_does_not_say_is_told_from_the_other_trials(tmp_path: Path) -> None:
    found = sweep(tmp_path)
    assert found["m"].missing == (("zero_shot", "mine"),) and "mad" not in found["m"].expected
    write_result(tmp_path / "demo" / "trials" / "m", "mad", "morphs", {"mean/eer": 0.2})
    found = select(read_runs(tmp_path, "demo"))
    assert "mad" in found["m"].expected and "mad" not in found["b"].expected


def test_a_suite_that_the_spec_does_not_ask_for_is_not_owed(tmp_path: Path) -> None:
    found = sweep(tmp_path, datasets=SETS, evaluate=["zero_shot"])
    assert found["m"].missing == (("zero_shot", "mine"),)
    assert choice(read_runs(tmp_path, "demo"), "zero_shot") == "_2"


def test_a_demo_without_any_result_misses_what_its_trials_owe(tmp_path: Path) -> None:
    """The count of tests/golden, by the report's own way."""
    spec = load_spec("demo")
    pairs = pairs_of(spec, tmp_path)
    root = write_sweep(tmp_path, datasets=list(dict.fromkeys(name for name, _ in pairs)), evaluate=list(spec.evaluate))
    for trial in spec.trials():
        write_trial(root, trial.key, trial.backbone, trial.task, trial.adaptation.kind)
    one = next(iter(spec.trials()))
    write_result(root / "trials" / one.key, "zero_shot", "shapes", {"shapes/top1": 0.5})
    missing = sum(len(status.missing) for status in select(read_runs(tmp_path, "demo")).values())
    assert missing == sum(len(list(owed(pairs, trial.task))) for trial in spec.trials()) - 1 == 357
