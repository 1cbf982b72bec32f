"""`gelo evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from gelo.models.faults import Fault, UserError
from gelo.sweeps.cli.base import (
    AsJson,
    Cache,
    CacheLimit,
    Data,
    Storage,
    Verify,
    app,
    console,
    errors,
    refuse_places,
    settings_of,
)


class _Evaluate(TyperCommand):
    """Help that names what is registered, filled in when somebody reads it: finding that out is not free."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from gelo.tasks.protocols import asked, groups, score_files

        wide = [f"{name} ({' and '.join(within)})" for name, within in groups().items()]
        *files, last = score_files()
        told = {"SUITES": ", ".join([*wide, *asked()]), "PROTOCOLS": f"{', '.join(files)} or {last}"}
        for option in (option for option in self.params if isinstance(option, TyperOption)):
            for name, words in told.items():
                option.help = (option.help or "").replace(f"{{{name}}}", words)
        super().format_help(ctx, formatter)


@app.command(cls=_Evaluate)
def evaluate(
    encoder: Annotated[
        str | None,
        typer.Argument(help="A backbone (mini-s), a trained trial as SWEEP/KEY, or its folder; none with --scores."),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="Comma-separated: {SUITES}. [default: general,biometric]"),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="The backbone's weights, where gelo does not ship them.")] = None,
    collection: Annotated[
        str | None, typer.Option(help="miniature or paper. [default: what fits the backbone]")
    ] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Only these prepared sets; may be repeated.")] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet of scores and labels in place of an encoder: docs/biometrics.md."),
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Of the file of scores: {PROTOCOLS}.")] = None,
    storage: Storage = None,
    data: Data = None,
    cache: Cache = None,
    cache_limit: CacheLimit = None,
    verify: Verify = None,
    as_json: AsJson = False,
) -> None:
    """Score one encoder in this process, without Ray or MLflow; embeddings are shared with sweeps through the cache.
    Or, without any, the scores that a file holds.

    Example: `gelo evaluate mini-s --suite general`, `gelo evaluate demo/3f9c0a11b2c4 --suite biometric --json`,
    `gelo evaluate mini-s --dataset mine`, `gelo evaluate --scores scores.csv --protocol morph`
    """
    if encoder is None or scores is not None or protocol is not None:
        from gelo.sweeps.stages.scorefile import evaluate_file

        beside = {
            "ENCODER": encoder, "--suite": suite, "--weights": weights, "--collection": collection, "--dataset": dataset,
        }  # fmt: skip
        results = [evaluate_file(scores, protocol, [option for option, given in beside.items() if given])]
        means, faults = dict[str, float](), list[Fault]()
    else:
        from gelo.sweeps.stages.single import evaluate_one
        from gelo.sweeps.terminal.progress import Display

        settings = settings_of(storage=storage, data=data, cache=cache, cache_limit=cache_limit, verify=verify)
        refuse_places(settings, reads=("storage", "data"), writes=("cache",))
        suites = tuple(("general,biometric" if suite is None else suite).split(","))
        only = tuple(dataset or ())
        results, means, faults = evaluate_one(encoder, suites, weights, collection, settings, Display(errors), only)
    if as_json:
        typer.echo(json.dumps([result.model_dump(mode="json") for result in results], indent=1))
    else:
        from gelo.sweeps.terminal.results import print_results

        print_results(encoder or str(scores), results, console, means)
    if faults:  # the others are scored and shown
        raise UserError("not scored", faults)
