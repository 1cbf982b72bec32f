"""`gelo export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gelo.sweeps.cli.base import AsJson, Storage, app, console, errors, refuse_places, settings_of
from gelo.sweeps.terminal.listing import say


@app.command()
def export(
    encoder: Annotated[
        str, typer.Argument(help="A trained trial as SWEEP/KEY, or its folder; a backbone's name gives the base.")
    ],
    to: Annotated[Path, typer.Option(help="A new folder.")],
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="open_clip, huggingface, peft or onnx; may be repeated. [default: the first two, and peft of a LoRA]",
        ),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="The image tower as ONNX too (pip install 'gelo-sweeps[onnx]').")
    ] = False,
    weights: Annotated[Path | None, typer.Option(help="The backbone's weights, where gelo does not ship them.")] = None,
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Write an encoder for other libraries, with a card that says what it is and what was measured of it.

    Every format is read back by the library that it is for, and kept only if its features are the same.

    Example: `gelo export demo/3f9c0a11b2c4 --to faces-lora`, `gelo export mini-s --to base --format huggingface`
    """
    from gelo.sweeps.exchange.export import export as written
    from gelo.sweeps.terminal.progress import waiting

    settings = settings_of(storage=storage)
    refuse_places(settings, reads=("storage",))
    with waiting("the formats to be written and read back", lambda text: say(errors, text)):
        facts = written(encoder, to, format_ or (), weights, settings, onnx=onnx)
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
        return
    for name, files in facts["files"].items():
        say(console, f"{name}: {', '.join(files)}")
    say(console, f"{facts['label']} is in {to}; read {to / 'README.md'}")
