"""A trained trial as MLflow lists it among its models: a short card of what it is, its headline numbers, and how to have it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from gelo.models.secrets import redacted
from gelo.sweeps.exchange.card import how, made
from gelo.sweeps.stages.embed import Subject
from gelo.sweeps.tracking.headline import headline_of
from gelo.sweeps.tracking.values import Model
from gelo.tasks.data.catalogue import COLLECTIONS
from gelo.tasks.results import shown


def model_of(subject: Subject, values: Mapping[str, float]) -> Model:
    """values: of the trial's results, by metric name."""
    trial = subject.trial
    metrics = headline_of(trial.task, trial.collection, list(values))
    card = "\n".join(_card(subject, {name: values[name] for name in metrics}))
    return Model(redacted(str(subject.folder.trained)), redacted(card), tuple(metrics))


def _card(subject: Subject, values: Mapping[str, float]) -> Iterator[str]:
    trial, sweep = subject.trial, subject.folder.root.parent.parent
    training = subject.folder.training()
    facts: dict[str, Any] = {"trial": trial.document(), "imported": training.get("imported")}
    yield f"# {subject.label}\n"
    if COLLECTIONS[trial.collection] == "miniature":
        yield "**MINIATURE.** A toy encoder on drawn images. Its numbers say nothing of any real model.\n"
    yield f"{trial.backbone}, its towers {how(facts)}. Trial `{trial.key}` of the sweep `{sweep.name}` of gelo.\n"
    if values:
        yield "| metric | |\n|---|---|"
        for name, value in values.items():
            yield f"| {name} | {f'{value:.3f}' if name.startswith('gelo/') else shown(name, value)} |"
        yield "\n`gelo/` is the share of the accuracy that is left after training, 1 = nothing lost; other shares are per cent.\n"
    yield "| how it was made | |\n|---|---|"
    yield from (f"| {name} | {told} |" for name, told in made(facts))
    place = shlex.quote(str(sweep.parent))
    yield (
        f"\nIts weights stay where they were trained, in `{subject.folder.trained}`. For other libraries, with a longer card:\n\n"
        f"    gelo export {sweep.name}/{trial.key} --to DIR --storage {place}\n"
    )
