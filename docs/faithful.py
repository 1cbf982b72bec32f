"""The papers' recipe in miniature, end to end: `python -m docs.faithful`. What it tests and why stands in docs/miniature.md.

Three sweeps in one storage, each gone on with where it stands: `faithful-rates` chooses the factor on all rates by the training loss of
faces alone; `faithful` is the papers' recipe times the factor (written to docs/faithful.yaml); `present` is the demo on the same backbones.
`--rates` stops after the first.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import gelo
from gelo.models.faults import Fault, UserError
from gelo.sweeps.spec.sweep import parse_spec

PAGE = Path(__file__).with_name("faithful.yaml")
BACKBONES = ("mini-s-people", "mini-l-people")
FACTORS = (1.0, 3.0, 10.0, 30.0, 100.0)
EPOCHS = 20  # where FRoundation's schedule has just ended its second fall: 5 held, 5, 10
ADAPTATIONS = ("lora", "full")
# Rates and LoRA of the papers (docs/protocols.md); MADation's alpha and dropout are those of ViT-B/16 and of ViT-L/14.
RATES = {"faces": (1e-4, 1e-4), "morphs": (1e-5, 1e-4), "spoofs": (1e-6, 1e-3)}  # backbone, head
LORA: dict[str, tuple[dict[str, float], ...]] = {
    "faces": ({"rank": 16, "alpha": 16.0, "dropout": 0.25},),
    "morphs": ({"rank": 2, "alpha": 4.0, "dropout": 0.4}, {"rank": 2, "alpha": 8.0, "dropout": 0.2}),
    "spoofs": ({"rank": 8, "alpha": 8.0, "dropout": 0.4},),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "faces": {"schedule": "cosine_restarts", "warmup_epochs": 5, "augment": "rand_augment"},
    "morphs": {"schedule": "constant", "augment": "flip"},
    "spoofs": {"schedule": "constant", "augment": "spoof"},
}


def faithful(factors: Mapping[str, float]) -> dict[str, Any]:
    """The sweep of the papers' recipe; factors: by adaptation, on every rate of all three tasks."""
    tasks = {task: [block for kind in ADAPTATIONS for block in _blocks(task, kind, factors[kind])] for task in RATES}
    return {"name": "faithful", "backbones": list(BACKBONES), "tasks": tasks, "seeds": [0, 1, 2]}


def rates() -> dict[str, Any]:
    """Faces alone on the smaller backbone, every factor."""
    blocks = [_blocks("faces", kind, factor)[0] for kind in ADAPTATIONS for factor in FACTORS]
    return {
        "name": "faithful-rates", "backbones": [BACKBONES[0]], "tasks": {"faces": blocks}, "seeds": [0], "evaluate": ["zero_shot"],
    }  # fmt: skip


def present() -> dict[str, Any]:
    """What changes in the preset `demo`, so that today's recipe runs on the same backbones."""
    return {"name": "present", "backbones": list(BACKBONES), "seeds": [0, 1, 2]}


def losses(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[float, float]]:
    """Training loss of the last of all epochs by adaptation and factor; histories: by trial. Diverged and unfinished ones are left out."""
    found: dict[str, dict[float, float]] = {kind: {} for kind in ADAPTATIONS}
    for trial in parse_spec(rates(), "faithful-rates").trials():
        rows = histories.get(trial.key, ())
        if trial.training is None or len(rows) < EPOCHS or not math.isfinite(rows[-1]["loss"]):
            continue
        own = trial.training.lr_backbone / RATES["faces"][0]
        factor = min(FACTORS, key=lambda each: abs(each - own))
        found[trial.adaptation.kind][factor] = float(rows[-1]["loss"])
    return found


def chosen(found: Mapping[str, Mapping[float, float]]) -> dict[str, float]:
    """The factor of the lowest loss, by adaptation; of equal losses the smaller factor. Raises UserError where an adaptation has none."""
    if lacking := [kind for kind, by_factor in found.items() if not by_factor]:
        again = "gelo status faithful-rates says what failed; the same command goes on"
        raise UserError(
            "faithful-rates", [Fault(kind, "no trial with a loss", "one at least", again) for kind in lacking]
        )
    return {kind: min(sorted(by_factor), key=lambda each: by_factor[each]) for kind, by_factor in found.items()}


def written(factors: Mapping[str, float]) -> str:
    """docs/faithful.yaml."""
    told = ", ".join(f"{kind} {factors[kind]:g}" for kind in ADAPTATIONS)
    return (
        f"# The papers' recipe in miniature (docs/miniature.md). Factor on the papers' rates: {told}, by the training loss of faces.\n"
        "# Written by `python -m docs.faithful`.\n"
        + yaml.safe_dump(faithful(factors), sort_keys=False, default_flow_style=None, width=120)
    )


def _blocks(task: str, kind: str, factor: float) -> list[dict[str, Any]]:
    backbone, head = RATES[task]
    settings = {"epochs": EPOCHS, "lr_backbone": _product(factor, backbone), "lr_head": _product(factor, head)}
    if kind == "full":
        return [{"adaptation": "full", **settings, **SETTINGS[task]}]
    forms = LORA[task]
    return [
        {
            **({"backbones": [name]} if len(forms) > 1 else {}),
            "adaptation": {"lora": {**form, "rslora": True, "targets": ["q", "v"]}},
            **settings,
            **SETTINGS[task],
        }
        for name, form in zip(BACKBONES, forms, strict=False)
    ]


def _product(factor: float, rate: float) -> float:
    return float(f"{factor * rate:.6g}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 where all is done, 1 where a trial or a result lacks, 2 for a mistake."""
    parser = argparse.ArgumentParser(prog="python -m docs.faithful", description="The papers' recipe in miniature.")
    parser.add_argument("--storage", default="out/faithful")
    parser.add_argument("--rates", action="store_true", help="choose the factors, and stop")
    given = parser.parse_args(arguments)
    try:
        gelo.run(rates(), storage=given.storage)
        from gelo.analysis.runs import read_runs

        found = losses(read_runs(given.storage, "faithful-rates").histories)
        for kind in ADAPTATIONS:
            print(kind, ", ".join(f"factor {factor:g} loss {loss:.3f}" for factor, loss in sorted(found[kind].items())))
        PAGE.write_text(written(chosen(found)))
        print(PAGE)
        if given.rates:
            return 0
        done = [
            gelo.run(PAGE, storage=given.storage),
            gelo.run("demo", overrides=present(), storage=given.storage),
        ]
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if all(each.complete for each in done) else 1


if __name__ == "__main__":
    sys.exit(main())
