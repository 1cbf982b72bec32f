"""What stands for a class in a user's files -> the values that `tasks.prepare.classes.named` names, the same in all files of a set."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.tree import Tree

_NUMBER = re.compile(r"^[+-]?(\d{1,18}|\d{1,18}\.\d*|\.\d+)([eE][+-]?\d{1,3})?$")
_WHOLE = re.compile(r"^(-?\d{1,18})(\.0*)?$")  # as tables write whole numbers where some are missing: 3.0


def values_of(tree: Tree, found: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Each text that stands for a class, blanks around it gone -> its value; `3.0` is 3.

    found: the texts in each file or split. Faults: numbers here and names there, numbers with fractions, one number in two spellings.
    """
    there = {where: dict.fromkeys(sorted(some)) for where, some in found.items()}
    numbers = [where for where, some in there.items() if some and all(_NUMBER.match(text) for text in some)]
    names = [where for where, some in there.items() if some and where not in numbers]
    texts = {text: None for some in there.values() for text in some}
    if names:
        known = {text for where in names for text in there[where]}
        if strange := [where for where in numbers if not known.issuperset(there[where])]:
            found_ = f"labels are numbers in {told(strange, len(strange))} and names in {told(names, len(names))}"
            tree.fault(tree.root, found_, "the same labels everywhere")
            return {}
        return {text: text for text in texts}
    values = {text: match[1] for text in texts if (match := _WHOLE.match(text))}
    if broken := [text for text in texts if text not in values]:
        tree.fault(
            tree.root,
            f"labels are numbers with fractions: {told(broken, len(broken))}",
            "names of classes, or whole numbers",
        )
    spelt = defaultdict(list)
    for value in dict.fromkeys(values.values()):
        spelt[int(value)].append(value)
    for number, same in spelt.items():
        if len(same) > 1:
            tree.fault(tree.root, f"label {number} is written {told(same, len(same))}", "one spelling of each number")
    return values
