"""What `gelo compare` sets beside each other: trials as they lie on storage, their results, and why two results cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from upath import UPath

from gelo.analysis.folders import children
from gelo.models.faults import Fault, UserError
from gelo.models.untrusted import parse_json, read_model
from gelo.tasks.metricnames import MEAN, metric_name, parse_metric
from gelo.tasks.protocols import suite_of, suites
from gelo.tasks.results import Result

_NAMES = ("key", "label")  # of a trial.json, what calls it and is no field
Place = tuple[str, str]  # suite, data set


@dataclass(frozen=True)
class Side:
    """A trial. label: as its trial.json has it. fields: all that it is, as one text: two trials with the same are the same work."""

    folder: UPath
    label: str
    fields: str

    @property
    def key(self) -> str:
        return str(self.folder.name)

    def results(self, faults: list[Fault]) -> dict[Place, Result]:
        """By suite and data set; a file that cannot be read is a fault."""
        found = {}
        for suite in suites():
            for path in children(self.folder / "results" / suite):
                if not path.name.endswith(".json"):
                    continue
                try:
                    result = read_model(path, Result)
                except (UserError, OSError) as error:
                    why = error.faults[0].found if isinstance(error, UserError) else str(error)
                    faults.append(Fault(str(path), f"cannot be read ({why})", "a Result", "delete it and gelo resume"))
                    continue
                found[result.suite, result.dataset] = result
        return found


def side_of(folder: UPath, faults: list[Fault]) -> Side | None:
    """A trial's folder; None, and a fault, where its description cannot be read."""
    path = folder / "trial.json"
    try:
        described = parse_json(path.read_bytes())
        if not isinstance(described, dict):
            raise ValueError(type(described).__name__)
    except (ValueError, OSError) as error:
        faults.append(Fault(str(path), f"cannot be read ({error})", "a trial's description", "gelo resume the sweep"))
        return None
    fields = {name: value for name, value in described.items() if name not in _NAMES}
    return Side(folder, str(described.get("label", folder.name)), json.dumps(fields, sort_keys=True))


def sides_of(sweep: UPath, faults: list[Fault]) -> list[Side]:
    """Every trial of a sweep's folder, by key."""
    return [side for folder in children(sweep / "trials") if (side := side_of(folder, faults)) is not None]


def matched(one: list[Side], other: list[Side]) -> list[tuple[Side, Side]]:
    """The trials that have the same fields on both sides, whatever they are called."""
    by: Mapping[str, Side] = {side.fields: side for side in other}
    return [(side, by[side.fields]) for side in one if side.fields in by]


def apart(one: Result, other: Result) -> str:
    """Why two results of one suite and data set cannot be compared, "" where they can."""
    if one.protocol_version != other.protocol_version:
        return f"protocol version {one.protocol_version} against {other.protocol_version}"
    if one.protocol != other.protocol:
        return f"another protocol: {one.protocol!r} against {other.protocol!r}"
    if not one.data or not other.data:
        return "no fingerprint of its data is kept, so nobody knows whether the images are the same"
    if one.data != other.data:
        return f"other data: fingerprint {one.data} against {other.data}"
    if one.partial != other.partial:
        return "only one side's set lacks some of the official images"
    if one.reading != other.reading:
        return f"files read otherwise: {one.reading} against {other.reading}"
    return ""


def headlines(one: Result, other: Result) -> list[str]:
    """The metrics that are compared: what the suite averages, else its main columns, else all; those that one of both has."""
    suite = suite_of(one.suite)
    if suite.averaged:
        return [metric_name(one.suite, one.dataset, suite.averaged)]
    names = list(dict.fromkeys([*one.values, *one.absent, *other.values, *other.absent]))
    main = []
    for name in names:
        _, part, leaf = parse_metric(name)
        wide = {part, "*", *([MEAN] if suite.parts and part.endswith(MEAN) else [])}
        if any(metric.matches(leaf) and wide & set(metric.main) for metric in suite.metrics):
            main.append(name)
    return main or names
