"""A protocol on a data set, whether it can be run there or not: what cannot be measured is absent with its reason, by one rule for all."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from functools import partial
from typing import cast

from gelo.tasks.catalogue import Protocol, entry_of
from gelo.tasks.embed import View
from gelo.tasks.manifest import Dataset
from gelo.tasks.prompts import Prompts, prompts_for
from gelo.tasks.protocols.tally import undefined
from gelo.tasks.results import MEAN, Suite
from gelo.tasks.suites import WIRING, Scored, Scoring


def why_not(protocol: Protocol, dataset: Dataset) -> str:
    """Why the protocol cannot be run on this data set, by its card alone; "" where it can."""
    wiring, card = WIRING[protocol], dataset.card
    missing = [split for split, _ in wiring.reads if split not in card.splits and split not in wiring.optional]
    lacks = f"{dataset.name} has no {' and no '.join(missing)} split" if missing else ""
    return card.undefined.get(protocol, "") or lacks


def reads_of(protocol: Protocol, dataset: Dataset) -> list[tuple[str, tuple[View, ...]]]:
    """The splits and views that are to be embedded; none where the protocol cannot be run."""
    return [] if why_not(protocol, dataset) else WIRING[protocol].reads_of(dataset)


def prompted(protocols: Iterable[str], undefined: Container[str]) -> bool:
    """Whether any of the protocols asks a text tower, but for those that are undefined here."""
    return any(wiring.prompted for name, wiring in WIRING.items() if name in protocols and name not in undefined)


def prompts_asked(dataset: Dataset) -> Prompts | None:
    """The prompts that the data set's protocols ask; None where none of them asks any."""
    protocols = entry_of(dataset.name, dataset.root.parent).protocols
    asked = bool(dataset.card.classes) and prompted(protocols, dataset.card.undefined)
    return prompts_for(dataset) if asked else None


def run(protocol: Protocol, suites: Sequence[str], scoring: Scoring) -> list[Scored]:
    """The protocol's results of these suites. Raises UserError."""
    wiring, dataset, reason = WIRING[protocol], scoring.dataset, why_not(protocol, scoring.dataset)
    unasked = wiring.prompted and scoring.unasked
    lost = [cast(Suite, suite) for suite in suites if reason or (unasked and suite != wiring.detector)]
    lack = partial(
        undefined, part=f"{scoring.prefix}{MEAN}" if wiring.meant else dataset.name, leaves=wiring.leaves,
        reason=reason or scoring.unasked, dataset=dataset.name, protocol=wiring.protocol, version=wiring.version, **scoring.context,
    )  # fmt: skip
    return [*map(lack, lost), *(wiring.score(scoring) if len(lost) < len(suites) else [])]
