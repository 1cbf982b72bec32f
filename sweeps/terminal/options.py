"""The options of `gelo prepare` as what it wants: every one that is wrong in one message."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from gelo.models.faults import Fault, UserError, unknown
from gelo.tasks.data.prompts import read_classes
from gelo.tasks.data.understood import Reading
from gelo.tasks.prepare.layout import Asked
from gelo.tasks.prepare.prepare import Wanted
from gelo.tasks.prepare.splits import ROLES


def wanted_of(
    name: str | None,
    source: Path | None,
    *,
    split: Sequence[str],
    image: str | None,
    label: str | None,
    config: str | None,
    classes: Path | None,
    reading: str,
    **others: Any,
) -> Wanted:
    """`split`: NAME=ROLE each. others: fields of `Wanted` that are taken as they are. Raises UserError with every fault."""
    faults = [
        Fault(what, "missing", example)
        for what, given, example in (("NAME", name, "such as food101"), ("--from", source, "--from DIR"))
        if given is None
    ]
    splits: dict[str, str] = {}
    for each in split:
        named, sign, role = each.rpartition("=")
        if not sign or not named:
            faults.append(Fault(f"--split {each}", "no NAME=ROLE", "such as --split holdout=test"))
        elif role not in (*ROLES, "none"):
            faults.append(unknown(f"--split {each}", role, (*ROLES, "none"), "role"))
        elif splits.setdefault(named, "" if role == "none" else role) != ("" if role == "none" else role):
            faults.append(Fault(f"--split {each}", "given with another role too", "one role for each name"))
    if reading not in get_args(Reading):
        faults.append(unknown("--reading", reading, get_args(Reading), "reading rule"))
    names: Any = ()
    if classes is not None:
        try:
            names = read_classes(classes)
        except UserError as error:
            faults += error.faults
    if faults or name is None or source is None:
        raise UserError("prepare", faults)
    asked = Asked(splits, image or "", label or "", config or "", names)
    return Wanted(name, source, asked=asked, reading=reading, **others)  # type: ignore[arg-type]
