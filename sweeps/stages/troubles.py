"""What went wrong with one thing while the others went on: told at the end, a fault that stands in the way of many of them once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.text import Text

from gelo.models.faults import Fault, UserError, folded
from gelo.models.secrets import redacted
from gelo.models.words import counted
from gelo.sweeps.terminal.listing import say

_NAMED = 2  # of those that one fault stands in the way of


@dataclass
class Troubles:
    """Faults by what they kept from being done."""

    _of: dict[Fault, dict[str, None]] = field(default_factory=dict)

    def add(self, what: str, error: UserError) -> None:
        for fault in error.faults:
            self._of.setdefault(fault, {})[what] = None

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Keep a UserError of the block, as one of `what`."""
        try:
            yield
        except UserError as error:
            self.add(what, error)

    def faults(self) -> list[Fault]:
        """Each fault once, saying what it was in the way of."""
        return [replace(fault, where=f"{_first(list(many))}: {fault.where}") for fault, many in self._of.items()]


def print_faults(error: UserError, to: Console) -> None:
    """Every fault in two sentences: what was found where, and what is expected."""
    faults = folded(error.faults)
    say(to, Text.assemble((redacted(error.subject), "bold"), f": {counted(len(faults), 'fault')}"))
    for fault in faults:
        say(to, Text.assemble(f"{redacted(fault.where)}: ", (redacted(fault.found), "red")), 2)
        say(to, redacted(f"expected {fault.expected}" + (f"; {fault.remedy}" if fault.remedy else "")), 6)


def _first(many: Sequence[str], shown: int = _NAMED) -> str:
    more = len(many) - shown
    return "; ".join(many[:shown]) + (f"; and {more:,} more" if more > 0 else "")
