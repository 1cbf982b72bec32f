"""`python -m gelo` is `gelo`."""

from __future__ import annotations

import os

from gelo.sweeps.cli import main

if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
