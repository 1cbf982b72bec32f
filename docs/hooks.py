"""What MkDocs needs beside docs/*.md: the root's pages, from the one text of each, and the API's, from the tree of the packages.

Paths in the root's pages count from the root and become links of the site; a file of the root that a page links to is copied along.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
FROM_ROOT = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "vulnerabilities.md": "SECURITY.md",
    "conduct.md": "CODE_OF_CONDUCT.md",
}
FACE = "gelo"  # what notebooks call
PACKAGES = ("models", "tasks", "sweeps", "analysis")
INSIDE = {
    "models/mini",
    "tasks/mini",
    "sweeps/cli",
}  # nothing to call: what draws and trains the miniature, and the command line
_OUTSIDE = re.compile(r"\]\(\.\./([\w./-]+)\)")  # of a page in docs/: a file beside docs/


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The API's part of the navigation is what there is."""
    assert config.nav is not None
    config.nav.append({"API": [{name if name == FACE else f"gelo.{name}": f"api/{name}.md"} for name in api_pages()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's pages, the API's, and what docs/*.md link to beside docs/."""
    for page, name in FROM_ROOT.items():
        files.append(File.generated(config, page, content=as_page((ROOT / name).read_text())))
    for name, content in api_pages().items():
        files.append(File.generated(config, f"api/{name}.md", content=content))
    linked = {name for path in Path(config.docs_dir).glob("*.md") for name in _OUTSIDE.findall(path.read_text())}
    for name in sorted(linked - set(FROM_ROOT.values())):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """In a page of docs/, a link to a file of the root leads to its copy."""
    return markdown if "/" in page.file.src_uri else _OUTSIDE.sub(lambda found: f"]({_on_site(found[1])})", markdown)


def as_page(text: str) -> str:
    """A text of the root as one of the site: paths lead to pages, and `docs/NAME.md` is a link."""
    text = re.sub(r"\]\(docs/", "](", text)
    text = re.sub(r"\]\(([A-Z_]+\.md)\b", lambda found: f"]({_on_site(found[1])}", text)
    return re.sub(r"`docs/([\w-]+)\.md`", r"[\1](\1.md)", text)


def _on_site(name: str) -> str:
    return next((page for page, source in FROM_ROOT.items() if source == name), name)


def api_pages() -> dict[str, str]:
    """By dotted name, the face for notebooks and one page a folder of the packages: each module that has a docstring and no underscore
    before its name."""
    folders = [file.parent for package in PACKAGES for file in sorted((ROOT / package).rglob("__init__.py"))]
    pages = {FACE: "# gelo\n\n::: gelo.api\n\n::: gelo.frames\n\n::: gelo.metrics\n"}
    for folder in folders:
        place = folder.relative_to(ROOT)
        if any(place.is_relative_to(inner) for inner in INSIDE):
            continue
        name, modules = ".".join(place.parts), [file for file in sorted(folder.glob("*.py")) if _is_public(file)]
        parts = [f"# gelo.{name}", *(f"::: {_dotted(file)}" for file in modules)]
        if modules:
            pages[name] = "\n\n".join(parts) + "\n"
    return pages


def _is_public(file: Path) -> bool:
    named = file.name == "__init__.py" or not file.name.startswith("_")
    return named and ast.get_docstring(ast.parse(file.read_text())) is not None


def _dotted(file: Path) -> str:
    return ".".join(["gelo", *file.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
