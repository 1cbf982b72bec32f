"""Trainings that share cards: a card of so many bytes by hand, and Ray's own grants."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from gelo.models.adapt import Lora
from gelo.models.faults import UserError
from gelo.models.remedies import Distill
from gelo.sweeps.engine import tune as engine
from gelo.sweeps.engine.orders import Orders, StopFlag
from gelo.sweeps.engine.packer import Packer, alike
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.journal import FILE, Attempt, Attempts, journal, read_attempts
from gelo.tasks.ledger.trial import Trial
from tests.sweeps.tuned import Tuned, spots, tell_ray, trial

GB = 10**9
PACKED = Resources(gpus=1, pack=True)


class Cards:
    """Trains as a machine with cards of so many bytes would: writes journals, and runs out of memory where a share is too small. holds:
    bytes of a training, by its key."""

    def __init__(self, root: Path, card: int, holds: Mapping[str, int]) -> None:
        self.folder, self.card, self.holds = SweepFolder(UPath(root), "packed"), card, holds
        self.rounds: list[dict[str, float]] = []
        self.said: list[str] = []

    def train(self, some: Sequence[Trial], shares: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        self.rounds.append({each.key: shares[each.key] for each in some})
        failures: dict[str, dict[str, Any]] = {}
        for each in some:
            own, held = self.folder.trial(each), self.holds[each.key]
            own.root.mkdir(parents=True, exist_ok=True)
            fits = held <= self.card * shares[each.key]
            if not fits:
                failures[each.key] = {"kind": "out of memory", "error": "CUDA out of memory"}
            own.set_failure(failures.get(each.key))
            made = Attempt(started=0, seen=1, memory=held, card=self.card, gpus=shares[each.key],
                           how="trained" if fits else "failed")  # fmt: skip
            (own.root / FILE).write_text(Attempts(attempts=[*read_attempts(own.root), made]).model_dump_json())
        return failures

    def run(self, todo: Sequence[Trial], of: Sequence[Trial] | None = None) -> dict[str, dict[str, Any]]:
        return Packer(PACKED, self.folder, self.train, lambda: False, self.said.append).trained(todo, of or todo)


def of_seeds(count: int, **changes: Any) -> list[Trial]:
    return [trial().model_copy(update={"seed": seed, **changes}) for seed in range(count)]


def test_one_of_a_kind_goes_ahead_and_its_like_share_a_card(tmp_path: Path) -> None:
    """80 / (1.2 x (12.4 + 0.6)) = 5.1 of the small; 80 / (1.2 x (60 + 0.6)) = 1.1 of the large."""
    small, large = of_seeds(4), of_seeds(3, adaptation=Lora(rank=8))
    cards = Cards(
        tmp_path, 80 * GB, {each.key: int(12.4 * GB) for each in small} | {each.key: 60 * GB for each in large}
    )
    assert cards.run([*small, *large]) == {}
    assert cards.rounds == [
        {small[0].key: 1.0, large[0].key: 1.0},
        {**{each.key: 0.2 for each in small[1:]}, **{each.key: 1.0 for each in large[1:]}},
    ]
    assert cards.said == [
        "a training held 12.4 GB of a card of 80.0 GB: 5 of its like share one from here (resources.pack)"
    ]
    more = of_seeds(6)[4:]
    cards.holds = dict.fromkeys((each.key for each in more), 12 * GB)
    assert cards.run(more, [*small, *more]) == {} and cards.rounds[2:] == [{each.key: 0.2 for each in more}], (
        "another run reads in journals what the like held"
    )


def test_one_that_runs_out_of_memory_on_a_share_has_a_whole_card_and_so_have_its_like(tmp_path: Path) -> None:
    todo = of_seeds(4)
    cards = Cards(tmp_path, 80 * GB, {each.key: 30 * GB if each.seed == 2 else 12 * GB for each in todo})
    assert cards.run(todo) == {}
    assert cards.rounds[1:] == [{each.key: 0.2 for each in todo[1:]}, {todo[2].key: 1.0}]
    assert "1 training ran out of memory on a share of a card: again on a whole one" in cards.said
    cards.holds = {each.key: 90 * GB for each in of_seeds(6)[4:]}
    failures = cards.run(of_seeds(6)[4:], [])
    assert {failure["kind"] for failure in failures.values()} == {"out of memory"} and len(failures) == 2, (
        "what a whole card has no room for has failed, once"
    )
    assert Counter(key for some in cards.rounds for key in some)[of_seeds(5)[4].key] == 1


def test_what_memory_depends_on_tells_kinds_apart() -> None:
    plain = trial()
    same = [
        plain.model_copy(update={"seed": 9}),
        trial(lr_backbone=1.0, epochs=2, weight_decay=0.0001, schedule="constant"),
    ]
    assert {alike(each) for each in same} == {alike(plain)}
    other = [trial(batch=8), trial(accumulate=2), trial(precision="bf16"), plain.model_copy(update={"backbone": "mini-l"}),
             plain.model_copy(update={"adaptation": Lora(rank=8)}), plain.model_copy(update={"remedy": Distill()})]  # fmt: skip
    assert len({alike(each) for each in [plain, *other]}) == 1 + len(other)
    strong = plain.model_copy(update={"remedy": Distill(strength=7.5)})
    assert alike(strong) == alike(plain.model_copy(update={"remedy": Distill()})) != alike(plain)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 79)), min_size=1, max_size=12),
    st.integers(8, 80),
)
def test_every_training_ends_once_however_wrong_its_like_were(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, int]], card: int
) -> None:
    """Whatever the like held: what a card has room for is trained to its end once, the others fail once on a whole one."""
    todo = [
        trial().model_copy(update={"seed": place, "adaptation": Lora(rank=4 + kind)})
        for place, (kind, _) in enumerate(made)
    ]
    holds = {each.key: gigabytes * GB for each, (_, gigabytes) in zip(todo, made, strict=True)}
    cards = Cards(tmp_path_factory.mktemp("cards"), card * GB, holds)
    failures = cards.run(todo)
    assert set(failures) == {key for key, held in holds.items() if held > card * GB}
    starts = [(each.key, start.how) for each in todo for start in read_attempts(cards.folder.trial(each).root)]
    ended = Counter(key for key, how in starts if how == "trained")
    assert ended == Counter(key for key in holds if key not in failures)
    tried = Counter(key for some in cards.rounds for key in some)
    assert set(tried) == set(holds) and max(tried.values()) <= 2


def test_a_spec_asks_for_it_with_one_gpu() -> None:
    sweep = {"name": "mine", "backbones": ["mini-s"], "tasks": {"faces": {}}}
    assert parse_spec({**sweep, "resources": {"gpus": 1, "pack": True}}, "").resources.pack
    for gpus in (0, 0.5, 2):
        with pytest.raises(UserError, match="with gpus 1, of which trainings are granted shares"):
            parse_spec({**sweep, "resources": {"gpus": gpus, "pack": True}}, "")


@pytest.fixture(scope="module")
def one_gpu() -> Iterator[None]:
    """Ray on this machine, told of a GPU that is not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        tell_ray()
        ray.init(address="local", num_cpus=4, num_gpus=1, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()
    tell_ray()


@pytest.mark.cluster
def test_ray_puts_as_many_on_a_card_as_their_shares_say(
    one_gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six, one goes ahead alone; three of its like are beside each other on the card, and never four."""

    def holds(config: dict[str, Any]) -> None:  # in place of a training: it holds what it was granted for a while
        root = UPath(config["root"]) / "trials" / config["key"]
        with journal(
            root, ranks=1, cpus=1, gpus=config["granted"][config["key"]], memory=lambda: (20 * GB, 80 * GB)
        ) as own:
            assert ray.get_runtime_context().get_assigned_resources()["GPU"] == own.now.gpus
            (tmp_path / "begun" / config["key"]).touch()
            while own.now.gpus < 1 and len(list((tmp_path / "begun").iterdir())) < 1 + 3:
                time.sleep(0.1)  # until as many as fit have begun
            own.now.how = "trained"

    (tmp_path / "begun").mkdir()
    monkeypatch.setattr(engine, "run_trial", holds)
    tuned, todo = Tuned(SweepFolder(UPath(tmp_path), "packed"), spots(tmp_path / "data")), of_seeds(6)
    said: list[str] = []
    packer = Packer(
        PACKED, tuned.folder, lambda some, shares: tuned.train(list(some), PACKED, shares), lambda: False, said.append
    )
    assert packer.trained(todo, todo) == {}
    first, *others = [read_attempts(tuned.folder.trial(each).root)[0] for each in todo]
    assert first.gpus == 1 and {each.gpus for each in others} == {0.3333} and "3 of its like share one" in said[0]
    assert all(first.seen <= each.started for each in others)
    beside = [sum(a.started <= b.started < a.seen for a in others) for b in others]
    assert max(beside) == 3
    assert tuned.meter.gpu_seconds(todo[1].key) == pytest.approx(0.3333 * tuned.meter.seconds(todo[1].key), rel=0.01)


@pytest.mark.cluster
def test_what_was_ended_for_good_may_start_again_in_the_next_round(one_gpu: None) -> None:
    """One whose machine had no memory left, too."""
    stop = StopFlag()
    stop.fail("a", {"kind": "out of memory", "error": "x"})
    orders = Orders(stop.actor, "a", [])
    assert orders.ends() and orders.order == "fail"
    stop.forget()
    assert not Orders(stop.actor, "a", []).ends()
