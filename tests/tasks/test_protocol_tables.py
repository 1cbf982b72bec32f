"""Every table that once named protocols by hand follows from their objects: here they stand as they were written, to compare.

A protocol or a metric that joins makes them longer, at their end; what stands here must not change without a word in the commit.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gelo.analysis.compare import Comparison, compare
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import before_metric
from gelo.tasks.data.catalogue import ENTRIES
from gelo.tasks.ledger.owed import suites_of
from gelo.tasks.protocols import (
    PROTOCOLS,
    asked,
    averaged,
    better,
    direction,
    groups,
    main_columns,
    protocols_of,
    score_files,
    suites,
)
from gelo.tasks.training import TASKS
from tests.analysis.sweeps import write_result, write_sweep, write_trial

IMAGE = (("train", ("image",)), ("val", ("image",)), ("test", ("image",)))
TRUNK = (("train", ("trunk",)), ("val", ("trunk",)), ("test", ("trunk",)))
BOTH = (("test", ("image", "flip")),)
TEST = (("test", ("image",)),)
# protocol -> version, suites, detector, reads, prompted, meant, optional: suites.WIRING
WIRING = {
    "zero_shot": (5, ("zero_shot",), "", TEST, True, False, ()),
    "probe": (4, ("probe",), "", IMAGE, False, False, ("val",)),
    "probe_train": (4, ("probe_train",), "", IMAGE, False, False, ("val",)),
    "probe_trunk": (4, ("probe_trunk",), "", TRUNK, False, False, ("val",)),
    "probe_trunk_train": (4, ("probe_trunk_train",), "", TRUNK, False, False, ("val",)),
    "knn": (4, ("knn",), "", IMAGE, False, False, ("val",)),
    "few_shot": (2, ("few_shot",), "", IMAGE, False, False, ("val",)),
    "few_shot_episodes": (1, ("few_shot_episodes",), "", IMAGE, False, False, ("val",)),
    "robust": (1, ("robust",), "", (("test", ("image", "attacked")),), True, False, ()),
    "worst_group": (1, ("worst_group",), "", TEST, True, False, ()),
    "worst_group_probe": (1, ("worst_group_probe",), "", IMAGE, False, False, ("val",)),
    "verification": (3, ("fr",), "", BOTH, False, False, ()),
    "templates": (2, ("fr",), "", BOTH, False, False, ()),
    "identification": (2, ("fr_1n",), "", BOTH, False, False, ()),
    "morph": (2, ("mad_text",), "mad", TEST, True, True, ()),
    "spoof": (3, ("pad_text",), "pad", (("dev", ("image",)), *TEST), True, True, ("dev",)),
}
# protocol -> the metrics that every result has, valued or absent: suites.WIRING's leaves
TOP1_SD = [f"{leaf}_{shots}_shots" for shots in (1, 2, 4, 8, 16) for leaf in ("top1", "sd")]
LEAVES = {
    "zero_shot": ["top1", "mean_per_class", "top5"],
    **{name: ["top1"] for name in ("probe", "probe_train", "probe_trunk", "probe_trunk_train", "knn")},
    "few_shot": TOP1_SD,
    "few_shot_episodes": ["top1", "sd"],
    "robust": ["top1", "top1_clean"],
    **{name: ["top1", "mean_per_group"] for name in ("worst_group", "worst_group_probe")},
    "verification": ["accuracy"],
    "templates": ["tar_at_far_1e-1", "tar_at_far_1e-2", "tar_at_far_1e-3", "tar_at_far_1e-4", "tar_at_far_1e-5"],
    "identification": ["rank_1", "rank_5", "tpir_at_fpir_1e-1", "tpir_at_fpir_1e-2"],
    "morph": [
        "eer", "eer_nearest_fpr", "eer_nearest_fpr_thinned",
        "apcer_at_bpcer_1", "apcer_at_bpcer_10", "apcer_at_bpcer_20",
        "apcer_at_bpcer_1_thinned", "apcer_at_bpcer_10_thinned", "apcer_at_bpcer_20_thinned",
        "bpcer_at_apcer_1", "bpcer_at_apcer_10", "bpcer_at_apcer_20",
        "bpcer_at_apcer_1_thinned", "bpcer_at_apcer_10_thinned", "bpcer_at_apcer_20_thinned",
    ],
    "spoof": [
        "hter", "acer", "apcer_worst", "bpcer", "hter_at_test_eer", "hter_at_test_eer_thinned", "acer_at_test_eer", "eer", "auc",
    ],
}  # fmt: skip
SUITES = [  # results.SUITES
    "zero_shot", "probe", "probe_train", "probe_trunk", "probe_trunk_train", "knn", "few_shot",
    "few_shot_episodes", "robust", "worst_group", "worst_group_probe", "fr", "fr_1n", "mad", "mad_text", "pad", "pad_text",
]  # fmt: skip
PROBES = ("probe", "probe_train", "probe_trunk", "probe_trunk_train")  # catalogue.PROBES
FITTED = (*PROBES, "knn", "few_shot", "few_shot_episodes", "worst_group_probe")  # catalogue.FITTED
ASKED = {  # catalogue.SUITES
    "zero_shot": ("zero_shot",),
    **{probe: (probe,) for probe in PROBES},
    "knn": ("knn",),
    "few_shot": ("few_shot",),
    "few_shot_episodes": ("few_shot_episodes",),
    "robust": ("robust",),
    "worst_group": ("worst_group",),
    "worst_group_probe": ("worst_group_probe",),
    "biometric": ("verification", "templates", "identification", "morph", "spoof"),
}
GIVING = {  # select.PROTOCOLS
    "zero_shot": ({"zero_shot"}, "zero_shot"),
    **{probe: ({probe}, probe) for probe in PROBES},
    "knn": ({"knn"}, "knn"),
    "few_shot": ({"few_shot"}, "few_shot"),
    "few_shot_episodes": ({"few_shot_episodes"}, "few_shot_episodes"),
    "robust": ({"robust"}, "robust"),
    "worst_group": ({"worst_group"}, "worst_group"),
    "worst_group_probe": ({"worst_group_probe"}, "worst_group_probe"),
    "fr": ({"verification", "templates"}, "biometric"),
    "fr_1n": ({"identification"}, "biometric"),
    "mad": ({"morph"}, "biometric"),
    "mad_text": ({"morph"}, "biometric"),
    "pad": ({"spoof"}, "biometric"),
    "pad_text": ({"spoof"}, "biometric"),
}
MAIN = [  # tables.MAIN
    ("fr", "pairs", "accuracy"), ("fr", "pose", "accuracy"), ("fr", "age", "accuracy"), ("fr", "*", "accuracy"),
    ("fr", "templates", "tar_at_far_"), ("fr", "*", "tar_at_far_1e-4"), ("fr_1n", "*", "rank_1"),
    ("mad", "mean", "eer"), ("mad", "mean", "apcer_at_bpcer_10"), ("mad", "mean", "bpcer_at_apcer_10"),
    ("mad_text", "mean", "eer"), ("pad", "mean", "hter"), ("pad", "mean", "auc"), ("pad_text", "mean", "hter"),
    ("pad_text", "mean", "auc"),
]  # fmt: skip
DIRECTIONS = {  # results._DIRECTIONS
    **dict.fromkeys(
        (
            "top1",
            "top5",
            "mean_per_class",
            "mean_per_group",
            "accuracy",
            "auc",
            "tar_at_far_",
            "tpir_at_fpir_",
            "rank_",
        ),
        1,
    ),
    **dict.fromkeys(("eer", "hter", "apcer", "bpcer", "acer"), -1),
    "sd": 0,
}
GAINS = {  # compare._DETECTORS and _FACES
    "faces": {
        "miniature": (["fr/pairs/accuracy"], ["fr/pairs/accuracy"], 1),
        "paper": ([f"fr/{name}/accuracy" for name in ("lfw", "cfp_fp", "agedb_30", "calfw", "cplfw")],) * 2 + (1,),
    },
    "morphs": dict.fromkeys(("miniature", "paper"), (["mad/mean/eer"], ["mad_text/mean/eer"], -1)),
    "spoofs": dict.fromkeys(("miniature", "paper"), (["pad/mean/hter"], ["pad_text/mean/hter"], -1)),
}
GAIN_TITLES = {  # findings.GAIN_TITLES
    "faces": "How much verification accuracy does training on faces gain?",
    "morphs": "How much does a morph detector gain on text prompts (mean EER, lower is better)?",
    "spoofs": "How much does a spoof detector gain on text prompts (mean HTER, lower is better)?",
}
COLUMNS = {  # scorefile.COLUMNS
    "verification": ("id", "fold"),
    "templates": ("id",),
    "morph": ("id", "attack", "subject"),
    "spoof": ("id", "attack", "subject", "video", "domain", "split"),
}
SETS = {  # the protocols of catalogue.ENTRIES
    ("zero_shot", *FITTED[:-1], "robust", "worst_group", "worst_group_probe"): [
        "shapes", "textures", "colours", "counts", "signs", "scripts", "scenes", "flags", "digits", "coloured", "food101", "cifar10",
        "cifar100", "sun397", "stanford_cars", "fgvc_aircraft", "dtd", "mnist", "flowers102", "stl10", "gtsrb", "country211", "sst2",
    ],
    ("zero_shot", "robust", "worst_group"): ["shapes_shifted", "imagenet_v2", "imagenet"],
    ("reference",): ["reference"],
    ("training",): ["faces", "crowd", "ms1mv2", "casia_webface", "webface4m", "smdd", "oulu_casia_msu"],
    ("validation",): ["faces_val", "morphs_val", "spoofs_val"],
    ("verification",): ["pairs", "pose", "age", "lfw", "cfp_fp", "agedb_30", "calfw", "cplfw"],
    ("templates",): ["templates"],
    ("training", "morph"): ["morphs"],
    ("training", "spoof"): ["spoofs"],
    ("templates", "identification"): ["ijbb", "ijbc"],
    ("morph",): ["mad22"],
    ("spoof",): ["celeba_spoof"],
}  # fmt: skip


def test_how_each_protocol_is_run() -> None:
    found = {
        name: (p.version, p.untrained, p.detector, p.reads, p.prompted, p.meant, p.optional)
        for name, p in PROTOCOLS.items()
    }
    assert found == WIRING and list(found) == list(WIRING)


def test_the_metrics_that_every_result_has() -> None:
    assert {name: sorted(p.leaves) for name, p in PROTOCOLS.items()} == {n: sorted(x) for n, x in LEAVES.items()}
    shown = {name: list(p.leaves) for name, p in PROTOCOLS.items() if name != "few_shot"}  # its own order is by kind
    assert shown == {name: leaves for name, leaves in LEAVES.items() if name != "few_shot"}


def test_names_of_suites_and_of_what_is_asked_for() -> None:
    assert list(suites()) == SUITES
    assert asked() == ASKED and list(asked()) == list(ASKED)
    assert groups() == {"general": ("zero_shot", "probe")}  # single._GROUPS
    assert tuple(p.name for p in PROTOCOLS.values() if p.learns) == FITTED
    assert {s: ({p.name for p in protocols_of(s)}, protocols_of(s)[0].asked) for s in suites()} == GIVING
    assert {protocol.asked for suite in suites() for protocol in protocols_of(suite)} == set(ASKED)


def test_what_is_averaged_and_what_a_trained_head_gives() -> None:
    assert averaged() == ("zero_shot", *PROBES, "few_shot_episodes", "robust")  # compare.GENERAL and summary.AVERAGED
    assert {suites()[name].averaged for name in averaged()} == {"top1"}
    assert tuple(name for name, suite in suites().items() if suite.trained) == ("mad", "pad")  # select.HEADED


def test_tables_of_the_report() -> None:
    own = {suite: suites()[suite].table for suite in averaged()}
    episodes = {name: name for name in ("few_shot_episodes", "robust")}
    assert own == {"zero_shot": "zero_shot", **{probe: f"linear_{probe}" for probe in PROBES}, **episodes}
    biometric = tuple(name for name, suite in suites().items() if suite.table == "biometric")
    assert biometric == ("fr", "fr_1n", "mad", "mad_text", "pad", "pad_text")  # tables.BIOMETRIC
    assert [suite.name for suite in suites().values() if not suite.table] == ["knn", "few_shot"]
    assert [(main.suite, main.part, main.metric.family) for main in main_columns("biometric")] == MAIN
    for suite in suites():  # tables.before_metric
        before = f"{suite}_text" if suite in ("mad", "pad") else suite
        assert before_metric(f"{suite}/mean/eer") == f"{before}/mean/eer"


def test_directions() -> None:
    for suite in suites().values():
        for metric in suite.metrics:
            leaf = metric.leaf.replace("{", "").replace("}", "")  # any value: rank_k
            (old,) = {sign for start, sign in DIRECTIONS.items() if leaf.startswith(start)}
            name = f"{suite.name}/part/{leaf}"
            assert direction(name) == old and better(name) == {1: "higher", -1: "lower", 0: None}[old], name


def test_files_of_scores() -> None:
    assert {name: file.columns for name, file in score_files().items()} == COLUMNS
    assert [name for name, file in score_files().items() if file.pairs] == ["verification", "templates"]


def test_data_sets() -> None:
    found: dict[tuple[str, ...], list[str]] = {}
    for entry in ENTRIES.values():
        found.setdefault(entry.protocols, []).append(entry.name)
    assert found == SETS


@pytest.mark.parametrize("task", list(TASKS))
def test_gains(task: str) -> None:
    given = {
        collection: (list(gain.after), list(gain.before), direction(gain.after[0]))
        for collection, gain in TASKS[task].gain.items()
    }
    assert given == GAINS[task]
    assert TASKS[task].question == GAIN_TITLES[task]
    assert suites_of("morph", task) == (("mad_text", "mad") if task == "morphs" else ("mad_text",))
    for collection, gain in TASKS[task].gain.items():
        for name in (*gain.after, *gain.before):
            better(name)
            part = name.split("/")[1]
            sets = {
                e.name for e in ENTRIES.values() if e.scale == ("miniature" if collection == "miniature" else "full")
            }
            assert part == "mean" or part in sets, f"{name} is of no set of {collection}"


def test_an_unknown_task_gains_nothing(tmp_path: Path) -> None:
    root = write_sweep(tmp_path)
    write_result(write_trial(root, "b", "mini-s", "none"), "zero_shot", "shapes", {"shapes/top1": 0.5})
    comparison: Comparison = compare(read_runs(tmp_path, "demo"))
    assert comparison.measures("gait").after == () and comparison.measures("none").before == ()
