"""Whoever looks at a run changes no bit of it, sees each point once, and may end it; a budget keeps the last weights within."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gelo.models.adapt import AdaptationSpec, Full, Lora
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.remedies import EMA, Budget, Distill, Hooks, RemedySpec, Stack
from gelo.models.tower import ENCODER, Tower
from gelo.models.training.watch import Curve, Seen, Watch
from tests.models.toy_run import STEPS, Ended, go, watching

WAYS: list[AdaptationSpec] = [Full(), Lora(rank=2, dropout=0.25)]


def same(one: Ended, two: Ended) -> bool:
    first, second = one.tensors(), two.tensors()
    return first.keys() == second.keys() and all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.fixture
def with_statistics(encoder: Encoder) -> Encoder:
    """A tower with running statistics, which a forward pass in training mode would move."""
    torch.manual_seed(1)
    tower = nn.Sequential(nn.Conv2d(3, 6, 8, 8), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(96, encoder.dim))
    tower[1].running_mean += 0.3
    return Encoder(
        tower, encoder.text, encoder.transform, name="tower", dim=encoder.dim, scale="miniature", config={}
    )  # fmt: skip


@pytest.mark.parametrize("adaptation", WAYS, ids=str)
def test_looking_changes_no_bit(adaptation: AdaptationSpec, encoder: Encoder, tmp_path: Path) -> None:
    plain = go(encoder, adaptation, tmp_path / "a")
    watched = go(encoder, adaptation, tmp_path / "b", watch=watching(encoder, STEPS))
    assert same(plain, watched) and len(watched.run.curve.points) == STEPS + 1 and not plain.run.curve.points
    assert [row["loss"] for row in plain.run.history] == [row["loss"] for row in watched.run.history]


def test_looking_moves_no_running_statistic(with_statistics: Encoder, tmp_path: Path) -> None:
    plain = go(with_statistics, Full(), tmp_path / "a")
    watched = go(with_statistics, Full(), tmp_path / "b", watch=watching(with_statistics, STEPS))
    assert same(plain, watched)
    one, two = plain.model.publish().weights, watched.model.publish().weights
    moved = [name for name, tensor in two.items() if not torch.equal(tensor, with_statistics.visual_state()[name])]
    assert "1.running_mean" in moved and all(torch.equal(tensor, two[name]) for name, tensor in one.items())
    assert watched.run.model.training is plain.run.model.training


def test_the_first_point_is_the_untouched_tower_and_the_last_the_one_that_is_kept(
    encoder: Encoder, tmp_path: Path
) -> None:
    seen: list[Tower] = []

    def measure(tower: Tower, head: Mapping[str, Tensor]) -> Seen:
        seen.append(tower)
        assert not head, "who does not ask for the head is not given it"
        return Seen()

    ended = go(encoder, WAYS[1], tmp_path, watch=Watch(measure, 2, "weights"))
    first, _, last = seen
    assert all(torch.equal(tensor, encoder.visual_state()[name]) for name, tensor in first.weights.items())
    kept = ended.model.publish().tensors[ENCODER]
    assert all(torch.equal(tensor, kept[name]) for name, tensor in last.weights.items())
    assert [(point["step"], point["images"]) for point in ended.run.curve.points] == [(0, 0), (3, 24), (6, 48)]
    assert ended.run.curve.points[0] == {"step": 0, "images": 0, "sets": {}}, "what there is none of is absent, not 0"


@pytest.mark.parametrize(
    "remedy",
    [EMA(decay=0.5), EMA(rule="mean", every=2, start=0.5), Stack(remedies=(Distill(), EMA(decay=0.5)))],
    ids=str,
)
@pytest.mark.parametrize("adaptation", WAYS, ids=str)
def test_what_would_be_kept_is_looked_at_where_that_is_an_average(
    remedy: RemedySpec, adaptation: AdaptationSpec, encoder: Encoder, tmp_path: Path
) -> None:
    seen: list[Tower] = []

    def measure(tower: Tower, head: Mapping[str, Tensor]) -> Seen:
        seen.append(tower)
        return Seen()

    plain = go(encoder, adaptation, tmp_path / "a", remedy)
    watched = go(encoder, adaptation, tmp_path / "b", remedy, watch=Watch(measure, 3, "weights"))
    assert same(plain, watched), "it changes no bit either"
    kept, last = watched.model.publish().weights, seen[-1].weights
    assert all(torch.equal(tensor, kept[name]) for name, tensor in last.items())


@pytest.mark.parametrize(
    ("points", "steps", "expected"),
    [
        (0, 6, []), (1, 6, [0, 6]), (2, 6, [0, 3, 6]), (5, 100, [0, 20, 40, 60, 80, 100]), (5, 7, [0, 1, 2, 4, 5, 7]),
        (5, 3, [0, 1, 2, 3]), (9, 1, [0, 1]),
    ],
)  # fmt: skip
def test_looks_are_spread_evenly_from_the_start_to_the_end(points: int, steps: int, expected: list[int]) -> None:
    watch = Watch(points=points)
    assert [step for step in range(steps + 1) if watch.due(step, steps)] == expected


@pytest.mark.parametrize("adaptation", WAYS, ids=str)
def test_a_run_that_goes_on_has_the_same_curve_and_looks_at_nothing_twice(
    adaptation: AdaptationSpec, encoder: Encoder, tmp_path: Path
) -> None:
    watch, calls = watching(encoder), [0]

    def counted(tower: Tower, head: Mapping[str, Tensor]) -> Seen:
        calls[0] += 1
        return watch.measure(tower, head)

    again = Watch(counted, watch.points, watch.of, headed=True)
    whole = go(encoder, adaptation, tmp_path / "whole", watch=watch)
    for _ in range(STEPS - 1):
        assert not go(encoder, adaptation, tmp_path / "left", watch=again, stop_after=1).finished
    ended = go(encoder, adaptation, tmp_path / "left", watch=again)
    assert ended.finished and calls == [len(whole.run.curve.points)] == [4]
    assert ended.run.curve.points == whole.run.curve.points
    assert np.array_equal(np.stack(ended.run.curve.correct), np.stack(whole.run.curve.correct))
    sure = ended.run.curve.points[2]
    assert ended.run.curve.correct[2].mean() == sure["test"] == sure["sets"]["noise"]


def test_points_of_something_else_are_left_behind(encoder: Encoder, tmp_path: Path) -> None:
    go(encoder, Full(), tmp_path, watch=watching(encoder), stop_after=2)
    other = watching(encoder)
    ended = go(encoder, Full(), tmp_path, watch=Watch(other.measure, other.points, "another set", headed=True))
    assert [point["step"] for point in ended.run.curve.points] == [4, 6]


class Ending(RemedySpec):
    """Enough at a step."""

    kind: str = "ending"
    at: int

    def hooks(self) -> Any:
        class End(Hooks[Ending]):
            def watched(self, run: Any, row: Mapping[str, Any]) -> bool:
                assert row.keys() == {"step", "images", "task", "validation"}, "nothing of test images"
                return bool(row["step"] >= self.spec.at)

        return End(self)


@pytest.mark.parametrize(("at", "epochs"), [(0, []), (2, [(1, 2)]), (4, [(1, 3), (2, 4)]), (6, [(1, 3), (2, 6)])])
def test_a_hook_ends_the_training_which_then_counts_as_trained(
    at: int, epochs: list[tuple[int, int]], encoder: Encoder, tmp_path: Path
) -> None:
    told: list[dict[str, float]] = []
    ended = go(encoder, Full(), tmp_path, Ending(at=at), watch=watching(encoder), report=told.append)
    assert ended.finished and ended.run.step == at and ended.run.curve.points[-1]["step"] == at
    assert [(row["epoch"], row["step"]) for row in ended.run.history] == epochs
    assert [row["step"] for row in told] == [step for _, step in epochs]
    assert all({"zero_shot", "task"} <= row.keys() for row in told)


def test_of_a_stack_one_is_enough_and_all_are_told(encoder: Encoder, tmp_path: Path) -> None:
    stack = Stack.model_construct(remedies=(Ending(at=4), Budget(share=0.99)))
    ended = go(encoder, Full(), tmp_path, stack, watch=watching(encoder))
    assert ended.run.step == 2
    assert all(torch.equal(tensor, encoder.visual_state()[name]) for name, tensor in ended.model.merged().items())


@pytest.mark.parametrize(("adaptation", "share"), [(Full(), 0.8), (Lora(rank=2, dropout=0.25), 0.9)], ids=str)
def test_a_budget_keeps_the_last_weights_within_it_and_their_head(
    adaptation: AdaptationSpec, share: float, encoder: Encoder, tmp_path: Path
) -> None:
    ended = go(encoder, adaptation, tmp_path / "budget", Budget(share=share))
    shares = [point["validation"] for point in ended.run.curve.points]
    assert shares[0] == 1.0 and shares[-1] < share <= shares[-2] and ended.run.step == 4
    plain = go(encoder, adaptation, tmp_path / "plain", stop_after=2)
    assert same(ended, plain), "those of the step of the last look but one"


def test_a_budget_without_anything_to_measure_it_by_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no zero-shot accuracy is looked at; expected general sets"):
        go(encoder, Full(), tmp_path, Budget(), watch=Watch(lambda tower, head: Seen(task=0.5), 1))


def test_a_curve_without_points_leaves_nothing_in_a_checkpoint() -> None:
    assert Curve("of").state() == {} == Curve("of").tensors()


def test_a_run_that_is_judged_ends_at_that_look_and_goes_on_to_the_same_bits(encoder: Encoder, tmp_path: Path) -> None:
    whole = go(encoder, WAYS[1], tmp_path / "a", watch=watching(encoder))
    asked: list[tuple[int, int]] = []

    def judge(points: Any, steps: int) -> bool:
        asked.append((len(points), steps))
        return len(points) == 2

    cut = go(encoder, WAYS[1], tmp_path / "b", watch=watching(encoder), judge=judge)
    assert not cut.finished and cut.run.step == STEPS // 3 and asked == [(2, STEPS)]
    again = go(encoder, WAYS[1], tmp_path / "b", watch=watching(encoder), judge=judge)
    assert again.finished and same(whole, again)
    assert asked == [(2, STEPS), (3, STEPS), (4, STEPS)], "a look that a checkpoint holds is judged once"
    assert again.run.curve.points == whole.run.curve.points


def test_the_last_look_ends_nothing(encoder: Encoder, tmp_path: Path) -> None:
    ended = go(encoder, WAYS[1], tmp_path, watch=watching(encoder, 1), judge=lambda points, steps: True)
    assert ended.finished and ended.run.step == STEPS
