"""Soups against numpy's mean, and the greedy one against the published loop written out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from gelo.models.adapt import Full, adapt
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.remedies import Bench, Soup
from gelo.models.tower import HOW, Tower
from gelo.models.trained import load_tower


def tuned(encoder: Encoder, seed: int) -> Tower:
    adapted = adapt(encoder.visual, Full(), seed=0)
    generator = torch.Generator().manual_seed(seed)
    adapted.load({n: t + 0.1 * torch.randn(t.shape, generator=generator) for n, t in adapted.state().items()})
    return adapted.publish()


def far(tower: Tower, aim: Tower) -> float:
    """The distance of two towers."""
    one, two = tower.weights, aim.weights
    return float(sum((one[n].double() - two[n].double()).square().sum() for n in one if one[n].is_floating_point()))


def published(towers: dict[str, Tower], score: object) -> tuple[list[str], dict[str, np.ndarray]]:
    """mlfoundations/model-soups, main.py: a running mean, one member more where held-out accuracy rises."""
    ranked = sorted(towers, key=lambda name: score(towers[name]), reverse=True)  # type: ignore[operator]
    kept, best = [ranked[0]], score(towers[ranked[0]])  # type: ignore[operator]
    mean = {n: t.double().numpy() for n, t in towers[ranked[0]].weights.items()}
    for name in ranked[1:]:
        count = len(kept)
        tried = {
            n: mean[n] * count / (count + 1) + t.double().numpy() / (count + 1) for n, t in towers[name].weights.items()
        }
        found = score(towers[name].with_weights({n: torch.from_numpy(t).float() for n, t in tried.items()}))  # type: ignore[operator]
        if found > best:
            kept, best, mean = [*kept, name], found, tried
    return kept, mean


@pytest.mark.parametrize("aim", range(3))
def test_greedy_is_the_published_loop(aim: int, encoder: Encoder, tmp_path: Path) -> None:
    """A tower is the better the nearer it is to a point that lies between some of the members."""
    towers = {f"seed {seed}": tuned(encoder, seed) for seed in range(6)}
    chosen = [list(towers)[n] for n in np.random.default_rng(aim).permutation(6)[:3]]
    wanted = Soup(seeds=(0, 1, 2)).finish(towers["seed 0"], Bench(encoder, {n: towers[n] for n in chosen}))
    scored: list[float] = []

    def score(tower: Tower) -> float:
        scored.append(-far(tower, wanted))
        return scored[-1]

    kept, mean = published(towers, score)
    scored.clear()
    made = Soup(seeds=tuple(range(6)), rule="greedy").finish(towers["seed 1"], Bench(encoder, towers, score=score))
    assert len(scored) == 2 * 6 - 1
    assert made.notes["soup"]["kept"] == kept and 2 <= len(kept) < 6
    assert made.notes["soup"]["score"] == pytest.approx(score(made), rel=1e-6)
    assert made.notes["soup"]["score"] > max(made.notes["soup"]["members"].values())
    for name, tensor in made.weights.items():
        np.testing.assert_allclose(tensor.numpy(), mean[name], rtol=1e-5, atol=1e-6)
    made.save(tmp_path)
    assert json.loads((tmp_path / HOW).read_text())["notes"]["soup"]["kept"] == kept
    assert load_tower(tmp_path).notes == made.notes and load_tower(tmp_path).plain


def test_where_nothing_is_gained_the_best_stays_alone_bit_for_bit(encoder: Encoder) -> None:
    """A tie is no gain: the code wants strictly more."""
    towers = {f"seed {seed}": tuned(encoder, seed) for seed in range(3)}
    made = Soup(rule="greedy").finish(towers["seed 0"], Bench(encoder, towers, score=lambda tower: 0.5))
    assert made.notes["soup"]["kept"] == ["seed 0"]
    assert all(torch.equal(tensor, towers["seed 0"].weights[name]) for name, tensor in made.weights.items())
    aim = towers["seed 2"]
    best = Soup(rule="greedy").finish(towers["seed 0"], Bench(encoder, towers, score=lambda t: -far(t, aim)))
    assert all(torch.equal(tensor, aim.weights[name]) for name, tensor in best.weights.items())


def test_members_without_a_mean_are_refused_all_at_once(encoder: Encoder) -> None:
    towers = {f"seed {seed}": tuned(encoder, seed) for seed in range(4)}
    nan = dict(towers["seed 1"].weights)
    nan["proj"] = nan["proj"].clone()
    nan["proj"][0, 0] = torch.nan
    towers["seed 1"] = towers["seed 1"].with_weights(nan)
    other = {n: t for n, t in towers["seed 3"].weights.items() if ".2." not in n}
    towers["seed 3"] = towers["seed 3"].with_weights(other)
    for rule in ("uniform", "greedy"):
        with pytest.raises(UserError) as caught:
            Soup(seeds=(0, 1, 2, 3), rule=rule).finish(towers["seed 0"], Bench(encoder, towers))  # type: ignore[arg-type]
        assert [fault.where for fault in caught.value.faults] == ["seed 1", "seed 3"]
        assert "not finite: proj" in caught.value.faults[0].found and "another base" in caught.value.faults[1].found


def test_greedy_needs_a_metric(encoder: Encoder) -> None:
    towers = {"seed 0": tuned(encoder, 0)}
    with pytest.raises(UserError, match=r"rule: greedy: this task has no validation metric here; expected a task"):
        Soup(seeds=(0,), rule="greedy").finish(towers["seed 0"], Bench(encoder, towers))

    def broken(tower: Tower) -> float:
        raise KeyError("a mistake of the metric")

    with pytest.raises(KeyError):
        Soup(seeds=(0,), rule="greedy").finish(towers["seed 0"], Bench(encoder, towers, score=broken))


def test_a_soup_names_every_combination_and_keeps_its_old_key() -> None:
    assert Soup().canonical() == {"kind": "soup", "seeds": [0, 1, 2]} and Soup().label == "soup(seeds=(0, 1, 2))"
    assert Soup(seeds=(1, 0)).parents() == {"seed 0": {"seed": 0}, "seed 1": {"seed": 1}}
    rates = Soup(seeds=(), lr_backbone=(3e-5, 1e-5))
    assert rates.parents() == {
        "lr_backbone 1e-05": {"training": {"lr_backbone": 1e-5}},
        "lr_backbone 3e-05": {"training": {"lr_backbone": 3e-5}},
    }
    both = Soup(seeds=(0, 2), epochs=(4, 8)).parents()
    assert list(both) == ["seed 0, epochs 4", "seed 0, epochs 8", "seed 2, epochs 4", "seed 2, epochs 8"]
    assert both["seed 2, epochs 8"] == {"seed": 2, "training": {"epochs": 8}}
    for wrong in ({"seeds": ()}, {"lr_backbone": (0,)}, {"epochs": (2, 2)}, {"seeds": (0, 0)}, {"seeds": (-1,)}):
        with pytest.raises(ValidationError):
            Soup.model_validate(wrong)
