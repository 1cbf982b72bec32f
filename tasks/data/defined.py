"""A protocol on a data set, whether it can be run there or not: what cannot be measured is absent with its reason, by one rule for all."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from functools import partial

from gelo.models.faults import Fault, UserError
from gelo.tasks.data.asking import prompts_for
from gelo.tasks.data.catalogue import entry_of
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.metricnames import MEAN
from gelo.tasks.protocols import PROTOCOLS
from gelo.tasks.protocols.base import View
from gelo.tasks.protocols.tally import undefined
from gelo.tasks.scoring import Scored, Scoring


def why_not(protocol: str, dataset: Dataset) -> str:
    """Why the protocol cannot be run on this data set, by its card alone; "" where it can."""
    declared, card = PROTOCOLS[protocol], dataset.card
    missing = [split for split, _ in declared.reads if split not in card.splits and split not in declared.optional]
    lacks = f"{dataset.name} has no {' and no '.join(missing)} split" if missing else ""
    return card.undefined.get(protocol, "") or card.undefined.get(declared.like, "") or lacks


def reads_of(protocol: str, dataset: Dataset) -> list[tuple[str, tuple[View, ...]]]:
    """The splits and views that are to be embedded; none where the protocol cannot be run."""
    return [] if why_not(protocol, dataset) else PROTOCOLS[protocol].reads_of(dataset)


def prompted(protocols: Iterable[str], undefined: Container[str]) -> bool:
    """Whether any of the protocols asks a text tower, but for those that are undefined here, or that are like one that is."""
    chosen = [each for name, each in PROTOCOLS.items() if name in protocols]
    return any(each.prompted and each.name not in undefined and each.like not in undefined for each in chosen)


def prompts_asked(dataset: Dataset) -> Prompts | None:
    """The prompts that the data set's protocols ask; None where none of them asks any."""
    protocols = entry_of(dataset.name, dataset.root.parent).protocols
    asked = bool(dataset.card.classes) and prompted(protocols, dataset.card.undefined)
    return prompts_for(dataset) if asked else None


def run(protocol: str, suites: Sequence[str], scoring: Scoring) -> list[Scored]:
    """The protocol's results of these suites. Raises UserError."""
    declared, dataset, reason = PROTOCOLS[protocol], scoring.dataset, why_not(protocol, scoring.dataset)
    unasked = declared.prompted and scoring.unasked
    lost = [suite for suite in suites if reason or (unasked and suite != declared.detector)]
    lack = partial(
        undefined, part=f"{scoring.prefix}{MEAN}" if declared.meant else dataset.name, leaves=declared.leaves,
        reason=reason or scoring.unasked, dataset=dataset.name, protocol=declared.says, version=declared.version, **scoring.context,
    )  # fmt: skip
    scored = declared.score(scoring) if len(lost) < len(suites) else []
    for result, _ in scored:
        if (found := result.protocol_version) != declared.version:  # it would be scored anew for ever
            fault = Fault(
                f"protocol {protocol}",
                f"a result of version {found}",
                str(declared.version),
                "PROTOCOL.version in tally.result",
            )
            raise UserError(f"protocol {protocol}", fault)
    return [*map(lack, lost), *scored]
