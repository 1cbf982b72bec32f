"""`Cut`: that a scheduler ended a trial before its end, where and by what. A state of its own: such a trial is in no average.

It stands in the trial's folder as cut.json, written before the trial hears of it, beside the checkpoint that the trial then saves.
"""

from __future__ import annotations

from pydantic import Field, ValidationError
from upath import UPath

from gelo.models.faults import Fault, UserError
from gelo.models.spec import Spec
from gelo.tasks.ledger.looks import Look, Objective

FILE = "cut.json"


class Cut(Spec):
    """by: the scheduler. metric: what it compared. look: at which it decided; looks: all until then. step of steps: where training ended.

    go_on: somebody asked since to have it finished (`gelo resume NAME --finish KEY`), so that it is no longer held.
    """

    by: str
    metric: Objective
    look: int = Field(ge=1)
    step: int = Field(ge=0)
    steps: int = Field(ge=1)
    looks: tuple[Look, ...] = ()
    go_on: bool = False

    @property
    def told(self) -> str:
        """`cut at step 120 of 400 (asha, by gain at look 2)`."""
        return f"cut at step {self.step:,} of {self.steps:,} ({self.by}, by {self.metric} at look {self.look})"


def read_cut(root: UPath) -> Cut | None:
    """What is said of the trial in folder `root`; None where it was not cut. Raises UserError for a file that is none of gelo's."""
    path = root / FILE
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return Cut.model_validate_json(content)
    except ValidationError as error:
        found = f"not whole ({error.errors()[0]['msg']})"
        raise UserError(
            "cut trial", Fault(str(path), found, "what gelo wrote", "delete it: the trial goes on")
        ) from None


def held(root: UPath) -> Cut | None:
    """The same of a trial that is to stay cut; None where it never was, or is to be finished."""
    cut = read_cut(root)
    return None if cut is None or cut.go_on else cut
