"""A sweep's YAML: every fault listed at once with the nearest name, and the grid that a sound one means."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gelo.models.faults import Fault, UserError
from gelo.sweeps.spec.sweep import SweepSpec, load_spec, parse_spec, presets
from gelo.sweeps.stages.embed import pairs_of
from gelo.tasks.data.catalogue import chosen, datasets_for
from gelo.tasks.ledger.trial import Trial

SOUND: dict[str, Any] = {"name": "mine", "backbones": ["mini-s"], "tasks": {"faces": {}}}


def faults(**changes: Any) -> tuple[Fault, ...]:
    with pytest.raises(UserError) as refused:
        parse_spec({**SOUND, **changes}, "mine.yaml")
    return refused.value.faults


def faces(**settings: Any) -> dict[str, Any]:
    return {"tasks": {"faces": settings}}


@pytest.mark.parametrize(
    ("changes", "where", "found", "remedy"),
    [
        ({"evalaute": []}, "evalaute", "unknown key", "nearest: evaluate"),
        (faces(epoch=2), "tasks.faces.epoch", "unknown key", "nearest: epochs"),
        (faces(adaptation={"lora": {"rnak": 4}}), "tasks.faces.adaptation.lora.rnak", "unknown key", "nearest: rank"),
        ({"backbones": ["mini-z"]}, "backbones.mini-z", "unknown backbone", "nearest: mini-s"),
        ({"backbones": ["ViT-B/61"]}, "backbones.ViT-B/61", "unknown backbone", "nearest: ViT-B/16"),
        ({"tasks": {"face": {}}}, "tasks.face", "unknown task", "nearest: faces"),
        (faces(data="facez"), "tasks.faces.data", "unknown data set", "nearest: faces"),
        ({"evaluate": ["prob"]}, "evaluate", "unknown suite", "nearest: probe"),
        ({"collection": "miniatur"}, "collection", "unknown collection", "nearest: miniature"),
        (faces(adaptation="lara"), "tasks.faces.adaptation", "unknown adaptation", "nearest: lora"),
        (faces(remedy={"wisee": {}}), "tasks.faces.remedy", "unknown remedy", "nearest: wise"),
        (faces(head="cosfase"), "tasks.faces.head", "unknown head", "nearest: cosface"),
        (faces(backbones=["mini-l"]), "tasks.faces.backbones", "unknown backbone of this sweep", "nearest: mini-s"),
        ({"weights": {"mini-l": "w"}}, "weights.mini-l", "unknown backbone of this sweep", "nearest: mini-s"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    changes: dict[str, Any], where: str, found: str, remedy: str
) -> None:
    (fault,) = faults(**changes)
    assert fault.where == where
    assert found in fault.found
    assert fault.expected.startswith("one of ")
    assert fault.remedy == remedy


@pytest.mark.parametrize(
    ("changes", "where", "expected"),
    [
        ({"backbones": []}, "backbones", "at least 1"),
        ({"seeds": []}, "seeds", "at least 1"),
        ({"evaluate": []}, "evaluate", "at least 1"),
        ({"tasks": {"faces": []}}, "tasks.faces", "at least one"),
        (faces(adaptation=[]), "tasks.faces.adaptation", "at least one value"),
        (faces(adaptation={}), "tasks.faces.adaptation", "at least one value"),
        (faces(remedy=[]), "tasks.faces.remedy", "at least one value"),
        (faces(backbones=[]), "tasks.faces.backbones", "at least one value"),
        (faces(epochs=[]), "tasks.faces.epochs", "at least one value"),
        (faces(adaptation={"lora": {"rank": []}}), "tasks.faces.adaptation.lora.rank", "at least one value"),
    ],
)
def test_an_empty_grid_is_a_fault_and_not_an_empty_sweep(changes: dict[str, Any], where: str, expected: str) -> None:
    (fault,) = faults(**changes)
    assert fault.where == where
    assert expected in fault.expected


@pytest.mark.parametrize(
    ("changes", "where", "expected"),
    [
        ({"name": "data"}, "name", "a name other than"),
        ({"name": "a/b"}, "name", "pattern"),
        ({"seeds": [-1]}, "seeds.0", "greater than or equal to 0"),
        ({"resources": {"cpus": 0}}, "resources.cpus", "greater than or equal to 1"),
        (faces(epochs=[1, 0]), "tasks.faces.epochs", "greater than or equal to 1"),
        (faces(lr_backbone=float("nan")), "tasks.faces.lr_backbone", "finite"),
        (faces(schedule="cos"), "tasks.faces.schedule", "'constant', 'cosine' or 'cosine_restarts'"),
        (faces(remedy={"wise": {"alpha": [0.5, 2]}}), "tasks.faces.remedy.wise.alpha", "less than or equal to 1"),
        (faces(adaptation={"lora": {"blocks": [99]}}), "tasks.faces.adaptation (mini-s).blocks", "0 to "),
        (faces(data="pairs"), "tasks.faces.data", "to train on"),
        (faces(lr_head={"uniform": [1e-3, 1e-2]}), "tasks.faces.lr_head", "a value or a list"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_key(changes: dict[str, Any], where: str, expected: str) -> None:
    (fault,) = faults(**changes)
    assert fault.where == where
    assert expected in fault.expected


@pytest.mark.parametrize(
    "given", [{"uniform": [2, 1]}, {"uniform": 5}, {"loguniform": [0, 1]}, {"choice": []}, {"normal": [0, 1]}, {}]
)
def test_a_distribution_that_cannot_be_drawn_from(given: dict[str, Any]) -> None:
    (fault,) = faults(search="random", **faces(lr_head=given))
    assert fault.where == "tasks.faces.lr_head"


def test_all_faults_are_listed_at_once() -> None:
    found = faults(
        evalaute=[],
        name="cache",
        backbones=["mini-s", "mini-z"],
        seeds=[-1],
        evaluate=["prob"],
        tasks={"faces": {"epochs": 0, "adaptation": ["full", "lara"], "data": "facez"}, "spoof": {}},
    )
    assert sorted(fault.where for fault in found) == [
        "backbones.mini-z",
        "evalaute",
        "evaluate",
        "name",
        "seeds.0",
        "tasks.faces.adaptation",
        "tasks.faces.data",
        "tasks.spoof",
    ]


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from(["mini-s", "full", "lora", "x", "", "paper"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["faces", "lora", "rank", "uniform", "adaptation", "data", "backbones", "alpha", "q"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*SweepSpec.model_fields, "odd"]), _PLAIN)
def test_any_yaml_is_a_spec_or_a_list_of_faults(key: str, value: object) -> None:
    """Whatever stands under a key: a spec that expands, or a UserError; never another exception."""
    try:
        assert parse_spec({**SOUND, key: value}, "any.yaml").trials()
    except UserError as refused:
        assert refused.faults


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["adaptation", "remedy", "head", "backbones", "data", "epochs", "odd"]), _PLAIN)
def test_any_settings_of_a_task_are_a_grid_or_a_list_of_faults(key: str, value: object) -> None:
    try:
        assert len(parse_spec({**SOUND, **faces(**{key: value})}, "any.yaml").trials()) > 1
    except UserError as refused:
        assert refused.faults


def test_a_sweep_that_is_no_mapping_or_no_file(tmp_path: Path) -> None:
    for content, found in (("[1, 2]", "a list"), ("", "nothing"), ("a: [", "not YAML")):
        (tmp_path / "odd.yaml").write_text(content)
        with pytest.raises(UserError, match=found):
            load_spec(str(tmp_path / "odd.yaml"))
    with pytest.raises(UserError, match="nearest: demo"):
        load_spec("dem")


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    """YAML's own reading would keep the last one."""
    path = tmp_path / "twice.yaml"
    path.write_text(yaml.safe_dump(SOUND) + "seeds: [0]\nseeds: [1]\n")
    with pytest.raises(UserError, match="key 'seeds' is given twice"):
        load_spec(str(path))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("? [a, b]\n: 1\n", "a key that is no text: line 5, ['a', 'b'] (a list)"),
        ("tasks: {faces: {3: 1}}\n", "a key that is no text: line 5, 3 (a number)"),
        ("weights: {on: x}\n", "a key that is no text: line 5, on (a yes or no)"),
        (
            "~: 1\n1.5: 2\n2026-11-26: 3\n{a: b}: 4\n",
            "4 keys that are no text: line 5, ~ (nothing); line 6, 1.5 (a number); line 7",
        ),
        ("seeds: 2026-13-45\n", "month must be in 1..12"),
        ("tasks: " + "[" * 5000, "nested too deeply"),
        ("tasks: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("seeds: [010]\n", "010 is 8 in YAML"),
        ("tasks: {faces: {epochs: 12:30}}\n", "12:30 is 750 in YAML"),
        (
            "resources: {wave: 99999999999999999999}\n",
            "99999999999999999999 is a larger number than 9223372036854775807",
        ),
        ("seeds: [-99999999999999999999]\n", "is a larger number"),
        ("weights: {}\0\0\n", "special characters are not allowed"),
    ],
)
def test_yaml_that_is_no_sweep_is_one_fault(tmp_path: Path, text: str, found: str) -> None:
    """Case 42: keys that Python cannot look up, or that YAML took for something other than text."""
    path = tmp_path / "odd.yaml"
    path.write_text("name: odd\nbackbones:\n- mini-s\nsamples: 2\n" + text)
    with pytest.raises(UserError) as caught:
        load_spec(str(path))
    (fault,) = caught.value.faults
    assert fault.where == str(path) and found in fault.found


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_yaml_of_another_program_reads_the_same(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "other.yaml"
    path.write_bytes(yaml.safe_dump(SOUND).replace("\n", "\r\n").encode(encoding))
    assert load_spec(str(path)).trials() == parse_spec(SOUND, "").trials()


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        {"search": "random", "samples": 10**12, "tasks": {"faces": {"lr_backbone": {"loguniform": [1e-6, 1e-3]}}}},
        {"tasks": {"faces": {"lr_backbone": [0.1] * 200, "lr_head": [0.1] * 200}}},
        {"tasks": {"faces": {"epochs": [1] * 200, "adaptation": {"lora": {"rank": [1] * 200}}}}},
        {"seeds": list(range(20_001)), "tasks": {"faces": {}}},
    ],
)
def test_a_sweep_of_more_trials_than_anybody_means_is_refused_at_once(more: dict[str, Any]) -> None:
    """Not multiplied out first: of 1.6e9 trials the process would not come back."""
    with pytest.raises(UserError, match="more than 20,000 trials"):
        parse_spec({**SOUND, **more}, "").trials()


def test_keys_in_quotes_and_merged_ones_are_keys(tmp_path: Path) -> None:
    path = tmp_path / "fine.yaml"
    path.write_text(
        """{name: fine, "backbones": [mini-s], tasks: {faces: &f {epochs: 1, batch: 8}, morphs: {<<: *f, epochs: 2}}}"""
    )
    trials = load_spec(str(path)).trials()
    assert [(t.task, t.training.epochs, t.training.batch) for t in trials if t.training] == [
        ("faces", 1, 8),
        ("morphs", 2, 8),
    ]


@pytest.mark.parametrize("value", ["tasks={faces: {1: 2}}", "tasks={[a]: 2}", "seeds=[2026-13-45]"])
def test_an_override_that_is_no_yaml_is_named(value: str) -> None:
    with pytest.raises(UserError, match=r"--set .*: (a key that is no text|not YAML)"):
        load_spec("demo", (value,))


def test_seeds_are_what_every_generator_takes() -> None:
    largest = 2**63 - 1
    assert parse_spec({**SOUND, "seeds": [0, largest]}, "any.yaml").seeds == (0, largest)
    torch.Generator().manual_seed(largest)
    np.random.default_rng([largest, 1, 2])
    random.Random(largest)
    for seed in (largest + 1, 2**64, -1):
        with pytest.raises(UserError, match=r"seeds\.1"):
            parse_spec({**SOUND, "seeds": [0, seed]}, "any.yaml")


def test_gpus_are_whole_or_a_part_of_one() -> None:
    for gpus in (0, 0.25, 1, 2, 8.0):
        assert parse_spec({**SOUND, "resources": {"gpus": gpus}}, "any.yaml").resources.gpus == gpus
    for gpus in (1.5, 2.25, -1, float("inf"), float("nan")):
        with pytest.raises(UserError, match=r"resources\.gpus"):
            parse_spec({**SOUND, "resources": {"gpus": gpus}}, "any.yaml")


def test_demo_is_two_baselines_and_every_task_by_adaptation_by_backbone() -> None:
    trials = load_spec("demo").trials()
    cells = [(t.backbone, t.task, t.adaptation.kind) for t in trials]
    study = itertools.product(["mini-s", "mini-l"], ["faces", "morphs", "spoofs"], ["full", "lora"])
    assert cells[:2] == [("mini-s", "none", "none"), ("mini-l", "none", "none")]
    assert sorted(cells[2:]) == sorted(study)
    assert len({t.key for t in trials}) == 14


def test_paper_has_the_hyper_parameters_of_the_publication() -> None:
    """../shared/protocols.md, 1-5: rank, alpha, dropout; rates of backbone and head; batch; schedule; seed."""
    found = {
        (t.backbone, t.task): (
            *(getattr(t.adaptation, name) for name in ("rank", "alpha", "dropout")),
            *(t.training.lr_backbone, t.training.lr_head, t.training.batch, t.training.schedule),
        )
        for t in load_spec("paper").trials()
        if t.training is not None
    }
    fr, mad, pad = (1e-4, 1e-4, 512, "cosine_restarts"), (1e-5, 1e-4, 256, "constant"), (1e-6, 1e-3, 512, "constant")
    assert found == {
        ("ViT-B/16", "faces"): (16, 16.0, 0.25, *fr),
        ("ViT-L/14", "faces"): (16, 16.0, 0.25, *fr),
        ("ViT-B/16", "morphs"): (2, 4.0, 0.4, *mad),
        ("ViT-L/14", "morphs"): (2, 8.0, 0.2, *mad),
        ("ViT-B/16", "spoofs"): (8, 8.0, 0.4, *pad),
        ("ViT-L/14", "spoofs"): (8, 8.0, 0.4, *pad),
    }
    for trial in load_spec("paper").trials():
        if trial.training is not None:
            assert (trial.training.epochs, trial.training.weight_decay, trial.training.clip) == (40, 0.05, 5.0)
            assert (trial.adaptation.targets, trial.adaptation.rslora) == (("q", "v"), True)


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_is_sound(name: str) -> None:
    spec = load_spec(name)
    assert spec.name == name
    assert len({trial.key for trial in spec.trials()}) == len(spec.trials()) > 1


def test_lists_multiply_and_repetitions_count_once() -> None:
    spec = parse_spec(
        {**SOUND, "seeds": [0, 1, 1], **faces(adaptation=["full", {"lora": {"rank": [2, 4, 4]}}], epochs=[1, 2])},
        "mine",
    )
    assert len(spec.trials()) == 1 + 2 * (1 + 2) * 2


def test_a_merging_remedy_brings_the_trial_that_it_merges() -> None:
    trials = parse_spec({**SOUND, **faces(remedy={"wise": {"alpha": [0.2, 0.8]}})}, "mine").trials()
    assert [trial.remedy.kind for trial in trials] == ["none", "none", "wise", "wise"]
    assert {trial.source.key for trial in trials[2:]} == {trials[1].key}
    assert [trial.trains for trial in trials] == [False, True, False, False]


def test_distributions_are_drawn_alike_each_time_and_within_their_bounds() -> None:
    text = """
    name: mine
    backbones: [mini-s]
    search: random
    samples: 20
    tasks: {faces: {lr_backbone: {loguniform: [1e-6, 1e-3]}, batch: {choice: [16, 32]}}}
    """
    raw = yaml.safe_load(text)
    trials = parse_spec(raw, "mine").trials()
    rates = [trial.training.lr_backbone for trial in trials if trial.training]
    assert trials == parse_spec(raw, "mine").trials()
    assert len(set(rates)) == 20
    assert all(1e-6 <= rate <= 1e-3 for rate in rates)
    assert sum(rate < 10**-4.5 for rate in rates) in range(4, 17), "uniform in the logarithm"
    assert {trial.training.batch for trial in trials if trial.training} == {16, 32}
    del raw["tasks"]["faces"]["batch"]
    assert [t.training.lr_backbone for t in parse_spec(raw, "mine").trials() if t.training] == rates


def test_overrides_reach_nested_keys_and_are_checked_like_the_file() -> None:
    spec = load_spec("demo", ("seeds=[0,1]", "resources.cpus=2", "tasks.faces.epochs=7", "backbones=[mini-s]"))
    assert spec.seeds == (0, 1)
    assert spec.resources.cpus == 2
    assert {t.training.epochs for t in spec.trials() if t.task == "faces" and t.training} == {7}
    assert len(spec.trials()) == 1 + 12
    for override, found in (
        ("seeds", "no `key=value`"),
        ("seed=1", "unknown key"),
        ("seeds=[0", "not YAML"),
        ("name.first=x", "no mapping"),
        ("tasks.faces.epochs=0", "tasks.faces.epochs: 0"),
    ):
        with pytest.raises(UserError, match=found):
            load_spec("demo", (override,))


def test_random_draws_are_the_sweeps_own() -> None:
    def rates(**changes: Any) -> list[float]:
        block = {"faces": {"lr_backbone": {"loguniform": [1e-6, 1e-3]}}}
        spec = parse_spec({**SOUND, "search": "random", "samples": 3, "tasks": block, **changes}, "mine.yaml")
        return [trial.training.lr_backbone for trial in spec.trials() if trial.training is not None]

    assert rates(name="one") == rates(name="one") == rates(name="two", search_seed="one")
    assert not set(rates(name="one")) & set(rates(name="two"))


def test_a_random_sweep_that_was_saved_without_a_seed_keeps_its_draws() -> None:
    block = {"faces": {"lr_backbone": {"uniform": [0.0, 1.0]}}}
    saved = SweepSpec.model_validate({**SOUND, "search": "random", "samples": 2, "tasks": block})
    draws = random.Random("tasks.faces.lr_backbone")
    expected = [draws.uniform(0.0, 1.0) for _ in range(2)]
    assert [trial.training.lr_backbone for trial in saved.trials() if trial.training is not None] == expected


def test_sets_are_chosen_from_a_collection() -> None:
    chosen = parse_spec({**SOUND, "datasets": ["shapes", "pairs"]}, "mine.yaml")
    left = parse_spec({**SOUND, "without": ["digits", "templates"]}, "mine.yaml")
    assert [trial.key for trial in chosen.trials()] == [trial.key for trial in left.trials()]
    assert {name for name, _ in pairs_of(chosen, Path("nowhere"))} == {"shapes", "pairs"}
    whole = {name for name, _ in pairs_of(parse_spec(SOUND, "mine.yaml"), Path("nowhere"))}
    assert {name for name, _ in pairs_of(left, Path("nowhere"))} == whole - {"digits", "templates"}


@pytest.mark.parametrize(
    ("changes", "where", "found"),
    [
        ({"datasets": ["shape"]}, "datasets.shape", "unknown"),
        ({"without": ["ijbc"]}, "without.ijbc", "unknown"),
        ({"datasets": ["shapes"], "without": ["digits"]}, "without", "given with datasets"),
        ({"evaluate": ["knn"], "without": ["shapes_shifted"]}, "without.shapes_shifted", "unknown"),
    ],
)
def test_a_choice_that_means_nothing_is_refused(changes: dict[str, Any], where: str, found: str) -> None:
    (fault,) = faults(**changes)
    assert (fault.where, found in fault.found) == (where, True), fault


def test_leaving_out_every_set_is_refused() -> None:
    every = [entry.name for entry in datasets_for("miniature", "zero_shot")]
    (fault,) = faults(evaluate=["zero_shot"], without=every)
    assert fault.found == "every set of the collection"


def test_a_mean_over_other_sets_has_another_name() -> None:
    own = [entry.name for entry in datasets_for("paper", "zero_shot")]
    assert chosen(own, "paper", "zero_shot") == ""
    assert chosen(own[2:], "paper", "zero_shot") == f"_{len(own) - 2}"
    assert chosen([*own, "mine"], "paper", "zero_shot") == f"_{len(own) + 1}"


def remedies_of(given: Any, **more: Any) -> list[str]:
    spec = parse_spec({**SOUND, "tasks": {"faces": {"remedy": given, **more}}}, "mine.yaml")
    return [trial.label.removeprefix("mini-s faces ").removesuffix(" seed 0") for trial in spec.trials()[1:]]


def test_a_list_within_the_list_is_one_trial_with_all_of_them() -> None:
    both = ["distill", {"wise": {"alpha": [0.5, 0.8]}}]
    assert remedies_of(["none", "l2sp", both]) == [
        "full",
        "full l2sp(strength=0.01)",
        "full distill(strength=1.0, distance=squared)",  # trained once for both
        "full distill(strength=1.0, distance=squared) + wise(alpha=0.5)",
        "full distill(strength=1.0, distance=squared) + wise(alpha=0.8)",
    ]
    assert remedies_of([["l2sp"]]) == remedies_of(["l2sp"])


@pytest.mark.parametrize(
    ("remedy", "found", "expected"),
    [
        ([["wise", "l2sp"]], "wise + l2sp", "those that act while training come first"),
        ([["none", "l2sp"]], "none + l2sp", "`none` is no part of a stack"),
        ([["distil", "wise"]], "unknown remedy 'distil'", "one of "),
        ([[]], "an empty list or mapping", "at least one value"),
        ({"ewc": {"reference": ""}}, "''", "at least 1 character"),
    ],
)
def test_remedies_that_do_not_go_together_are_told(remedy: Any, found: str, expected: str) -> None:
    (fault,) = faults(**faces(remedy=remedy))
    assert (fault.where.split(" ")[0].removesuffix(".reference").removesuffix(".ewc"), fault.found) == (
        "tasks.faces.remedy",
        found,
    )
    assert expected in fault.expected


@pytest.mark.parametrize("remedy", ["wise", "soup", {"ewc": {"images": 8}}, [["l2sp", "wise"]]], ids=str)
def test_what_a_remedy_needs_of_the_adaptation_is_checked_first(remedy: Any) -> None:
    (fault,) = faults(**faces(remedy=remedy, adaptation="lora_experts"))
    assert fault.where == "tasks.faces.remedy"
    assert "which needs " in fault.found and fault.found.endswith("with lora_experts")
    able = ["none", "full", "lp_ft", "last_blocks", "layernorm", "bias", "linear", "lora", "dora", "pissa"]
    if "ewc" in remedy:  # where nothing moves there is no distance
        able = [kind for kind in able if kind not in ("none", "linear")]
    assert fault.expected == f"one of the adaptations {', '.join(able)}"
    assert remedies_of("l2sp", adaptation="lora_experts") == ["lora_experts l2sp(strength=0.01)"]


def test_labels_say_a_heads_kind_and_what_does_not_follow_from_it() -> None:
    heads = ["arcface", "softmax", {"cosface": {"sample": [1.0, 0.1]}}]
    spec = parse_spec({**SOUND, "tasks": {"faces": {"head": heads}}}, "mine.yaml")
    labels = [label for label in Trial.labels(spec.trials()).values() if "faces" in label]
    assert sorted(label.rpartition("(")[2] for label in labels) == [
        "head.kind=arcface, head.sample=1.0)",
        "head.kind=cosface, head.sample=0.1)",
        "head.kind=cosface, head.sample=1.0)",
        "head.kind=softmax)",
    ]


def test_a_soup_brings_the_trials_that_it_is_made_of() -> None:
    spec = parse_spec(
        {**SOUND, "seeds": [0, 1], "tasks": {"faces": {"remedy": {"soup": {"seeds": [0, 1, 2]}}}}}, "mine.yaml"
    )
    plain = [trial.seed for trial in spec.trials() if trial.remedy.kind == "none" and trial.task == "faces"]
    soups = [trial.seed for trial in spec.trials() if trial.remedy.kind == "soup"]
    assert (sorted(plain), soups) == ([0, 1, 2], [0, 1]), "seed 2 is trained for the soups alone"


def test_parts_of_a_batch_divide_it() -> None:
    (fault,) = faults(**faces(batch=32, accumulate=5))
    assert fault.where == "tasks.faces.accumulate" and "batch, 32, is a multiple of it" in fault.expected
