"""An approach as paths of (gain, kept) points, and what equal gain asks of them: measures with their draws, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gelo.analysis.equal_gain import Vector, area, at_level, hypervolume
from gelo.analysis.finding import spelled
from gelo.analysis.labels import NONE
from gelo.analysis.resampling import Measure


@dataclass(frozen=True)
class Path:
    """Of one seed. gain: (points,) fraction of the best gain, the first 0. kept: (points,) on test images; draws: (DRAWS, points) the same
    on resampled ones, NaN where their images are not known. chosen: (points,) kept on validation images; None where not measured. least:
    what one test image told otherwise is worth: no error of its numbers is smaller.
    """

    gain: Vector
    kept: Vector
    draws: Vector
    chosen: Vector | None
    least: float = 0.0

    def also(self, other: Path) -> Path:
        """The points of both."""
        both = None if self.chosen is None or other.chosen is None else np.append(self.chosen, other.chosen)
        gain, kept = np.append(self.gain, other.gain), np.append(self.kept, other.kept)
        return Path(gain, kept, np.hstack([self.draws, other.draws]), both, max(self.least, other.least))


@dataclass(frozen=True)
class Contender:
    """One approach on a backbone and task. remedy: with the chosen setting, or how many there are where none is chosen. trials: those of
    that setting, a seed each, {} where none is chosen. merged: no curve leads to what is kept: its points are the ends of trials by rising
    gain, behind the untouched backbone. paths: by seed; everything: those of all its settings. why: what a trial of it has no path for; a
    mean over the other seeds would be another quantity.
    """

    backbone: str
    task: str
    adaptation: str
    kind: str
    remedy: str
    trials: Mapping[int, str]
    merged: bool = False
    paths: Mapping[int, Path] = field(default_factory=dict)
    everything: Mapping[int, Path] = field(default_factory=dict)
    why: str = ""

    @property
    def name(self) -> str:
        """For people: `LoRA + wise(alpha=0.5)`."""
        return spelled(self.adaptation) + ("" if self.kind == NONE else f" + {self.remedy}")

    def kept_at(self, level: float) -> Measure | str:
        """Zero-shot accuracy kept where `level` of the best gain is crossed; why not, where a seed of it never crosses it, or has, as a
        merge, no two trials around it."""
        if self.why:
            return self.why
        least = min((float(path.gain.max()) for path in self.paths.values()), default=level)
        if least < level:
            who = f"one of {len(self.paths)} seeds" if len(self.paths) > 1 else "it"
            return f"{who} reaches {100 * least:.0f} % of the best gain at most"
        if self.merged and any(path.gain[1] > level for path in self.paths.values()):
            return self._begins()
        return self._measured(self.paths, lambda path: at_level(path.gain, level))

    def kept_on_validation(self, level: float) -> float:
        """The same on validation images, by which approaches may be chosen; -1 where it was not measured or never reached."""
        weights = {seed: at_level(path.gain, level) for seed, path in self.paths.items()}
        known = [each @ path.chosen for each, path in zip(weights.values(), self.paths.values(), strict=True)
                 if each is not None and path.chosen is not None]  # fmt: skip
        return float(np.mean(known)) if known and len(known) == len(weights) else -1.0

    def _begins(self) -> str:
        """Where the first of its trials stands, which nothing leads to but the untouched backbone."""
        gain, kept = (np.mean([getattr(path, name)[1] for path in self.paths.values()]) for name in ("gain", "kept"))
        return f"no curve leads to what is kept, and the first of its trials keeps {kept:.3f} at {100 * gain:.0f} % of the best gain"

    def area(self) -> Measure | str:
        """Mean of kept over gain, up to its own largest gain."""
        if self.why:
            return self.why
        if not all(len(path.gain) > 1 and path.gain.max() > 0 for path in self.paths.values()):
            return "it never gained on the validation metric, so there is nothing to average over"
        if self.merged and any(len(path.gain) < 3 for path in self.paths.values()):
            return self._begins()
        return self._measured(self.paths, lambda path: area(path.gain))

    def hypervolume(self) -> Measure | str:
        """What the points of all its settings dominate, from gain 0, kept 0."""
        if self.why:
            return self.why
        return self._measured(
            self.everything,
            lambda path: hypervolume(path.gain, path.kept if path.chosen is None else path.chosen),
        )

    def _measured(self, paths: Mapping[int, Path], weigh: Callable[[Path], Vector | None]) -> Measure | str:
        weights = {seed: weigh(path) for seed, path in paths.items()}
        known = {seed: each for seed, each in weights.items() if each is not None}
        draws = {seed: paths[seed].draws @ each for seed, each in known.items()}
        values = {seed: float(paths[seed].kept @ each) for seed, each in known.items()}
        return Measure(values, draws, max(path.least for path in paths.values()))
