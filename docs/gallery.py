"""Puts the report pages of sweeps that ran here into docs/gallery, each with a picture of its top: `python -m docs.gallery demo`.

The pages are those that `gelo report` wrote, unchanged: one file each, which asks nobody for anything. `make docs` publishes them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import sync_playwright

GALLERY = Path(__file__).with_name("gallery")
WIDTH, HEIGHT = 1200, 900  # pixels of the picture


def keep(name: str, storage: Path) -> list[Path]:
    """The page and the picture of a sweep's report. Raises FileNotFoundError where it has none, LookupError without Chromium."""
    page, picture = GALLERY / f"{name}.html", GALLERY / f"{name}.png"
    browser = shutil.which("chromium")
    if browser is None:
        raise LookupError("chromium: not there, expected Debian's package; apt-get install chromium")
    GALLERY.mkdir(exist_ok=True)
    shutil.copyfile(storage / name / "report" / "index.html", page)
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        shown = opened.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        shown.goto(page.absolute().as_uri())
        shown.screenshot(path=picture)
        opened.close()
    return [page, picture]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0, or 2 where a report or Chromium is not there."""
    parser = argparse.ArgumentParser(prog="python -m docs.gallery", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help="a sweep whose report was written")
    parser.add_argument("--storage", type=Path, default=Path("out"))
    given = parser.parse_args(arguments)
    for name in given.names:
        try:
            print("\n".join(map(str, keep(name, given.storage))))
        except FileNotFoundError as error:
            print(f"{error.filename}: not there, expected a report; gelo report {name}", file=sys.stderr)
            return 2
        except LookupError as error:
            print(error.args[0], file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
