"""What `gelo compare` says: tables and sentences for people, a document for programs, and a CSV."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from gelo.analysis.finding import signed
from gelo.analysis.sides import Side
from gelo.analysis.versus import LEVEL, Left, Row, Versus
from gelo.models.words import counted
from gelo.tasks.metricnames import MEAN, parse_metric
from gelo.tasks.results import per_cent

HEADINGS = ("", "A", "B", "B - A [95 %]", "p", "verdict")
PAIRS = ("trial", "A better", "B better", "level", "zero-shot B - A", "p over sets")
COLUMNS = (
    "trial_a", "trial_b", "label_a", "label_b", "suite", "dataset", "metric", "a", "b", "difference", "low", "high", "unit", "units",
    "test", "p", "p_holm", "effect", "verdict", "note",
)  # fmt: skip
NAMED = 4


def tables(found: Versus) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """(title, headings, rows) of two trials by suite and metric, of two sweeps a row a pair of trials. Shares in per cent, p adjusted."""
    if len(found.pairs) > 1:
        yield "trials that both have", PAIRS, [_pair(found, *pair) for pair in found.pairs]
        return
    by: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in (*found.rows, *found.over):
        by[row.suite, parse_metric(row.metric)[2]].append(row)
    for names, rows in by.items():
        yield " ".join(names), HEADINGS, [_line(row) for row in rows]


def sentences(found: Versus, names: tuple[str, str]) -> list[str]:
    """How many comparisons, what was left out, and what one side alone has. names: as A and B were asked for."""
    told = [_how(found)] if found.compared else ["Nothing was tested."]
    if found.compared_over:
        many = f", adjusted over {counted(found.compared_over, 'test')}" if found.compared_over > 1 else ""
        told.append(f"Over data sets: Wilcoxon signed rank on the sets' differences{many}.")
    told += [
        f"{places}: {note}." for note, places in _gathered([(_place(row), row.note) for row in found.rows if row.note])
    ]
    told += [
        f"{places}: {note}." for note, places in _gathered([(row.suite, row.note) for row in found.over if row.note])
    ]
    left = [("/".join(each.place), each.why) for each in found.left]
    told += [f"Not compared, {why}: {places}." for why, places in _gathered(left)]
    for side, name in zip("AB", names, strict=True):
        mine = ["/".join(each.place) for each in found.missing if each.why.startswith(side)]
        if mine:
            told.append(f"Results of {side} ({name}) alone: {_few(list(dict.fromkeys(mine)))}.")
    for side, name, trials in zip("AB", names, found.alone, strict=True):
        if trials:
            told.append(f"Trials of {side} ({name}) alone, {len(trials)}: {_few([_called(each) for each in trials])}.")
    return told


def document(found: Versus, names: tuple[str, str]) -> dict[str, Any]:
    """For `--json`: plain values; fractions as the results have them."""
    return {
        "a": names[0],
        "b": names[1],
        "level": LEVEL,
        "comparisons": {"by_dataset": found.compared, "over_datasets": found.compared_over},
        "pairs": [[_called(side) for side in pair] for pair in found.pairs],
        "rows": [_record(row) for row in found.rows],
        "over_datasets": [_record(row) for row in found.over],
        "not_compared": [_absent(each) for each in found.left],
        "one_side_alone": [_absent(each) for each in found.missing],
        "trials_of_a_alone": [_called(side) for side in found.alone[0]],
        "trials_of_b_alone": [_called(side) for side in found.alone[1]],
        "faults": [str(fault) for fault in found.faults],
    }


def to_csv(found: Versus) -> bytes:
    """UTF-8, LF: a row for each metric, then those over data sets, then what was not compared with its reason as the note."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for row in (*found.rows, *found.over):
        writer.writerow({name: "" if value is None else value for name, value in _record(row).items()})
    for each in (*found.left, *found.missing):
        note = each.why if each in found.left else f"{each.why} has it"
        writer.writerow(
            {**_sides(each), "suite": each.place[0], "dataset": each.place[1], "verdict": "not compared", "note": note}
        )
    return stream.getvalue().encode()


def _pair(found: Versus, one: Side, other: Side) -> tuple[str, ...]:
    mine = [row for row in found.rows if row.one is one]
    counts = [sum(row.verdict == told for row in mine) for told in ("A better", "B better", "not told apart")]
    over = next((row for row in found.over if row.one is one and row.suite == "zero_shot"), None)
    difference = "" if over is None or over.difference is None else signed(100 * over.difference)
    return (
        _called(one),
        *map(str, counts),
        difference,
        "" if over is None or over.adjusted is None else _p(over.adjusted),
    )


def _line(row: Row) -> tuple[str, ...]:
    part = parse_metric(row.metric)[1]
    name = part if row.dataset else f"{MEAN} of {row.units}"
    factor, digits = (100, 1) if per_cent(row.metric) == 100 else (1, 4)
    values = ["" if value is None else f"{factor * value:.{digits}f}" for value in (row.a, row.b)]
    change = "" if row.difference is None else signed(factor * row.difference, digits)
    if row.low is not None and row.high is not None:
        change += f" [{signed(factor * row.low, digits)}, {signed(factor * row.high, digits)}]"
    return name, *values, change, "" if row.adjusted is None else _p(row.adjusted), row.verdict


def _how(found: Versus) -> str:
    units: dict[str, dict[str, None]] = defaultdict(dict)
    for row in found.rows:
        if row.p is not None:
            units[row.test][f"{row.unit}s"] = None
    tests = [f"{test} ({', '.join(of)})" for test, of in units.items()]
    many = f", p adjusted by Holm over {counted(found.compared, 'comparison')}" if found.compared > 1 else ""
    return f"On the same units: {'; '.join(tests)}{many}; better: p below {LEVEL:g}. Intervals: paired bootstrap, each for itself."


def _p(value: float) -> str:
    return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def _place(row: Row) -> str:
    return f"{row.suite}/{row.dataset}"


def _called(side: Side) -> str:
    return side.key if side.label == side.key else f"{side.label} ({side.key})"


def _gathered(told: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(why, places), each reason once."""
    by: dict[str, list[str]] = defaultdict(list)
    for place, why in told:
        by[why].append(place)
    return [(why, _few(list(dict.fromkeys(places)))) for why, places in by.items()]


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more (--json lists all)" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _sides(of: Row | Left) -> dict[str, Any]:
    return {
        "trial_a": of.one.key, "trial_b": of.other.key, "label_a": of.one.label, "label_b": of.other.label,
    }  # fmt: skip


def _record(row: Row) -> dict[str, Any]:
    own = {name: getattr(row, name) for name in COLUMNS if name not in ("p_holm", *_sides(row))}
    return {name: ({**own, **_sides(row), "p_holm": row.adjusted})[name] for name in COLUMNS}


def _absent(each: Left) -> dict[str, Any]:
    return {**_sides(each), "suite": each.place[0], "dataset": each.place[1], "why": each.why}
