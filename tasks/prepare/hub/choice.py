"""Which of several: revisions and data sets below one folder, or configurations of one set; listed with their rows, for the user to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gelo.models.faults import unknown
from gelo.tasks.prepare.hub.configs import configs_of
from gelo.tasks.prepare.hub.files import DAMAGED, open_data
from gelo.tasks.prepare.hub.names import stems
from gelo.tasks.prepare.hub.parts import Config
from gelo.tasks.prepare.hub.places import current, listed, repositories
from gelo.tasks.prepare.tree import Tree

_SHOWN = 8
_FORM = "a folder of `save_to_disk`, or Parquet files of images and labels"


def chosen_place(tree: Tree) -> Tree | None:
    """The tree of the one repository that lies below the root; None with a fault where there are several, or none."""
    places = repositories(tree.root)
    if len(places) == 1:
        return replace(tree, root=places[0])
    if not places:
        tree.fault(
            tree.root,
            "a cache of the hub without a revision of a data set",
            _FORM,
            "download one: hf download --repo-type dataset NAME",
        )
        return None
    places.sort(key=lambda place: not current(place))
    each = "; ".join(
        f"{place.relative_to(tree.root)}{' (main)' if current(place) else ''}: {_contents(tree, place)}"
        for place in places[:_SHOWN]
    )
    more = f"; and {len(places) - _SHOWN:,} more" if len(places) > _SHOWN else ""
    tree.fault(tree.root, f"{len(places)} revisions or data sets: {each}{more}", "one", f"choose: --from {places[0]}")
    return None


def chosen_config(tree: Tree, configs: Sequence[Config]) -> Config | None:
    """The user's configuration, or the only one; what belongs to the others is left out. None with a fault otherwise."""
    asked = tree.asked.config
    fitting = [config for config in configs if config.name == asked] if asked else configs
    one = fitting[0] if len(fitting) == 1 else None
    if one is not None:
        for file in sorted({file for config in configs for file in config.files()} - one.files()):
            tree.leave(str(file), "of another configuration")
        tree.faults.extend(one.faults)
        return one
    if not configs:
        tree.fault(tree.root, "no .arrow or .parquet file", _FORM)
    elif asked:
        tree.faults.append(unknown("--config", asked, [config.name for config in configs], "configuration"))
    else:
        first, *others = sorted(configs, key=lambda config: not config.default)
        each = "; ".join(f"{config.name} ({rows_of(tree, config)})" for config in configs[:_SHOWN])
        more = f"; and {len(configs) - _SHOWN:,} more" if len(configs) > _SHOWN else ""
        meant = ", which README.md means where nobody chooses" if first.default else ""
        how = f"choose: --config {_quoted(first.name)}{meant} (or {', '.join(_quoted(config.name) for config in others[:_SHOWN])})"
        tree.fault(tree.root, f"{len(configs)} configurations: {each}{more}", "one", how)
    return None


def rows_of(tree: Tree, config: Config) -> str:
    """`train: 24, test: 12 rows`."""
    counts = []
    for split, files in config.splits.items():
        try:
            counts.append(f"{split}: {sum(open_data(Path(tree.root / file)).rows for file in files):,}")
        except DAMAGED:
            counts.append(f"{split}: unreadable")
    return f"{', '.join(counts)} rows"


def _contents(tree: Tree, place: Path) -> str:
    alone = replace(tree, root=place, faults=[], left={})
    there = listed(alone)
    configs = configs_of(alone, there, stems(there.data))
    return "; ".join(f"{config.name} ({rows_of(alone, config)})" for config in configs[:_SHOWN]) or "no data"


def _quoted(name: str) -> str:
    return f"'{name}'" if " " in name else name
