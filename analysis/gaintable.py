"""The headline table: every approach at equal gain, a row each, with intervals beside and the reason of what is empty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gelo.analysis.cells import Cell, Row, Table
from gelo.analysis.compare import Comparison, General
from gelo.analysis.equal_gain import HEADLINE, LEVELS
from gelo.analysis.labels import NONE
from gelo.analysis.paths import Contender
from gelo.analysis.resampling import Measure, interval

NAME = "equal_gain"
_KEPT = {level: f"kept_at_{100 * level:.0f}" for level in LEVELS}
_MEASURED = ("gain", "kept_zero_shot", "kept_probe", *_KEPT.values(), "area", "hypervolume")
_COSTS = ("train_seconds", "memory_gb")
_HEAD = ("gain", "kept_zero_shot", "kept_probe", _KEPT[HEADLINE])
_MAIN = (*_HEAD, *_COSTS, *(name for name in _MEASURED if name not in _HEAD))
_CHOICE = "several settings, and no validation data of a merge to choose one by: each is in the tables below"


def gain_table(comparison: Comparison, found: Sequence[Contender]) -> Table:
    """Rows by backbone and task; in each those without a remedy first, then by what is kept at `HEADLINE` of the best gain."""
    cells = {id(each): _cells(comparison, each) for each in found}
    places = {cell: place for place, cell in enumerate(dict.fromkeys((each.backbone, each.task) for each in found))}

    def order(each: Contender) -> tuple[int, bool, bool, float, str]:
        text = cells[id(each)][_KEPT[HEADLINE]].text
        return places[each.backbone, each.task], each.kind != NONE, not text, -float(text or 0), each.name

    rows = [Row(_identity(each), each.kind == NONE, cells[id(each)]) for each in sorted(found, key=order)]
    columns = [column for name in _MEASURED for column in (name, f"{name}_low", f"{name}_high")]
    return Table(NAME, (*columns, *_COSTS), _MAIN, tuple(rows), intervals=True)


def _identity(each: Contender) -> dict[str, str]:
    seeds = sorted(each.trials or each.everything)
    return {
        "trial": " ".join(each.trials[seed] for seed in sorted(each.trials)), "backbone": each.backbone, "task": each.task,
        "adaptation": each.adaptation, "remedy": each.remedy, "seed": ", ".join(map(str, seeds)),
    }  # fmt: skip


def _cells(comparison: Comparison, each: Contender) -> dict[str, Cell]:
    factor = comparison.factor(each.task)
    gains = {trial: (comparison.gain(trial), comparison.gain_error(trial)) for trial in each.trials.values()}
    why = next(
        filter(None, map(comparison.why_no_gain, each.trials.values())), "its task or its baseline has no result"
    )
    measured = {"gain": _cell(*_over(each, gains, why), ".2f" if factor == 100 else ".4g")}
    for suite in ("zero_shot", "probe"):
        general = comparison.general[suite]
        measured[f"kept_{suite}"] = _cell(*_over(each, _retained(general, each), _why(general, each)), ".3f")
    for level, name in _KEPT.items():
        measured[name] = _of(each.kept_at(level))
    measured |= {"area": _of(each.area()), "hypervolume": _of(each.hypervolume())}
    cells: dict[str, Cell] = {}
    for name, cell in measured.items():
        ends = {"low": cell.low, "high": cell.high}
        form = ".2f" if name == "gain" else ".3f"
        beside = {f"{name}_{end}": Cell("" if value is None else format(value, form)) for end, value in ends.items()}
        cells |= {name: cell, **beside}
    return cells | _costs(comparison, each)


def _retained(general: General, each: Contender) -> dict[str, tuple[float, float]]:
    return {trial: (float(general.gelo[trial]), float(general.gelo_error[trial])) for trial in each.trials.values()}


def _why(general: General, each: Contender) -> str:
    return next((general.why[trial] for trial in each.trials.values() if general.why.get(trial)), "no result yet")


def _over(
    each: Contender, known: Mapping[str, tuple[float, float]], why: str
) -> tuple[float, tuple[float, float] | None, str]:
    """The mean over the seeds, its interval, and why there is none."""
    if not known:
        return math.nan, None, _CHOICE
    values = [value for value, _ in known.values()]
    if any(map(math.isnan, values)):
        lacking = sum(map(math.isnan, values))
        return math.nan, None, why if len(values) == 1 else f"{lacking} of {len(values)} seeds: {why}"
    error = sum(error for _, error in known.values()) / len(known)  # of the same images: no less for more seeds
    return sum(values) / len(values), interval(values, error), ""


def _of(found: Measure | str) -> Cell:
    if isinstance(found, str):
        return Cell("", found)
    return _cell(found.value, found.interval(), "", ".3f")


def _cell(value: float, ends: tuple[float, float] | None, why: str, form: str) -> Cell:
    if math.isnan(value):
        return Cell("", why)
    low, high = ends if ends is not None and not any(map(math.isnan, ends)) else (None, None)
    return Cell(format(value, form), low=low, high=high)


def _costs(comparison: Comparison, each: Contender) -> dict[str, Cell]:
    """Seconds of the trainings that one trial of it takes, a merge those of all its sources, and memory; means over seeds."""
    if not each.trials:
        return dict.fromkeys(_COSTS, Cell("", _CHOICE))
    described = comparison.runs.trials.set_index("trial")
    seconds, memory = [], []
    for trial in each.trials.values():
        sources = list(described.at[trial, "sources"] or (trial,))
        taken = described.reindex(sources)[["train_seconds", "memory_bytes"]].astype(
            float
        )  # a source that is gone: NaN
        seconds.append(float(taken["train_seconds"].sum(skipna=False)))
        memory.append(float(taken["memory_bytes"].max(skipna=False)))
    timed, held = sum(seconds) / len(seconds), sum(memory) / len(memory) / 1e9
    slow = (
        Cell("", "training.json of a trial that it takes does not say") if math.isnan(timed) else Cell(f"{timed:.1f}")
    )
    large = (
        Cell("", "neither measured nor predicted: an older gelo's training")
        if math.isnan(held)
        else Cell(f"{held:.2f}")
    )
    return {"train_seconds": slow, "memory_gb": large}
