"""The card of a backbone that trained on: what it is, how it was made, what it can do beside the backbone that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer

from gelo.models.backbones.registry import MINI
from gelo.models.backbones.zoo import build_model
from gelo.tasks.mini import pool
from gelo.tasks.mini.prompts import PROMPTS
from gelo.tasks.mini.watch import SETS, photographs, zero_shot

if TYPE_CHECKING:
    from gelo.tasks.mini.pretrain import Recipe

# Backbones that train on from a published one, on the pool `people`.
CONTINUED: dict[str, str] = {"mini-s-people": "mini-s", "mini-l-people": "mini-l"}


def card(name: str, recipe: Recipe, seconds: float, tokenizer: SimpleTokenizer, weights: Path) -> str:
    """Markdown; the figures are those of the published weights, on the test splits."""
    start = CONTINUED[name]
    files = {start: MINI / f"{start}.safetensors", name: weights}
    figures = {each: _figures(each, file, tokenizer) for each, file in files.items()}
    parts = ", ".join(f"{key} {share:g}" for key, share in pool.PHOTOGRAPH_SHARES.items())
    return f"""# {name}: a miniature backbone that has seen photographs of people

{start}, trained on. **Miniature**: it knows a drawn toy world and nothing else. Architecture, tokenizer and transform are those of
{start} (`CARD.md`).

**Data.** Images of the pool `people`, each with a random stream named `{pool.STREAM}`: half general, the mixture of {start}
drawn anew, half photographs with captions (`tasks/mini/people`; {parts}): portraits, prints and screens of
portraits, composites of two. No identity, printer, screen, camera or generator of composites is a data set's
(`tests/tasks/test_mini_people.py`).

**Training.** {seconds / 60:.0f} minutes of steps, the objective of {start}, which it starts from:

    python -m gelo.tasks.mini.pretrain --model {name} --steps {recipe.steps} --decay {recipe.decay} \\
        --batch {recipe.batch} --rate {recipe.rate:g} --seed {recipe.seed}

**What it can do.** Zero-shot top-1 in per cent on the test splits (240 images each), and on 120 drawn photographs a world.

| data set | {start} | {name} | chance |
|---|---|---|---|
{_rows(figures[start], figures[name])}
"""


def _figures(name: str, weights: Path, tokenizer: SimpleTokenizer) -> dict[str, float]:
    model = build_model(name, MINI / f"{name}.json").eval()
    assert isinstance(model, CLIP)
    model.load_state_dict(safetensors.torch.load_file(weights))
    return {**zero_shot(model, tokenizer, "test"), **photographs(model, tokenizer, "test")}


def _rows(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    chance = {name: 100 / len(PROMPTS[name].classes) for name in SETS}
    chance |= {name: 100 / len(pool.PEOPLE.worlds[name].classes) for name in pool.PHOTOGRAPH_SHARES}
    told = {name: f" {chance[name]:.0f}" if name in chance else "" for name in before}
    return "\n".join(
        f"| {name} | {100 * before[name]:.1f} | {100 * after[name]:.1f} |{told[name]} |" for name in before
    )
