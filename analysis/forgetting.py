"""The study's three questions: which task forgets most, does LoRA forget less than full fine-tuning, does the larger backbone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from gelo.analysis.compare import Comparison
from gelo.analysis.contrasts import Contrast, against_all, answer, contrast
from gelo.analysis.finding import Finding, groups, names, spelled
from gelo.analysis.kept import Kept
from gelo.analysis.labels import NONE, is_baseline
from gelo.models.words import differing

FACES = "faces"
MOST_SHOWN = 4  # settings of one adaptation that are told one by one


def order(comparison: Comparison, kept: Kept, plain: pd.DataFrame) -> Finding:
    """1: what each task x adaptation kept, and whether face recognition forgets most."""
    title = "Does face recognition forget most?"
    known = plain.dropna(subset=["gelo"])
    if known.empty:
        return Finding(title, "cannot be said", _nothing(comparison))
    shares = "; ".join(f"{task} {', '.join(_shares(kept, rows))}" for task, rows in known.groupby("task"))
    over = names(known["backbone"].unique())
    text = f"Zero-shot accuracy kept (GELO, 1 = nothing lost, mean over {over}): {shares}."
    probes = known.dropna(subset=["gelo_probe"])
    if not probes.empty:
        by_task = ", ".join(f"{task} {rows['gelo_probe'].mean():.3f}" for task, rows in probes.groupby("task"))
        text += f" With a linear probe: {by_task}."
    text += _worst(kept, known)
    held: list[Contrast] = []
    apart, partly = "", []
    for cell, rows in groups(plain, ["backbone", "adaptation_kind"]):
        where, whole = f"{cell[0]}, {spelled(cell[1])}", rows.dropna(subset=["gelo"])
        face = whole[whole["task"] == FACES]
        rivals = {str(task): whole[whole["task"] == task] for task in sorted(set(rows["task"]) - {FACES})}
        lacking = [task for task, each in rivals.items() if not set(each["seed"]) & set(face["seed"])]
        if alone := next(filter(None, (unlike_settings(face, each) for each in rivals.values())), ""):
            apart = f"the tasks were trained with other {alone} each"
        elif lacking and len(face) and len(lacking) < len(rivals):
            partly.append(f"{where} ({names(lacking)} not complete on a seed of {FACES})")
        elif (found := against_all(kept, where, list(rivals.values()), face)) is not None:
            held.append(found)
    left = f" Not compared, since one of the tasks is missing: {'; '.join(partly)}." if partly else ""
    if not held:
        reason = apart or f"no backbone and adaptation has {FACES} and {'every' if partly else 'another'} task complete"
        text += f" Whether the paper's order shows cannot be said: {reason}.{left}"
        return Finding(title, "cannot be said", text)
    supports = f"{FACES} kept less than every other task"
    return answer(title, text, held, supports, "another task kept less", f"{_several(known)}{left}")


def adaptations(kept: Kept, plain: pd.DataFrame) -> Finding:
    """2: LoRA forgets less than full fine-tuning."""
    title = "Does LoRA forget less than full fine-tuning?"
    known = plain.dropna(subset=["gelo"])
    contrasts: list[Contrast] = []
    pairs, apart = [], ""
    for cell, rows in groups(known, ["task", "backbone"]):
        full, lora = rows[rows["adaptation_kind"] == "full"], rows[rows["adaptation_kind"] == "lora"]
        for _, low_rank in groups(lora, ["adaptation_parameters_text"]):
            if alone := unlike_settings(low_rank, full):
                apart = f"LoRA and full fine-tuning were trained with other {alone} each, of which none is the one to compare"
            elif (found := contrast(kept, f"{cell[0]}, {cell[1]}", low_rank, full)) is not None:
                contrasts.append(found)
                pairs.append((str(cell[0]), *_means(low_rank, full)))
    if not contrasts:
        missing = apart or "no task and backbone has both LoRA and full fine-tuning complete"
        return Finding(title, "cannot be said", f"{missing[0].upper()}{missing[1:]}.")
    frame = pd.DataFrame(pairs, columns=["task", "lora", "full"])
    means = "; ".join(f"{t} {r['lora'].mean():.3f} against {r['full'].mean():.3f}" for t, r in frame.groupby("task"))
    text = f"Zero-shot GELO of LoRA against full fine-tuning: {means}."
    return answer(title, text, contrasts, "LoRA kept more", "full fine-tuning kept more", _several(known))


def sizes(comparison: Comparison, kept: Kept, plain: pd.DataFrame) -> Finding:
    """3: the larger backbone forgets less than the smaller."""
    title = "Does the larger backbone forget less?"
    by_size = backbones_by_size(comparison)
    if comparison.runs.trials["backbone"].nunique() < 2:
        return Finding(title, "cannot be said", "This sweep has one backbone.")
    if by_size.empty:
        return Finding(title, "cannot be said", "The backbones' sizes are not known.")
    small, large = str(by_size.index[0]), str(by_size.index[-1])
    if alike := [end for end in (small, large) if (by_size == by_size[end]).sum() > 1]:
        same = names(by_size.index[by_size == by_size[alike[0]]].tolist())
        return Finding(
            title, "cannot be said", f"{same} have the same number of parameters, so that none is the one to compare."
        )
    known = plain.dropna(subset=["gelo"])
    contrasts: list[Contrast] = []
    pairs = []
    for cell, rows in groups(known, ["task", "adaptation"]):
        one, two = rows[rows["backbone"] == large], rows[rows["backbone"] == small]
        if (found := contrast(kept, f"{cell[0]}, {spelled(cell[1])}", one, two)) is not None:
            contrasts.append(found)
            pairs.append(_means(one, two))
    average = kept.general.average
    base = {row["backbone"]: average[row["trial"]] for _, row in comparison.runs.trials.iterrows() if is_baseline(row)}
    seen = [f"{name} {100 * base[name]:.1f} %" for name in (small, large) if not math.isnan(base.get(name, math.nan))]
    text = f"Untouched, zero-shot average: {', '.join(seen)}. " if seen else ""
    if not contrasts:
        return Finding(title, "cannot be said", f"{text}No trial is complete on both {small} and {large}.")
    means = np.mean(pairs, axis=0)
    text += f"Mean GELO: {large} {means[0]:.3f}, {small} {means[1]:.3f}."
    return answer(title, text, contrasts, f"{large} kept more", f"{small} kept more")


def backbones_by_size(comparison: Comparison) -> pd.Series:
    """The parameters that the trials' ledgers count by backbone, smallest first; empty unless every one is known."""
    trials = comparison.runs.trials
    size = trials.groupby("backbone")["tower_parameters"].max()
    full = trials[trials["adaptation_kind"] == "full"].groupby("backbone")["trainable_parameters"].max()
    size = size.fillna(full).astype(float)
    return size.iloc[:0] if size.isna().any() else size.sort_values(kind="stable")


def unlike_settings(one: pd.DataFrame, other: pd.DataFrame) -> str:
    """The settings, those of the adaptation among them, in which two sides differ on a seed of both where several stand for one of them, in
    words: means over unlike grids compare nothing. "" where each has one, as chosen for it, or both have the same on every seed."""
    settings = [
        [{**way, **each} for way, each in zip(side["adaptation_parameters"], side["settings"], strict=True)]
        for side in (one, other)
    ]
    varied = sorted({name for each in settings for name in differing(each)})
    taken: list[dict[int, set[tuple[str, ...]]]] = [defaultdict(set), defaultdict(set)]
    for grid, side, rows in zip(taken, settings, (one, other), strict=True):
        for seed, each in zip(rows["seed"], side, strict=True):
            grid[seed].add(tuple(str(each.get(name)) for name in varied))
    shared = taken[0].keys() & taken[1].keys()
    unlike = any(taken[0][seed] != taken[1][seed] and max(len(grid[seed]) for grid in taken) > 1 for seed in shared)
    return names(varied) if unlike else ""


def _shares(kept: Kept, rows: pd.DataFrame) -> Iterator[str]:
    """What one task kept by adaptation and settings; from the least to the most of a kind, where they are more than can be read."""
    for (kind,), alike in groups(rows, ["adaptation_kind"]):
        cells = [(str(name), cell) for name, cell in alike.groupby("adaptation")]
        if len(cells) > MOST_SHOWN:
            means = [cell["gelo"].mean() for _, cell in cells]
            yield f"{spelled(kind)} {min(means):.3f} to {max(means):.3f} over {len(cells)} settings"
        else:
            yield from (f"{spelled(name)} {_mean(kept, cell)}" for name, cell in cells)


def _mean(kept: Kept, rows: pd.DataFrame) -> str:
    """Their mean GELO with its 95 % interval, where that is known."""
    found = kept.mean({int(str(seed)): each["trial"].tolist() for seed, each in rows.groupby("seed")})
    low, high = found.interval()
    ends = "" if math.isnan(low) else f" ({low:.3f} to {high:.3f})"
    return f"{rows['gelo'].mean():.3f}{ends}"


def _means(*sides: pd.DataFrame) -> tuple[float, ...]:
    """The mean GELO of either side over the seeds that both have."""
    seeds = set.intersection(*(set(side["seed"]) for side in sides))
    return tuple(float(side[side["seed"].isin(seeds)].groupby("seed")["gelo"].mean().mean()) for side in sides)


def _worst(kept: Kept, known: pd.DataFrame) -> str:
    """The data set of which each task kept least: a mean may hide it."""
    told = []
    for task, rows in known.groupby("task"):
        shares = kept.by_set(rows["trial"].tolist())
        if len(shares) > 1 and not shares.isna().any():
            told.append(f"{task} {shares.min():.3f} ({shares.idxmin()})")
    return f" Least kept of one data set: {', '.join(told)}." if told else ""


def _several(known: pd.DataFrame) -> str:
    """What is said where cells have several trials a seed; "" where each has one."""
    most = int(known.groupby(["backbone", "task", "adaptation_kind", "seed"]).size().max())
    return (
        f" Up to {most} trials stand for one backbone, task and adaptation: their mean is compared." if most > 1 else ""
    )


def _nothing(comparison: Comparison) -> str:
    """Why there is no trial to speak of: states and reasons of those that were to be trained without a remedy."""
    trials, why = comparison.runs.trials, comparison.general["zero_shot"].why
    trained = trials[trials["task"] != NONE]
    plain = trained[trained["remedy_kind"] == NONE]
    if len(trained) and plain.empty:
        return "No trial was trained without a remedy."
    states = {key: comparison.status[key].state for key in plain["trial"]}
    told: Sequence[str] = [
        f"{key} {state}" if state != "complete" else f"{key}: {why.get(key, 'no zero-shot result')}"
        for key, state in states.items()
    ]
    return f"No trained trial has a complete zero-shot suite and baseline ({', '.join(told) or 'none ran'})."
