"""`gelo import`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gelo.sweeps.cli.base import AsJson, app, console, errors
from gelo.sweeps.terminal.listing import say


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="NN_backbone.pth as FRoundation, MADation or FoundPAD saves it.")],
    to: Annotated[Path, typer.Option(help="A new folder; its last part is the encoder's name.")],
    header: Annotated[Path | None, typer.Option(help="NN_header.pth beside it: the detector's head.")] = None,
    as_: Annotated[
        str | None,
        typer.Option("--as", help="froundation, madation or foundpad. [default: by the rank of its LoRA, 16, 2 or 8]"),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="LoRA's alpha, which stands in no file: gamma = alpha / sqrt(rank).")
    ] = None,
    gamma: Annotated[float | None, typer.Option(help="The factor on B A itself, in place of --alpha.")] = None,
    backbone: Annotated[str | None, typer.Option(help="The architecture. [default: by the shapes]")] = None,
    base_weights: Annotated[
        Path | None,
        typer.Option(help="The backbone's weights, to compare what was frozen. [default: if they are here]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring a checkpoint that one of the papers published into a folder that evaluate, export and sweeps take as a trained trial.

    Example: `gelo import 40_backbone.pth --alpha 16 --to fr-webface`,
    `gelo import 40_backbone.pth --header 40_header.pth --alpha 4 --to madation-b16`
    """
    from gelo.sweeps.exchange.imported import Asked, bring
    from gelo.sweeps.terminal.progress import waiting

    asked = Asked(file, to, header, as_, alpha, gamma, backbone, base_weights)
    with waiting("the checkpoint to be read", lambda text: say(errors, text)):
        brought = bring(asked)
    if as_json:
        told = {"trial": brought.trial.document(), **brought.document}
        typer.echo(json.dumps(told, indent=1))
        return
    for remark in brought.remarks:
        say(console, remark)
    spec = brought.spec
    lora = "" if spec.rank is None else f", LoRA of rank {spec.rank} merged with gamma {spec.gamma:g}"
    say(console, f"{brought.trial.label}{lora}: gelo evaluate {to}")
