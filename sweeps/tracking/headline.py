"""Which of a trial's metrics say most of it: what it kept, and what its task is measured by."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gelo.tasks.metricnames import MEAN
from gelo.tasks.protocols import averaged, suites
from gelo.tasks.training import TASKS


def headline_of(task: str, collection: str, names: Iterable[str]) -> list[str]:
    """Those of `names`, in this order: the shares kept (`gelo/zero_shot`), the means they are of, what the task's gain is taken from."""
    means = "|".join(rf"{suite}/{MEAN}(_\d+)?/{suites()[suite].averaged}" for suite in averaged())
    gain = TASKS[task].gain.get(collection) if task in TASKS else None
    after = gain.after if gain is not None else ()
    kinds = [
        [name for name in names if re.fullmatch(r"gelo/[^/]+", name)],
        [name for name in names if re.fullmatch(means, name)],
        [name for name in after if name in names],
    ]
    return [name for kind in kinds for name in kind]
