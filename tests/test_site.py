"""`make docs`: every page is in the navigation, every link leads somewhere, and no page asks another host for anything."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from docs.hooks import FROM_ROOT, api_pages, as_page

ROOT = Path(__file__).parents[1]


class _Loaded(HTMLParser):
    """What a browser fetches for a page without being asked: not where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        where = named.get("href") if tag == "link" else named.get("src")
        if where:
            self.found.append(where)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_of_docs_is_in_the_navigation() -> None:
    """`mkdocs build --strict` says it too, but later."""
    text = re.sub(r"!!python/\S+", "", (ROOT / "mkdocs.yml").read_text())
    named = set(re.findall(r"'([\w-]+\.md)'", str(yaml.safe_load(text)["nav"])))
    assert named == {path.name for path in (ROOT / "docs").glob("*.md")} | set(FROM_ROOT)


def test_paths_of_the_roots_pages_are_links_of_the_site() -> None:
    text = "[add](docs/add.md), `docs/data.md`, ![](docs/gallery/demo.png), [how](SECURITY.md#how-to-report), `docs/rates.yaml`"
    links = "[add](add.md), [data](data.md), ![](gallery/demo.png), [how](vulnerabilities.md#how-to-report), `docs/rates.yaml`"
    assert as_page(text) == links


def test_the_api_is_that_of_the_packages() -> None:
    pages = api_pages()
    assert {"gelo", "models", "tasks", "tasks.metrics", "sweeps", "analysis"} <= set(pages)
    assert "::: gelo.sweeps.spec.sweep\n" in pages["sweeps.spec"]
    assert not any(".__init__" in page or "gelo.sweeps.cli" in page for page in pages.values())


@pytest.mark.slow
def test_the_site_is_built_and_asks_no_other_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) >= len(FROM_ROOT) + len(api_pages())
    for page in pages:
        loaded = _Loaded()
        loaded.feed(page.read_text())
        assert not [where for where in loaded.found if re.match(r"(\w+:)?//", where)], page.name
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", styles)
    assert "gelo.models.backbones.zoo.load_backbone" in (site / "api" / "models.backbones.html").read_text()
    assert "gelo.api.evaluate" in (site / "api" / "gelo.html").read_text()


@pytest.fixture
def asked(site: Path) -> Iterator[tuple[str, list[str]]]:
    """(address, paths that were asked for) of the site behind a server."""
    paths: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            paths.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_shows_the_start_page(asked: tuple[str, list[str]], tmp_path: Path) -> None:
    """With every other host unknown to it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    address, paths = asked
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"{address}/index.html",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "<h1" in done.stdout and "make demo" in done.stdout, done.stderr
    assert any("bundle" in path for path in paths) and "/gallery/demo.png" in paths
