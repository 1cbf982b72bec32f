"""The key of a trial: the same on every machine, and another one for any other work."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gelo.models.adapt import Full, Lora, NoAdaptation
from gelo.models.heads import Binary, CosFace
from gelo.models.remedies import L2SP, NoRemedy, Wise
from gelo.sweeps.spec.sweep import parse_spec
from gelo.tasks.ledger.trial import Training, Trial

TRAINING = Training(
    data="faces", epochs=5, batch=32, lr_backbone=3e-4, lr_head=1e-2, weight_decay=0.05, clip=5.0,
    schedule="cosine", warmup_epochs=1, sampler="shuffled", augment="flip",
)  # fmt: skip
TRIAL = Trial(
    backbone="mini-s",
    task="faces",
    collection="miniature",
    adaptation=Lora(rank=16, alpha=16.0),
    head=CosFace(),
    training=TRAINING,
)


def test_golden_keys() -> None:
    """Written down when the format was fixed: a changed key would train everything again and orphan every folder."""
    assert Trial(backbone="mini-s", task="none", collection="miniature").key == "c57838adba53"
    assert TRIAL.key == "ef7eb2e40bac"
    assert TRIAL.model_copy(update={"remedy": Wise(alpha=0.5)}).key == "6a240093065c"


def test_key_is_the_same_in_another_process() -> None:
    code = (
        f"from gelo.tasks.ledger.trial import Trial; print(Trial.model_validate_json({TRIAL.model_dump_json()!r}).key)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert done.stdout.strip() == TRIAL.key


def test_what_is_evaluated_and_how_it_is_run_are_no_part_of_the_key() -> None:
    plain: dict[str, Any] = {
        "name": "one",
        "backbones": ["mini-s"],
        "tasks": {"faces": {"adaptation": ["full", "lora"]}},
    }
    other = {**plain, "name": "two", "evaluate": ["zero_shot"], "resources": {"cpus": 2, "retries": 5, "wave": 1}}
    other["weights"] = {"mini-s": "elsewhere.safetensors"}
    assert [t.key for t in parse_spec(plain, "").trials()] == [t.key for t in parse_spec(other, "").trials()]


def test_ways_to_write_the_same_work_have_one_key() -> None:
    written = TRIAL.model_dump(mode="json")
    written["adaptation"]["targets"] = ["v", "q"]
    written["adaptation"]["alpha"] = 16
    written["training"]["lr_backbone"] = "3e-4"
    assert Trial.model_validate(dict(reversed(written.items()))).key == TRIAL.key


_ADAPTATIONS = st.one_of(
    st.builds(NoAdaptation),
    st.builds(Full),
    st.builds(
        Lora,
        rank=st.integers(1, 4),
        alpha=st.sampled_from([1.0, 2.0]),
        dropout=st.sampled_from([0.0, 0.1]),
        rslora=st.booleans(),
        targets=st.sampled_from([("q",), ("q", "v"), ("mlp_in",)]),
        blocks=st.sampled_from(["all", (0,), (0, 1)]),
    ),
)
_TRAININGS = st.builds(
    Training,
    data=st.sampled_from(["faces", "morphs"]), epochs=st.integers(1, 2), batch=st.sampled_from([8, 16]),
    lr_backbone=st.sampled_from([1e-4, 1e-3]), lr_head=st.sampled_from([1e-4, 1e-3]),
    weight_decay=st.sampled_from([0.0, 0.05]), clip=st.sampled_from([1.0, 5.0]),
    schedule=st.sampled_from(["constant", "cosine", "cosine_restarts"]), warmup_epochs=st.integers(0, 1),
    sampler=st.sampled_from(["shuffled", "identity_balanced"]), augment=st.sampled_from(["flip", "rand_augment"]),
    preprocess=st.sampled_from(["backbone", "morph"]), per_identity=st.sampled_from([4, 8]),
)  # fmt: skip
_TRIALS = st.builds(
    Trial,
    backbone=st.sampled_from(["mini-s", "mini-l"]),
    task=st.sampled_from(["faces", "morphs"]),
    collection=st.sampled_from(["miniature", "paper"]),
    adaptation=_ADAPTATIONS,
    remedy=st.one_of(
        st.builds(NoRemedy),
        st.builds(L2SP, strength=st.sampled_from([0.01, 0.1])),
        st.builds(Wise, alpha=st.sampled_from([0.2, 0.5])),
    ),
    head=st.one_of(st.builds(Binary), st.builds(CosFace, margin=st.sampled_from([0.2, 0.3]))),
    training=_TRAININGS,
    seed=st.integers(0, 2),
)


@given(_TRIALS, _TRIALS)
def test_keys_differ_exactly_where_trials_differ(one: Trial, two: Trial) -> None:
    assert (one.key == two.key) == (one == two)
    assert len(one.key) == 12


@given(_TRIALS)
def test_a_trial_survives_its_json_and_its_document(trial: Trial) -> None:
    again = Trial.model_validate_json(trial.model_dump_json())
    assert again == trial
    assert again.key == trial.key == trial.document()["key"]


@given(_TRIALS, st.data())
def test_any_changed_field_changes_the_key(trial: Trial, data: st.DataObject) -> None:
    other = data.draw(_TRIALS)
    for field in Trial.model_fields:
        changed = trial.model_copy(update={field: getattr(other, field)})
        assert (changed.key != trial.key) == (getattr(other, field) != getattr(trial, field)), field
    assert trial.training is not None
    assert other.training is not None
    for field in Training.model_fields:
        value = getattr(other.training, field)
        changed = trial.model_copy(update={"training": trial.training.model_copy(update={field: value})})
        assert (changed.key != trial.key) == (value != getattr(trial.training, field)), field


def test_source_of_a_merging_remedy_is_the_plain_trial() -> None:
    wise = TRIAL.model_copy(update={"remedy": Wise(alpha=0.2)})
    penalised = TRIAL.model_copy(update={"remedy": L2SP()})
    assert wise.source == TRIAL
    assert not wise.trains
    assert TRIAL.source == TRIAL
    assert penalised.source == penalised
    assert penalised.trains


def test_labels_and_flat_names_tell_trials_apart() -> None:
    assert TRIAL.label == "mini-s faces lora seed 0"
    assert TRIAL.model_copy(update={"remedy": Wise(alpha=0.2)}).label == "mini-s faces lora wise(alpha=0.2) seed 0"
    flat = TRIAL.flat()
    assert flat["adaptation.rank"] == 16
    assert flat["adaptation.targets"] == "q,v"
    assert flat["training.lr_backbone"] == 3e-4
    assert all(isinstance(value, str | int | float | bool) for value in flat.values())


def test_a_trial_is_frozen_and_knows_its_fields() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TRIAL.seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Trial.model_validate({**TRIAL.model_dump(), "epochs": 3})
