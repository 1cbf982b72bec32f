"""Forward passes that attacks add to what is embedded, for `gelo plan`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gelo.tasks.protocols import PROTOCOLS


def attacked(pairs: Iterable[tuple[str, str]], images: Callable[[str, str], int | None]) -> tuple[int, int]:
    """(images, forward passes) that one encoder is attacked on, by the (data set, protocol) pairs; a pass back counts as one.

    images: of a data set's split; None where not known, and then none of it is counted.
    """
    seen = passes = 0
    for name, protocol in pairs:
        attack = PROTOCOLS[protocol].attack
        for split, views in PROTOCOLS[protocol].reads if attack is not None else ():
            count = min(images(name, split) or 0, attack.images) if attack and "attacked" in views else 0
            seen, passes = seen + count, passes + count * (attack.passes if attack else 0)
    return seen, passes
