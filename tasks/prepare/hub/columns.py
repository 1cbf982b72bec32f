"""Which column of a hub's set holds the images and which the labels: by its features, else by its name, where one alone can be it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gelo.models.faults import unknown
from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.hub.files import Opened
from gelo.tasks.prepare.hub.info import IMAGE, LABEL, Info
from gelo.tasks.prepare.hub.types import Type, is_bytes, is_cell, no_image, no_label, stored
from gelo.tasks.prepare.tree import Tree

_IMAGES = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo", "pixel_values", "image_bytes", "bytes")
_LABELS = (
    "label", "labels", "cls", "class", "category", "target", "y", "fine_label", "coarse_label", "label_id", "label_idx", "label_name",
    "class_id", "class_idx", "class_name", "class_label", "category_id", "category_name",
)  # fmt: skip


def columns_of(tree: Tree, files: Sequence[Opened], info: Info) -> tuple[str, str] | None:
    """The columns of images and of labels, in every file; None with faults where one lacks, or several that nobody chose between."""
    asked, first = tree.asked, files[0]
    images = _one(tree, first, asked.image, "image", _image_candidates(first, info), info)
    labels = _one(tree, first, asked.label, "label", _label_candidates(first, info, images), info)
    found = [name for name in (images, labels) if name]
    for name in found:
        fault_each(
            tree, tree.root, [_name(tree, one) for one in files if one.schema.names.count(name) != 1],
            f"files that do not have one column {name!r}, as {_name(tree, first)} has", "the same columns in every file",
        )  # fmt: skip
    there = {name: [one for one in files if one.schema.names.count(name) == 1] for name in found}
    whole = len(found) == 2 and all(len(there[name]) == len(files) for name in found)
    for name, why, option in ((images, no_image, "image"), (labels, no_label, "label")):
        whole = _fit(tree, there.get(name, []), name, why, option) and whole
    if images and images == labels:
        tree.fault(tree.root, f"{images!r} as image and as label", "two columns", "--image COLUMN --label COLUMN")
        return None
    return (images, labels) if whole else None


def _one(tree: Tree, first: Opened, asked: str, role: str, candidates: list[str], info: Info) -> str:
    """The user's column, or the only candidate; "" with a fault."""
    names = first.schema.names
    if asked:
        if asked in names:
            return asked
        tree.faults.append(unknown(f"--{role}", asked, names, "column"))
        return ""
    candidates = [name for name in candidates if name]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        each = ", ".join(_described(first, info, name) for name in candidates)
        tree.fault(
            first.path,
            f"{len(candidates)} columns could each be the {role}: {each}",
            "one",
            f"choose: --{role} {candidates[0]}",
        )
        return ""
    fault = unknown(str(first.path), role, names, "column")
    each = ", ".join(_described(first, info, name) for name in names)
    near = f"{fault.remedy}; " if fault.remedy else ""
    tree.fault(
        first.path,
        f"no column that is called or described as the {role}",
        f"one of {each or '(no columns)'}",
        f"{near}say which: --{role} NAME",
    )
    return ""


def _image_candidates(first: Opened, info: Info) -> list[str]:
    types = {field.name: stored(field.type) for field in first.schema}
    described = [name for name in types if name in info.of_type(IMAGE) or name in first.info.of_type(IMAGE)]
    if described:
        return described
    cells = [name for name, kind in types.items() if is_cell(kind)]
    named = [name for name in types if name.lower() in _IMAGES]
    held = [name for name in named if is_bytes(types[name])]
    return cells or held or [name for name in named if not no_image(types[name])] or named


def _label_candidates(first: Opened, info: Info, image: str) -> list[str]:
    described = {*info.of_type(LABEL), *first.info.of_type(LABEL)}
    return [
        name
        for name in dict.fromkeys(first.schema.names)
        if name != image and (name in described or name.lower() in _LABELS)
    ]


def _described(first: Opened, info: Info, name: str) -> str:
    """`fine_label (ClassLabel of 100 names)`, `cls (int64)`."""
    names = first.info.names(name) or info.names(name)
    said = first.info.features.get(name) or info.features.get(name)
    kind = said.get("_type") if isinstance(said, dict) else None
    about = (
        f"{LABEL} of {len(names)} names"
        if names
        else kind
        if kind == IMAGE
        else first.schema.field(first.schema.names.index(name)).type
    )
    return f"{name} ({about})"


def _fit(tree: Tree, files: Sequence[Opened], name: str, why: Callable[[Type], str], role: str) -> bool:
    """Whether a column's type is that of its role in each file; one fault where not."""
    wrong = {reason: one for one in reversed(files) if (reason := why(one.schema.field(name).type))}
    for reason, one in wrong.items():
        other = "several labels a row" in reason or role == "label"
        expected = (
            "one class a row: whole numbers, or names"
            if other
            else "encoded images, or arrays of uint8, (height, width[, 3])"
        )
        tree.fault(one.path, f"column {name!r}: {reason}", expected, f"another column: --{role} NAME")
    return not wrong


def _name(tree: Tree, one: Opened) -> str:
    return str(one.path.relative_to(tree.root))
