"""What notebooks ask of finished sweeps: the answers of the commands of the same names, as objects. A mistake is raised as `UserError`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from gelo._given import settings_from

if TYPE_CHECKING:
    from gelo.analysis.recommend import Advice
    from gelo.analysis.versus import Versus


def recommend(
    sweep: str,
    *,
    keep: float | None = None,
    gain: float | None = None,
    task: str | None = None,
    backbone: str | None = None,
    storage: str | Path | None = None,
) -> Advice:
    """Which trial of a sweep to take: an `Answer` for each backbone and task, best first; see `gelo.analysis.recommend`.

    keep: the share of zero-shot accuracy that must remain on validation images, and then most gain is wanted; or gain: the points that must
    be gained, and then most kept is wanted. task, backbone: of these alone. storage: where sweeps are kept, a folder or a URI.

    An answer whose `chosen` is None has the `nearest` in its place. Raises UserError for no constraint or two, for a name that is not
    there, and where no trial kept a forgetting curve. What cannot be read is a warning.

    Example:

        best = gelo.recommend("mitigation", keep=0.95).answers[0]
        best.trial, best.gain.value, best.kept.value, [runner.candidate.name for runner in best.runners]
    """
    from gelo.sweeps.cli.base import folder_of
    from gelo.sweeps.cli.verdict import advised

    place = settings_from(storage=storage).storage
    found, faults = advised(folder_of(place, sweep), keep, gain, task, backbone)
    for fault in faults:
        warnings.warn(f"sweep {sweep}: {fault}", stacklevel=2)
    return found


def compare(one: str | Path, other: str | Path, *, storage: str | Path | None = None) -> Versus:
    """Two trials or two sweeps, paired: a `Row` for each metric (B - A, 95 %, adjusted p, verdict); see `gelo.analysis.versus`.

    one, other: sweeps, or trials as `gelo.load` takes them. storage: where sweeps are kept, a folder or a URI.

    Raises UserError for a name that is neither, for one of each, and where nothing can be compared. What cannot be read is a warning.

    Example:

        found = gelo.compare("demo/3f9c0a11b2c4", "demo/8d2e6b7c9a10")
        [(row.metric, row.difference, row.adjusted, row.verdict) for row in found.rows]
    """
    from gelo.sweeps.cli.base import refuse_places
    from gelo.sweeps.cli.verdict import compared

    settings = settings_from(storage=storage)
    refuse_places(settings, reads=("storage",))
    found = compared(one, other, settings.place())
    for fault in found.faults:
        warnings.warn(f"compare: {fault}", stacklevel=2)
    return found
