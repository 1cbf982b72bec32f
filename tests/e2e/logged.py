"""A sweep in MLflow without a training: gelo's own trials, labels, outbox and spool, and numbers that a closed form makes up."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from upath import UPath

from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.tracking.logged import Metric, checked
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.runlog import Asked
from gelo.sweeps.tracking.spool import Spool
from gelo.sweeps.tracking.summary import HEADLINE
from gelo.sweeps.tracking.values import Input, Model
from gelo.tasks.ledger.trial import Trial

NAME = "small"
SPEC = {
    "name": NAME, "collection": "miniature", "backbones": ["mini-s"], "seeds": [0, 1], "evaluate": ["zero_shot", "biometric"],
    "tasks": {"faces": {"adaptation": ["lora", "full"]}, "spoofs": {"adaptation": ["lora", "full"]}},
}  # fmt: skip
SETS = ("shapes", "textures", "colours")
TAGS = {"gelo.sweep": NAME, "gelo.scale": "miniature"}
GAIN = {"faces": "fr/pairs/accuracy", "spoofs": "pad/mean/hter"}
BEGAN = time.time() - 3600


def kept(trial: Trial) -> float:
    """The share that a trial keeps: LoRA more than all weights, spoofs more than faces."""
    return (
        1.0
        - (0.04 if trial.adaptation.kind == "lora" else 0.2) * (2 if trial.task == "faces" else 1)
        - 0.01 * trial.seed
    )


def curve(trial: Trial, steps: int) -> list[Metric]:
    """Losses and looks of the first so many steps."""
    loss = [Metric("train/loss", 2.0 * 0.8**step + 0.1 * trial.seed, step) for step in range(1, steps + 1)]
    looks = [
        Metric("forgetting/validation", 0.9 - 0.9 * (1 - kept(trial)) * step / 20, step)
        for step in range(0, steps + 1, 5)
    ]
    return [*loss, *looks]


def results(trial: Trial) -> dict[str, float]:
    share = 1.0 if trial.task == "none" else kept(trial)
    values = {f"zero_shot/{name}/top1": share * (0.9 - 0.1 * place) for place, name in enumerate(SETS)}
    values["zero_shot/mean/top1"] = sum(values.values()) / len(SETS)
    if trial.task != "none":
        values |= {
            "gelo/zero_shot": share,
            GAIN[trial.task]: 0.95 - 0.1 * share if trial.task == "faces" else 0.1 * share,
        }
    return values


class Logged:
    """root: a folder in which the sweep's storage and MLflow's file are."""

    def __init__(self, root: Path, spool: str = "tracking", seeds: Sequence[int] = (0, 1)) -> None:
        self.uri, self.root = f"sqlite:///{root}/mlflow.db", root / "out" / NAME
        self.trials = parse_spec({**SPEC, "seeds": [*seeds]}, "a test").trials()
        self.labels = Trial.labels(self.trials)
        self.outbox = Outbox(Spool(UPath(self.root / spool)), self.uri, NAME, tags=TAGS)
        self.outbox.open()

    def finished(self, trial: Trial, **others: float) -> Asked:
        """What a wave asks of a trial that is whole. others: metrics that are otherwise."""
        values: Mapping[str, float] = results(trial) | others
        own = trial.task != "none"
        headline = ("gelo/zero_shot", "zero_shot/mean/top1", GAIN[trial.task]) if own else ()
        card = f"# {self.labels[trial.key]}\n\nIt keeps {values['zero_shot/mean/top1']:.4f}."
        place = f"{self.root}/trials/{trial.key}/trained"
        return Asked(
            trial.key, self.labels[trial.key], trial.flat(), "FINISHED", {**TAGS, "gelo.state": "complete"}, BEGAN, BEGAN + 60,
            (Input("shapes", "abc", "evaluation", "/data/shapes", {"test": 300}),),
            checked([*(Metric(*each) for each in values.items()), *(curve(trial, 20) if own else [])]),
            ("zero_shot/", "gelo/", "fr/", "pad/"), Model(place, card, headline) if own else None,
        )  # fmt: skip

    def training(self, trial: Trial, steps: int) -> Asked:
        """What is asked of one that has made so many steps."""
        tags = {**TAGS, "gelo.state": "training"}
        return Asked(
            trial.key, self.labels[trial.key], trial.flat(), "RUNNING", tags, wanted=checked(curve(trial, steps))
        )

    def send(self, *asked: Asked) -> int:
        for each in asked:
            self.outbox.put(each)
        sent = self.outbox.send()
        assert self.outbox.away is None, self.outbox.away
        return sent

    def report(self) -> None:
        """As at the end of a sweep: a table, a page and a picture, and the headline."""
        folder = self.root / "report"
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        (folder / "gelo.csv").write_text("trial,gelo\n" + "".join(f"{key},1\n" for key in self.labels))
        (folder / "index.html").write_text("<h1>small: what specialisation cost</h1>")
        (folder / "pictures" / "trade.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>')
        headline = {
            "trials/all": float(len(self.trials)),
            "gain/faces/highest": 0.3,
            "gelo/zero_shot/faces/lowest": 0.6,
        }
        self.outbox.report([Metric(*each) for each in headline.items()], HEADLINE, UPath(folder))
