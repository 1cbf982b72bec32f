"""Webdataset tars of labelled images, read where they lie: nothing is unpacked, each image is a slice of its tar.

Layout and names: LAION-AI/CLIP_benchmark: clip_benchmark/datasets/builder.py (`build_wds_dataset`): `<split>/<n>.tar`, `nshards.txt`,
`classnames.txt` in the order of the labels, `zeroshot_classification_templates.txt` with `{c}` for the name, `dataset_type.txt`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pyarrow as pa

from gelo.tasks.prepare.classes import named
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.formats.tarred import read_slice
from gelo.tasks.prepare.general.beside import NAMES, TEMPLATES, TYPE, class_names, class_prompts, is_of_classes
from gelo.tasks.prepare.labels import values_of
from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.roles import check_given
from gelo.tasks.prepare.rows import Rows, mapped
from gelo.tasks.prepare.samples import LABEL, SCHEMA, Samples, split_key
from gelo.tasks.prepare.shards import Found, check_shards, find_shards, stated_images
from gelo.tasks.prepare.splits import ROLES, role_of, settle
from gelo.tasks.prepare.tree import Tree

_FORM = f"<split>/<n>.tar, each sample an image and a .{LABEL}"


def webdataset(tree: Tree) -> Layout:
    """Splits by folder or name (`train/0.tar`, `set-train-0000.tar`); labels from .cls, or from the suffix or JSON key of `--label`.

    Ids: the tar within its set and the sample's key. Faults: no tars, several sets, retrieval or multilabel ones, shards that are missing,
    and those of `tasks.prepare.samples` and `tasks.prepare.formats.tarred`.
    """
    found = find_shards(tree, (NAMES, TEMPLATES, TYPE))
    where = tree.root / found.base
    if not any(found.splits.values()):
        tree.fault(tree.root, "no .tar", _FORM)
        return Layout((), {})
    if not is_of_classes(tree, found.base) or not _one_set(tree, found):
        return Layout((), {})
    notes: tuple[str, ...] = (
        () if found.base == "." else (f"read from {where}, the only folder with tars below {tree.root}",)
    )
    sole = next(iter(found.splits)) if len(found.splits) == 1 else ""
    if sole and role_of(sole) is None and sole not in tree.asked.splits:
        roles = {sole: "test"}
        notes += ("no folder or tar says train or test: all images are taken for test",)
    else:
        roles = settle(found.splits, tree.asked.splits, str(where), tree.faults)
    check_given(tree, found.splits)
    samples = Samples(tree, tree.asked.image.lower().removeprefix("."), tree.asked.label.removeprefix("."))
    read: dict[str, pa.Table] = {}
    stated: dict[str, int] = {}
    for split, role in roles.items():
        if not role:
            for tar in found.splits[split]:
                tree.leave(tar, "of a split that was left out")
        else:
            check_shards(tree, found, split)
            if (images := stated_images(tree, found, split)) is not None:
                stated[role] = stated.get(role, 0) + images
            read[split] = pa.concat_tables([SCHEMA.empty_table(), *(samples.read(tar) for tar in found.splits[split])])
    samples.tell(where)
    return replace(_layout(tree, found, roles, read, samples.used()), stated=stated, notes=(*notes, *samples.notes()))


def _layout(tree: Tree, found: Found, roles: dict[str, str], read: dict[str, pa.Table], used: dict[str, str]) -> Layout:
    values = values_of(tree, {split: table["text"].unique().to_pylist() for split, table in read.items()})
    names = class_names(tree, found.base)
    classes = named(tree, values.values(), names, NAMES if names else f"{used['label']} of the tars")
    labels = {text: classes.place[value] for text, value in values.items() if value in classes.place}
    item = partial(_item, str(tree.root), found.base)
    splits = {}
    for role in ROLES:
        parts = [read[split] for split in read if roles[split] == role]
        if parts:
            table = pa.concat_tables(parts)
            table = table.drop_columns("text").append_column("label", mapped(table["text"], labels))
            splits[role] = Rows(table.filter(table["label"].is_valid()), item)
    return Layout(
        classes.classes,
        splits,
        numbered=True,
        evidence=classes.evidence,
        unnamed=classes.unnamed,
        used=used,
        taken={role: tuple(split for split in read if roles[split] == role) for role in splits},
        prompts=class_prompts(tree, found.base, classes.classes) if classes.classes and not classes.unnamed else None,
    )


def _item(root: str, base: str, tar: str, name: str, offset: int, size: int, label: int) -> Item:
    path = f"{root}/{tar}"
    shard = tar.removeprefix(f"{base}/").removesuffix(".tar")
    return Item(f"{shard}/{split_key(name)[0]}", label, f"{path}: {name}", partial(read_slice, path, offset, size))


def _one_set(tree: Tree, found: Found) -> bool:
    outer = list(dict.fromkeys(split.partition("/")[0] for split in found.splits))
    if (
        len(outer) < 2
        or not all("/" in split for split in found.splits)
        or all(split in tree.asked.splits for split in found.splits)
    ):
        return True
    tree.fault(tree.root / found.base, f"{told(outer, len(outer))}: each holds tars of its own", "one data set at a time",
               f"--from {tree.root / found.base / outer[0]}")  # fmt: skip
    return False
