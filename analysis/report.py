"""The answer: CSVs and one self-contained page in `<storage>/<sweep>/report/`, each file written whole or not at all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

from gelo.analysis import remedies
from gelo.analysis.beside import beside
from gelo.analysis.cells import Table
from gelo.analysis.compare import compare
from gelo.analysis.contenders import contenders
from gelo.analysis.episodes import episodes_table
from gelo.analysis.finding import Finding
from gelo.analysis.findings import findings
from gelo.analysis.folders import children
from gelo.analysis.gaintable import NAME as EQUAL_GAIN
from gelo.analysis.gaintable import gain_table
from gelo.analysis.headline import headline
from gelo.analysis.labels import IDENTITY
from gelo.analysis.page.render import render
from gelo.analysis.pictures import Finished, filed, pictures
from gelo.analysis.prediction import prediction_table
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import build, to_csv
from gelo.models.durable import publish_bytes
from gelo.models.faults import folded
from gelo.models.secrets import redacted


@dataclass(frozen=True)
class Report:
    """Where the report is, and what it found. main: the three main findings, and that on remedies; faults: what could not be read or
    disagrees; headline: the sweep in a few numbers, by metric name."""

    path: UPath
    findings: tuple[Finding, ...]
    faults: tuple[str, ...]
    headline: Mapping[str, float]

    @property
    def main(self) -> tuple[Finding, ...]:
        return (*self.findings[:3], *(finding for finding in self.findings[3:] if finding.title == remedies.TITLE))


def write_report(
    storage: UPath | Path | str,
    sweep: str,
    tracking_uri: str | None = None,
    *,
    published: bool = False,
    forms: Collection[str] = (),
) -> Report:
    """Read the sweep, write zero_shot.csv, linear_probe.csv, biometric.csv, gelo.csv, equal_gain.csv where forgetting curves were kept,
    prediction.csv where drift.json was too, and index.html; `Report.path` = folder. published: our rows beside the paper's too,
    published_zero_shot.csv and so on. forms: those of `pictures.FORMS` in which each picture is a file of the folder `pictures` too.

    With `tracking_uri` every metric is compared with MLflow, and differences are faults on the page. Raises UserError when
    the sweep is unknown or nothing has been scored, and for `published` of a miniature; OSError when the folder cannot be written.
    """
    comparison = compare(read_runs(storage, sweep, tracking_uri))
    tables = build(comparison)
    found = findings(comparison)
    if episodes := episodes_table(comparison, UPath(storage) / sweep):
        tables[episodes.name] = episodes
    if published:
        tables |= beside(comparison)
    folder = UPath(storage) / sweep / "report"
    folder.mkdir(parents=True, exist_ok=True)
    if standing := contenders(comparison):
        tables[EQUAL_GAIN] = gain_table(comparison, standing)
    if foretold := prediction_table(comparison):
        tables[foretold.name] = foretold
    for table in tables.values():
        publish_bytes(folder / f"{table.name}.csv", to_csv(table))
    _remove_others(folder, tables)
    shown: Iterable[Finished] = pictures(comparison)
    if forms:
        shown = filed(folder / "pictures", shown, forms)
    publish_bytes(folder / "index.html", render(comparison, tables, found, shown).encode())
    return Report(
        folder,
        tuple(found),
        tuple(redacted(str(fault)) for fault in folded(comparison.runs.faults)),
        headline(comparison),
    )


def _remove_others(folder: UPath, tables: Mapping[str, Table]) -> None:
    """Tables of an earlier report whose names are none now, such as a renamed one's; what else lies there stays."""
    for file in children(folder):
        other = file.name.endswith(".csv") and file.name.removesuffix(".csv") not in tables
        if other and file.read_bytes().startswith((",".join(IDENTITY) + ",").encode()):
            file.unlink()
