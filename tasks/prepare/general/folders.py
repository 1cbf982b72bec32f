"""A user's own images, one folder per class: which folders are splits and which are classes, said or refused, never guessed by order.

What a folder is follows from where images lie and from what it is called. A split holds class folders; a class holds images. Where both
readings are possible, nothing is read and the fault says how to choose.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

from gelo.tasks.prepare.classes import named
from gelo.tasks.prepare.domains import FORM, between, inside
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.places import Place, places
from gelo.tasks.prepare.roles import check_given
from gelo.tasks.prepare.splits import ROLES, is_role, role_of, settle
from gelo.tasks.prepare.tree import Tree

_WRAPPERS = ("images", "imgs", "img", "image", "jpegimages", "data")  # between a split and its classes
_TABLE = "where a file says the labels: --reader table"
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def folder(tree: Tree) -> Layout:
    """Any images: `<split>/<class>/...`, or `<class>/...` alone, which count as test. Classes are matched by the names of their folders.

    A folder that holds nothing but one other is entered, and that is said. Faults: splits whose role nothing tells, a folder that is
    itself a train split, splits without class folders, folders one level too high or too low, domains above classes, two folders of one
    name in two Unicode forms.
    """
    top = places(tree)
    if _by_table(tree, top):
        return Layout((), {})
    here = _entered(tree, top)
    kids = list(here.inside.values())
    where = tree.root / here.path
    before = len(tree.faults)
    notes: tuple[str, ...] = ()
    if here is not top:
        notes = (f"read from {where}, the only folder with images below {tree.root}",)
    if not kids:
        _too_low(tree, where, here)
        return Layout((), {})
    if any(kid.name in tree.asked.splits or (kid.deep and role_of(kid.name)) for kid in kids):
        check_given(tree, [kid.name for kid in kids])
        roles = settle([kid.name for kid in kids], tree.asked.splits, str(where), tree.faults)
        unwrapped = {kid.name: _unwrapped(kid) for kid in kids if roles.get(kid.name)}
        inside(tree, unwrapped)
        splits = {name: _classes(tree, place) for name, place in unwrapped.items()}
        for image in here.images:
            tree.leave(image, "an image outside the splits")
        if "test" not in roles.values():
            first = next((name for name in roles), "NAME")
            tree.fault(
                where / "test",
                "missing",
                f"a test split beside {told(list(roles), len(roles))}",
                f"--split {first}=test takes it for one",
            )
        taken: dict[str, tuple[str, ...]] = {
            role: tuple(kid for kid, is_ in roles.items() if is_ == role) for role in ROLES
        }
        found = {role: [splits[kid] for kid in names] for role, names in taken.items() if names}
    else:
        check_given(tree, [here.name])
        role = _sole_role(tree, where, here, kids)
        found, taken = {role: [_classes(tree, here)]}, {role: (here.name or tree.root.resolve().name,)}
        if role_of(here.name or tree.root.resolve().name) != role:
            notes += ("no folder says train or test: all images are taken for test",)
    if len(tree.faults) > before:
        return Layout((), {})
    return _layout(tree, found, {role: names for role, names in taken.items() if names}, notes)


def _layout(
    tree: Tree, found: dict[str, list[dict[str, Place]]], taken: dict[str, tuple[str, ...]], notes: tuple[str, ...]
) -> Layout:
    names = dict.fromkeys(name for parts in found.values() for part in parts for name in part)
    classes = named(tree, names, (), "names of the class folders")
    splits: dict[str, list[Item]] = {}
    nested = 0
    for role, parts in found.items():
        listed = []
        for part in parts:
            for name in sorted(part, key=lambda name: classes.place.get(name, -1)):
                nested += sum(place.count for place in part[name].inside.values())
                listed += [(path, classes.place[name]) for path in part[name].all() if name in classes.place]
        splits[role] = tree.walked(listed)
    if nested:
        notes += (f"{nested:,} images lie in folders inside their class's and count for it",)
    return Layout(classes.classes, splits, evidence=classes.evidence, unnamed=classes.unnamed, taken=taken, notes=notes)


def _by_table(tree: Tree, top: Place) -> bool:
    """Whether a metadata file says the labels, which folders would then not be asked for; a fault that names the reader for it."""
    spots = [tree.root, *(tree.root / kid.path for kid in top.inside.values())]
    listed = [spot / name for spot in spots for name in _METADATA if (spot / name).is_file()]
    if listed:
        tree.fault(
            listed[0],
            "a table of what the images are",
            "folders that say it alone",
            "--reader table reads it, or move it away",
        )
    return bool(listed)


def _entered(tree: Tree, top: Place) -> Place:
    """Down to the first folder that holds images, several folders, or one that is a split."""
    here = top
    while not here.images and len(here.inside) == 1:
        (only,) = here.inside.values()
        if not only.deep or only.name in tree.asked.splits or is_role(only.name):
            break
        if role_of(only.name) and any(place.images for place in only.inside.values()):
            break
        here = only
    return here


def _unwrapped(split: Place) -> Place:
    """A split's classes may lie in one more folder, such as `images`."""
    if not split.images and len(split.inside) == 1:
        (only,) = split.inside.values()
        if only.deep and not only.images and only.name.lower() in _WRAPPERS:
            return only
    return split


def _classes(tree: Tree, place: Place) -> dict[str, Place]:
    """The class folders of one place by their names in composed Unicode; images beside them are left out, with a word."""
    where = tree.root / place.path
    if not place.inside:
        tree.fault(where, f"{len(place.images):,} images and no folders", f"one folder per class: {FORM}", _TABLE)
        return {}
    for image in place.images:
        tree.leave(f"{place.path}/{image}" if place.path else image, "an image outside the class folders")
    found: dict[str, Place] = {}
    for name, inner in place.inside.items():
        composed = unicodedata.normalize("NFC", name)
        if composed in found:
            tree.fault(
                where,
                f"two folders called {composed!r}, in two Unicode forms",
                "one folder per class",
                "put their images into one",
            )
        found[composed] = inner
    return found


def _sole_role(tree: Tree, where: Path, here: Place, kids: list[Place]) -> str:
    """The split of classes that lie in no split: test, unless the folder's own name or the user says another. Faults: see `folder`."""
    own = here.name or where.resolve().name
    roles = {kid.name: role_of(kid.name) for kid in kids}
    exact = [kid.name for kid in kids if is_role(kid.name)]
    if len({roles[name] for name in exact}) > 1 or len(exact) == len(kids):
        tree.fault(where, f"{told(exact, len(exact))}: splits that hold images and no class folders", FORM, _TABLE)
    above = [
        kid
        for kid in kids
        if any(is_role(inner.name) or (inner.deep and role_of(inner.name)) for inner in kid.inside.values())
    ]
    if above:
        first = above[0]
        tree.fault(
            where,
            f"{told([kid.name for kid in above], len(above))}: each holds splits ({', '.join(first.inside)})",
            FORM,
            f"one data set a time: --from {tree.root / first.path}; classes above their splits have to change places with them",
        )
    elif tree.asked.classes == ():
        between(tree, where, kids)
    given = tree.asked.splits.get(own)
    said = given or role_of(own)
    if given is None and said in ("train", "val") and is_role(own):
        tree.fault(
            where,
            f"a folder called {own}: it would be scored as test",
            "the folder that holds the splits",
            f"--from {where.resolve().parent}, or --split {own}=test if it is to be scored",
        )
    return said if said in ROLES and (given or is_role(own)) else "test"


def _too_low(tree: Tree, where: Path, here: Place) -> None:
    """No folders at all: nothing, or images of which nothing says the class."""
    if not here.images:
        tree.fault(where, "no images", FORM)
        return
    parent = where.resolve().parent
    hint = f"--from {parent if not is_role(parent.name) else parent.parent}" if tree.root == where else _TABLE
    tree.fault(
        where, f"{len(here.images):,} images and no folders", FORM, f"{hint} if this folder is one class, or {_TABLE}"
    )
