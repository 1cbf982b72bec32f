"""Official sets with one folder per class: the label is the official place of the folder's identifier, whichever others are there."""

from __future__ import annotations

from gelo.tasks.prepare.general.lists import OFFICIAL_ORDER, label_of, spoken
from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.names import identifiers_of, names_of
from gelo.tasks.prepare.tree import Tree

_VALID = {"train": "train", "val": "valid", "test": "test"}


def country211(tree: Tree) -> Layout:
    """country211: train, valid and test, folders by country code."""
    return Layout(names_of("country211"), _splits(tree.below("country211"), "country211"), evidence=OFFICIAL_ORDER)


def sst2(tree: Tree) -> Layout:
    """rendered-sst2: train, valid and test with `negative` and `positive`."""
    splits = _splits(tree.below("rendered-sst2"), "sst2")
    return Layout(tuple(map(spoken, identifiers_of("sst2"))), splits, evidence=OFFICIAL_ORDER)


def imagenet_v2(tree: Tree) -> Layout:
    """ImageNet-V2 matched frequency: the label is the folder's number, whatever order the folders sort in."""
    tree = tree.below("imagenetv2-matched-frequency-format-val")
    listed, strange = [], []
    for folder in tree.folders():
        if folder.isascii() and folder.isdecimal() and str(int(folder)) == folder and int(folder) < 1000:
            listed += [(path, int(folder)) for path in tree.files(folder)]
        else:
            strange.append(folder)
    if strange:
        tree.fault(tree.root, f"{len(strange):,} unknown folders, such as {strange[0]!r}", "folders 0 to 999")
    items = tree.items(sorted(listed, key=lambda row: (row[1], row[0])))
    return Layout(names_of("imagenet_v2"), {"test": items}, evidence="the numbers of the folders, 0 to 999")


def imagenet(tree: Tree) -> Layout:
    """ImageNet-1k validation: folders by synset, or the flat archive beside the development kit, whose IDs are those of its meta.mat."""
    kit = tree.below("ILSVRC2012_devkit_t12")
    tree = tree.below("ILSVRC2012_img_val", "val")
    folders = tree.folders()
    if folders:
        return Layout(
            names_of("imagenet"), {"test": _items(tree, "", "imagenet")}, evidence="the synsets of the folders"
        )
    truth = kit.lines("data/ILSVRC2012_validation_ground_truth.txt", "ILSVRC2012_ID of each validation image, in order")
    synsets = kit.matlab("data/meta.mat", "the synsets of ILSVRC 2012").get("synsets", ())
    wnid = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}
    place = label_of(kit, "imagenet", wnid.values(), kit.root / "data/meta.mat")
    listed, odd = [], []
    for number, line in enumerate(truth, start=1):
        if line.isdigit() and wnid.get(int(line)) in place:
            listed.append((f"ILSVRC2012_val_{number:08d}.JPEG", place[wnid[int(line)]]))
        else:
            odd.append(f"line {number}: {line}")
    if odd:
        where = f"{kit.root}/data/ILSVRC2012_validation_ground_truth.txt"
        kit.fault(
            where, f"{len(odd):,} lines are no ILSVRC2012_ID of meta.mat, first {odd[0]}", "an ILSVRC2012_ID a line"
        )
    return Layout(names_of("imagenet"), {"test": tree.items(listed)}, evidence="the synsets of the development kit")


def _splits(tree: Tree, dataset: str) -> dict[str, list[Item]]:
    """Every split that is there; a test split must be."""
    if not (tree.root / "test").is_dir():
        tree.fault(tree.root / "test", "missing", "a folder with one folder per class")
    return {split: _items(tree, place, dataset) for split, place in _VALID.items() if (tree.root / place).is_dir()}


def _items(tree: Tree, place: str, dataset: str) -> list[Item]:
    """The images of one folder of class folders, by official label."""
    prefix = f"{place}/" if place else ""
    label = label_of(tree, dataset, tree.folders(place), tree.root / place)
    return tree.items(
        (path, label[name]) for name in sorted(label, key=label.__getitem__) for path in tree.files(f"{prefix}{name}")
    )
