"""index.html: one file that holds everything it shows. Nothing is fetched; names and messages are escaped, logins and keys taken out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gelo.analysis.cells import Table
from gelo.analysis.compare import Comparison
from gelo.analysis.finding import Finding
from gelo.analysis.gaintable import NAME as EQUAL_GAIN
from gelo.analysis.page.methods import methods
from gelo.analysis.page.values import embedded, values
from gelo.analysis.page.warned import warnings
from gelo.analysis.pagetables import row_name, shown_tables, tint_colours
from gelo.analysis.pictures import Finished
from gelo.analysis.published import kept
from gelo.models.members import kind_of
from gelo.models.remedies import REMEDIES
from gelo.models.secrets import redacted

_SCRIPTS = ("tables.js", "values.js", "tips.js", "page.js")  # in this order, as one


def render(
    comparison: Comparison,
    tables: Mapping[str, Table],
    found: Sequence[Finding],
    pictures: Iterable[Finished],
) -> str:
    """The page."""
    runs = comparison.runs
    shown = shown_tables(tables)
    document = values(comparison)
    theme, script = script_of("theme.js"), script_of(*_SCRIPTS)
    return environment().get_template("report.html.j2").render(
        sweep=runs.sweep,
        miniature=runs.miniature,
        partial=runs.partial,
        chosen=[f"{suite}: {len(g.scores.columns)} sets" for suite, g in comparison.general.items() if g.choice],
        findings=[{**asdict(each), "text": redacted(each.text)} for each in found],
        headline=next((table for table in shown if table["name"] == EQUAL_GAIN), None),
        tables=[table for table in shown if table["name"] != EQUAL_GAIN],
        places={name: place for place, name in enumerate(document["metrics"])},
        rows={key: place for place, (key, _) in enumerate(document["trials"])},
        pictures=[_picture(each) for each in pictures],
        warned=warnings(comparison),
        wrapped=_wrapped(comparison),
        total=len(comparison.status),
        complete=sum(status.state == "complete" for status in comparison.status.values()),
        methods=methods(comparison),
        published=kept(),
        tints={dark: tint_colours(dark) for dark in (False, True)},
        values=document,
        data=embedded(document),
        theme=theme,
        script=script,
        hashes=" ".join(f"'{_hash(each)}'" for each in (theme, script)),
    )  # fmt: skip


@cache
def environment() -> Environment:
    return Environment(
        loader=PackageLoader("gelo.analysis"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip


@cache
def script_of(*names: str) -> Markup:
    """Files of `templates` as one script, as they stand."""
    folder = files("gelo.analysis").joinpath("templates")
    return Markup("\n".join(folder.joinpath(name).read_text("utf-8") for name in names))


def _hash(script: str) -> str:
    """By which the page's policy knows the one script that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _picture(drawn: Finished) -> dict[str, Any]:
    """For the template: our own SVG, and the numbers that it shows."""
    rows = [[_told(value) for value in row] for row in drawn.rows.itertuples(index=False)]
    return {
        "name": drawn.name, "title": drawn.title, "caption": drawn.caption, "alt": drawn.alt, "svg": Markup(drawn.svg(inline=True)),
        "heads": [str(name) for name in drawn.rows.columns], "rows": rows,
    }  # fmt: skip


def _told(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else redacted(str(value))


def _wrapped(comparison: Comparison) -> list[str]:
    """Rows whose remedy stands around the encoder at inference: their numbers are not the plain encoder's own."""
    kinds = {kind_of(spec) for spec in REMEDIES if spec.wraps}
    trials = comparison.runs.trials.to_dict("records")
    return [row_name(trial) for trial in trials if kinds & set(str(trial["remedy_kind"]).split(" + "))]
