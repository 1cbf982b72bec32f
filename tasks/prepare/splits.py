"""What people call their splits: one rule for folders, files, columns and configurations, whatever reads them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from gelo.models.faults import Fault

ROLES = ("train", "val", "test")
_WORDS = {
    "train": "train", "training": "train", "trn": "train", "tr": "train",
    "val": "val", "valid": "val", "validation": "val", "validate": "val", "dev": "val", "devel": "val", "development": "val",
    "eval": "val", "evaluation": "val",
    "test": "test", "testing": "test", "tst": "test", "te": "test", "heldout": "test", "holdout": "test",
}  # fmt: skip
_SHORT = ("tr", "te", "trn", "tst")  # a role only where nothing stands beside them
_NOT_ONE = re.compile(r"^(un(labell?ed|supervised|sup)|extra|all|excluded|bad|noisy)$")


def words(name: str) -> list[str]:
    """`Train-Full_2017` -> train, full: words in lower case, numbers and Parquet's `00000-of-00002` left aside."""
    plain = unicodedata.normalize("NFKC", name)
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain).lower()  # trainSet, TestImages
    plain = re.sub(r"[-_.]\d+[-_]of[-_]\d+", " ", plain)
    return [word for word in re.split(r"[^a-z]+", plain) if word]


def role_of(name: str) -> str | None:
    """train, val or test for a name that says one of them and no other (`training`, `TRAIN`, `my-train`, `train_full`, `valid2017`).

    None for a name that says none, several (`train_test`, `trainval`) or one that is no such split (`train_unlabeled`).
    """
    found = words(name)
    if any(_NOT_ONE.match(word) for word in found):
        return None
    short = len(found) == 1
    roles = {_WORDS[word] for word in found if word in _WORDS and (short or word not in _SHORT)}
    return roles.pop() if len(roles) == 1 else None


def is_role(name: str) -> bool:
    """Whether a name is a split's and nothing else: `train`, `Testing`, `val2017`, and not `bullet train` or `test tube`."""
    found = words(name)
    return len(found) == 1 and found[0] in _WORDS


def say_splits(values: Iterable[str]) -> bool:
    """Whether a column of these values can be nothing but the split, whatever it is called: all are splits' names, or two kinds of them."""
    values = list(values)
    roles = [role_of(value) for value in values if is_role(value)]
    return bool(roles) and (len(roles) == len(values) or len(set(roles)) > 1)


def settle(
    names: Iterable[str], given: Mapping[str, str], where: str, faults: list[Fault], used: set[str] | None = None
) -> dict[str, str]:
    """The role of each of a source's split names, by `--split` where it says so, else by `role_of`; "" leaves one out.

    Faults, one each: names whose role nothing tells, and several names for one role that nobody chose between.
    """
    names = list(dict.fromkeys(names))
    roles: dict[str, str] = {}
    unknown = []
    for name in names:
        role = given.get(name, role_of(name))
        if role is None:
            unknown.append(name)
        else:
            roles[name] = role
    if used is not None:
        used.update(name for name in names if name in given)
    if unknown:
        faults.append(
            Fault(
                where,
                f"{_listed(unknown)}: nothing tells which split that is",
                "train, val or test",
                f"say so: {' '.join(_option(name, 'test') for name in unknown[:2])}, or =none to leave it out",
            )
        )
    for role in ROLES:
        same = [name for name in names if roles.get(name) == role]
        if len(same) > 1 and not all(name in given for name in same):
            choice = " ".join([_option(same[0], role), *(_option(name, "none") for name in same[1:3])])
            faults.append(
                Fault(
                    where, f"{_listed(same)} could each be the {role} split", f"one {role} split", f"choose: {choice}"
                )
            )
    return roles


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _option(name: str, role: str) -> str:
    return f"--split '{name}={role}'" if " " in name else f"--split {name}={role}"
