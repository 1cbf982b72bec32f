"""Writes docs/sweeps.md from the schema of a sweep: `python -m docs.sweeps`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gelo.sweeps.spec.kinds import ADAPTATIONS, HEADS, REMEDIES
from gelo.sweeps.spec.resources import Limits, Resources
from gelo.sweeps.spec.search import Scheduler
from gelo.sweeps.spec.sweep import SweepSpec, load_spec, presets
from gelo.tasks.ledger.trial import Looks, Training
from gelo.tasks.training import TASKS

PAGE = Path(__file__).with_name("sweeps.md")
_INTRODUCTION = """# A sweep's YAML: every key

`gelo run FILE.yaml` runs one; `gelo run demo` runs one that ships with gelo (`sweeps/spec/presets/`). `--set key=value` overrides a key
(`--set seeds=[0,1]`, `--set tasks.faces.epochs=2`). All faults of a file are told at once, before anything starts. This page is
written from the schema by `python -m docs.sweeps`, and a test compares the two.

Remedies of a list are alternatives, one trial each; a list within it is one trial with all of them:
`remedy: [none, distill, [distill, {wise: {alpha: 0.8}}]]` is three trials.

A hyper-parameter takes a value, a list (all of them: a grid), or with `search: random` a distribution: `{uniform: [low, high]}`,
`{loguniform: [low, high]}` or `{choice: [...]}`, drawn `samples` times. `search: optuna` suggests them from what it measured, and
`scheduler` ends trials that fall behind: [searches.md](searches.md).

    name: mine
    backbones: [mini-s]
    tasks:
      faces: {adaptation: [full, {lora: {rank: [4, 8]}}], remedy: [none, {wise: {alpha: 0.5}}]}
    seeds: [0, 1]
"""


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, _presets(), _section("Top level", SweepSpec), _section("`resources`", Resources)]
    parts.append(_section("`limits`, of resources", Limits))
    parts.append(_section("`scheduler`", Scheduler))
    parts.append(
        "## `tasks`\n\nA task's name and its settings, or a list of such blocks: "
        f"{', '.join(f'`{name}`' for name in TASKS)}. `backbones` in a block takes some of the sweep's; `adaptation`, `remedy` and `head`\n"
        "are below; `imported` takes encoders of `gelo import` ([models-in-and-out.md](models-in-and-out.md#in-a-sweep)): "
        "`{imported: {NAME: {path: DIR}}}`; the others are those of training. What is left out is the task's default:\n\n"
        + _defaults()
    )
    parts += [_section("Training", Training, "per task, above"), _section("`watch`, of training", Looks)]
    for title, kinds in (("`adaptation`", ADAPTATIONS), ("`remedy`", REMEDIES), ("`head`", HEADS)):
        parts += [_section(f"{title}: `{kind}`", model) for kind, model in kinds.items()]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _presets() -> str:
    """Each with what its first lines say."""
    rows = []
    for name, path in sorted(presets().items()):
        said = " ".join(line[1:].strip() for line in path.read_text().splitlines() if line.startswith("#"))
        trials = load_spec(name).trials()
        rows.append(f"| `{name}` | {len(trials)}, {sum(trial.trains for trial in trials)} | {said} |")
    return "\n".join(["## Presets", "", "| name | trials, trained | |", "|---|---|---|", *rows])


def _section(title: str, model: type[BaseModel], missing: str = "needed") -> str:
    words = re.sub(r"\s*\n\s*", " ", (model.__doc__ or "").strip())
    rows = [
        f"| `{name}` | {_default(field.get_default(call_default_factory=True), missing)} | {_type(field)} |"
        for name, field in model.model_fields.items()
        if name != "kind"
    ]
    table = "\n".join(["| key | default | takes |", "|---|---|---|", *rows]) if rows else "It has no settings."
    return f"## {title}\n\n{words}\n\n{table}\n"


def _default(value: Any, missing: str) -> str:
    if value is PydanticUndefined:
        return missing
    if isinstance(value, BaseModel):
        return "below"
    if value in ((), {}, "", None):
        return "none"
    shown = list(value) if isinstance(value, tuple) else value
    return f"`{shown}`".replace("'", "")


_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _type(field: Any) -> str:
    text = re.sub(r"Annotated\[(\w+), .*\)\]", r"\1", str(field.annotation)).replace("<class '", "").replace("'>", "")
    text = re.sub(r"(\w+\.)+", "", text)
    choices = re.fullmatch(r"Literal\[(.*)\]", text)
    if choices:
        return ", ".join(f"`{choice}`" for choice in re.findall(r"'([^']*)'", choices[1]))
    words = text.replace("tuple[str, ...]", "list of names").replace("tuple[int, ...]", "list of whole numbers")
    words = words.replace("dict[str, str]", "mapping").replace("dict[str, Any]", "mapping").replace(" | ", " or ")
    words = re.sub(r"tuple\[Literal\[(.*?)\], \.\.\.\]", lambda m: "list of " + m[1].replace("'", "`"), words)
    words = words.replace("dict[str, tuple[mapping, ...]]", "mapping")
    limits = [f"{_SIGNS[name]} {value}" for each in field.metadata for name, value in _limits(each) if name in _SIGNS]
    return ", ".join([words, *limits])


def _limits(limit: Any) -> list[tuple[str, Any]]:
    """A pydantic limit such as Ge(ge=1) as its name and number."""
    return re.findall(r"(\w+)=([^,)]+)", repr(limit))


def _defaults() -> str:
    lines = ["| task | collection | defaults |", "|---|---|---|"]
    for name, task in TASKS.items():
        for collection, settings in task.defaults.items():
            said = {"data": task.data[collection], "head": task.head.kind, **settings}
            lines.append(f"| `{name}` | {collection} | {', '.join(f'{key} {value}' for key, value in said.items())} |")
            for kind, other in task.by_adaptation.get(collection, {}).items():
                lines.append(
                    f"| `{name}` with `{kind}` | {collection} | {', '.join(f'{key} {value}' for key, value in other.items())} |"
                )
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
