"""Pages of the report in headless Chromium, as Debian packs it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import pandas as pd
    from playwright.sync_api import Browser, Page

PATIENCE = 240_000  # milliseconds: a busy machine


@dataclass
class Heard:
    """What a page said and asked for while it was open."""

    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Skips the test where there is none."""
    place = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if place is None:
        pytest.skip("no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        options: dict[str, Any] = {
            "executable_path": place,
            "args": ["--no-sandbox", "--disable-gpu"],
            "timeout": PATIENCE,
        }
        browser = driver.chromium.launch(**options)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, width: int = 1440, dark: bool = False) -> Iterator[tuple[Page, Heard]]:
    """One page of a fresh profile; afterwards it must have raised no error and asked for nothing but itself."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    context.set_default_timeout(PATIENCE)
    page, heard = context.new_page(), Heard()
    page.on(
        "console", lambda message: heard.errors.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: heard.errors.append(str(error)))
    page.on("request", lambda request: heard.asked.append(request.url))
    page.goto(address, timeout=PATIENCE)
    yield page, heard
    outside = [url for url in heard.asked if not url.startswith(("data:", address.partition("#")[0]))]
    assert heard.errors == [] and outside == []
    context.close()


@dataclass(frozen=True)
class Given:
    """A finished picture whose markup is known; see `gelo.analysis.pictures.Finished`."""

    name: str
    title: str
    caption: str
    alt: str
    rows: pd.DataFrame
    markup: str

    def svg(self, *, inline: bool = False) -> str:
        return self.markup
