"""What a trial kept, read back: a tower whose layers any adaptation or remedy that is known here may have built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError

from gelo.models.adapt import Adaptation
from gelo.models.faults import Fault, UserError
from gelo.models.remedies import Remedy
from gelo.models.tower import HOW, Tower


def load_tower(folder: Path) -> Tower:
    """What a trial kept in its `trained/`. Raises UserError where a spec in it is not known here, or a file is damaged, OSError."""
    try:
        return Tower.read(folder, TypeAdapter(Adaptation | Remedy))
    except ValidationError as error:
        kinds = ", ".join(str(each.get("input")) for each in error.errors())[:120]
        fault = Fault(str(folder / HOW), f"a tower built by {kinds}", "an adaptation or a remedy that this gelo has")
        raise UserError("tower", replace(fault, remedy="install what it was trained with")) from None
    except SafetensorError as error:
        fault = Fault(str(folder), f"damaged weights ({error})", "safetensors", "delete the folder, and train it again")
        raise UserError("tower", fault) from None
