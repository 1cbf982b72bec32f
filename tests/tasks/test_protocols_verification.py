"""Verification pairs and templates: cases worked out by hand, a plain loop, and every kind of bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_curve

from gelo.models.faults import UserError
from gelo.tasks.protocols import templates, verification
from gelo.tasks.protocols.inputs import pair_ends
from gelo.tasks.protocols.tally import Context

CONTEXT: Context = {"data": "d", "vision": "v", "text": "t", "scale": "miniature"}

IDS = ["a", "b", "c", "d"]
FEATURES = np.array([[1, 0.5], [0, 3], [0.5, 1], [-2, 0]], dtype=np.float32)
FLIPPED = np.array([[1, -0.5], [0, -2], [0.5, 0], [-2, 0]], dtype=np.float32)


def pair_table(**changes: Any) -> pa.Table:
    columns = {
        "id_1": ["a", "a", "b", "c", "b", "a"],
        "id_2": ["c", "b", "c", "d", "d", "d"],
        "same": [True, False, True, True, False, False],
        "fold": [0, 0, 1, 1, 1, 1],
    }
    return pa.table(columns | changes)


def test_verification_by_hand() -> None:
    # f + flip: a (2, 0), b (0, 1), c (1, 1), d (-4, 0). (b would vanish, were each view normalised before the sum.)
    # Unit vectors a (1, 0), b (0, 1), c (1, 1)/sqrt 2, d (-1, 0); squared distances
    #   a-c 2 - sqrt 2 = 0.5858   a-b 2   b-c 0.5858   c-d 2 + sqrt 2 = 3.4142   b-d 2   a-d 4
    # fold 0: a-c same, a-b different. Its t is best on fold 1 (b-c same, c-d same, b-d and a-d different):
    #   t <= 0.58: 2 right; 0.59..2.00: 3; 2.01..3.41: 2; 3.42..3.99: 3. First best 0.59: fold 0 has 2 of 2 right.
    # fold 1: t is best on fold 0: 0.59..2.00 has 2 of 2, first 0.59. Right in fold 1: b-c, b-d, a-d: 3 of 4.
    # Mean of the folds (1 + 3/4) / 2 = 0.875, where pooling would give 5/6.
    result, table = verification.score("pairs", FEATURES, FLIPPED, IDS, pair_table(), **CONTEXT)
    assert result.values == {"fr/pairs/accuracy": 0.875}
    assert result.notes["thresholds"] == "0.59, 0.59"
    assert result.counts == {"images": 4, "genuine": 3, "impostor": 3, "folds": 2}
    r2 = np.sqrt(2)
    np.testing.assert_allclose(table.column("score").to_numpy(), [r2 - 2, -2, r2 - 2, -2 - r2, -2, -4], atol=1e-7)
    assert table.column("accepted").to_pylist() == [True, False, True, False, False, False]
    low, high = result.intervals["fr/pairs/accuracy"]
    assert low <= 0.875 <= high


def test_order_of_images_does_not_count() -> None:
    order = [2, 0, 3, 1]
    moved = verification.score(
        "pairs", FEATURES[order], FLIPPED[order], [IDS[i] for i in order], pair_table(), **CONTEXT
    )
    plain = verification.score("pairs", FEATURES, FLIPPED, IDS, pair_table(), **CONTEXT)
    assert moved[0] == plain[0]
    assert moved[1].equals(plain[1])


def test_one_fold_is_absent() -> None:
    result, table = verification.score("pairs", FEATURES, FLIPPED, IDS, pair_table(fold=[0] * 6), **CONTEXT)
    assert result.absent == {"fr/pairs/accuracy": "fold accuracy: 1 folds, at least 2 needed"}
    assert table.column("accepted").null_count == 6


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id_1": ["x", "a", "b", "y", "b", "a"]}, "pairs.id_1: 2 unknown id: x, y"),
        ({"id_2": ["a", "b", "c", "d", "d", "d"]}, "1 with themselves: a"),
        (
            {"id_1": ["c", "a", "b", "c", "b", "d"], "id_2": ["a", "c", "c", "d", "d", "a"]},
            "1 given more than once: (c, a)",
        ),
    ],
)
def test_bad_pairs_are_named(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        verification.score("pairs", FEATURES, FLIPPED, IDS, pair_table(**changes), **CONTEXT)
    assert expected in str(caught.value)


def test_bad_features_are_named() -> None:
    nan, zero = FEATURES.copy(), FLIPPED.copy()
    nan[1, 0], zero[3] = np.nan, 0
    with pytest.raises(UserError) as caught:
        verification.score("pairs", nan, zero, [*IDS[:3], "a"], pair_table(), **CONTEXT)
    for piece in ("ids: 1 duplicate: a", "features: 1 not finite: b", "flipped images: 1 all zero: a", "unknown id: d"):
        assert piece in str(caught.value)
    with pytest.raises(UserError, match="features plus flipped: 4 all zero"):
        verification.score("pairs", FEATURES, -FEATURES, IDS, pair_table(), **CONTEXT)
    with pytest.raises(UserError, match=r"shape \(3, 2\)"):
        verification.score("pairs", FEATURES[:3], FLIPPED, IDS, pair_table(), **CONTEXT)


MEMBERS: dict[str, Any] = {
    "id": ["a1", "a2", "a3", "b1", "c1"],
    "template": ["A", "A", "A", "B", "C"],
    "media": ["m1", "m1", "m2", "m1", "m9"],
    "detector_score": [0.5, 1.0, 0.5, 1.0, 0.25],
}
VIEWS = (
    np.array([[1, 1], [0, 1], [3, -1], [0, 2], [4, 1]], dtype=np.float32),
    np.array([[1, -1], [0, 1], [0, 0.5], [0, 2], [4, -1]], dtype=np.float32),
)
PAIRS = pa.table({"template_1": ["A", "A", "B"], "template_2": ["C", "B", "C"], "same": [True, False, False]})


def test_templates_by_hand() -> None:
    # (f + flip) x detector score: a1 (2, 0) x .5 = (1, 0); a2 (0, 2); a3 (3, -.5) x .5 = (1.5, -.25); b1 (0, 4); c1 (8, 0) x .25.
    # A: mean of media m1 = (.5, 1); m2 = (1.5, -.25); sum = (2, .75), length sqrt(4.5625) = 2.136001.
    # B: (0, 1). C: (1, 0). Scores: A-C 2 / 2.136001 = .936329, A-B .75 / 2.136001 = .351123, B-C 0.
    # (Without pooling by media A would be (2.5, 1.75), and A-C .819232.)
    result, table = templates.score("templates", *VIEWS, MEMBERS["id"], pa.table(MEMBERS), PAIRS, **CONTEXT)
    np.testing.assert_allclose(table.column("score").to_numpy(), [0.936329, 0.351123, 0], atol=1e-6)
    assert result.counts == {"images": 5, "templates": 3, "genuine": 1, "impostor": 2}
    assert not result.values
    assert result.absent["fr/templates/tar_at_far_1e-1"] == "FAR 0.1 needs at least 10 impostor pairs, there are 2"


def test_media_names_are_local_to_their_template() -> None:
    alone = {**MEMBERS, "media": ["m1", "m1", "m2", "other", "other"]}
    shared = {**MEMBERS, "media": ["m1", "m1", "m2", "m2", "m1"]}
    one, two = (
        templates.score("templates", *VIEWS, MEMBERS["id"], pa.table(m), PAIRS, **CONTEXT)[1] for m in (alone, shared)
    )
    assert one.equals(two)


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray, list[str], pa.Table, pa.Table]:
    rng = np.random.default_rng(seed)
    subjects, per, dim = 12, 3, 8
    centres = rng.normal(size=(subjects, dim))
    rows: list[tuple[str, str, str, float]] = []
    features: list[np.ndarray] = []
    for template in range(subjects * per):
        for image in range(rng.integers(1, 6)):
            rows.append((f"i{len(rows)}", f"t{template}", f"m{rng.integers(0, 3)}", float(rng.uniform(0.2, 1))))
            features.append(centres[template % subjects] + 0.8 * rng.normal(size=dim) + 0 * image)
    a, b = np.triu_indices(subjects * per, 1)
    members = pa.table(
        dict(zip(("id", "template", "media", "detector_score"), map(list, zip(*rows, strict=True)), strict=True))
    )
    pairs = pa.table(
        {"template_1": [f"t{i}" for i in a], "template_2": [f"t{i}" for i in b], "same": a % subjects == b % subjects}
    )
    order = rng.permutation(len(rows))
    views = np.array(features, dtype=np.float32)
    flipped = views + rng.normal(0, 0.1, views.shape).astype(np.float32)
    return views[order], flipped[order], [rows[i][0] for i in order], members, pairs


@pytest.mark.parametrize("seed", range(4))
def test_templates_equal_a_plain_loop_and_the_ijb_reading(seed: int) -> None:
    views, flipped, ids, members, pairs = random_case(seed)
    result, table = templates.score("templates", views, flipped, ids, members, pairs, **CONTEXT)
    row = {name: i for i, name in enumerate(ids)}
    pooled: dict[str, np.ndarray] = {}
    for name in set(members.column("template").to_pylist()):
        media: dict[str, list[np.ndarray]] = {}
        for m in members.to_pylist():
            if m["template"] == name:
                i = row[m["id"]]
                g = (views[i].astype(np.float64) + flipped[i]) * m["detector_score"]
                media.setdefault(m["media"], []).append(g)
        total = np.sum([np.mean(v, axis=0) for v in media.values()], axis=0)
        pooled[name] = total / np.linalg.norm(total)
    scores = np.array([pooled[p["template_1"]] @ pooled[p["template_2"]] for p in pairs.to_pylist()])
    np.testing.assert_allclose(table.column("score").to_numpy(), scores, atol=1e-12)
    fpr, tpr, _ = roc_curve(pairs.column("same").to_numpy(), scores, drop_intermediate=False)
    for rate, label in ((0.1, "1e-1"), (0.01, "1e-2")):
        nearest = np.flatnonzero(np.isclose(np.abs(fpr - rate), np.abs(fpr - rate).min(), atol=1e-12))
        name = f"fr/templates/tar_at_far_{label}"
        assert result.values[name] == pytest.approx(tpr[nearest].max(), abs=1e-12)
        assert result.intervals[name][0] <= result.values[name] <= result.intervals[name][1]
    # 594 impostor pairs resolve 1e-2 (5.9 of them: under the rule of 30), not 1e-3.
    assert "needs at least 1000 impostor pairs" in result.absent["fr/templates/tar_at_far_1e-3"]
    assert result.notes["rule_of_30"].endswith("FAR 1e-2")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"media": ["m1", None, "m2", "", "m9"]}, "2 templates without media: A, B"),
        ({"detector_score": [0.5, np.nan, 0.5, -1.0, 0.25]}, "2 not a finite number from 0 up: a2, b1"),
        ({"id": ["a1", "a2", "a3", "zz", "c1"]}, "members.id: 1 unknown id: zz"),
        ({"id": ["a1", "a1", "a3", "b1", "c1"]}, "1 duplicate rows: a1 in template A"),
        ({"template": ["A", "A", "A", "A", "C"]}, "pairs.template_2: 1 unknown template: B"),
        ({"detector_score": [0.5, 1.0, 0.5, 0.0, 0.25]}, "pooled template features: 1 all zero: B"),
    ],
)
def test_bad_members_are_named(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        templates.score("templates", *VIEWS, MEMBERS["id"], pa.table(MEMBERS | change), PAIRS, **CONTEXT)
    assert expected in str(caught.value)


def test_no_members_at_all() -> None:
    empty = pa.table(MEMBERS).slice(0, 0)
    with pytest.raises(UserError, match="members: no rows"):
        templates.score("templates", *VIEWS, MEMBERS["id"], empty, PAIRS, **CONTEXT)


def numbered(column: Any) -> pa.Array:
    return pa.array([int(name[1:]) for name in column.to_pylist()])


def test_templates_and_media_may_be_numbers() -> None:
    views, flipped, ids, members, pairs = random_case(0)
    plain = templates.score("templates", views, flipped, ids, members, pairs, **CONTEXT)
    for name in ("template", "media"):
        members = members.set_column(members.column_names.index(name), name, numbered(members[name]))
    counted = pa.table({name: numbered(pairs[name]) for name in ("template_1", "template_2")} | {"same": pairs["same"]})
    ours = templates.score("templates", views, flipped, ids, members, counted, **CONTEXT)
    assert ours[0] == plain[0]
    assert ours[1]["score"].equals(plain[1]["score"])
    assert ours[1]["template_1"].type == pa.int64()  # as they were given
    mixed = templates.score("templates", views, flipped, ids, members, counted.cast(
        pa.schema([("template_1", pa.string()), ("template_2", pa.string()), ("same", pa.bool_())])
    ), **CONTEXT)  # fmt: skip
    assert mixed[0] == plain[0]
    with pytest.raises(UserError) as caught:
        wrong = counted.set_column(0, "template_1", pa.array([99, 99, *counted["template_1"].to_pylist()[2:]]))
        templates.score("templates", views, flipped, ids, members, wrong, **CONTEXT)
    assert "pairs.template_1: 1 unknown template: 99" in str(caught.value)


@pytest.mark.parametrize("few", [False, True])
def test_order_of_pairs_and_of_members_does_not_count(few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    views, flipped, ids, members, pairs = random_case(2)
    monkeypatch.setattr("gelo.tasks.protocols.pooling._IMAGES", 5)
    monkeypatch.setattr("gelo.tasks.protocols.dots._ROWS", 4)
    monkeypatch.setattr("gelo.tasks.protocols.dots._DENSE", 0 if few else 64)  # row by row, or in matrix products
    plain = templates.score("templates", views, flipped, ids, members, pairs, **CONTEXT)
    rng = np.random.default_rng(0)
    order = rng.permutation(pairs.num_rows)
    moved = templates.score(
        "templates", views, flipped, ids, members.take(rng.permutation(members.num_rows)), pairs.take(order), **CONTEXT
    )
    assert plain[0] == moved[0]
    np.testing.assert_array_equal(plain[1]["score"].to_numpy()[order], moved[1]["score"].to_numpy())
    monkeypatch.undo()
    whole = templates.score("templates", views, flipped, ids, members, pairs, **CONTEXT)[1]
    np.testing.assert_array_equal(plain[1]["score"].to_numpy(), whole["score"].to_numpy())


def test_constant_and_reversed_scores_are_remarked_on() -> None:
    views, _, ids, members, pairs = random_case(1)
    constant = np.ones_like(views) * views[0]
    result, table = templates.score("templates", constant, constant, ids, members, pairs, **CONTEXT)
    assert set(table["score"].to_pylist()) == {1.0}
    assert result.notes["warning"] == "all scores equal 1: they separate nothing"
    assert result.values["fr/templates/tar_at_far_1e-1"] == 0  # FAR is 0 or 1, and 0 is nearer
    other = pairs.set_column(2, "same", pa.array(~pairs["same"].to_numpy()))
    warning = templates.score("templates", views, views, ids, members, other, **CONTEXT)[0].notes["warning"]
    assert warning.startswith("AUC 0.") and warning.endswith(
        "impostors score above genuine; higher should mean genuine"
    )


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ({"template_1": ["A", "A", "A"], "template_2": ["C", "A", "C"]}, ["1 with themselves: A", "1 given more than once: (A, C)"]),
        ({"template_1": ["A", "C", "B"], "template_2": ["C", "A", "C"]}, ["1 given more than once: (A, C)"]),
        ({"template_1": ["X", "Y", "B"], "template_2": ["Y", "X", "C"]}, ["unknown template: X, Y", "more than once: (X, Y)"]),
        ({"same": [True, None, False]}, ["pairs.same: 1 of 3 empty"]),
    ],
)  # fmt: skip
def test_bad_template_pairs_are_named(pairs: dict[str, Any], expected: list[str]) -> None:
    given = pa.table({**{name: PAIRS[name] for name in PAIRS.column_names}, **pairs})
    with pytest.raises(UserError) as caught:
        templates.score("templates", *VIEWS, MEMBERS["id"], pa.table(MEMBERS), given, **CONTEXT)
    for piece in expected:
        assert piece in str(caught.value)


def test_pairs_of_one_class_are_absent() -> None:
    for same in ([True] * 3, [False] * 3):
        pairs = PAIRS.set_column(2, "same", pa.array(same))
        result, _ = templates.score("templates", *VIEWS, MEMBERS["id"], pa.table(MEMBERS), pairs, **CONTEXT)
        assert not result.values
        assert "pairs, at least 1 needed" in result.absent["fr/templates/tar_at_far_1e-1"]


def test_bad_features_of_templates_are_named() -> None:
    nan, zero = VIEWS[0].copy(), VIEWS[1].copy()
    nan[4, 1], zero[0] = np.inf, 0
    with pytest.raises(UserError) as caught:
        templates.score("templates", nan, zero, ["a1", "a2", "a2", "b1", "c1"], pa.table(MEMBERS), PAIRS, **CONTEXT)
    for piece in (
        "ids: 1 duplicate: a2",
        "features: 1 not finite: c1",
        "flipped images: 1 all zero: a1",
        "members.id: 1 unknown id: a3",
    ):
        assert piece in str(caught.value)


def test_pairs_of_images_one_class_reversed_or_with_few_errors() -> None:
    one, _ = verification.score("pairs", FEATURES, FLIPPED, IDS, pair_table(same=[True] * 6), **CONTEXT)
    assert one.absent == {
        "fr/pairs/accuracy": "fold accuracy: pairs of one class only, genuine and impostor pairs needed"
    }
    # 40 images at one of two places; the labels say the opposite of what the features do.
    views = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    names = [f"i{n}" for n in range(40)]
    a, b = np.triu_indices(40, 1)
    columns = {"id_1": [names[i] for i in a], "id_2": [names[i] for i in b], "fold": a % 2}
    reversed_ = pa.table({**columns, "same": a // 20 != b // 20})
    result, _ = verification.score("pairs", views, views, names, reversed_, **CONTEXT)
    assert result.notes["warning"] == "AUC 0.000: impostors score above genuine; higher should mean genuine"
    right = pa.table({**columns, "same": a // 20 == b // 20})
    result, _ = verification.score("pairs", views, views, names, right, **CONTEXT)
    assert result.values == {"fr/pairs/accuracy": 1.0}
    assert result.notes["rule_of_30"] == "fewer than 30 errors behind accuracy (pairs)"
    assert "warning" not in result.notes
    with pytest.raises(UserError, match=r"pairs\.fold: 1 of 6 empty"):
        verification.score("pairs", FEATURES, FLIPPED, IDS, pair_table(fold=[0, 0, 1, 1, None, 1]), **CONTEXT)


@pytest.mark.parametrize(
    "names", [65_536, 65_537]
)  # the last number of names whose pairs have 32-bit keys, and the first of 64
def test_pairs_of_many_names(names: int) -> None:
    known = np.arange(names) * 3

    def found(*pairs: tuple[int, int]) -> list[str]:
        first, second = (known[list(ends)] for ends in zip(*pairs, strict=True))
        one, two, faults = pair_ends(known, pa.table({"a": first, "b": second}), ("a", "b"), "template")
        np.testing.assert_array_equal((known[one], known[two]), (first, second))
        return [fault.found for fault in faults]

    assert found((0, -1), (-1, -2), (-2, 0), (1, 0)) == []  # of 65,537 names the second and third would meet in 32 bits
    assert found((0, -1), (-1, -2), (1, 0), (-2, -1)) == [f"1 given more than once: ({known[-1]}, {known[-2]})"]
