"""What a remedy cannot do with a head, a training or a tower is told of a sweep before anything starts, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gelo.models.faults import Fault, UserError
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state.preflight import preflight

ZSCL = {"zscl": {"reference": "reference/train"}}


def sweep(**block: Any) -> dict[str, Any]:
    return {
        "name": "own",
        "backbones": ["mini-s"],
        "tasks": {"faces": block},
        "seeds": [0, 1],
        "evaluate": ["zero_shot"],
    }


def told(**block: Any) -> tuple[Fault, ...]:
    with pytest.raises(UserError) as refused:
        parse_spec(sweep(**block), "own.yaml")
    return refused.value.faults


@pytest.mark.parametrize(
    ("block", "found"),
    [
        (
            {"head": {"cosface": {"sample": 0.25}}, "remedy": "selective_calibration"},
            "selective_calibration of cosface with sample 0.25: a step sees that share of the classes",
        ),
        ({"accumulate": 2, "remedy": "supcon"}, "supcon, which compares the images of a batch, with accumulate 2"),
        ({"accumulate": 2, "remedy": ZSCL}, "zscl, which compares the images of a batch, with accumulate 2"),
        (
            {"accumulate": 2, "remedy": [["l2sp", "supcon"]]},
            "supcon, which compares the images of a batch, with accumulate 2",
        ),
        (
            {"sampler": "identity_balanced", "per_identity": 1, "remedy": "supcon"},
            "supcon with one image of each identity in a batch",
        ),
        ({"compile": True, "remedy": {"distill": {"layers": "inner"}}}, "inner layers of a tower that is compiled"),
    ],
    ids=str,
)
def test_what_cannot_be_together_is_told_once(block: dict[str, Any], found: str) -> None:
    (fault,) = told(**block)
    assert (fault.where, fault.found) == ("tasks.faces.remedy", found)
    assert fault.expected and fault.remedy


def test_two_averages_in_one_trial_are_refused() -> None:
    (fault,) = told(remedy=[["ema", ZSCL]])
    assert fault.found == "ema + zscl" and "one alone can be kept" in fault.expected


def test_a_batch_that_comes_with_no_step_need_not_divide(tmp_path: Path) -> None:
    """15 images of a reference that are not shown; shown, two ranks cannot share them."""
    places = {"storage": str(tmp_path / "out"), "data": str(tmp_path), "cache": str(tmp_path / "cache")}
    found = {}
    for on in ("task", "reference"):
        remedies = [
            {"distill": {"on": on, "batch": 15}},
            {"lwf": {"on": on, "batch": 15, "reference": "reference/train"}},
        ]
        spec = parse_spec({**sweep(remedy=remedies), "resources": {"workers": 2}}, "own.yaml")
        faults = [fault for fault in preflight(spec, Settings(cpus=2, **places)) if "multiple" in fault.expected]
        found[on] = {fault.where.rpartition(": ")[2] for fault in faults}
    assert found == {"task": set(), "reference": {"batch of distill", "batch of lwf"}}
