"""What `gelo plan` found, for people: a table on a terminal, a line a trial elsewhere."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from gelo.models.words import bytes_told, counted
from gelo.sweeps.state.searching import told
from gelo.sweeps.terminal.listing import Listing, say

_HEADINGS = ("key", "state", "images", "epochs", "steps", "batch", "memory", "PFLOPs", "GPU hours", "trial")
_UNKNOWN = "?"


def show(found: dict[str, Any], console: Console) -> None:
    """Trials, what is stored, totals, and what was assumed or is not known."""
    rows = [row for row in found["trials"] if row["trains"]]
    if console.is_terminal:
        table = Listing(f"sweep {found['sweep']}: trials that train", _HEADINGS, right=_HEADINGS[2:9])
        for row in rows:
            table.add(*_cells(row))
        console.print(table)
    else:
        say(console, f"sweep {found['sweep']}: trials that train")
        for row in rows:
            *cells, label = _cells(row)
            told = ", ".join(f"{heading} {cell}" for heading, cell in zip(_HEADINGS[1:], cells[1:], strict=False))
            say(console, f"{cells[0]} {label}: {told}")
    for line in _sentences(found):
        say(console, line)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    parts = "" if row["at_once"] in (None, row["batch"]) else f" (by {row['at_once']:,})"
    memory = _bytes(row["memory_bytes"]) + (" too much" if row["memory_fits"] is False else "")
    flops = _UNKNOWN if row["flops"] is None else f"{row['flops'] / 1e15:,.4g}"
    counts = (_whole(row["images"]), _whole(row["epochs"]), _whole(row["steps"]), f"{row['batch']:,}{parts}")
    return (row["key"], row["state"], *counts, memory, flops, _hours(row["gpu_hours"]), row["label"])


def _sentences(found: dict[str, Any]) -> list[str]:
    totals, assumed, pass_ = found["totals"], found["assumed"], found["embedding"]
    others = totals["trials"] - totals["trained"]
    done = totals["trained"] - totals["left"]
    lacking = f", without {counted(totals['left_without_hours'], 'trial')}" if totals["left_without_hours"] else ""
    attacked = (
        f" and {counted(pass_['attacked'], 'attacked image')} ({pass_['passes_attacked']:,} passes)"
        if pass_["attacked"]
        else ""
    )
    lines = [
        f"{counted(totals['trials'], 'trial')}: {totals['trained']:,} that train, {done:,} of them done; {others:,} that do not train",
        f"to train what is left: {_hours(totals['gpu_hours_left'])} hours of one GPU{lacking}",
        f"to embed what is scored: {pass_['images']:,} images (views counted){attacked} by {counted(pass_['encoders'], 'encoder')}"
        f"{_without(pass_['not_counted'])}: {_hours(totals['gpu_hours_embedding'])} hours of one GPU",
    ]
    unknown, unpacked = (
        sorted(name for name, size in found[kind].items() if size is None) for kind in ("caches", "packs")
    )
    lines += [
        f"decoded images: {_bytes(totals['bytes_caches_known'])}{_without(unknown)}",
        f"images packed for training: {_bytes(totals['bytes_packs_known'])}{_without(unpacked)}",
        f"towers kept: {_bytes(totals['bytes_kept'])}; checkpoints, if all trained at once: {_bytes(totals['bytes_checkpoints_at_most'])}",
    ]
    peaks = ", ".join(f"{peak:g} TFLOPS in {name}" for name, peak in assumed["tflops"].items())
    lines.append(
        f"assumed: {peaks} at the most, of which {assumed['mfu']:.0%} is reached (--tflops, --mfu)"
        if peaks
        else "no hours: the speed of CPUs is not known; say it with --tflops"
    )
    if assumed["memory_bytes"] is None:
        lines.append(
            "memory is that of one process of a trial (its card, with GPUs), predicted to a fifth; --memory GB says what there is"
        )
    lines += told(found["search"])
    if found["unknown"]:
        lines.append(f"not known, and in no number: {', '.join(found['unknown'])}")
    return lines


def _without(names: list[str]) -> str:
    return f", without those of {', '.join(names)}" if names else ""


def _whole(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _bytes(size: float | None) -> str:
    return _UNKNOWN if size is None else bytes_told(size)


def _hours(hours: float | None) -> str:
    return _UNKNOWN if hours is None else f"{hours:,.3g}" if hours < 100 else f"{hours:,.0f}"
