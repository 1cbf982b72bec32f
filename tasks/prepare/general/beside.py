"""The text files beside the tars of a webdataset, as LAION-AI/CLIP_benchmark: clip_benchmark/datasets/builder.py reads them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from gelo.tasks.data.prompts import Prompts
from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.tree import Tree
from gelo.tasks.scorefiles.textfile import NotTextError, read_lines

NAMES, TEMPLATES, TYPE, COUNT = (
    "classnames.txt",
    "zeroshot_classification_templates.txt",
    "dataset_type.txt",
    "nshards.txt",
)


def class_names(tree: Tree, base: str) -> tuple[str, ...]:
    """Class names in the order of the labels, from beside the splits or from the root; () where no file has them."""
    for place in dict.fromkeys((base, ".")):
        file = str(PurePosixPath(place, NAMES))
        if (names := _lines(tree, file)) is not None:
            if not any(names):
                tree.fault(
                    tree.root / file, "empty", "a name a line", "get it again, or delete it and give --classes FILE"
                )
            blank = [number for number, name in enumerate(names, start=1) if not name]
            fault_each(
                tree,
                tree.root / file,
                blank,
                "blank lines among the names",
                "a name a line: a label counts the lines above its own",
            )
            return tuple(names) if any(names) else ()
    above = tree.root.resolve().parent
    if (above / NAMES).is_file() and not tree.asked.classes:
        tree.fault(
            tree.root,
            f"its {NAMES} lies in the folder above",
            "the folder that holds splits and names",
            f"--from {above}",
        )
    return ()


def class_prompts(tree: Tree, base: str, classes: tuple[str, ...]) -> Prompts | None:
    """The set's own templates for these names; None without them."""
    file = str(PurePosixPath(base, TEMPLATES))
    lines = [line for line in _lines(tree, file) or () if line]
    wrong = [line for line in lines if line.count("{c}") != 1 or set("{}") & set(line.replace("{c}", ""))]
    fault_each(tree, tree.root / file, wrong, "templates of another form", "text with one {c} where the name goes")
    return None if wrong or not lines else Prompts(classes, tuple(line.replace("{c}", "{}") for line in lines))


def is_of_classes(tree: Tree, base: str) -> bool:
    """Whether each image has one class, as dataset_type.txt says where it is there; a fault otherwise."""
    file = str(PurePosixPath(base, TYPE))
    kind = " ".join(_lines(tree, file) or ())
    if kind.lower() in ("", "classification"):
        return True
    tree.fault(
        tree.root / file, f"a set for {kind}", "classification: one class an image, not captions or several labels"
    )
    return False


def stated_shards(tree: Tree, folder: str) -> int | None:
    """The number of shards in a split's folder by its nshards.txt; None without one."""
    file = str(PurePosixPath(folder, COUNT))
    lines = _lines(tree, file)
    if lines is None:
        return None
    if len(lines) != 1 or not re.fullmatch(r"[0-9]{1,9}", lines[0]):
        tree.fault(tree.root / file, told(lines, len(lines)) or "empty", "the number of shards")
        return None
    return int(lines[0])


def _lines(tree: Tree, file: str) -> list[str] | None:
    """Lines stripped, blank ones at the end gone; None where there is no such file or, with a fault, where it is no text."""
    if not (tree.root / file).is_file():
        return None
    path = tree.path(file, "a text file")
    try:
        lines = [line.strip() for line in read_lines(path)] if path is not None else []
    except NotTextError as error:
        tree.fault(tree.root / file, f"not text ({error})", "a text file", error.remedy)
        return None
    while lines and not lines[-1]:
        lines.pop()
    return lines
