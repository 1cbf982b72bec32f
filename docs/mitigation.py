"""What remedies, ranks, rates and numbers of classes do, as Markdown: `python -m docs.mitigation --storage out/mitigation`.

Prints the tables of those of the sweeps `mitigation`, `task_complexity`, `rates` and `lora_rank` that stand there, and writes their
pictures to docs/pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from upath import UPath

from gelo.analysis.compare import Z95, Comparison, compare
from gelo.analysis.contenders import contenders
from gelo.analysis.findings import findings
from gelo.analysis.gaintable import gain_table
from gelo.analysis.pictures.equalgain import EQUAL_GAIN
from gelo.analysis.pictures.swept import SWEPT, described, labels, lines, without
from gelo.analysis.resampling import interval
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import Cell, Row
from gelo.models.faults import UserError

PICTURES = Path(__file__).with_name("pictures")
SETTINGS = {"task_complexity": "classes", "rates": "lr_backbone", "lora_rank": "rank"}  # sweep: what it varies
COLUMNS = {
    "gain": "gain, points", "kept_zero_shot": "zero-shot kept", "kept_probe": "probe kept", "kept_at_90": "kept at 90 % gain",
    "train_seconds": "seconds", "memory_gb": "GB",
}  # fmt: skip
KEEP, LOSE = 0.95, 1.0  # share of zero-shot accuracy kept, points of gain lost: what a remedy should do


def remedies(comparison: Comparison) -> Iterator[str]:
    """The lines of the headline table by backbone, then which approaches keep KEEP at no more than LOSE points lost."""
    table = gain_table(comparison, contenders(comparison))
    for backbone in dict.fromkeys(row.identity["backbone"] for row in table.rows):
        rows = [row for row in table.rows if row.identity["backbone"] == backbone]
        yield from (
            "",
            f"### {backbone}",
            "",
            f"| remedy | {' | '.join(COLUMNS.values())} |",
            "|---" * (len(COLUMNS) + 1) + "|",
        )
        yield from (
            f"| {row.identity['remedy']} | {' | '.join(_shown(row.cells[name]) for name in COLUMNS)} |" for row in rows
        )
        yield from ("", f"{backbone}: {affordable(rows)}")


def affordable(rows: Sequence[Row]) -> str:
    """Those of one backbone's rows that keep KEEP at no more than LOSE points of gain lost, by their means; and by their intervals."""
    plain = next(float(row.cells["gain"].text) for row in rows if row.baseline)
    done, sure = [], []
    for row in rows:
        gain, kept = row.cells["gain"], row.cells["kept_zero_shot"]
        if row.baseline or not gain.text or not kept.text:
            continue
        if float(gain.text) >= plain - LOSE and float(kept.text) >= KEEP:
            done.append(row.identity["remedy"])
            if kept.low is not None and kept.low >= KEEP:
                sure.append(row.identity["remedy"])
    if not done:
        return f"no remedy keeps {KEEP} at no more than {LOSE:g} point of gain lost."
    beyond = (
        f"with the whole interval of what is kept above it: {', '.join(sure)}"
        if sure
        else "none with its whole interval above it"
    )
    return f"{KEEP} or more at no more than {LOSE:g} point of gain lost: {', '.join(done)}; {beyond}."


def over(comparison: Comparison, name: str) -> Iterator[str]:
    """A table over one setting: what is kept, with its interval over seeds and test images, and the gain in points."""
    frame = described(comparison)
    found = lines(frame, name)
    values = sorted({value for line in found for value in line.rows["over"]})
    yield f"| {name} | {' | '.join(f'{value:g}' for value in values)} |"
    yield "|---" * (len(values) + 1) + "|"
    for line, label in zip(found, labels(found), strict=True):
        cells = [_mean(line.rows[line.rows["over"] == value]) for value in values]
        yield f"| {label} | {' | '.join(cells)} |"
    for label, rows in without(frame, name, found).items():
        yield f"| {label}: {_mean(rows)} |{' |' * len(values)}"


def _mean(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    low, high = interval(list(rows["gelo"]), float(rows["margin"].mean()) / Z95)
    gain = f"; {rows['gain'].mean():+.1f}" if rows["gain"].notna().all() else ""
    return f"{rows['gelo'].mean():.3f} ({low:.3f} to {high:.3f}){gain}"


def _shown(cell: Cell) -> str:
    if cell.low is None or cell.high is None:
        return cell.text or "–"
    places = len(cell.text.partition(".")[2])
    return f"{cell.text} ({cell.low:.{places}f} to {cell.high:.{places}f})"


def told(comparison: Comparison) -> Iterator[str]:
    """All lines of one sweep."""
    runs = comparison.runs
    yield f"## {runs.sweep}"
    whole = sum(status.state == "complete" for status in comparison.status.values())
    yield from ("", f"{whole} of {len(runs.trials)} trials complete.", "")
    if runs.sweep in SETTINGS:
        yield from over(comparison, SETTINGS[runs.sweep])
    else:
        yield from (
            f"{each.title}: {each.verdict}. {each.text}"
            for each in findings(comparison)
            if "remed" in each.title.lower()
        )
        yield from remedies(comparison)
    yield ""


def pictures(comparison: Comparison) -> Iterator[Path]:
    """The files written: one of equal gain, or one for the setting that the sweep varies."""
    name = comparison.runs.sweep
    drawn = (SWEPT if name in SETTINGS else EQUAL_GAIN).finished(comparison)
    for each in drawn:
        if name not in SETTINGS or each.drawn.of == SETTINGS[name]:
            PICTURES.mkdir(exist_ok=True)
            path = PICTURES / f"{name}.svg"
            path.write_text(each.svg())
            yield path


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0, or 2 where none of the sweeps is there."""
    parser = argparse.ArgumentParser(
        prog="python -m docs.mitigation", description="Tables and pictures of the sweeps on remedies and settings."
    )
    parser.add_argument("--storage", default="out/mitigation")
    given = parser.parse_args(arguments)
    names = [name for name in ("mitigation", *SETTINGS) if (UPath(given.storage) / name / "sweep.json").exists()]
    try:
        for name in names or ["mitigation"]:
            comparison = compare(read_runs(given.storage, name))
            print("\n".join(told(comparison)))
            for path in pictures(comparison):
                print(f"{path}\n")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
