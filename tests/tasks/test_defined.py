"""One rule for what cannot be measured: every protocol gives its headline metrics absent with the reason, and reads nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upath import UPath

from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.defined import prompted, reads_of, run, why_not
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.protocols import PROTOCOLS
from gelo.tasks.scoring import Head, Scoring


def dataset(root: Path, splits: tuple[str, ...] = ("train", "dev", "test"), **more: Any) -> Dataset:
    columns = ("attack", "subject", "video", "domain")
    rows = [dict(zip(columns, (("warp", "bona_fide")[n % 2], f"s{n}", f"v{n}", "d"), strict=True)) for n in range(8)]
    records = {split: [Record(f"{split}{n}", b"", n % 2, rows[n]) for n in range(8)] for split in splits}
    return write_dataset(
        root / "mine", name="mine", version="1", scale="full", classes=("red", "blue"), columns=columns, splits=records,
        source="a test", licence="none", **more,
    )  # fmt: skip


def scoring(of: Dataset, **more: Any) -> Scoring:
    def features(split: str, view: str) -> np.ndarray:
        return np.random.default_rng(len(split)).normal(size=(8, 6))

    given: dict[str, Any] = {"texts": [np.eye(6)[:1], np.eye(6)[1:2]], "head": None, "unasked": ""} | more
    return Scoring(of, features, logit_scale=100.0, seed=0, vision="v" * 16, text="t" * 16, **given)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_what_a_card_calls_undefined_is_absent_with_its_reason_in_every_protocol(protocol: Any, tmp_path: Path) -> None:
    of = dataset(tmp_path, undefined={protocol: "for a reason"})
    declared = PROTOCOLS[protocol]
    suites = (*declared.untrained, *([declared.detector] if declared.detector else []))
    read: Any = scoring(of, texts=None)
    scored = run(protocol, suites, read)
    assert [result.suite for result, _ in scored] == list(suites)
    assert reads_of(protocol, of) == [] and why_not(protocol, of) == "for a reason"
    for result, table in scored:
        part = "mine.mean" if protocol in ("morph", "spoof") else "mine"
        assert result.absent == {f"{result.suite}/{part}/{leaf}": "for a reason" for leaf in declared.leaves}
        assert not result.values and result.protocol_version == declared.version and len(table) == 0
        assert (result.data, result.vision) == (of.fingerprint, "v" * 16)
        folder = TrialFolder(UPath(tmp_path / "trial"))
        folder.save_result(result, table)
        assert folder.results() == [result] if len(suites) == 1 else result in folder.results()


def test_what_is_like_a_protocol_is_undefined_where_that_is(tmp_path: Path) -> None:
    """Classes that are numbers have no prompts, whoever would ask them."""
    of = dataset(tmp_path, undefined={"zero_shot": "labels without names"})
    alike = [name for name, each in PROTOCOLS.items() if each.like == "zero_shot"]
    assert {"robust", "worst_group"} <= set(alike)
    assert {why_not(name, of) for name in alike} == {"labels without names"}
    assert why_not("probe", of) == "" and not prompted([*alike, "zero_shot", "probe"], of.card.undefined)


def test_the_headline_metrics_are_those_that_a_protocol_gives(tmp_path: Path) -> None:
    """Of the protocols that need no tables: what is absent in one case is given, or absent, in the other."""
    of = dataset(tmp_path)
    for protocol in (
        "zero_shot",
        "probe",
        "probe_train",
        "knn",
        "few_shot",
        "few_shot_episodes",
        "robust",
        "morph",
        "spoof",
    ):
        declared: Any = PROTOCOLS[protocol]
        for result, _ in run(protocol, declared.untrained, scoring(of)):
            part = "mine.mean" if declared.meant else "mine"
            assert {f"{result.suite}/{part}/{leaf}" for leaf in declared.leaves} <= {*result.values, *result.absent}, (
                protocol
            )


@pytest.mark.parametrize(("protocol", "text", "head"), [("morph", "mad_text", "mad"), ("spoof", "pad_text", "pad")])
def test_prompts_that_cannot_be_asked_leave_a_trained_head_its_number(
    protocol: Any, text: str, head: str, tmp_path: Path
) -> None:
    of, trained = dataset(tmp_path), Head(np.random.default_rng(0).normal(size=(2, 6)), np.zeros(2))
    lost, kept = run(protocol, (text, head), scoring(of, texts=None, unasked="2 prompts are cut", head=trained))
    assert lost[0].suite == text and set(lost[0].absent.values()) == {"2 prompts are cut"}
    ((whole, _),) = run(protocol, (head,), scoring(of, texts=None, head=trained))
    assert kept[0] == whole and whole.values


def test_a_protocol_that_asks_nothing_does_not_mind_the_prompts(tmp_path: Path) -> None:
    of = dataset(tmp_path)
    ((result, _),) = run("knn", ("knn",), scoring(of, texts=None, unasked="2 prompts are cut"))
    assert "knn/mine/top1" in result.values


@pytest.mark.parametrize(("splits", "lost"), [(("test",), {"probe", "knn", "few_shot"}), (("train",), {*PROTOCOLS})])
def test_splits_that_are_not_there(splits: tuple[str, ...], lost: set[str], tmp_path: Path) -> None:
    of = dataset(tmp_path, splits)
    for protocol in ("zero_shot", "probe", "knn", "few_shot", "morph", "spoof", "verification"):
        assert (why_not(protocol, of) != "") == (protocol in lost), protocol


def test_tables_of_an_older_result_go_with_it(tmp_path: Path) -> None:
    of, folder = dataset(tmp_path), TrialFolder(UPath(tmp_path / "trial"))
    ((result, table),) = run("zero_shot", ("zero_shot",), scoring(of))
    folder.save_result(result, table)
    place = tmp_path / "trial" / "results" / "zero_shot"
    assert (place / "mine.classes.parquet").exists()
    ((result, table),) = run("zero_shot", ("zero_shot",), scoring(of, texts=None, unasked="cut"))
    folder.save_result(result, table)
    assert sorted(path.name for path in place.iterdir()) == ["mine.json", "mine.parquet"]
