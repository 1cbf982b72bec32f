"""1:N identification: a case worked out by hand, a slow second implementation, ties, absence and every kind of bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gelo.models.faults import UserError
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.metrics.identification import rank_k, ranks, tpir_at_fpir
from gelo.tasks.metrics.scores import UndefinedMetric, as_scores
from gelo.tasks.protocols import PROTOCOLS, identification
from gelo.tasks.protocols.tally import Context
from gelo.tasks.scoring import Scoring

CONTEXT: Context = {"data": "d", "vision": "v", "text": "t", "scale": "miniature"}


def degrees(*angles: float) -> np.ndarray:
    return np.stack([np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))], axis=1).astype(np.float32)


# One image a template, so that a template is the direction of its image: a score is the cosine of the angle between two.
HAND: dict[str, tuple[str, str, float]] = {
    "A1": ("A", "gallery_1", 0), "A2": ("A", "gallery_1", 100), "B": ("B", "gallery_1", 40), "C": ("C", "gallery_2", 200),
    "pa": ("A", "probe", 95), "pb": ("B", "probe", 15), "pc": ("C", "probe", 190), "pd": ("D", "probe", 48),
}  # fmt: skip


def tables(case: dict[str, tuple[str, str, float]]) -> tuple[list[str], pa.Table, pa.Table]:
    names = list(case)
    members = pa.table(
        {"id": names, "template": names, "media": ["m"] * len(names), "detector_score": [1.0] * len(names)}
    )
    subject, role, _ = zip(*case.values(), strict=True)
    return names, members, pa.table({"template": names, "subject": list(subject), "role": list(role)})


def test_identification_by_hand() -> None:
    # gallery_1: A (0 and 100 degrees), B (40). gallery_2: C (200). Angles of each probe to A's nearer template, to B, to C:
    #   pa 95: A 5, B 55, C 105.   pb 15: A 15, B 25, C 175.   pc 190: A 90, B 150, C 10.   pd 48: A 48, B 8, C 152.
    # gallery_1: pa is mated and first (5 < 55), pb is mated and second (A is nearer): rank-1 = 1/2. pc and pd are non-mated; their best
    #   are cos 90 = 0 and cos 8 = .990. At FPIR 1/2 one alarm is allowed: accepted is what scores above 0. pa counts (cos 5), pb not,
    #   for it is not first: TPIR = 1/2. (With one template for A, at 0, pa would be 95 from A and 55 from B.)
    # gallery_2: pc is mated, of one subject: every rank is undefined. Non-mated: pa cos 105 = -.259, pb cos 175 = -.996, pd cos 152 =
    #   -.883. At FPIR 1/2 of 3 one alarm (1.5 rounded down): above the second highest, -.883. pc counts with cos 10: TPIR = 1.
    names, members, roles = tables(HAND)
    views = degrees(*(angle for _, _, angle in HAND.values()))
    result, table = identification.score("ijbx", views, views, names, members, roles, **CONTEXT)
    assert result.absent["fr_1n/ijbx/rank_1_gallery_2"] == "rank-1: 1 subjects in the gallery, more than 1 needed"
    assert result.absent["fr_1n/ijbx/rank_1"] == "mean over the galleries: undefined for gallery_2"
    assert result.values == {"fr_1n/ijbx/rank_1_gallery_1": 0.5}
    assert (
        result.absent["fr_1n/ijbx/tpir_at_fpir_1e-1_gallery_1"]
        == "FPIR 0.1 needs at least 10 non-mated searches, there are 2"
    )
    assert result.counts == {
        "images": 8, "probes": 4, "gallery_1_subjects": 2, "gallery_1_templates": 3, "gallery_1_mated": 2, "gallery_1_non_mated": 2,
        "gallery_2_subjects": 1, "gallery_2_templates": 1, "gallery_2_mated": 1, "gallery_2_non_mated": 3,
    }  # fmt: skip
    assert table["gallery"].to_pylist() == ["gallery_1"] * 4 + ["gallery_2"] * 4
    assert table["rank"].to_pylist() == [1, 2, None, None, None, None, 1, None]
    cosines = np.cos(np.deg2rad([5, 25, 90, 8, 105, 175, 10, 152]))
    np.testing.assert_allclose(table["score"].to_numpy(), cosines, atol=1e-6)
    for gallery, expected in (("gallery_1", 0.5), ("gallery_2", 1.0)):
        rows = table.filter(pa.array([name == gallery for name in table["gallery"].to_pylist()]))
        mated = rows["mated"].to_numpy()
        mate, alarm = as_scores(rows["score"].to_numpy()[mated]), as_scores(rows["score"].to_numpy()[~mated])
        rank = [place for place in rows["rank"].to_pylist() if place is not None]
        assert tpir_at_fpir(mate, rank, alarm, 0.5, chosen_on="hand").tpir == expected


def random_case(seed: int, ties: bool) -> tuple[np.ndarray, list[str], pa.Table, pa.Table]:
    rng = np.random.default_rng(seed)
    case: dict[str, tuple[str, str, float]] = {}
    for gallery, first in (("gallery_1", 0), ("gallery_2", 8)):
        for subject in range(first, first + 8):
            for copy in range(rng.integers(1, 3)):
                case[f"g{subject}_{copy}"] = (f"s{subject}", gallery, 0.0)
    for number in range(60):
        case[f"p{number}"] = (f"s{rng.integers(0, 20)}", "probe", 0.0)  # s16 to s19 are in no gallery
    centres = rng.normal(size=(20, 4))
    views = np.array([centres[int(subject[1:])] + 0.8 * rng.normal(size=4) for subject, _, _ in case.values()])
    names, members, roles = tables(case)
    return (np.sign(views) if ties else views).astype(np.float32), names, members, roles


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_identification_equals_a_plain_loop(seed: int, ties: bool) -> None:
    views, names, members, roles = random_case(seed, ties)
    result, _ = identification.score("ijbx", views, views, names, members, roles, **CONTEXT)
    unit = {name: row / np.linalg.norm(row) for name, row in zip(names, views.astype(np.float64), strict=True)}
    lines = roles.to_pylist()
    means: dict[str, list[float]] = {}
    for gallery in ("gallery_1", "gallery_2"):
        places, mates, alarms = [], [], []
        for probe in (line for line in lines if line["role"] == "probe"):
            best: dict[str, float] = {}
            for line in lines:
                if line["role"] == gallery:
                    cosine = round(float(unit[probe["template"]] @ unit[line["template"]]), 9)
                    best[line["subject"]] = max(best.get(line["subject"], -2.0), cosine)
            if probe["subject"] in best:
                mates.append(best.pop(probe["subject"]))
                places.append(1 + sum(other >= mates[-1] for other in best.values()))
            else:
                alarms.append(max(best.values()))
        for k in (1, 5):
            means.setdefault(f"rank_{k}", []).append(float(np.mean([place <= k for place in places])))
        # The lowest threshold of all scores (and one above them) with FPIR <= 0.1.
        steps = sorted({*mates, *alarms, 3.0})
        threshold = next(t for t in steps if np.mean([alarm >= t for alarm in alarms]) <= 0.1)
        hits = [mate >= threshold and place == 1 for mate, place in zip(mates, places, strict=True)]
        means.setdefault("tpir_at_fpir_1e-1", []).append(float(np.mean(hits)))
    for leaf, (one, two) in means.items():
        for gallery, value in (("_gallery_1", one), ("_gallery_2", two), ("", (one + two) / 2)):
            name = f"fr_1n/ijbx/{leaf}{gallery}"
            assert result.values[name] == pytest.approx(value), name
            assert result.intervals[name][0] <= result.values[name] <= result.intervals[name][1]
    assert "needs at least 100 non-mated searches" in result.absent["fr_1n/ijbx/tpir_at_fpir_1e-2_gallery_1"]
    assert result.notes["rule_of_30"].startswith("fewer than 30 errors behind ")
    assert "tpir_at_fpir_1e-1 (all)" in result.notes["rule_of_30"]


def test_names_may_be_numbers() -> None:
    views, names, members, roles = random_case(1, ties=False)
    number = {name: 1000 + place for place, name in enumerate(names)}
    members = members.set_column(1, "template", pa.array([number[name] for name in members["template"].to_pylist()]))
    renamed = pa.table(
        {
            "template": [number[name] for name in roles["template"].to_pylist()],
            "subject": [int(name[1:]) for name in roles["subject"].to_pylist()],
            "role": roles["role"],
        }
    )
    ours = identification.score("ijbx", views, views, names, members, renamed, **CONTEXT)[0]
    assert (
        ours.values
        == identification.score("ijbx", *(views, views), names, *random_case(1, ties=False)[2:], **CONTEXT)[0].values
    )


def test_a_tie_with_another_subject_counts_against() -> None:
    similarity = np.array([[0.9, 0.9, 0.1], [0.5, 0.9, 0.5], [0.2, 0.1, 0.3]])
    np.testing.assert_array_equal(ranks(similarity, [0, 0, 2]), [2, 3, 1])
    same = np.full((4, 6), 0.25)  # a model that tells nobody apart finds nobody
    assert rank_k(ranks(same, [0, 1, 2, 3]), 5, 6) == 0


coarse = st.lists(st.integers(-4, 4).map(lambda n: n / 4), min_size=1, max_size=25).map(as_scores)


@given(coarse, coarse, st.sampled_from([0.1, 0.25, 0.5, 0.9]), st.randoms(use_true_random=False))
def test_fpir_is_kept_and_a_lower_threshold_would_break_it(mate: Any, alarm: Any, rate: float, chance: Any) -> None:
    rank = np.array([chance.choice([1, 1, 2]) for _ in mate])
    if rate * alarm.size < 1:
        with pytest.raises(UndefinedMetric, match="non-mated searches"):
            tpir_at_fpir(mate, rank, alarm, rate, chosen_on="test")
        return
    tpir, fpir, threshold = tpir_at_fpir(mate, rank, alarm, rate, chosen_on="test")
    assert fpir == np.mean(alarm >= threshold.value) <= rate
    assert np.mean(alarm >= np.nextafter(threshold.value, -np.inf)) > rate
    assert tpir == np.mean((mate >= threshold.value) & (rank == 1)) <= np.mean(rank == 1)
    scaled = tpir_at_fpir(as_scores(mate * 2 - 8), rank, as_scores(alarm * 2 - 8), rate, chosen_on="test")
    assert (scaled.tpir, scaled.fpir) == (tpir, fpir)


def test_undefined() -> None:
    one, none = as_scores([0.5]), as_scores([])
    with pytest.raises(UndefinedMetric, match="no mated searches"):
        rank_k([], 1, 10)
    with pytest.raises(UndefinedMetric, match="5 subjects in the gallery, more than 5"):
        rank_k([1], 5, 5)
    with pytest.raises(ValueError, match="at least 1"):
        rank_k([1], 0, 5)
    for mate, alarm, reason in ((none, one, "no mated searches"), (one, none, "no non-mated searches")):
        with pytest.raises(UndefinedMetric, match=reason):
            tpir_at_fpir(mate, [1] * mate.size, alarm, 0.5, chosen_on="test")


def test_without_the_lists_every_leaf_is_absent() -> None:
    names, members, _ = tables(HAND)
    result, table = identification.score(
        "ijbx", degrees(*range(8)), degrees(*range(8)), names, members, None, **CONTEXT
    )
    assert not result.values
    assert {name.rsplit("/", 1)[1] for name in result.absent} == set(identification.LEAVES)
    assert table.num_rows == 0


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("template", ["A1", "A2", "B", "C", "pa", "pb", "pc", "zz"], "identification.template: 1 unknown template: zz"),
        ("template", ["A1", "A2", "B", "C", "pa", "pb", "pc", "pc"], "identification.template: 1 duplicate: pc"),
        ("role", ["gallery_1"] * 4 + ["probes"] * 4, "identification.role: probes"),
        ("role", ["gallery_1"] * 8, "no probe"),
        ("role", ["probe"] * 8, "no gallery"),
        ("subject", ["A", None, "B", "C", "A", "B", "C", "D"], "identification.subject: 1 of 8 empty"),
    ],
)
def test_bad_lists_are_named(column: str, values: list[str | None], expected: str) -> None:
    names, members, roles = tables(HAND)
    roles = roles.set_column(roles.column_names.index(column), column, pa.array(values))
    with pytest.raises(UserError) as caught:
        identification.score("ijbx", degrees(*range(8)), degrees(*range(8)), names, members, roles, **CONTEXT)
    assert expected in str(caught.value)


@pytest.mark.parametrize("listed", [True, False])
def test_a_prepared_set_is_searched_where_its_lists_are_there(listed: bool, tmp_path: Path) -> None:
    views, names, members, roles = random_case(0, ties=False)
    made = {"members": members} | ({"identification": roles} if listed else {})
    dataset = write_dataset(
        tmp_path / "ijbx", name="ijbx", version="1", scale="miniature", classes=(), source="a test", licence="none",
        splits={"test": [Record(name, b"no image is read", 0, {}) for name in names]}, tables=made,
    )  # fmt: skip
    scoring = Scoring(
        dataset=dataset, features=lambda split, view: views, texts=None, logit_scale=1.0, head=None, seed=0, vision="v", text="t",
    )  # fmt: skip
    wiring = PROTOCOLS["identification"]
    [(result, _)] = wiring.score(scoring)
    assert (result.suite,) == wiring.untrained
    assert result.protocol_version == wiring.version
    plain = identification.score("ijbx", views, views, names, members, roles if listed else None, **CONTEXT)[0]
    assert (result.values, result.absent) == (plain.values, plain.absent)
