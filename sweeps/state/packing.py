"""How many trainings a card has room for, by what those that ended held of theirs: said by `gelo status`, granted by `resources.pack`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gelo.models.training.footprint import CONTEXT
from gelo.models.words import bytes_told
from gelo.sweeps.state.memory import MARGIN
from gelo.sweeps.state.progress import TrialProgress

_MOST = 16  # trainings on one card: each has CPUs and a context of its own
_ENDED = ("trained", "complete", "stale")


def fitting(trials: Sequence[TrialProgress]) -> tuple[int, int, float, float] | None:
    """(trainings that the smallest card has room for, those that share one now, bytes that one held at the most, bytes of that card).

    Of trials that trained to their end on one card or a share of it. None where nothing was measured.
    """
    seen = [
        (each.memory_bytes, each.card_bytes, each.gpus)
        for each in trials
        if each.state in _ENDED and each.memory_bytes and each.card_bytes and 0 < each.gpus <= 1
    ]
    if not seen:
        return None
    held, card = max(held for held, _, _ in seen), min(card for _, card, _ in seen)
    now = math.floor(1 / min(gpus for _, _, gpus in seen) + 1e-6)
    return room_for(held, card), now, held, card


def room_for(held: float, card: float) -> int:
    """Trainings that a card of so many bytes has room for, each with what one held and what CUDA itself takes, and a fifth to spare; at
    most sixteen. 0: not even one has that much to spare."""
    return min(_MOST, int(card / (MARGIN * (held + CONTEXT))))


def share_of(count: int) -> float:
    """Of a card, so that Ray puts so many on one: rounded down to a ten-thousandth, as it counts."""
    return math.floor(10_000 / count) / 10_000


def packing(trials: Sequence[TrialProgress]) -> str:
    """One sentence on more trainings a card, or on fewer; empty where there is nothing to advise."""
    found = fitting(trials)
    if found is None or found[0] == found[1] or found[:2] == (0, 1) or _MOST == found[0] < found[1]:
        return ""
    fit, now, held, card = found
    fit = max(1, fit)
    told = f"trainings held at most {bytes_told(held)} of a card of {bytes_told(card)}"
    advice = f"`resources: {{gpus: {share_of(fit):g}}}` has memory for {fit} on each at once, now {now}"
    return f"{told}: {advice}{' are close to what it has' if fit < now else ''} (`pack: true` finds each one's share)"
