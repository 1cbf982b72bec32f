"""The answers in words, computed. A finding that the numbers do not carry says so: the study must be able to fail."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gelo.analysis.compare import Z95, Comparison
from gelo.analysis.finding import Finding, Verdict, groups, names, signed, spelled
from gelo.analysis.labels import NONE, is_baseline
from gelo.analysis.remedies import remedies
from gelo.tasks.training import TASKS

FACES = "faces"


@dataclass(frozen=True, slots=True)
class Contrast:
    """One comparison of two trials, or of the means of several: `difference` > 0 supports the paper's effect; `margin` is its 95 %
    noise, NaN unknown."""

    where: str
    difference: float
    margin: float

    @property
    def sign(self) -> int:
        """+1 supports, -1 against, 0 within the noise of the test images."""
        if abs(self.difference) <= (0.0 if math.isnan(self.margin) else self.margin):
            return 0
        return 1 if self.difference > 0 else -1


def findings(comparison: Comparison) -> list[Finding]:
    """The three main findings, in this order (what was kept, LoRA against full, larger against smaller), then the gains, then the
    remedies. Where a sweep has several trials of one cell (a grid over rates or epochs), their mean stands for it, and the text says so.
    """
    plain = _plain_trials(comparison)
    main = [_order(comparison, plain), _adaptations(comparison, plain), _sizes(comparison, plain)]
    return [*main, *_gains(comparison, plain), *remedies(comparison)]


def _order(comparison: Comparison, plain: pd.DataFrame) -> Finding:
    """1: what each task x adaptation kept, and whether face recognition forgets most."""
    title = "Does face recognition forget most?"
    kept = plain.dropna(subset=["gelo"])
    if kept.empty:
        return Finding(title, "cannot be said", _nothing(comparison))
    shares = "; ".join(
        f"{task} {', '.join(f'{spelled(name)} {cell.gelo.mean():.3f}' for name, cell in rows.groupby('adaptation'))}"
        for task, rows in kept.groupby("task")
    )
    over = names(kept["backbone"].unique())
    text = f"Zero-shot accuracy kept (GELO, 1 = nothing lost, mean over {over}): {shares}."
    probes = kept.dropna(subset=["gelo_probe"])
    if not probes.empty:
        by_task = ", ".join(f"{task} {rows['gelo_probe'].mean():.3f}" for task, rows in probes.groupby("task"))
        text += f" With a linear probe: {by_task}."
    contrasts = []
    for cell, rows in groups(kept, ["backbone", "adaptation_kind", "seed"]):
        face, others = rows[rows["task"] == FACES], rows[rows["task"] != FACES]
        if len(face) and len(others):
            least = others.groupby("task")["gelo"].mean().sort_index().idxmin()
            rival = others[others["task"] == least]
            contrasts.append(_contrast(f"{cell[0]}, {spelled(cell[1])}", rival, face))
    if not contrasts:
        reason = f"no backbone and adaptation has {FACES} and another task complete"
        return Finding(title, "cannot be said", f"{text} Whether the paper's order shows cannot be said: {reason}.")
    verdict, tally = _tally(contrasts, f"{FACES} kept less than every other task", "another task kept less")
    return Finding(title, verdict, f"{text} {tally}{_several(kept)}")


def _adaptations(comparison: Comparison, plain: pd.DataFrame) -> Finding:
    """2: LoRA forgets less than full fine-tuning."""
    title = "Does LoRA forget less than full fine-tuning?"
    kept = plain.dropna(subset=["gelo"])
    contrasts, pairs = [], []
    for cell, rows in groups(kept, ["task", "backbone", "seed"]):
        full, lora = rows[rows["adaptation_kind"] == "full"], rows[rows["adaptation_kind"] == "lora"]
        for _, low_rank in groups(lora, ["adaptation_parameters_text"]):
            if len(full):
                contrasts.append(_contrast(f"{cell[0]}, {cell[1]}", low_rank, full))
                pairs.append((str(cell[0]), low_rank["gelo"].mean(), full["gelo"].mean()))
    if not contrasts:
        missing = "no task and backbone has both LoRA and full fine-tuning complete"
        return Finding(title, "cannot be said", f"{missing[0].upper()}{missing[1:]}.")
    frame = pd.DataFrame(pairs, columns=["task", "lora", "full"])
    means = "; ".join(f"{t} {r['lora'].mean():.3f} against {r['full'].mean():.3f}" for t, r in frame.groupby("task"))
    verdict, tally = _tally(contrasts, "LoRA kept more", "full fine-tuning kept more")
    text = f"Zero-shot GELO of LoRA against full fine-tuning: {means}. {tally}{_several(kept)}"
    return Finding(title, verdict, text)


def _sizes(comparison: Comparison, plain: pd.DataFrame) -> Finding:
    """3: the larger backbone forgets less than the smaller."""
    title = "Does the larger backbone forget less?"
    order = backbones_by_size(comparison)
    if len(order) < 2:
        alone = comparison.runs.trials["backbone"].nunique() < 2
        reason = "this sweep has one backbone" if alone else "the backbones' sizes are not known"
        return Finding(title, "cannot be said", f"{reason[0].upper()}{reason[1:]}.")
    small, large = order[0], order[-1]
    kept = plain.dropna(subset=["gelo"])
    contrasts, pairs = [], []
    for cell, rows in groups(kept, ["task", "adaptation", "seed"]):
        one, two = rows[rows["backbone"] == large], rows[rows["backbone"] == small]
        if len(one) and len(two):
            contrasts.append(_contrast(f"{cell[0]}, {spelled(cell[1])}", one, two))
            pairs.append((one["gelo"].mean(), two["gelo"].mean()))
    average = comparison.general["zero_shot"].average
    base = {row["backbone"]: average[row["trial"]] for _, row in comparison.runs.trials.iterrows() if is_baseline(row)}
    known = [f"{name} {100 * base[name]:.1f} %" for name in (small, large) if not math.isnan(base.get(name, math.nan))]
    text = f"Untouched, zero-shot average: {', '.join(known)}. " if known else ""
    if not contrasts:
        return Finding(title, "cannot be said", f"{text}No trial is complete on both {small} and {large}.")
    means = np.mean(pairs, axis=0)
    verdict, tally = _tally(contrasts, f"{large} kept more", f"{small} kept more")
    return Finding(title, verdict, f"{text}Mean GELO: {large} {means[0]:.3f}, {small} {means[1]:.3f}. {tally}")


def _gains(comparison: Comparison, plain: pd.DataFrame) -> Iterable[Finding]:
    """What the specialisation bought: verification after - before, detectors against text prompts, in points."""
    for task, title in ((name, task.question) for name, task in TASKS.items()):
        gain, factor = comparison.measures(task), comparison.factor(task)
        share, points = (" %", " points") if factor == 100 else ("", "")
        rows = plain[plain["task"] == task]
        parts, gains = [], []
        for cell, trials in groups(rows, ["backbone", "adaptation"]):
            ends = [
                (
                    comparison.measured(comparison.baseline.get(trial, ""), gain.before),
                    comparison.measured(trial, gain.after),
                )
                for trial in trials["trial"]
            ]
            known = np.array([pair for pair in ends if not any(map(math.isnan, pair))])
            if len(known):
                first, last = known.mean(axis=0)
                gains.append(factor * (last - first))
                many = f", mean of {len(known)} trials" if len(known) > 1 else ""
                name = f"{cell[0]} {spelled(cell[1])}"
                parts.append(f"{name} {factor * first:.2f} to {factor * last:.2f}{share} ({signed(gains[-1])}{many})")
        if parts:
            spread = f"{signed(min(gains))} to {signed(max(gains))}" if len(gains) > 1 else signed(gains[0])
            yield Finding(title, "measured", f"{spread}{points}: {'; '.join(parts)}.")
        elif len(rows):
            missing = f"{', '.join(gain.after)} after, or {', '.join(gain.before)} of the baseline, is missing"
            yield Finding(title, "cannot be said", f"{missing[0].upper()}{missing[1:]}.")


def backbones_by_size(comparison: Comparison) -> list[str]:
    """Backbones by the parameters that their trials' ledgers count, smallest first; [] unless every one is known."""
    trials = comparison.runs.trials
    size = trials.groupby("backbone")["tower_parameters"].max()
    full = trials[trials["adaptation_kind"] == "full"].groupby("backbone")["trainable_parameters"].max()
    size = size.fillna(full).astype(float)
    return [] if size.isna().any() else [str(name) for name in size.sort_values(kind="stable").index]


def _plain_trials(comparison: Comparison) -> pd.DataFrame:
    """Trained trials without a remedy, with gelo, gelo_probe and the error of gelo."""
    trials = comparison.runs.trials
    zero_shot, probe = comparison.general["zero_shot"], comparison.general["probe"]
    frame = trials.assign(
        gelo=trials["trial"].map(zero_shot.gelo),
        gelo_error=trials["trial"].map(zero_shot.gelo_error),
        gelo_probe=trials["trial"].map(probe.gelo),
        adaptation_parameters_text=[str(sorted(item.items())) for item in trials["adaptation_parameters"]],
    )
    return frame[(frame["task"] != NONE) & (frame["remedy_kind"] == NONE)]


def _contrast(where: str, more: pd.DataFrame, less: pd.DataFrame) -> Contrast:
    """Of the mean GELO of either side. Trials of one side share their test images, so their mean is as noisy as one of them."""
    errors = [float(side["gelo_error"].mean()) for side in (more, less)]
    return Contrast(where, float(more["gelo"].mean() - less["gelo"].mean()), Z95 * math.hypot(*errors))


def _several(kept: pd.DataFrame) -> str:
    """What is said where cells have several trials; "" where each has one."""
    most = int(kept.groupby(["backbone", "task", "adaptation_kind", "seed"]).size().max())
    return (
        f" Up to {most} trials stand for one backbone, task and adaptation: their mean is compared." if most > 1 else ""
    )


def _tally(contrasts: Sequence[Contrast], supports: str, against: str) -> tuple[Verdict, str]:
    """The verdict over several comparisons, and the sentence that counts them."""
    yes, no, even = (sum(contrast.sign == sign for contrast in contrasts) for sign in (1, -1, 0))
    verdict: Verdict
    if yes == len(contrasts):
        verdict = "yes"
    elif yes > no:  # more for it than against it, the others within the noise
        verdict = "in part"
    elif yes or no:
        verdict = "no"
    else:
        verdict = "cannot be said"
    words = [f"{supports} in {yes} of {len(contrasts)} comparisons"]
    if no:
        words.append(f"{against} in {no}")
    if even:
        words.append(f"{even} within the noise of the test images")
    against_where = [contrast.where for contrast in contrasts if contrast.sign < 0]
    tail = f" Against the paper: {'; '.join(against_where)}." if against_where else ""
    return verdict, f"Counted: {', '.join(words)}.{tail}"


def _nothing(comparison: Comparison) -> str:
    """Why there is no trial to speak of: states and reasons of those that were to be trained without a remedy."""
    trials, why = comparison.runs.trials, comparison.general["zero_shot"].why
    trained = trials[trials["task"] != NONE]
    plain = trained[trained["remedy_kind"] == NONE]
    if len(trained) and plain.empty:
        return "No trial was trained without a remedy."
    states = {key: comparison.status[key].state for key in plain["trial"]}
    told = [
        f"{key} {state}" if state != "complete" else f"{key}: {why.get(key, 'no zero-shot result')}"
        for key, state in states.items()
    ]
    return f"No trained trial has a complete zero-shot suite and baseline ({', '.join(told) or 'none ran'})."
