"""Worst-group accuracy: against pandas and scikit-learn, absent where there are no groups, and on a set whose colours mislead a probe."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import accuracy_score, recall_score

from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.tasks.data.asking import prompts_for
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.mini.coloured import BUILDERS, CLASSES, EACH, ODD, OWN
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.protocols import PROTOCOLS, probe, zeroshot
from gelo.tasks.protocols.tally import Context
from gelo.tasks.protocols.worst_group import score
from gelo.tasks.scoring import Scored, Scoring

CONTEXT: Context = {"data": "d" * 16, "vision": "v" * 16, "text": "t" * 16, "scale": "miniature"}


def predicted(labels: list[int], given_: list[int]) -> pa.Table:
    return pa.table({"id": [f"{n}" for n in range(len(labels))], "label": labels, "predicted": given_})


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from(["land", "water", "air", ""])),
        min_size=1,
        max_size=80,
    )
)
def test_it_is_what_pandas_groups_and_scikit_learn_scores(rows: list[tuple[int, int, str]]) -> None:
    frame = pd.DataFrame(rows, columns=["label", "predicted", "group"])
    result, table = score(
        "birds", frame["group"].to_numpy(), predicted(*frame[["label", "predicted"]].T.to_numpy().tolist()), **CONTEXT
    )
    kept = frame[frame["group"] != ""]
    if kept["group"].nunique() < 2:
        assert not result.values and "at least 2 needed" in result.absent["worst_group/birds/top1"]
        return
    each = {name: accuracy_score(of["label"], of["predicted"]) for name, of in kept.groupby("group")}
    assert result.values["worst_group/birds/top1"] == pytest.approx(min(each.values()))
    assert result.values["worst_group/birds/mean_per_group"] == pytest.approx(np.mean(list(each.values())))
    assert each[result.notes["worst_group"]] == min(each.values())
    told = ", ".join(f"{name} {count}" for name, count in kept["group"].value_counts().sort_index().items())
    assert result.notes["images_by_group"] == told
    assert result.counts == {"images": len(rows), "groups": len(each), "images_in_no_group": len(frame) - len(kept)}
    assert table["group"].to_pylist() == frame["group"].tolist()
    low, high = result.intervals["worst_group/birds/top1"]
    assert low <= min(each.values()) <= high


def test_with_a_group_for_each_class_it_is_the_lowest_recall() -> None:
    rng = np.random.default_rng(3)
    labels, found = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    result, _ = score(
        "x", np.array([f"class {n}" for n in labels], object), predicted(labels.tolist(), found.tolist()), **CONTEXT
    )
    recalls = recall_score(labels, found, average=None)
    assert result.values["worst_group/x/top1"] == pytest.approx(recalls.min())
    assert result.values["worst_group/x/mean_per_group"] == pytest.approx(recalls.mean())


def test_without_the_column_or_a_prediction_it_is_absent_with_the_reason() -> None:
    result, _ = score("x", None, predicted([0, 1], [0, 1]), **CONTEXT)
    assert set(result.absent.values()) == {"worst group: x has no column `group`"} and not result.values
    unsure = pa.table({"id": ["a", "b"], "label": [0, 1]})
    result, table = score(
        "x", np.array(["a", "b"], object), unsure, suite="worst_group_probe", reason="1 class", **CONTEXT
    )
    assert result.absent["worst_group_probe/x/top1"] == "1 class" and table.column_names == ["id", "label", "group"]


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return BUILDERS["coloured"](tmp_path_factory.mktemp("data") / "coloured")


@pytest.fixture(scope="module")
def scoring(coloured: Dataset) -> Scoring:
    base = load_backbone("mini-s")
    pixels = {}
    for split in EACH:
        images = [row["image"] for row in coloured.records(split, range(240), ("image",))]
        pixels[split] = _features(base, images)
    texts = [base.encode_texts(block) for block in prompts_for(coloured).texts()]
    return Scoring(coloured, lambda split, view: pixels[split], texts, base.logit_scale, None, 0, "v" * 16, "t" * 16)


def _features(base: Encoder, images: list[bytes]) -> np.ndarray:
    return base.encode_images(np.stack([base.transform.to_uint8(Image.open(io.BytesIO(each))) for each in images]))


@pytest.mark.slow
def test_the_miniatures_groups_are_figures_in_their_colour_and_in_another(coloured: Dataset) -> None:
    assert coloured.card.counts() == {"train": 240, "test": 240}
    for split, odd in ODD.items():
        counts = pd.Series(coloured.column(split, "group")).value_counts().to_dict()
        own = {f"{colour} {figure}": EACH[split] - odd for figure, colour in OWN.items()}
        assert counts == own | {f"{figure} of another colour": odd for figure in CLASSES}


@pytest.mark.slow
def test_a_probe_that_learnt_colours_is_worst_where_they_mislead(scoring: Scoring, coloured: Dataset) -> None:
    """On mini-s; the groups tell what the mean hides."""

    def run(of: Scoring, name: str) -> Scored:
        (scored,) = PROTOCOLS[name].score(of)
        return scored

    zero, _ = zeroshot.score(
        "coloured",
        coloured.ids("test"),
        scoring.features("test", "image"),
        coloured.labels("test"),
        scoring.classifier(),
        **scoring.context,
    )
    worst, table = run(scoring, "worst_group")
    frame = table.to_pandas()
    by_group = (frame["label"] == frame["predicted"]).groupby(frame["group"]).mean()
    assert worst.values["worst_group/coloured/top1"] == pytest.approx(by_group.min())
    assert worst.values["worst_group/coloured/mean_per_group"] == pytest.approx(by_group.mean())
    assert (frame["label"] == frame["predicted"]).mean() == pytest.approx(zero.values["zero_shot/coloured/top1"])

    plain = probe.scored(scoring, "probe", "image")[0][0].values["probe/coloured/top1"]
    worst, _ = run(scoring, "worst_group_probe")
    assert "another colour" in worst.notes["worst_group"]
    assert worst.values["worst_group_probe/coloured/mean_per_group"] == pytest.approx(plain), "groups of one size"
    assert worst.values["worst_group_probe/coloured/top1"] < plain - 0.2


def test_a_set_without_the_column_is_told_by_the_protocol(tmp_path: Path) -> None:
    made = write_dataset(
        tmp_path / "plain", name="plain", version="1", scale="full", classes=("a", "b"), source="a test", licence="none",
        splits={"test": [Record("0", b"", 0), Record("1", b"", 1)]},
    )  # fmt: skip
    texts = [np.eye(2)[:1], np.eye(2)[1:]]
    of = Scoring(made, lambda split, view: np.eye(2), texts, 100.0, None, 0, "v" * 16, "t" * 16)
    ((result, _),) = PROTOCOLS["worst_group"].score(of)
    assert result.absent["worst_group/plain/top1"] == "worst group: plain has no column `group`"


def test_a_users_table_says_the_groups(tmp_path: Path) -> None:
    """An image without one belongs to none, and a column of that name that says the split is the split."""
    (tmp_path / "birds").mkdir()
    lines = ["path,label,split,group"]
    for number in range(8):
        Image.new("RGB", (8, 8), (30 * number, 0, 0)).save(tmp_path / "birds" / f"{number}.png")
        lines.append(
            f"{number}.png,{('land', 'water')[number % 2]},{'test' if number > 3 else 'train'},{'' if number == 5 else f'g{number % 3}'}"
        )
    (tmp_path / "birds" / "labels.csv").write_text("\n".join(lines))
    dataset, _ = prepare("birds", tmp_path / "birds", tmp_path / "data", reader="table")
    assert dataset.card.columns == ("group",) and dataset.card.understood.columns["group"] == "group"
    assert dataset.column("test", "group").tolist() == ["g1", "", "g0", "g1"]
    assert dataset.column("train", "group").tolist() == ["g0", "g1", "g2", "g0"]
    (tmp_path / "birds" / "labels.csv").write_text(
        "\n".join(["path,label,group", *(f"{n}.png,{n % 2},{'test' if n > 3 else 'train'}" for n in range(8))])
    )
    dataset, _ = prepare("other", tmp_path / "birds", tmp_path / "data", reader="table")
    assert dataset.card.columns == () and dataset.card.counts() == {"train": 4, "test": 4}
