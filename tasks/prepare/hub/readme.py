"""What a repository's README.md says of its data in its front matter: configurations, their files, features and rows.

Formats: huggingface/datasets: src/datasets/utils/metadata.py, src/datasets/info.py. The front matter is read as text alone, so that a
class called `no` or `1` keeps its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gelo.tasks.prepare.hub.info import CARD, INFOS, Info, info_from, read_json, read_text
from gelo.tasks.prepare.tree import Tree


@dataclass(frozen=True, slots=True)
class Configured:
    """A configuration of README.md. patterns: of paths below `folder` by split; under "" of files whose names say it. default: whether it
    is the one that is meant where nobody chooses."""

    name: str
    patterns: Mapping[str, tuple[str, ...]]
    folder: str = ""
    default: bool = False


def read_infos(tree: Tree, folder: Path) -> list[Info]:
    """What README.md or the older `dataset_infos.json` says of each configuration."""
    front = read_front_matter(tree, folder / CARD)
    said = front.get("dataset_info") or []
    infos = [info_from(CARD, one) for one in (said if isinstance(said, list) else [said]) if isinstance(one, dict)]
    if not infos and (folder / INFOS).is_file():
        loaded = read_json(tree, folder / INFOS, "descriptions by configuration")
        items = loaded.items() if isinstance(loaded, dict) else ()
        infos = [info_from(INFOS, {"config_name": name, **one}) for name, one in items if isinstance(one, dict)]
    return infos


def read_configs(tree: Tree, folder: Path) -> list[Configured]:
    """The configurations that README.md names with files of their own."""
    listed = read_front_matter(tree, folder / CARD).get("configs")
    configs = []
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict) or not (one.get("data_files") or one.get("data_dir")):
            continue
        patterns: dict[str, tuple[str, ...]] = {}
        files = one.get("data_files") or []
        for entry in files if isinstance(files, list) else [files]:
            split, path = (entry.get("split", ""), entry.get("path", "")) if isinstance(entry, dict) else ("", entry)
            paths = tuple(str(part).removeprefix("./") for part in (path if isinstance(path, list) else [path]))
            patterns[str(split)] = patterns.get(str(split), ()) + paths
        below = str(one.get("data_dir") or "").removeprefix("./").rstrip("/")
        default = str(one.get("default", "")).lower() == "true"
        configs.append(Configured(str(one.get("config_name", "default")), patterns, below, default))
    return configs


def read_front_matter(tree: Tree, path: Path) -> dict[str, Any]:
    """The YAML between the first two lines of `---`; {} where there is none."""
    if not path.is_file():
        return {}
    lines = read_text(tree, path).splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in lines[1:]:
        return {}
    try:
        loaded = yaml.load("\n".join(lines[1 : lines.index("---", 1)]), yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:160]
        tree.fault(path, f"its front matter is not YAML ({said})", "YAML between two lines of ---")
        return {}
    return loaded if isinstance(loaded, dict) else {}
