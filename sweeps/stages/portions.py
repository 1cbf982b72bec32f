"""How many trials are trained before they are scored.

A stage of training starts workers of its own, which takes as long as a dozen trainings of a second do (measured: 0.9 s a trial of 0.3 s,
24 a stage). So it grows where trainings are short, and stays where they are long: what is trained is scored soon.
"""

from __future__ import annotations

_SHORT = 60.0  # seconds of training that are enough for one stage
_MOST = 16  # passes that the trials of one stage are embedded in, at the most


def grown(size: int, took: float, of_a_pass: int) -> int:
    """Trials of the next stage, after one of `size` whose training took so many seconds. of_a_pass: encoders that are embedded together."""
    return min(2 * size, _MOST * of_a_pass) if took < _SHORT else size
