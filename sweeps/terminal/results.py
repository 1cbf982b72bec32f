"""Results in a terminal: one table for an encoder's and a score file's, and below it what a table cannot say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from rich.console import Console

from gelo.sweeps.terminal.listing import Listing, say
from gelo.tasks.prepare.general.official import OFFICIAL
from gelo.tasks.results import LEAK, UNCHECKED, WRAPPED, Result, per_cent, shown

SAID = (
    "rule_of_30",
    "direction",
    "folds",
    "attack",
    "video",
    "domain",
    "intervals",
)  # the other notes are for readers of the JSON


def print_results(
    title: str, results: Sequence[Result], console: Console, means: Mapping[str, float] | None = None
) -> None:
    """The table, averages over sets by name, remarks, and what the authors of CLIP report on official sets."""
    if any(result.values for result in results):
        console.print(results_table(title, results))
    for name, value in (means or {}).items():
        miniature = " (MINIATURE)" if any(result.scale == "miniature" for result in results) else ""
        say(console, f"{name}{miniature}: {100 * value:.2f}")
    for remark in remarks(results):
        say(console, remark)
    said = sorted({f"{name} {OFFICIAL[name].metric}" for name in {r.dataset for r in results} if name in OFFICIAL})
    if said:
        say(console, f"CLIP's authors report: {', '.join(said)}")


def results_table(title: str, results: Sequence[Result]) -> Listing:
    """Every metric with its value in per cent, its interval and, once a result, what was compared; the title says miniature or partial.

    Beside a metric that is no share, those in per cent say so each.
    """
    others = any(per_cent(metric) == 1 for result in results for metric in result.values)
    heading = "value" if others else "per cent"
    partial = sorted({result.dataset for result in results if result.partial})
    table = Listing(
        title + _miniature(results) + (f" (PARTIAL: {', '.join(partial)})" if partial else ""),
        ("metric", heading, "95 % interval", "compared"),
        right=(heading,),
    )
    for result in results:
        counts = ", ".join(f"{n:,} {what}" for what, n in result.counts.items())
        for place, (metric, value) in enumerate(result.values.items()):
            low, high = result.intervals.get(metric, (None, None))
            sign = " %" if others and per_cent(metric) == 100 else ""
            table.add(
                metric,
                f"{shown(metric, value)}{sign}",
                "" if low is None or high is None else f"{shown(metric, low, 1)} - {shown(metric, high, 1)}{sign}",
                "" if place else counts,
            )
        table.section()
    return table


def _miniature(results: Sequence[Result]) -> str:
    """What a title says of generated data: which sets are, where some are not."""
    toys = sorted({result.dataset for result in results if result.scale == "miniature"})
    if not toys:
        return ""
    mixed = any(result.scale != "miniature" for result in results)
    return f" (MINIATURE data: {', '.join(toys)})" if mixed else " (MINIATURE data)"


def remarks(results: Sequence[Result]) -> list[str]:
    """Warnings first, then notes that change how a number is read, then the metrics that are not there, gathered by reason.

    Images that were learnt from and are scored are a warning, told once for all results that they are in.
    """
    warnings, notes = [], []
    absent: dict[str, list[str]] = defaultdict(list)
    leaks: dict[str, list[str]] = defaultdict(list)
    unchecked: dict[str, list[str]] = defaultdict(list)
    wrapped: dict[str, list[str]] = defaultdict(list)
    for result in results:
        where = f"{result.suite}/{result.dataset}"
        for kind, text in result.notes.items():
            if kind == "warning":
                warnings.append(f"WARNING {where}: {text}")
            elif kind == LEAK and result.leak:
                leaks[text].append(where)
            elif kind == UNCHECKED:
                unchecked[text].append(where)
            elif kind == WRAPPED:
                wrapped[text].append(where)
            elif kind in SAID:
                notes.append(f"{where}, {kind}: {text}")
        for metric, reason in result.absent.items():
            absent[reason].append(metric)
    return [
        *_gathered("WARNING {}: {}", leaks),
        *warnings,
        *_gathered("{}: {}", wrapped),
        *notes,
        *_gathered("{}, leaks not checked: {}", unchecked),
        *_gathered("not given: {} ({})", absent),
    ]


def _gathered(form: str, by_text: Mapping[str, Sequence[str]]) -> list[str]:
    return [form.format(", ".join(names), text) for text, names in by_text.items()]
