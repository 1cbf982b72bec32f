"""gelo: what specialising a vision-language encoder costs, and which remedy buys the most back.

The four packages stand at the repository's root and are imported as `gelo.models` (encoders), `gelo.tasks` (what is measured),
`gelo.sweeps` (what is run) and `gelo.analysis` (what is concluded): four such names in site-packages would be half of all research code's.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
if not (_HERE / "models").is_dir():  # not a wheel: a checkout, whose packages lie beside this folder
    __path__.append(str(_HERE.parent))
