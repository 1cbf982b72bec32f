"""Learning rates: a function of the step."""

from __future__ import annotations

import math

from gelo.models.training.settings import Optimisation


def rate(settings: Optimisation, peak: float, step: int, steps_per_epoch: int) -> float:
    """Learning rate of one step (from 0; before that the peak).

    constant: the peak. cosine: to zero over the epochs after a linear warm-up by step. cosine_restarts: the peak for `warmup_epochs`, then
    by epoch T0 = 5, T_mult = 2, eta_min = 1e-6 (TaharChettaoui/FRoundation: src/train.py).
    """
    if step < 0:
        return peak
    warmup = settings.warmup_epochs * steps_per_epoch
    match settings.schedule:
        case "constant":
            return peak
        case "cosine":
            if step < warmup:
                return peak * (step + 1) / warmup
            left = (step - warmup) / max(1, settings.epochs * steps_per_epoch - warmup)
            return peak * 0.5 * (1 + math.cos(math.pi * left))
        case "cosine_restarts":
            position, period = step // steps_per_epoch - settings.warmup_epochs, 5
            if position < 0:
                return peak
            while position >= period:
                position, period = position - period, period * 2
            low = min(1e-6, peak)
            return low + (peak - low) * 0.5 * (1 + math.cos(math.pi * position / period))
