"""Trainings that share a card, by what trainings like them held of one: `resources: {gpus: 1, pack: true}`.

A training has a card to itself until one like it has ended; from then on its like are granted the share that they need. One that runs out
of memory on a share is trained again on a whole card, and so are its like. All is read from journals, so that a resume knows it too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from gelo.models.words import bytes_told, counted
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.journal import read_attempts
from gelo.sweeps.state.packing import room_for, share_of
from gelo.tasks.ledger.trial import Trial

Failures = dict[str, dict[str, Any]]
_LENGTH = {
    "seed",
    "epochs",
    "warmup_epochs",
    "steps_per_epoch",
    "schedule",
}  # of a training, and no matter of its memory


def alike(trial: Trial) -> str:
    """The same for trainings that differ in their seed, their length, their rates and how strong a remedy is: in nothing that memory
    depends on but whether a strength is zero."""
    told = {name: value for name, value in trial.canonical().items() if name not in _LENGTH}
    for part in ("training", "remedy"):
        told[part] = _rough(told.get(part))
    return json.dumps(told, sort_keys=True)


def _rough(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rough(inner) for name, inner in value.items() if name not in _LENGTH}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rough(inner) for inner in value]
    return bool(value) if isinstance(value, float) else value


class Packer:
    """Trains in rounds, each with the shares that are known by then. train: trains some with shares of a card by key, and returns the
    failures; ends: whether nothing more may start; say: on screen and in the driver's log."""

    def __init__(
        self,
        resources: Resources,
        folder: SweepFolder,
        train: Callable[[Sequence[Trial], Mapping[str, float]], Failures],
        ends: Callable[[], bool],
        say: Callable[[str], object],
    ) -> None:
        self.on, self.folder, self.train, self.ends, self.say = resources.pack, folder, train, ends, say
        self.known: dict[str, float] = {}  # the share of a card, by `alike`

    def trained(self, todo: Sequence[Trial], of: Sequence[Trial]) -> Failures:
        """Train all of them; the failures by key. of: all trials of the sweep: the journals of their trainings tell what the like of these
        held."""
        if not self.on:
            return self.train(todo, {})
        unknown = set(map(alike, todo)) - set(self.known)
        if unknown:
            trainings = {each.key: each for trial in of for each in trial.made_of}.values()
            self._learn([each for each in trainings if alike(each) in unknown])
        failures: Failures = {}
        left = list(todo)
        while left and not self.ends():
            some = _first_of_each(left, self.known)
            shares = {each.key: self.known.get(alike(each), 1.0) for each in some}
            left = [each for each in left if each.key not in shares]
            new = self.train(some, shares)
            ran_out = {each.key: each for each in some if shares[each.key] < 1 and _ran_out(new.get(each.key))}
            self._learn([each for each in some if alike(each) not in self.known])
            for each in some:
                self.known.setdefault(alike(each), 1.0)  # one that failed says nothing of its like
            self.known |= {alike(each): 1.0 for each in ran_out.values()}
            if ran_out:
                self.say(
                    f"{counted(len(ran_out), 'training')} ran out of memory on a share of a card: again on a whole one"
                )
            failures |= {key: failure for key, failure in new.items() if key not in ran_out}
            left = [*ran_out.values(), *left]
        return failures

    def _learn(self, trained: Sequence[Trial]) -> None:
        """What those that ended on one card or a share of it held at the most, on the smallest; nothing of those that have not."""
        held: dict[str, int] = {}
        cards: dict[str, int] = {}
        for trial in trained:
            kind, own = alike(trial), self.folder.trial(trial)
            if _ran_out(own.failure()):
                self.known[kind] = 1.0
            for each in read_attempts(own.root):
                if each.how in ("trained", "cut") and each.memory and each.card and 0 < each.gpus <= 1:
                    held[kind] = max(held.get(kind, 0), each.memory)
                    cards[kind] = min(cards.get(kind, each.card), each.card)
        for kind in held.keys() - self.known.keys():
            count = max(1, room_for(held[kind], cards[kind]))
            self.known[kind] = share_of(count)
            if count > 1:
                told = f"{bytes_told(held[kind])} of a card of {bytes_told(cards[kind])}"
                self.say(f"a training held {told}: {count} of its like share one from here (resources.pack)")


def _first_of_each(left: Sequence[Trial], known: Collection[str]) -> list[Trial]:
    """All whose like are known, and of the others one of each kind."""
    found, seen = [], set(known)
    for trial in left:
        kind = alike(trial)
        if kind in known or kind not in seen:
            found.append(trial)
            seen.add(kind)
    return found


def _ran_out(failure: Mapping[str, Any] | None) -> bool:
    return failure is not None and failure["kind"] == "out of memory"
