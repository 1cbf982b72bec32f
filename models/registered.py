"""The one door for what other distributions add: the objects that their entry points name, and what of it could not be taken.

    [project.entry-points."gelo.remedies"]
    mine = "my_package.remedy:Mine"

What is broken, clashes, or is no such thing is never an exception: it is one `Fault` of `broken`, and all goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, distributions
from threading import RLock
from typing import Any, TypeVar

from gelo.models.faults import Fault, pass_interrupt

T = TypeVar("T")

broken: list[Fault] = []  # what could not be taken, each once
heard: list[Callable[[Fault], None]] = []  # told of each at once: by the command line, which says it

_SHOWN = 80  # signs of a thing that is of another kind


def admitted(
    group: str,
    own: Mapping[str, T],
    name: Callable[[T], str],
    fault: Callable[[Any, Mapping[str, T], str], Fault | None],
) -> dict[str, T]:
    """gelo's `own` by name, then what entry points of the group name, one object or a tuple of them, by distribution and name.

    name: of an object without fault. fault: (object, those that are there, where it is from) -> why it cannot be one of them.
    """
    found = dict(own)
    for point in sorted(_points().select(group=group), key=lambda point: (_maker(point), point.name)):
        where = f"entry point {point.name} of {_maker(point)} ({group})"
        try:
            given = point.load()
            for each in given if isinstance(given, tuple | list) else (given,):
                if (why := fault(each, found, where)) is None:
                    found[name(each)] = each
                else:
                    _refuse(why)
        except (Exception, SystemExit) as error:  # whatever a stranger's module does when it is imported
            pass_interrupt(error)
            said = " ".join(f"{type(error).__name__}: {error}".split())
            _refuse(Fault(where, said, f"{point.value} to be imported", f"mend or uninstall {_maker(point)}"))
    return found


def strange(given: object, where: str, expected: str) -> Fault:
    """The fault of an object that is of another kind."""
    return Fault(where, " ".join(repr(given)[:_SHOWN].split()), expected, "name one in the entry point")


class Registry(Mapping[str, T]):
    """Things by name, made when they are first asked for: a module of another distribution may import the one that holds this.

    own: gelo's; more: from those to all of them. A module that asks while it is imported for this finds gelo's own.
    """

    def __init__(self, own: Callable[[], Mapping[str, T]], more: Callable[[Mapping[str, T]], Mapping[str, T]]) -> None:
        self._own, self._more = own, more
        self._made: Mapping[str, T] | None = None
        self._lock = RLock()

    def _all(self) -> Mapping[str, T]:
        with self._lock:
            if self._made is None:
                self._made = self._own()
                try:
                    self._made = self._more(self._made)
                except BaseException:  # an interrupt: whoever asks again shall have them all
                    self._made = None
                    raise
            return self._made

    def __getitem__(self, name: str) -> T:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def _refuse(fault: Fault) -> None:
    broken.append(fault)
    for tell in heard:
        tell(fault)


def _maker(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"


@cache
def _points() -> EntryPoints:
    """Of all distributions, each once: a checkout and what was installed of it may both lie on the path."""
    first: dict[tuple[str, str, str], EntryPoint] = {}
    for distribution in distributions():
        for point in distribution.entry_points:
            first.setdefault((point.group, point.name, point.value), point)
    return EntryPoints(first.values())
