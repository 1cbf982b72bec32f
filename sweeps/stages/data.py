"""The data sets of a sweep: what gelo makes itself is made, all are opened and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gelo.models.durable import is_done
from gelo.models.faults import Fault, UserError
from gelo.sweeps.engine.failures import raised_in
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.embed import verified
from gelo.sweeps.state.folders import prepare_folder
from gelo.sweeps.state.reads import needed_datasets
from gelo.sweeps.terminal.progress import Display, waiting
from gelo.tasks.data.catalogue import locate
from gelo.tasks.data.manifest import Dataset


def opened(
    spec: SweepSpec, settings: Settings, cache: Path, display: Display
) -> tuple[dict[str, Dataset], list[Fault]]:
    """(those that are whole by name, what is wrong with the others). What gelo makes itself is made first where it is missing."""
    import ray

    data = Path(settings.data).absolute()
    names = needed_datasets(spec, data)
    missing = [name for name in names if not is_done(data / name)]
    if missing:
        build, folders = ray.remote(num_cpus=1)(_build), spec.folders
        with display.stage("make data", len(missing), "data sets") as stage:
            pending = [build.remote(name, str(data), folders.get(name)) for name in missing]
            while pending:
                done, pending = ray.wait(pending)
                try:
                    ray.get(done[0])
                except ray.exceptions.RayTaskError as error:
                    if isinstance(own := raised_in(error), OSError | UserError):
                        raise own from None
                    raise
                stage.tick()
    found: dict[str, Dataset] = {}
    faults: list[Fault] = []
    for name in names:
        try:
            with waiting(f"the files of {name} to be checked", display.say):
                found[name] = verified(data / name, cache, anew=settings.verify)
        except UserError as error:
            faults += error.faults
    return found, faults


def _build(name: str, data: str, folder: str | None) -> None:
    """A set that gelo draws, or what a folder of the user's becomes."""
    if folder is None:
        locate(name, Path(data), build=True)
    else:
        prepare_folder(name, Path(folder), Path(data))


def found_in(datasets: Mapping[str, Dataset], name: str) -> Dataset:
    """The data set of this name. Raises UserError where it is none of those that are whole."""
    if name not in datasets:
        raise UserError(f"data set {name}", Fault(name, "not whole, as told before", "a whole data set"))
    return datasets[name]
