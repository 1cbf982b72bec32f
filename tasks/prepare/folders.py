"""Sets with one folder per class: three official ones, ImageNet's two, and a user's own images."""

from __future__ import annotations

from models.faults import unknown
from tasks.prepare.lists import spoken
from tasks.prepare.names import names_of
from tasks.prepare.tree import Item, Layout, Tree

SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def country211(tree: Tree) -> Layout:
    """country211: train, valid and test, folders by country code; names in the order of the sorted codes."""
    return Layout(names_of("country211"), _splits(tree.below("country211"))[1])


def sst2(tree: Tree) -> Layout:
    """rendered-sst2: train, valid and test with `negative` and `positive`."""
    classes, splits = _splits(tree.below("rendered-sst2"))
    return Layout(classes, splits)


def imagenet_v2(tree: Tree) -> Layout:
    """ImageNet-V2 matched frequency: the label is the folder's number, whatever order the folders sort in."""
    tree = tree.below("imagenetv2-matched-frequency-format-val")
    listed = []
    for folder in tree.folders():
        if folder.isdigit() and int(folder) < 1000:
            listed += [(path, int(folder)) for path in tree.files(folder)]
        else:
            tree.fault(tree.root / folder, "an unknown folder", "folders 0 to 999")
    return Layout(names_of("imagenet_v2"), {"test": tree.items(sorted(listed, key=lambda row: (row[1], row[0])))})


def imagenet(tree: Tree) -> Layout:
    """ImageNet-1k validation: folders by synset (sorted = label), or the flat archive beside the development kit."""
    kit = tree.below("ILSVRC2012_devkit_t12")
    tree = tree.below("ILSVRC2012_img_val", "val")
    folders = tree.folders()
    if folders:
        listed = [(path, label) for label, folder in enumerate(folders) for path in tree.files(folder)]
        return Layout(names_of("imagenet"), {"test": tree.items(listed)})
    truth = kit.lines("data/ILSVRC2012_validation_ground_truth.txt", "ILSVRC2012_ID of each validation image, in order")
    synsets = kit.matlab("data/meta.mat", "the synsets of ILSVRC 2012").get("synsets", ())
    wnid = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}
    order = sorted(wnid.values())
    listed = []
    for number, line in enumerate(truth, start=1):
        if line.isdigit() and int(line) in wnid:
            listed.append((f"ILSVRC2012_val_{number:08d}.JPEG", order.index(wnid[int(line)])))
        else:
            kit.fault(f"{kit.root}/data/ILSVRC2012_validation_ground_truth.txt line {number}", line, "an ILSVRC2012_ID")
    return Layout(names_of("imagenet"), {"test": tree.items(listed)})


def folder(tree: Tree) -> Layout:
    """Any images: `<split>/<class>/...`, or `<class>/...` alone, which all count as test. Labels follow the sorted names."""
    known = {name for names in SPLIT_FOLDERS.values() for name in names}
    inside = tree.folders()
    if known & set(inside):
        for stray in sorted(set(inside) - known):
            tree.faults.append(unknown(str(tree.root / stray), stray, known, "split"))
        classes, splits = _splits(tree)
        return Layout(tuple(spoken(name) for name in classes), splits)
    classes, items = _classes(tree, "", tuple(inside))
    return Layout(tuple(spoken(name) for name in classes), {"test": items})


def _splits(tree: Tree) -> tuple[tuple[str, ...], dict[str, list[Item]]]:
    """Every split that is there; the classes are those of all of them."""
    there = {
        split: next((name for name in names if (tree.root / name).is_dir()), "")
        for split, names in SPLIT_FOLDERS.items()
    }
    if not there["test"]:
        tree.fault(tree.root / "test", "missing", "a folder with one folder per class")
    order = tuple(sorted({name for place in there.values() if place for name in tree.folders(place)}))
    return order, {split: _classes(tree, place, order)[1] for split, place in there.items() if place}


def _classes(tree: Tree, place: str, order: tuple[str, ...]) -> tuple[tuple[str, ...], list[Item]]:
    prefix = f"{place}/" if place else ""
    if not order:
        tree.fault(tree.root / place, "no folders", "one folder per class")
    listed = [
        (path, label)
        for label, name in enumerate(order)
        if (tree.root / f"{prefix}{name}").is_dir()
        for path in tree.files(f"{prefix}{name}")
    ]
    return order, tree.items(listed)
