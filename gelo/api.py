"""What notebooks call: the same code, defaults and checks as the commands of the same names. A mistake is raised as `UserError`.

Folders count from the working folder, as on the command line; `GELO_STORAGE`, `GELO_TRACKING`, `GELO_DATA`, `GELO_CACHE` and
`GELO_CACHE_LIMIT` hold where nothing is given.
"""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gelo._given import display_of, listed_names, refuse_device, settings_from, spec_of
from gelo.frames import results
from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from gelo.models.encoder import Encoder
    from gelo.sweeps.spec.sweep import SweepSpec
    from gelo.tasks.results import Result


def load(
    name: str | Path,
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    storage: str | Path | None = None,
) -> Encoder:
    """The encoder of a name, float32, in eval mode, frozen.

    name: a backbone (`"mini-s"`, `"ViT-B/16"`, any open_clip architecture); `"SWEEP/KEY"`, where KEY is a trial's key, the beginning of
    one, or its label as `gelo status` shows it; or the folder of a trial (a `Path`, or a string). A tower that does not merge into plain
    weights loads too. weights: the backbone's file, in place of the one that the sweep or `GELO_WEIGHTS` says. device: `"cpu"`, `"cuda"`,
    `"cuda:1"`. storage: where sweeps are kept, a folder or a URI.

    The encoder takes uint8 images (N, size, size, 3) as `encoder.transform.to_uint8` makes them of a `PIL.Image`, and strings; it gives
    float32 features (N, `encoder.dim`), not normalised.

    Raises UserError, with the nearest name, for an unknown backbone, sweep or trial and a folder that is no trial; and for a trial that
    is not trained yet, weights that are missing or changed since, and a device that is not here.

    Example:

        encoder = gelo.load("mini-s")
        images = encoder.encode_images(np.stack([encoder.transform.to_uint8(image)]))    # (1, 128)
        texts = encoder.encode_texts(["a photo of a cat", "a photo of a dog"])           # (2, 128)
    """
    from gelo.models.backbones.check import notes_for
    from gelo.models.backbones.zoo import load_backbone
    from gelo.sweeps.cli.base import refuse_places
    from gelo.sweeps.stages.encoders import named_encoder

    refuse_device(str(device))
    settings = settings_from(storage=storage)
    refuse_places(settings, reads=("storage",))
    given = None if weights is None else Path(weights)
    named = named_encoder(name, settings.place())
    ref = named.ref(given)
    encoder = load_backbone(named.backbone, given or named.weights, device) if ref is None else ref.load(str(device))
    for note in notes_for(named.backbone, given or named.weights):
        warnings.warn(note, stacklevel=2)
    return encoder


def evaluate(
    encoder: str | Path | Encoder,
    suites: str | Sequence[str] = ("general",),
    *,
    datasets: str | Sequence[str] = (),
    collection: str | None = None,
    weights: str | Path | None = None,
    storage: str | Path | None = None,
    data: str | Path | None = None,
    cache: str | Path | None = None,
    cache_limit: float | None = None,
    verify: bool | None = None,
    allow_partial: bool = False,
    show: bool = False,
) -> list[Result]:
    """Score one encoder in this process, without Ray or MLflow: the numbers of `gelo evaluate`, to the bit.

    encoder: a name as `load` takes it, or an `Encoder`. One that is given as an object has no trained head (the suites `fr`, `mad`, `pad`
    that need one are left out), and its results say that nobody could look whether it was trained on what is scored: prefer the name.
    suites: of `general`, `biometric`, or single ones such as `zero_shot`; the command's default is both. datasets: only these prepared
    sets, in place of the collection's. collection: `miniature` or `paper`; what fits the backbone if nothing is said. data, cache:
    folders of prepared sets and of what is made of them (out/data and out/cache). cache_limit: gigabytes. verify: hash every shard anew.
    show: progress on stderr.

    Returns one `Result` for each suite and data set: `values` (fractions in [0, 1], or what else their `Metric` says) and `intervals`
    (95 %, low and high) by full metric name, `absent` (why a metric has no value), `counts`.

    Raises UserError where anything that was asked for cannot be scored, as the command ends with exit code 2; with allow_partial the others
    are returned, and each fault is a warning.

    Example:

        (result,) = gelo.evaluate("mini-s", "zero_shot", datasets="shapes")
        result.values["zero_shot/shapes/top1"], result.intervals["zero_shot/shapes/top1"]
        gelo.evaluate("demo/3f9c0a11b2c4", ["biometric"])
    """
    from gelo.sweeps.cli.base import refuse_places
    from gelo.sweeps.stages.single import evaluate_one

    settings = settings_from(storage=storage, data=data, cache=cache, cache_limit=cache_limit, verify=verify)
    refuse_places(settings, reads=("storage", "data"), writes=("cache",))
    given = None if weights is None else Path(weights)
    found, _, faults = evaluate_one(
        encoder, listed_names(suites), given, collection, settings, display_of(show), listed_names(datasets)
    )
    if faults and not allow_partial:
        raise UserError("not scored", faults)
    for fault in faults:
        warnings.warn(f"not scored: {fault}", stacklevel=2)
    return found


@dataclass(frozen=True)
class Run:
    """How a sweep ended. name, storage: as it is found again; folder: where its files lie; trials: how many it has.

    failures: by the key of a trial that failed, its `label`, `kind` ("user", "storage", "fault") and `error`; cut: by the key of a trial
    that a scheduler ended, where (docs/searches.md); faults: what kept single results from being there, all others being saved; report: the
    page; unlogged: what MLflow, which was away, lacks: the same call brings it.
    """

    name: str
    storage: str
    folder: Path | str
    trials: int
    failures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    report: Path | str = ""
    unlogged: str = ""
    cut: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every trial and every result is there."""
        return not self.failures and not self.faults and not self.cut

    def results(self) -> pd.DataFrame:
        """See `gelo.results`."""
        return results(self.name, storage=self.storage)


def run(
    sweep: str | Path | Mapping[str, Any] | SweepSpec,
    *,
    overrides: Mapping[str, Any] | None = None,
    storage: str | Path | None = None,
    tracking: str | None = None,
    data: str | Path | None = None,
    cache: str | Path | None = None,
    cache_limit: float | None = None,
    address: str | None = None,
    cpus: int | None = None,
    verify: bool | None = None,
    show: bool = True,
) -> Run:
    """Run a sweep: start it, go on with it, or find nothing left to do; ends with the report, as `gelo run` does.

    sweep: a preset's name (`"demo"`), the path of a YAML file, its content as a mapping (docs/sweeps.md; adaptations, remedies and heads
    may be specs, such as `gelo.Lora(rank=8)`), or a `SweepSpec`. overrides: of a preset or a file, by dotted key, as `--set` takes them:
    `{"seeds": [0, 1], "tasks.faces.epochs": 2}`. storage (out), tracking (sqlite:///out/mlflow.db), data (out/data), cache (out/cache),
    cache_limit (100 GB), address (a Ray cluster's; this machine alone), cpus (all), verify: as the command's options. show: progress on
    stdout.

    Raises UserError for whatever the check finds, before anything is started, in one error, and where a limit or `patience` ended the run.
    A trial that fails raises nothing: see `Run.failures`. When the kernel is interrupted the running trials save a checkpoint and
    KeyboardInterrupt is raised; the same call goes on. Call it from the main thread, with no Ray running in this process.

    Example:

        done = gelo.run({"name": "mine", "backbones": ["mini-s"], "tasks": {"faces": {"adaptation": gelo.Lora(rank=4)}}})
        assert done.complete, done.failures
        done.results()
    """
    from gelo.sweeps.state.preflight import preflight

    settings = settings_from(
        storage=storage, tracking=tracking, data=data, cache=cache, cache_limit=cache_limit, address=address, cpus=cpus, verify=verify,
    )  # fmt: skip
    spec = spec_of(sweep, overrides or {})
    if threading.current_thread() is not threading.main_thread():
        raise UserError("run", Fault("gelo.run", "called in a thread", "the main thread, which signals come to"))
    if faults := preflight(spec, settings):  # before the slow imports below
        raise UserError(f"sweep {spec.name}", faults)
    from gelo.analysis.report import write_report
    from gelo.sweeps.engine.signals import lent
    from gelo.sweeps.stages.run import led, run_sweep

    display = display_of(show, out=True)
    with lent(), led(spec.name, settings, display) as lead:
        outcome = run_sweep(spec, settings, display, lead)
        if outcome.stopped == signal.SIGINT:
            raise KeyboardInterrupt(f"sweep {spec.name}: the running trials saved a checkpoint; the same call goes on")
        if outcome.stopped:
            raise SystemExit(128 + outcome.stopped)
        if outcome.halted:
            fault = Fault("run", outcome.halted, "a run to its end", "the same call goes on")
            raise UserError(f"sweep {spec.name}", fault)
        written = write_report(outcome.folder.storage, spec.name, settings.tracking)
        outcome.keep(written.path, written.headline)
    return Run(
        spec.name, settings.storage, outcome.folder.root, len(outcome.folder.spec().trials()), dict(outcome.failures),
        tuple(outcome.faults), written.path / "index.html", outcome.unlogged, dict(outcome.cut),
    )  # fmt: skip
