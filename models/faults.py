"""What a user did wrong, told so that they can mend it: every fault of a spec, manifest or machine in one go."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

_FEW = 5  # faults of one kind that are lines of their own
_MANY = 20  # those that want the same thing, each of another kind
FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "os error 28", "os error 122", "disk is full")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to mend.

    `where` names the file, row or key; `found` is what stood there; `expected` what is allowed; `remedy` what to type or change.
    """

    where: str
    found: str
    expected: str
    remedy: str = ""

    def __post_init__(self) -> None:
        """A fault is one line, which the terminal breaks where it is full: of a name a line break is told, of a sentence it is a space."""
        object.__setattr__(self, "where", "\\n".join(self.where.splitlines()))
        for field in ("found", "expected", "remedy"):
            object.__setattr__(self, field, " ".join(line.strip() for line in getattr(self, field).splitlines()))

    def __str__(self) -> str:
        tail = f"; {self.remedy}" if self.remedy else ""
        return f"{self.where}: {self.found}; expected {self.expected}{tail}"


class UserError(Exception):
    """A user's mistake: one subject (a spec, a data set, this machine) and every fault found in it. Exit code 2.

    kind: what a trial's failure is called that ends so.
    """

    kind: ClassVar[str] = "user"

    def __init__(self, subject: str, faults: Fault | Sequence[Fault]) -> None:
        self.subject = subject
        self.faults: tuple[Fault, ...] = (faults,) if isinstance(faults, Fault) else tuple(faults)
        if not self.faults:
            raise ValueError("a UserError carries at least one Fault")
        told = folded(self.faults)
        super().__init__("\n".join([f"{subject}: {_count(len(told))}", *(f"  {fault}" for fault in told)]))

    def __reduce__(self) -> tuple[type[UserError], tuple[str, tuple[Fault, ...]]]:
        """Pickle whole: the error crosses process borders under Ray."""
        return type(self), (self.subject, self.faults)


def unknown(where: str, name: object, known: Iterable[str], what: str) -> Fault:
    """The fault of a name that is not in a registry: offers the nearest one, then the whole list."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    remedy = f"nearest: {near[0]}" if near else ""
    return Fault(where, f"unknown {what} {name!r}", f"one of {', '.join(names) or '(none known)'}", remedy)


def folded(faults: Iterable[Fault]) -> list[Fault]:
    """Faults that differ in their place alone as one with a count and the first places, where they are many; so too those that want the
    same thing in very many places, each with what was found there.
    """
    alike: dict[Fault, list[str]] = {}
    for fault in faults:
        alike.setdefault(replace(fault, where=""), []).append(fault.where)
    wanted: dict[Fault, list[Fault]] = {}
    for kind, places in alike.items():
        found = [replace(kind, where=where) for where in ([_first(places)] if len(places) > _FEW else places)]
        wanted.setdefault(replace(kind, found=""), []).extend(found)
    out = []
    for kind, each in wanted.items():
        where = _first([f"{fault.where} ({fault.found})" for fault in each])
        out += [replace(kind, where=where, found="not as expected")] if len(each) > _MANY else each
    return out


def _first(places: Sequence[str]) -> str:
    return f"{len(places):,} places: {'; '.join(places[:_FEW])}; and {len(places) - _FEW:,} more"


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk or a quota is full, whatever library says it: safetensors, Arrow and SQLite have errors of their
    own, with the system's words in them.
    """
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    return any(words in str(error) for words in _FULL_WORDS)


def cannot_write(error: BaseException) -> bool:
    """Whether a place is full or refuses to be written to: whatever else is to be written there ends in the same way."""
    return is_full(error) or (isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES))


@contextmanager
def system_errors(place: object) -> Iterator[None]:
    """What a library made of a system's error in writing is an OSError again to whoever fills `place`, and a full disk's has a name: the
    system gives none to a write into an open file, Arrow none at all, and safetensors has a class of its own, with the system's number in
    its words alone."""
    try:
        yield
    except Exception as error:
        full, said = is_full(error), str(error)
        if isinstance(error, OSError) and full and error.filename is None:
            number = error.errno if error.errno in FULL else errno.ENOSPC
            raise OSError(number, os.strerror(number), str(place)) from error
        if isinstance(error, OSError | UserError) or not (full or "Error while serializing" in said):
            raise
        told = re.search(r"os error (\d+)", said)
        number = int(told[1]) if told else errno.ENOSPC if full else errno.EIO
        raise OSError(number, f"cannot write: {said.splitlines()[0]}", str(place)) from error


def pass_interrupt(error: BaseException) -> None:
    """Raise KeyboardInterrupt where `error` is only what a library has made of one: whoever takes any exception of damaged bytes for
    their fault asks first. (Python 3.11 makes a RuntimeError of one that comes while a class is built.)
    """
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        behind = behind.__cause__ or behind.__context__


def _count(n: int) -> str:
    return "1 fault" if n == 1 else f"{n} faults"
