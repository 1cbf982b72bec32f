"""Files of scores: read against scikit-learn and hand-worked numbers, and refused with every fault at once."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from gelo.models.faults import UserError
from gelo.tasks.metrics.scores import as_scores
from gelo.tasks.metrics.verification import tar_at_far
from gelo.tasks.protocols import morph
from gelo.tasks.scorefiles.metrics import measure
from gelo.tasks.scorefiles.scorefile import read

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def write(path: Path, **columns: Any) -> Path:
    table = pa.table({name: list(values) for name, values in columns.items()})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        pa_csv.write_csv(table, path)
    return path


def refusal(path: Path, protocol: str) -> str:
    with pytest.raises(UserError) as refused:
        read(path, protocol)
    return str(refused.value)


def pairs(rng: np.random.Generator, n: int = 300) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    label = rng.integers(0, 2, n)
    return label, np.round(rng.normal(size=n) + 1.5 * label, 1)  # one decimal, so that there are ties


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_pair_scores_against_scikit_learn(tmp_path: Path, suffix: str) -> None:
    label, score = pairs(np.random.default_rng(0))
    result = measure(read(write(tmp_path / f"my pairs.v1.{suffix}", score=score, label=label), "verification"))
    far, tar, _ = roc_curve(label, score, drop_intermediate=False)
    assert result.values["fr/my_pairs/auc"] == pytest.approx(roc_auc_score(label, score))
    # The crossing of the two straight lines FAR and 1 - TAR between the bracketing points of scikit-learn's curve.
    after = int(np.argmax(far >= 1 - tar))
    gap = (far - 1 + tar)[[after - 1, after]]
    eer = far[after - 1] - gap[0] / (gap[1] - gap[0]) * (far[after] - far[after - 1])
    assert result.values["fr/my_pairs/eer"] == pytest.approx(eer)
    for rate in (1e-1, 1e-2):
        nearest = np.flatnonzero(np.isclose(abs(far - rate), abs(far - rate).min()))[-1]
        assert result.values[f"fr/my_pairs/tar_at_far_{rate:.0e}".replace("e-0", "e-")] == pytest.approx(tar[nearest])
    assert result.counts == {"genuine": int(label.sum()), "impostor": int((1 - label).sum())}
    assert "needs at least 1000 impostor pairs" in result.absent["fr/my_pairs/tar_at_far_1e-3"]
    assert "needs a `distance` column" in result.absent["fr/my_pairs/accuracy"]
    assert result.notes["rule_of_30"] == "fewer than 30 impostor pairs beyond FAR 1e-1, 1e-2"
    assert result.values.keys() == result.intervals.keys()
    for name, (low, high) in result.intervals.items():
        assert 0 <= low <= result.values[name] <= high <= 1


def test_templates_have_the_same_rates_and_no_accuracy(tmp_path: Path) -> None:
    label, score = pairs(np.random.default_rng(1))
    file = write(tmp_path / "t.csv", score=score, label=label)
    one, two = measure(read(file, "verification")), measure(read(file, "templates"))
    assert one.values == two.values
    assert "fr/t/accuracy" not in two.absent
    assert one.data == two.data != measure(read(write(tmp_path / "t.csv", score=-score, label=label), "templates")).data


def test_a_distance_is_a_negated_score(tmp_path: Path) -> None:
    label, score = pairs(np.random.default_rng(2))
    by_score = measure(read(write(tmp_path / "p.csv", score=score - 10, label=label), "templates"))
    by_distance = measure(read(write(tmp_path / "p.csv", distance=10 - score, label=label), "templates"))
    assert by_score.values == pytest.approx(by_distance.values)
    assert by_distance.notes["direction"] == "distance, negated: higher = genuine"
    assert "direction" not in by_score.notes


def test_fold_accuracy_by_hand(tmp_path: Path) -> None:
    # Two folds. Fold 0: genuine 0.5, 1.5; impostor 2.0, 3.0. The lowest t that accepts both genuine and no impostor: 1.51.
    # Fold 1: genuine 0.5, 1.75; impostor 1.0, 3.0. Best t: 0.51 (3 of 4; 1.76 also 3 of 4, but higher).
    # Fold 0 at 0.51: 0.5 accepted, 1.5 not, impostors rejected: 3/4. Fold 1 at 1.51: 0.5 yes, 1.75 no, 1.0 accepted, 3.0 no: 2/4.
    distance = [0.5, 1.5, 2.0, 3.0, 0.5, 1.75, 1.0, 3.0]
    label, fold = [1, 1, 0, 0] * 2, [0] * 4 + [1] * 4
    result = measure(read(write(tmp_path / "p.csv", distance=distance, label=label, fold=fold), "verification"))
    assert result.values["fr/p/accuracy"] == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert result.notes["thresholds"] == "0.51, 1.51"
    assert result.counts["folds"] == 2
    result = measure(read(write(tmp_path / "p.csv", distance=distance, label=label), "verification"))
    assert "no `fold` column, and the ten tenths" in result.absent["fr/p/accuracy"]
    twice = [2 * d for d in distance]
    result = measure(read(write(tmp_path / "p.csv", distance=twice, label=label, fold=fold), "verification"))
    assert "distances up to 6" in result.absent["fr/p/accuracy"]


def test_ten_tenths_in_the_order_of_lfw_are_its_folds(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    label = np.tile(np.repeat([1, 0], 5), 10)
    distance = np.round(np.clip(rng.normal(2 - label, 0.4), 0, 4), 3)
    said = measure(read(write(tmp_path / "p.csv", distance=distance, label=label), "verification"))
    fold = np.repeat(np.arange(10), 10)
    given_ = measure(read(write(tmp_path / "p.csv", distance=distance, label=label, fold=fold), "verification"))
    assert said.values == given_.values
    assert said.notes["folds"] == "ten tenths of the file, in its order"
    shuffled = rng.permutation(100)  # the tenths are no longer balanced
    moved = measure(read(write(tmp_path / "p.csv", distance=distance[shuffled], label=label[shuffled]), "verification"))
    assert "fr/p/accuracy" in moved.absent
    assert moved.values["fr/p/eer"] == pytest.approx(said.values["fr/p/eer"])


def test_the_morph_example_by_hand() -> None:
    # blend, 12 morphs, thresholds from above: ... .66 (APCER 1/12, BPCER .2)  .62A (2/12, .2)  .45A (3/12, .2)  .41 (3/12, .1).
    # APCER passes BPCER = .2 on the way from 2/12 to 3/12: interpolated .2; the nearest point is 2/12.
    # warp: .70A (3/12, .3)  .66 (3/12, .2): the errors meet at 3/12; both points are .05 away, the first one's FPR is 3/12.
    result = measure(read(EXAMPLES / "morph_scores.csv", "morph"))
    values = result.values
    assert values["mad/blend/eer"] == pytest.approx(0.2)
    assert values["mad/blend/eer_nearest_fpr"] == pytest.approx(2 / 12)
    assert values["mad/warp/eer"] == values["mad/warp/eer_nearest_fpr"] == pytest.approx(0.25)
    assert values["mad/mean/eer"] == pytest.approx(0.225)
    assert values["mad/mean/eer_nearest_fpr"] == pytest.approx((2 / 12 + 3 / 12) / 2)
    assert result.counts == {"bona_fide": 10, "attack_blend": 12, "attack_warp": 12}


def test_the_spoof_example_by_hand() -> None:
    # dev: the lowest live video has .72, the highest attack .61: threshold (.72 + .61) / 2 = .665.
    # test at .665: live .63, .62, .52 rejected (3/8), attack .71 accepted (replay 1/4, print 0/4; pooled 1/8).
    # HTER (3/8 + 1/8) / 2; ACER (3/8 + 1/4) / 2. The test's own EER point, .62: 1/8 and 1/8.
    result = measure(read(EXAMPLES / "spoof_scores.csv", "spoof"))
    assert result.values["pad/ca/hter"] == pytest.approx(0.25)
    assert result.values["pad/ca/acer"] == pytest.approx(5 / 16)
    assert result.values["pad/ca/eer"] == result.values["pad/ca/hter_at_test_eer"] == pytest.approx(1 / 8)
    assert result.counts == {"frames": 32, "videos": 16, "ca_bona_fide": 8, "ca_attacks": 8}
    assert result.notes["threshold"].startswith("0.665")


def test_the_pair_example_against_interpolation() -> None:
    with (EXAMPLES / "pair_distances.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    label, score = [int(row["label"]) for row in rows], [-float(row["distance"]) for row in rows]
    far, tar, _ = roc_curve(label, score, drop_intermediate=False)
    assert np.interp(0.1, far, tar) == pytest.approx(0.925), "the figure that docs/biometrics.md sets beside ours"
    result = measure(read(EXAMPLES / "pair_distances.csv", "verification"))
    assert result.values["fr/pair_distances/tar_at_far_1e-1"] == 1.0


@pytest.mark.slow
def test_a_morph_file_gives_what_the_protocol_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    attack = np.repeat(["bona_fide", "a", "b"], 40)
    label = (attack == "bona_fide").astype(int)
    score = np.round(rng.normal(size=120) + label, 2)
    ids, subject = [f"m{n}" for n in range(120)], [f"s{n // 3}" for n in range(120)]
    expected, _ = morph.score(
        "mad", score, label, attack.tolist(), ids, subjects=subject, data="", vision="", text="", scale="full"
    )
    said = ["Bona-Fide" if one else "" for one in label[:20]] + [""] * 20 + attack[40:].tolist()
    file = write(tmp_path / "m.csv", id=ids, score=score, label=label, attack=said, subject=subject)
    result = measure(read(file, "morph"))
    assert (result.values, result.intervals) == (expected.values, expected.intervals)
    assert result.notes["interval_unit"] == "subject"
    alone = measure(read(write(tmp_path / "m.csv", score=score, label=label), "morph"))
    assert alone.notes["attack"] == "no such column: one attack, named attack"
    far, tar, _ = roc_curve(label, score, drop_intermediate=False)
    assert alone.values["mad/attack/eer_nearest_fpr"] == pytest.approx(far[np.argmin(np.round(abs(tar + far - 1), 9))])


def test_a_spoof_file_without_videos_domains_and_attacks(tmp_path: Path) -> None:
    label, score = pairs(np.random.default_rng(5), 60)
    result = measure(read(write(tmp_path / "ca.csv", score=score, label=label), "spoof"))
    assert result.values["pad/ca/auc"] == pytest.approx(roc_auc_score(label, score))
    assert result.absent["pad/ca/hter"] == "no development split to choose the threshold on"
    assert result.counts["videos"] == 60
    assert {"video", "domain"} <= result.notes.keys()


@pytest.mark.parametrize("protocol", ["verification", "templates", "morph", "spoof"])
def test_reversed_and_constant_scores_are_warned_of(tmp_path: Path, protocol: str) -> None:
    label, score = pairs(np.random.default_rng(6), 80)
    right = measure(read(write(tmp_path / "s.csv", score=score, label=label), protocol))
    assert "warning" not in right.notes
    warning = measure(read(write(tmp_path / "s.csv", score=-score, label=label), protocol)).notes["warning"]
    assert f"AUC {1 - roc_auc_score(label, score):.3f}" in warning
    assert "name its column `distance`" in warning
    constant = measure(read(write(tmp_path / "s.csv", score=[0.5] * 80, label=label), protocol))
    assert constant.notes["warning"] == "all scores equal 0.5: they separate nothing"


@pytest.mark.parametrize("words", [("genuine", "Impostor"), ("bona fide", "attack"), ("True", "False"), ("1.0", "0.0")])
def test_labels_in_words(tmp_path: Path, words: tuple[str, str]) -> None:
    label = [words[0]] * 3 + [words[1]] * 3
    file = read(write(tmp_path / "w.csv", score=[3, 4, 5, 1, 2, 3], label=label), "templates")
    assert file.labels.tolist() == [1, 1, 1, 0, 0, 0]
    kinds: dict[str, Any] = {"True": [True] * 3 + [False] * 3, "1.0": [1.0] * 3 + [0.0] * 3}
    typed = write(tmp_path / "w.parquet", score=[3, 4, 5, 1, 2, 3], label=kinds.get(words[0], label))
    assert read(typed, "templates").labels.tolist() == [1, 1, 1, 0, 0, 0]


def test_blanks_plus_signs_and_other_columns_orders_are_read(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("\ufefflabel , score\n 1, +0.5\n0 ,1e-3\n1,.25\n0,-2.\n", encoding="utf-8")
    file = read(tmp_path / "b.csv", "templates")
    np.testing.assert_array_equal(file.scores, [0.5, 0.001, 0.25, -2.0])
    assert file.labels.tolist() == [1, 0, 1, 0]


def test_every_fault_at_once(tmp_path: Path) -> None:
    rows = ["id,score,label,atack", "a,0.5,1,", "a,n/a,2,", "c,nan,0,", "d,1,0,,9", "e,0.25,-1,"]
    (tmp_path / "bad.csv").write_text("\n".join(rows))
    said = refusal(tmp_path / "bad.csv", "morph")
    for part in (
        "6 faults", "line 5 has 5", "'atack'", "nearest: attack", "row 2 (n/a)", "not finite: row 3 (nan)",
        "2 unknown: row 2 (2), row 4 (-1)", "1 duplicate: a",
    ):  # fmt: skip
        assert part in said, said


@pytest.mark.parametrize(
    ("columns", "protocol", "parts"),
    [
        ({"label": [1, 0]}, "templates", ["no score"]),
        ({"score": [1, 2]}, "templates", ["no label"]),
        ({"score": [1, 2], "distance": [1, 2], "label": [1, 0]}, "templates", ["score and distance", "one of the two"]),
        ({"score": [1, 2], "label": [1, 1]}, "templates", ["all 2 rows are genuine (1)", "both classes"]),
        ({"distance": [-1, 2], "label": [1, 0]}, "verification", ["1 below 0: row 1 (-1.0)", "is called score"]),
        ({"score": [1, 2], "label": [1, 0], "fold": ["1", "x"]}, "verification", ["no fold numbers: row 2 (x)"]),
        ({"score": [1, 2], "label": [1, 0], "video": ["v", "w"]}, "morph", ["unknown column of morph 'video'"]),
        ({"score": [1, 2], "label": [1, 0], "video": ["v", "v"]}, "spoof", ["1 with two labels: v"]),
        ({"score": [1, 2, 3], "label": [1, 0, 0], "split": ["test", "dev", "dev"]}, "spoof", ["all 1 rows are genuine"]),
        ({"score": [1, 2], "video": ["v", "w"]}, "spoof", ["no label"]),
        ({"score": [1, 2], "label": [1, 0], "split": ["test", "val"]}, "spoof", ["row 2 (val)", "test or dev"]),
        ({"score": [1, 2], "label": [1, 0], "attack": ["x", "x"]}, "morph", ["name an attack: row 1 (x)"]),
        ({"score": [1, 2], "label": [1, 0], "attack": ["", "live"]}, "morph", ["attack rows say bona fide: row 2"]),
        ({"score": [1, 2, 3], "label": [1, 0, 0], "attack": ["", "", "y"]}, "morph", ["name none: row 2"]),
        ({"score": [1, 2], "label": [1, 0], "attack": ["", "a b"]}, "morph", ["'a b'", "letters, digits"]),
        ({"score": [1, 2], "label": [1, 0], "attack": ["", "x" * 81]}, "morph", ["letters, digits", "up to 80"]),
        ({"score": [1, 2], "label": [1, 0], "subject": ["s", ""]}, "morph", ["1 empty: row 2"]),
    ],
)  # fmt: skip
def test_columns_that_cannot_be(tmp_path: Path, columns: dict[str, list[Any]], protocol: str, parts: list[str]) -> None:
    for suffix in ("csv", "parquet"):
        said = refusal(write(tmp_path / f"f.{suffix}", **columns), protocol)
        assert "1 fault" in said
        for part in parts:
            assert part in said, said


def test_files_that_are_none(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.parquet", score=[1, 2], label=[1, 0]).read_bytes()
    cases: dict[str, tuple[bytes, str]] = {
        "empty.csv": (b"", "no rows"),
        "header.csv": (b"score,label\n", "no rows"),
        "binary.csv": (b"\xff\xfd\x00\x01\nscore", "line 1: invalid start byte"),
        "cut.parquet": (whole[:-20], "Parquet"),
        "twice.csv": (b"score,score,label\n1,2,1\n1,2,0\n", "'score' 2 times"),
        "latin.csv": (b"score,label\n1,1\n1,b\xe9\n2,0\n", "line 3: invalid continuation byte: byte 0xe9"),
    }
    for name, (content, part) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert part in refusal(tmp_path / name, "templates"), name
    assert "No such file" in refusal(tmp_path / "gone.csv", "templates")
    assert "Is a directory" in refusal(tmp_path, "templates")
    nested = write(tmp_path / "nested.parquet", score=[[1.0], [2.0]], label=[1, 0])
    assert "no numbers: row 1 ([1.0])" in refusal(nested, "templates")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_a_damaged_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int) -> None:
    path = tmp_path_factory.mktemp("junk") / "f.csv"
    good = b"score,label\n" + b"0.5,1\n0.25,0\n" * 4
    path.write_bytes(good[:at] + junk + good[at + len(junk) // 2 :])
    try:
        file = read(path, "templates")
    except UserError:
        return
    assert np.isfinite(file.scores).all() and set(file.labels.tolist()) == {0, 1}


@pytest.mark.slow
def test_a_million_comparisons_have_intervals(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    label = (np.arange(1_000_200) % 500 == 0).astype(int)
    score = np.round(rng.normal(size=label.size) + 3 * label, 3)
    result = measure(read(write(tmp_path / "big.parquet", score=score, label=label), "templates"))
    assert result.values["fr/big/auc"] == pytest.approx(roc_auc_score(label, score))
    genuine, impostor = as_scores(score[label == 1]), as_scores(score[label == 0])
    expected = tar_at_far(genuine, impostor, 1e-4, chosen_on="big").tar
    assert result.values["fr/big/tar_at_far_1e-4"] == expected
    assert result.intervals.keys() == result.values.keys()
    assert result.notes["interval_unit"] == "pair"
    assert result.notes["rule_of_30"] == "fewer than 30 impostor pairs beyond FAR 1e-5"


def test_what_the_default_of_roc_curve_would_read_from_the_morph_example() -> None:
    """The figures that docs/biometrics.md sets beside ours: collinear points are dropped, and with them the nearest one."""
    with (EXAMPLES / "morph_scores.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["attack"] in ("", "blend")]
    label, score = [row["label"] == "bonafide" for row in rows], [float(row["score"]) for row in rows]
    values = measure(read(EXAMPLES / "morph_scores.csv", "morph")).values
    for thin, eer, apcer in ((True, 0.25, 1.0), (False, values["mad/blend/eer_nearest_fpr"], None)):
        far, tar, _ = roc_curve(label, score, drop_intermediate=thin)
        name = "_thinned" if thin else ""
        nearest = far[np.argmin(np.round(abs(tar + far - 1), 9))]
        assert nearest == pytest.approx(eer) == pytest.approx(values[f"mad/blend/eer_nearest_fpr{name}"])
        off = np.round(abs(1 - tar - 0.1), 9)
        expected = values["mad/blend/apcer_at_bpcer_10"] if apcer is None else apcer
        assert far[np.flatnonzero(off == off.min())[-1]] == pytest.approx(expected)
        assert values[f"mad/blend/apcer_at_bpcer_10{name}"] == pytest.approx(expected)
