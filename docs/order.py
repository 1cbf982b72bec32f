"""Does the paper's order show in a sweep? By the tests of docs/miniature.md: `python -m docs.order faithful --storage out/faithful`.

Written before the sweeps were run. `kept` is the zero-shot accuracy after, over that of the untouched backbone.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence

import pandas as pd
from scipy import stats

from gelo.analysis.compare import Z95, Comparison, compare
from gelo.analysis.runs import read_runs
from gelo.models.faults import UserError

FACES = "faces"
SHARE = 3 / 4  # of the comparisons that have to agree: 9 of 12, 5 of 6
CELL = ["backbone", "adaptation"]


def measured(comparison: Comparison) -> pd.DataFrame:
    """One row a trained trial without a remedy; `error` is the standard error of `kept`, `gain` in points, + is better."""
    trials = comparison.runs.trials
    plain = trials[(trials["task"] != "none") & (trials["remedy_kind"] == "none")]
    suite = comparison.general["zero_shot"]
    frame = pd.DataFrame(
        {
            "backbone": plain["backbone"], "adaptation": plain["adaptation_kind"], "task": plain["task"], "seed": plain["seed"],
            "kept": plain["trial"].map(suite.gelo), "error": plain["trial"].map(suite.gelo_error),
            "gain": [comparison.gain(trial) for trial in plain["trial"]],
        }
    )  # fmt: skip
    return frame.dropna(subset=["kept"]).reset_index(drop=True)


def comparisons(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each backbone, adaptation and seed that has faces and another task: the task beside faces that kept least, `difference` =
    what it kept - what faces kept, and `sign`: +1 faces kept less, -1 more, 0 within the 95 % noise of the test images."""
    rows = []
    for cell, trials in frame.groupby([*CELL, "seed"], sort=False):
        faces, others = trials[trials["task"] == FACES], trials[trials["task"] != FACES]
        if len(faces) == 1 and len(others):
            rival, own = others.loc[others["kept"].idxmin()], faces.iloc[0]
            difference = rival["kept"] - own["kept"]
            noise = Z95 * math.hypot(rival["error"], own["error"])
            sign = 0 if not abs(difference) > (0.0 if math.isnan(noise) else noise) else 1 if difference > 0 else -1
            rows.append((*cell, rival["task"], difference, sign))
    return pd.DataFrame(rows, columns=[*CELL, "seed", "rival", "difference", "sign"])


def verdict(compared: pd.DataFrame) -> str:
    """`shows`, `reversed`, `in part` or `cannot be said`, with the count."""
    many, yes, no = len(compared), int((compared["sign"] > 0).sum()), int((compared["sign"] < 0).sum())
    need = math.ceil(SHARE * many)
    word = "cannot be said" if not many else "shows" if yes >= need else "reversed" if no >= need else "in part"
    noise = f"{many - yes - no} within the noise of the test images"
    return f"{word}: faces kept least in {yes} of {many} comparisons ({need} needed), another task in {no}, {noise}"


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean over seeds; NaN for one seed."""
    if len(values) < 2:
        return math.nan, math.nan
    series = pd.Series(values)
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * float(series.std(ddof=1)) / math.sqrt(len(values))
    return float(series.mean()) - reach, float(series.mean()) + reach


def unlearned(frame: pd.DataFrame) -> list[str]:
    """Tasks of a cell of which some seed gained nothing, or whose gain is not known: their order says nothing there."""
    found = []
    for cell, trials in frame.groupby([*CELL, "task"], sort=False):
        if not (trials["gain"] > 0).all():
            found.append(" ".join(map(str, cell)))
    return found


def told(frame: pd.DataFrame) -> Iterator[str]:
    """The lines of the answer: a table by backbone and adaptation, and the verdicts."""
    compared = comparisons(frame)
    tasks = list(dict.fromkeys(frame["task"]))
    kept = frame.pivot_table(index=CELL, columns="task", values="kept", sort=False)
    gains = frame.pivot_table(index=CELL, columns="task", values="gain", sort=False).reindex(columns=tasks)
    yield f"| | {' | '.join(f'kept, {task}' for task in tasks)} | least other − faces, mean over seeds (95 %) | gain, points |"
    yield "|---" * (len(tasks) + 3) + "|"
    for cell, row in kept.iterrows():
        own = compared[(compared["backbone"] == cell[0]) & (compared["adaptation"] == cell[1])]["difference"].tolist()
        low, high = interval(own)
        ends = f" ({low:+.3f} to {high:+.3f})" if not math.isnan(low) else " (one seed)"
        mean = f"{sum(own) / len(own):+.3f}{ends}" if own else ""
        gained = ", ".join(f"{task} {gains.loc[cell, task]:+.1f}" for task in tasks)
        yield f"| {' '.join(map(str, cell))} | {' | '.join(f'{row[task]:.3f}' for task in tasks)} | {mean} | {gained} |"
    yield ""
    yield f"All: {verdict(compared)}."
    for kind, rows in compared.groupby("adaptation", sort=False):
        yield f"{kind}: {verdict(rows)}."
    lacking = unlearned(frame)
    yield f"Not learned: {', '.join(lacking)}." if lacking else "Every task gained in every seed."


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.order", description="Whether the paper's order shows.")
    parser.add_argument("sweep")
    parser.add_argument("--storage", default="out")
    given = parser.parse_args(arguments)
    try:
        print("\n".join(told(measured(compare(read_runs(given.storage, given.sweep))))))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
