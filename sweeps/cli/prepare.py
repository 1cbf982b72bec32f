"""`gelo prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gelo.sweeps.cli.base import (
    Data,
    app,
    console,
    refuse_places,
    settings_of,
)


@app.command()
def prepare(
    name: Annotated[str | None, typer.Argument(help="An official set such as food101, or a name for your own.")] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="Folder of the unpacked download, or of your images.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Show all sets: size, licence, where they live, ready or not.")
    ] = False,
    reader: Annotated[
        str | None,
        typer.Option(
            help="For your own: folder (one folder per class), table (CSV, JSON lines or Parquet of path,label), datasets (Hugging Face, "
            "Parquet with images), webdataset (tar shards), pairs (.bin), lfw (folders and pairs.txt), identities (.rec or folders), "
            "templates (IJB's files), morphs or spoofs (CSV)."
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="NAME=train, val, test or none: what a split of the source is; may be repeated."),
    ] = None,
    image: Annotated[str | None, typer.Option(help="Column of the images or their paths.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    config: Annotated[str | None, typer.Option(help="One of several configurations or snapshots.")] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Names of the labels: a name a line, or YAML from label to name.")
    ] = None,
    reading: Annotated[
        str, typer.Option(help="How files become pixels: faithful, or open_clip (docs/protocols.md).")
    ] = "faithful",
    partition: Annotated[int | None, typer.Option(help="Official partition of sun397 or dtd. [default: 1]")] = None,
    prompts: Annotated[Path | None, typer.Option(help="YAML with `templates` and, if you like, `classes`.")] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(help="CSV of five points an image (id,x1,y1,...,x5,y5): align faces to 112 x 112 by them."),
    ] = None,
    near_duplicates: Annotated[
        bool, typer.Option("--near-duplicates", help="Look for images that look alike in two splits, too.")
    ] = False,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Take a tree that is not whole; tables say so.")
    ] = False,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Leave the images in their .rec (MXNet), which has to stay where it is.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Make it anew where it is there already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and say what it is; write nothing.")] = False,
    preview: Annotated[
        bool | None,
        typer.Option("--preview/--no-preview", help="Make a contact sheet. [default: yes, but not of faces]"),
    ] = None,
    data: Data = None,
) -> None:
    """Turn an official download, or your own images, into a data set; nothing is visible before all of it is.

    Example: `gelo prepare food101 --from ~/downloads`, `gelo prepare mine --from photos --reader folder`, `gelo prepare --list`
    """
    from gelo.sweeps.terminal.options import wanted_of
    from gelo.sweeps.terminal.preparation import catalogue_table, prepare_one

    settings = settings_of(data=data)
    refuse_places(settings, reads=("data",))
    folder = Path(settings.data)
    if list_:
        console.print(catalogue_table(folder))
        return
    wanted = wanted_of(
        name, source, reader=reader, split=split or [], image=image, label=label, config=config, classes=classes,
        reading=reading, partition=partition, prompts=prompts, landmarks=landmarks, near=near_duplicates,
        allow_partial=allow_partial, in_place=in_place,
    )  # fmt: skip
    if not dry_run:
        refuse_places(settings, writes=("data",))
    prepare_one(wanted, folder, console, replace=replace, dry_run=dry_run, preview=preview)
