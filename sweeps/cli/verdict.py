"""Which trial to take, and how two compare, told: where sweeps and analysis meet, with answer.py words."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gelo.models.faults import Fault, UserError, folded
from gelo.models.secrets import redacted
from gelo.sweeps.cli.base import console, errors, refuse_places, settings_of
from gelo.sweeps.terminal.listing import Listing, say

if TYPE_CHECKING:
    from upath import UPath

    from gelo.analysis.recommend import Advice
    from gelo.analysis.versus import Versus
    from gelo.sweeps.state.folder import SweepFolder


def advised(
    folder: SweepFolder, keep: float | None, gain: float | None, task: str | None = None, backbone: str | None = None
) -> tuple[Advice, tuple[Fault, ...]]:
    """Which trial of a sweep to take, and what could not be read. Raises UserError."""
    from gelo.analysis.compare import compare
    from gelo.analysis.recommend import Constraint, recommend
    from gelo.analysis.runs import read_runs
    from gelo.models.storage.scan import listed_once

    constraint = Constraint(keep, gain)
    folder.read()
    with listed_once(folder.root):
        runs = read_runs(folder.storage, folder.name)
        return recommend(compare(runs), folder.root, constraint, task, backbone), runs.faults


def advise(
    folder: SweepFolder,
    storage: str | None,
    keep: float | None,
    gain: float | None,
    task: str | None,
    backbone: str | None,
    as_json: bool,
) -> bool:
    """Print which trial to take; whether any meets the constraint. storage: as it was given. Raises UserError."""
    from gelo.analysis import advice
    from gelo.sweeps.terminal.progress import waiting

    with waiting("this sweep's results", lambda text: say(errors, text)):
        found, faults = advised(folder, keep, gain, task, backbone)
    place = "" if storage is None else f" --storage {shlex.quote(storage)}"
    _unread("recommend", faults)
    if as_json:
        typer.echo(redacted(json.dumps(advice.document(found, place), indent=1)))
        return found.met
    for answer in found.answers:
        _table(advice.title(answer, found), advice.HEADINGS, advice.rows(answer, found), right=advice.HEADINGS[1:3])
        for sentence in advice.sentences(answer, found):
            say(console, redacted(sentence))
        if answer.chosen is not None:  # a command is never broken into lines
            console.print(f"  {redacted(advice.export(answer, found, place))}", markup=False, highlight=False)
        console.print()
    for sentence in advice.closing(found):
        say(console, sentence)
    return found.met


def compared(one: str | Path, other: str | Path, storage: UPath) -> Versus:
    """Two trials or two sweeps. Raises UserError for names that are neither, for one of each, and where nothing can be compared."""
    from gelo.analysis.sides import matched, side_of, sides_of
    from gelo.analysis.versus import versus
    from gelo.models.storage.scan import listed_once

    sweeps, places = zip(*(_named(name, storage) for name in (one, other)), strict=True)
    subject, faults = f"compare {one} {other}", list[Fault]()
    if sweeps[0] != sweeps[1]:
        kinds = ["a sweep" if each else "a trial" for each in sweeps]
        raise UserError(subject, Fault("A and B", " and ".join(kinds), "two sweeps, or two trials"))
    with listed_once(places[0]), listed_once(places[1]):
        if not sweeps[0]:
            sides = [side for place in places if (side := side_of(place, faults)) is not None]
            if len(sides) < 2:
                raise UserError(subject, faults)
            found = versus([(sides[0], sides[1])], faults)
        else:
            mine, theirs = (sides_of(place, faults) for place in places)
            pairs = matched(mine, theirs)
            if not pairs:
                trials = f"{len(mine)} and {len(theirs)} trials, none with the same fields"
                expected = "sweeps that share trials: the same backbone, task, remedy, rates and seed"
                remedy = f"two trials can be compared: gelo compare {one}/KEY {other}/KEY"
                raise UserError(subject, [Fault(f"{one} and {other}", trials, expected, remedy), *faults])
            both = {side.key for pair in pairs for side in pair}
            alone = [tuple(side for side in each if side.key not in both) for each in (mine, theirs)]
            found = versus(pairs, faults, (alone[0], alone[1]))
    if not found.rows:
        why = [
            Fault("/".join(each.place), each.why, "a result that both have, of the same images") for each in found.left
        ]
        nothing = Fault("their results", "none of the same suite and data set", "at least one", "gelo resume")
        raise UserError(subject, [*(why or [nothing]), *faults])
    return found


def set_beside(one: str, other: str, storage: str | None, to: Path | None, as_json: bool) -> None:
    """Print how two trials or sweeps compare; every number into the CSV `to`. Raises UserError."""
    from gelo.analysis import compared as words
    from gelo.models.durable import publish_bytes
    from gelo.sweeps.terminal.progress import waiting

    if to is not None and (to.suffix != ".csv" or to.is_dir()):
        raise UserError("compare", Fault("--to", str(to), "the name of a CSV file", "such as --to compared.csv"))
    settings = settings_of(storage=storage)
    refuse_places(settings, reads=("storage",))
    with waiting("the scores of both", lambda text: say(errors, text)):
        found = compared(one, other, settings.place())
    _unread("compare", found.faults)
    if to is not None:
        publish_bytes(to, redacted(words.to_csv(found).decode()).encode())
    if as_json:
        typer.echo(redacted(json.dumps(words.document(found, (one, other)), indent=1)))
        return
    for place, (side, name) in enumerate(zip("AB", (one, other), strict=True)):
        label = f", {found.pairs[0][place].label}" if "/" in name and len(found.pairs) == 1 else ""
        say(console, redacted(f"{side}: {name}{label}"))
    for title, headings, rows in words.tables(found):
        _table(title, headings, rows, right=headings[1:3])
    for sentence in words.sentences(found, (one, other)):
        say(console, redacted(sentence))
    if to is not None:
        say(console, f"every number: {to}")


def _named(name: str | Path, storage: UPath) -> tuple[bool, UPath]:
    """(whether it is a sweep, its folder or that of the trial). Raises UserError."""
    from gelo.sweeps.stages.encoders import named_encoder
    from gelo.sweeps.state.folder import SweepFolder

    folder = SweepFolder(storage, str(name))
    if not isinstance(name, Path) and folder.exists():
        return True, folder.root
    try:
        found = named_encoder(name, storage)
    except UserError:
        if not isinstance(name, Path) and "/" not in name:
            folder.read()  # no backbone either: it says which sweeps there are
        raise
    if found.place is None:
        expected = "a sweep, or one of its trials: an untouched backbone is the trial SWEEP/KEY of task none"
        raise UserError("compare", Fault(str(name), "a backbone, which has no results of its own", expected))
    return False, found.place.root


def _table(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]], right: tuple[str, ...]) -> None:
    if not rows:
        return
    table = Listing(redacted(title), headings, right=right)
    for row in rows:
        table.add(*map(redacted, row))
    console.print(table)


def _unread(command: str, faults: tuple[Fault, ...]) -> None:
    for fault in folded(faults):
        say(errors, f"{command}: {redacted(str(fault))}")
