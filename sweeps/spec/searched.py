"""The trials of a block that `search: optuna` varies: those that it starts from, and those that were suggested so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from gelo.models.faults import Fault
from gelo.sweeps.spec.grids import MOST, too_many
from gelo.sweeps.spec.study import Study
from gelo.tasks.ledger.trial import Trial

if TYPE_CHECKING:
    from gelo.sweeps.spec.expand import Expansion


def searched(
    expansion: Expansion, where: str, task: str, block: Mapping[str, Any], known: list[str], seed: int
) -> Iterator[Trial | None]:
    """Study by study, which join `expansion.studies`, what is wrong with them its faults. known: the sweep's backbones."""
    alone = {key: value for key, value in block.items() if key != "backbones"}
    for backbone in expansion.backbones_of(where, block, known):
        make = partial(_made, expansion, seed)
        study = Study(where, task, backbone, alone, make, expansion.search_seed, expansion.samples, expansion.startup)
        expansion.studies.append(study)
        faults = study.faults()
        expansion.faults += [fault for fault in faults if fault not in expansion.faults]
        if expansion.samples > MOST:
            expansion.faults.append(too_many(where))
        elif not faults:
            for values in (*study.first(), *expansion.suggested.get(study.name, ())):
                trial = study.trial(values)
                if trial is None:
                    found = f"a configuration that the block cannot have: {dict(values)}"[:200]
                    expansion.faults.append(Fault(f"suggested.{study.name}", found, "what the search suggested"))
                yield trial


def _made(
    expansion: Expansion, seed: int, where: str, task: str, block: Mapping[str, Any], backbone: str
) -> tuple[list[Trial], list[Fault]]:
    """The trials of a block in which nothing is open, and what is wrong with it."""
    alone = type(expansion)(expansion.collection, "optuna", 1, expansion.own)
    made = [alone.make(where, {**each, "seed": seed}) for each in alone.block_of(where, task, block, [backbone])]
    return [trial for trial in made if trial is not None], alone.faults
