"""Sets whose publisher lists the images of each split in text, JSON or MATLAB files."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.names import identifiers_of, names_of
from gelo.tasks.prepare.tree import Tree

OFFICIAL_ORDER = "the publisher's own identifiers"
FLOWER_SPLITS = {"train": "trnid", "val": "valid", "test": "tstid"}  # smaller train than test, as published


def spoken(name: str) -> str:
    """A folder's name as a prompt says it: underscores as blanks, in Unicode's composed form whatever the file system keeps."""
    return unicodedata.normalize("NFC", name).replace("_", " ").replace("/", " ").strip()


def label_of(tree: Tree, dataset: str, there: Iterable[str], where: Path) -> dict[str, int]:
    """The official label of each class that is there, whichever others are missing; one fault for names that the set does not have."""
    order = {name: label for label, name in enumerate(identifiers_of(dataset))}
    there = list(dict.fromkeys(there))
    strange = [name for name in there if name not in order]
    if strange:
        shown = ", ".join(map(repr, strange[:8])) + (f" and {len(strange) - 8:,} more" if len(strange) > 8 else "")
        some = ", ".join(list(order)[:2])
        numbers = (
            "; a number would have to be matched by the publisher's own list"
            if all(n.isdecimal() for n in strange)
            else ""
        )
        tree.fault(where, f"{shown}: no class of {dataset}", f"the publisher's names, such as {some}{numbers}")
    return {name: order[name] for name in there if name in order}


def food101(tree: Tree) -> Layout:
    """food-101: meta/train.json and test.json map a class to its images."""
    tree = tree.below("food-101")
    splits = {}
    for split in ("train", "test"):
        listed = tree.json(f"meta/{split}.json", "the split of Food-101: class -> list of class/number")
        if not isinstance(listed, dict) or not all(
            isinstance(images, list) and all(isinstance(image, str) for image in images) for images in listed.values()
        ):
            tree.fault(tree.root / f"meta/{split}.json", "other content", "a mapping from class to a list of images")
            listed = {}
        splits[split] = listed
    place = label_of(tree, "food101", [name for listed in splits.values() for name in listed], tree.root / "meta")
    found = {
        split: tree.items(
            (f"images/{image}.jpg", place[name]) for name in sorted(listed) if name in place for image in listed[name]
        )
        for split, listed in splits.items()
    }
    return Layout(tuple(spoken(name) for name in identifiers_of("food101")), found, evidence=OFFICIAL_ORDER)


def sun397(tree: Tree, partition: int = 1) -> Layout:
    """SUN397: ClassName.txt in label order; Training_NN.txt and Testing_NN.txt of the ten official partitions."""
    tree = tree.below("SUN397")
    names = tree.lines("ClassName.txt", "the class list of SUN397: /a/abbey, ...")
    label = {name: row for row, name in enumerate(names)}
    splits = {}
    for split, stem in (("train", "Training"), ("test", "Testing")):
        file = f"{stem}_{partition:02d}.txt"
        listed = []
        for line in tree.lines(file, "a partition of SUN397: one /letter/class/image.jpg a line"):
            folder = line.rpartition("/")[0]
            if folder in label:
                listed.append((line.lstrip("/"), label[folder]))
            else:
                tree.fault(f"{tree.root / file}: {line}", f"class {folder!r}", "a class of ClassName.txt")
        splits[split] = tree.items(listed)
    return Layout(tuple(spoken(name[3:]) for name in names), splits, evidence="ClassName.txt")


def stanford_cars(tree: Tree) -> Layout:
    """stanford_cars: annotations as MATLAB structs with `fname` and `class` from 1."""
    tree = tree.below("stanford_cars")
    meta = tree.matlab("devkit/cars_meta.mat", "the class names of Stanford Cars")
    classes = tuple(str(name) for name in np.atleast_1d(meta.get("class_names", ())))
    splits = {}
    for split, file, folder in (
        ("train", "devkit/cars_train_annos.mat", "cars_train"),
        ("test", "cars_test_annos_withlabels.mat", "cars_test"),
    ):
        rows = np.atleast_1d(tree.matlab(file, "annotations with fname and class").get("annotations", ()))
        if rows.size and not {"fname", "class"} <= set(rows.dtype.names or ()):
            tree.fault(tree.root / file, f"fields {rows.dtype.names}", "fields fname and class")
            rows = rows[:0]
        splits[split] = tree.items((f"{folder}/{row['fname']}", int(row["class"]) - 1) for row in rows)
    return Layout(classes, splits, evidence="class_names of devkit/cars_meta.mat")


def fgvc_aircraft(tree: Tree) -> Layout:
    """fgvc-aircraft-2013b at the level of variants: lines of `image variant`."""
    tree = tree.below("fgvc-aircraft-2013b/data", "data")
    names = tree.lines("variants.txt", "the variants of FGVC-Aircraft")
    label = {name: row for row, name in enumerate(names)}
    splits = {}
    for split in ("train", "val", "test"):
        file, listed = f"images_variant_{split}.txt", []
        for line in tree.lines(file, "a split of FGVC-Aircraft: image number and variant"):
            image, _, name = line.partition(" ")
            if name in label:
                listed.append((f"images/{image}.jpg", label[name]))
            else:
                tree.fault(f"{tree.root / file}: {line}", f"variant {name!r}", "a variant of variants.txt")
        splits[split] = tree.items(listed)
    return Layout(tuple(names), splits, evidence="variants.txt")


def dtd(tree: Tree, partition: int = 1) -> Layout:
    """DTD: labels/train1.txt ... test10.txt, lines of `class/image.jpg`."""
    tree = tree.below("dtd/dtd", "dtd")
    listed = {
        split: tree.lines(f"labels/{split}{partition}.txt", "a split of DTD: class/image.jpg")
        for split in ("train", "val", "test")
    }
    class_of = {line: line.partition("/")[0] for lines in listed.values() for line in lines}
    place = label_of(tree, "dtd", class_of.values(), tree.root / "labels")
    splits = {
        split: tree.items((f"images/{line}", place[class_of[line]]) for line in lines if class_of[line] in place)
        for split, lines in listed.items()
    }
    return Layout(tuple(spoken(name) for name in identifiers_of("dtd")), splits, evidence=OFFICIAL_ORDER)


def flowers102(tree: Tree) -> Layout:
    """flowers-102: labels by image number, and the numbers of each split, in MATLAB files."""
    tree = tree.below("flowers-102")
    labels = np.atleast_1d(tree.matlab("imagelabels.mat", "labels from 1, by image number").get("labels", ()))
    numbers = tree.matlab("setid.mat", "trnid, valid and tstid: the image numbers of each split")
    splits: dict[str, list[Item]] = {}
    for split, key in FLOWER_SPLITS.items():
        if numbers and key not in numbers:
            tree.fault(tree.root / "setid.mat", f"no {key}", "trnid, valid and tstid")
        chosen = [int(number) for number in np.atleast_1d(numbers.get(key, ()))]
        for number in (n for n in chosen if not 1 <= n <= len(labels)):
            tree.fault(tree.root / "setid.mat", f"{key} names image {number}", f"1 to {len(labels)}")
        listed = [(f"jpg/image_{n:05d}.jpg", int(labels[n - 1]) - 1) for n in chosen if 1 <= n <= len(labels)]
        splits[split] = tree.items(listed)
    return Layout(names_of("flowers102"), splits, evidence="the numbers of imagelabels.mat, from 1")


def gtsrb(tree: Tree) -> Layout:
    """gtsrb: training folders by class number; the test labels in GT-final_test.csv, semicolons between."""
    tree = tree.below("gtsrb")
    inside = "GTSRB/Training"
    train = [
        (path, int(folder))
        for folder in tree.folders(inside)
        if folder.isdigit()
        for path in tree.files(f"{inside}/{folder}", (".ppm",))
    ]
    rows = list(csv.DictReader(tree.lines("GT-final_test.csv", "Filename;...;ClassId"), delimiter=";"))
    test = []
    for number, row in enumerate(rows, start=2):
        if (row.get("ClassId") or "").isdigit() and row.get("Filename"):
            test.append((f"GTSRB/Final_Test/Images/{row['Filename']}", int(row["ClassId"])))
        else:
            tree.fault(f"{tree.root / 'GT-final_test.csv'} line {number}", str(dict(row)), "Filename and ClassId")
    return Layout(
        names_of("gtsrb"),
        {"train": tree.items(train), "test": tree.items(test)},
        evidence="the numbers of the folders, and ClassId of GT-final_test.csv",
    )
