"""Results in a terminal: one table for an encoder's and a score file's, and below it what a table cannot say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from rich.table import Table

from tasks.results import Result

SAID = (
    "rule_of_30",
    "direction",
    "folds",
    "attack",
    "video",
    "domain",
    "intervals",
)  # the other notes are for readers of the JSON


def results_table(title: str, results: Sequence[Result]) -> Table:
    """Every metric with its value in per cent, its interval and, once a result, what was compared; the title says miniature or partial."""
    partial = sorted({result.dataset for result in results if result.partial})
    table = Table(
        title=title
        + (" (MINIATURE data)" if any(result.scale == "miniature" for result in results) else "")
        + (f" (PARTIAL: {', '.join(partial)})" if partial else "")
    )
    for heading in ("metric", "per cent", "95 % interval", "compared"):
        last = heading == "compared"
        table.add_column(
            heading, no_wrap=not last, overflow="fold" if last else "ellipsis", min_width=24 if last else None
        )
    for result in results:
        counts = ", ".join(f"{n:,} {what}" for what, n in result.counts.items())
        for place, (metric, value) in enumerate(result.values.items()):
            low, high = result.intervals.get(metric, (None, None))
            table.add_row(
                metric,
                f"{100 * value:.2f}",
                "" if low is None or high is None else f"{100 * low:.1f} - {100 * high:.1f}",
                "" if place else counts,
            )
        table.add_section()
    return table


def remarks(results: Sequence[Result]) -> list[str]:
    """Warnings first, then notes that change how a number is read, then the metrics that are not there, gathered by reason."""
    warnings, notes = [], []
    absent: dict[str, list[str]] = defaultdict(list)
    for result in results:
        for kind, text in result.notes.items():
            if kind == "warning":
                warnings.append(f"WARNING {result.suite}/{result.dataset}: {text}")
            elif kind in SAID:
                notes.append(f"{result.suite}/{result.dataset}, {kind}: {text}")
        for metric, reason in result.absent.items():
            absent[reason].append(metric)
    return warnings + notes + [f"not given: {', '.join(metrics)} ({reason})" for reason, metrics in absent.items()]
