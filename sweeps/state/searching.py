"""What `gelo plan` says of a search and a scheduler: how many trials are planned, and what nobody knows yet."""

from __future__ import annotations

from typing import Any

from gelo.models.words import counted
from gelo.sweeps.spec.sweep import SweepSpec


def searching(spec: SweepSpec) -> dict[str, Any]:
    """As JSON takes it. studies: of Optuna, each with its `samples` and how many of them are `known` by now; unknown: how many
    configurations are still to be suggested, over all studies; scheduler: what may cut trials, "none" where nothing may."""
    studies: list[dict[str, Any]] = [
        {
            "name": study.name,
            "samples": study.samples,
            "known": len(study.first()) + len(spec.suggested.get(study.name, ())),
        }
        for study in spec.studies()
    ]
    unknown = sum(study["samples"] - study["known"] for study in studies)
    return {"search": spec.search, "studies": studies, "unknown": unknown, "scheduler": spec.scheduler.kind}


def told(found: dict[str, Any]) -> list[str]:
    """The same for people; [] where there is nothing to say."""
    lines = []
    if found["studies"]:
        planned = sum(study["samples"] for study in found["studies"])
        studies = f"{len(found['studies']):,} studies" if len(found["studies"]) > 1 else "1 study"
        lines.append(
            f"search: {studies} of {counted(planned, 'configuration')} in all, {planned - found['unknown']:,} of them known; the others "
            "are suggested from what these measure, so that neither they nor what they cost is in any number here"
        )
    if found["scheduler"] != "none":
        lines.append(
            f"{found['scheduler']} may cut trials before their end: the numbers here are of all trained to their end"
        )
    return lines
