"""`gelo results`."""

from __future__ import annotations

import io
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gelo.models.durable import publish_bytes
from gelo.models.faults import Fault, UserError
from gelo.sweeps.cli.answer import printed, rows
from gelo.sweeps.cli.base import Storage, app, errors, folder_of
from gelo.sweeps.terminal.listing import say

if TYPE_CHECKING:
    import pandas as pd


class Format(StrEnum):
    """What is written: every number as rows, or tables for a page or a paper."""

    csv = "csv"
    parquet = "parquet"
    md = "md"
    latex = "latex"


_SUFFIXES = {".csv": Format.csv, ".parquet": Format.parquet, ".md": Format.md, ".tex": Format.latex}


@app.command()
def results(
    names: Annotated[list[str], typer.Argument(help="Sweeps, one or several.", metavar="NAME...")],
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="csv and parquet: a row a trial and metric. md and latex: tables, a row a setting. [default: as --to ends, or csv]",
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="A file. [default: the terminal; not parquet]")] = None,
    curves: Annotated[bool, typer.Option("--curves", help="The forgetting curves in place of the results.")] = False,
    table: Annotated[
        list[str] | None,
        typer.Option(
            help="Of md and latex: this table; may be repeated. [default: zero_shot, linear_probe, biometric]"
        ),
    ] = None,
    intervals: Annotated[bool, typer.Option("--intervals", help="Of md and latex: with 95 % intervals.")] = False,
    published: Annotated[
        bool,
        typer.Option("--published", help="Of md and latex: our rows beside the paper's; of full-size sweeps alone."),
    ] = False,
    storage: Storage = None,
) -> None:
    """Write every number of one or several sweeps: rows for another program, or the paper's three tables for a page.

    LaTeX needs booktabs and graphicx. Bold is the best of one backbone and task where its interval lies apart from every other's.

    Example: `gelo results demo --to numbers.csv`, `gelo results demo demo-remedies --format parquet --to numbers.parquet`,
    `gelo results demo --format latex --to tables.tex`, `gelo results mitigation --curves`
    """
    form = format_ or _SUFFIXES.get(to.suffix.lower() if to else ".csv")
    _refuse(form, to, {"--table": bool(table), "--intervals": intervals, "--published": published}, curves)
    folders = [folder_of(storage, name) for name in dict.fromkeys(names)]
    if form in (Format.csv, Format.parquet):
        frame, faults = rows(folders, curves=curves)
        content = _bytes(frame, form)
    else:
        which: Literal["md", "latex"] = "md" if form is Format.md else "latex"
        text, faults = printed(folders, which, table or (), intervals=intervals, published=published)
        content = text.encode()
    for fault in faults:
        say(errors, f"results: {fault}")
    if to is None:
        typer.echo(content, nl=False)
    else:
        publish_bytes(to, content)
        say(errors, f"results: {to}")


def _refuse(form: Format | None, to: Path | None, of_tables: dict[str, bool], curves: bool) -> None:
    """Raise UserError for options that do not go together."""
    faults = []
    if form is None:
        faults.append(Fault(f"--to {to}", "no known ending", f"one of {', '.join(_SUFFIXES)}", "say --format"))
    if to is not None and (not to.name or to.is_dir()):
        faults.append(Fault(f"--to {to}", "a folder", "a file"))
    if form is Format.parquet and to is None:
        faults.append(Fault("--format parquet", "no file", "a file: it is no text", "say --to FILE.parquet"))
    if form in (Format.csv, Format.parquet):
        faults += [
            Fault(option, f"with {form}", "md or latex, which are tables")
            for option, given in of_tables.items()
            if given
        ]
    elif form and curves:
        faults.append(Fault("--curves", f"with {form}", "csv or parquet, which are rows"))
    if of_tables["--intervals"] and of_tables["--published"]:
        faults.append(
            Fault(
                "--intervals", "with --published", "one of them: behind a number stands its interval or the difference"
            )
        )
    if faults:
        raise UserError("results", faults)


def _bytes(frame: pd.DataFrame, form: Format) -> bytes:
    if form is Format.csv:
        return frame.to_csv(index=False, lineterminator="\n").encode()
    stream = io.BytesIO()
    frame.to_parquet(stream, index=False)
    return stream.getvalue()
