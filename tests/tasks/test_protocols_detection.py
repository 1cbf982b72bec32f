"""Morphing and presentation attack detection: cases worked out by hand, their invariances, absence and bad input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gelo.models.faults import UserError
from gelo.tasks.metrics import errors
from gelo.tasks.metrics.scores import as_scores
from gelo.tasks.protocols import morph, spoof
from gelo.tasks.protocols.tally import Context

CONTEXT: Context = {"data": "d", "vision": "v", "text": "t", "scale": "miniature"}

BONA_FIDE = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5]
WARP = [0.72, 0.62, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05]
BLEND = [0.41, 0.36, 0.31, 0.26, 0.21, 0.16, 0.11, 0.06, 0.04, 0.02]
SCORES = np.array(BONA_FIDE + WARP + BLEND)
ATTACKS = np.repeat(["bona_fide", "warp", "blend"], 10).astype(object)
LABELS = (ATTACKS == "bona_fide").astype(np.int64)
IDS = [f"m{i:02d}" for i in range(30)]


def test_morphs_by_hand() -> None:
    # warp against the ten bona fide, thresholds from above; (APCER, BPCER):
    #   .75 (0, .5)    .72A (.1, .5)   .70 (.1, .4)   .65 (.1, .3)   .62A (.2, .3)
    #   .60 (.2, .2)   .55 (.2, .1)    .50 (.2, 0)    .40A (.3, 0)   ...
    # The errors meet at (.2, .2). APCER where BPCER = .1 (.2): .2 (.2). BPCER first at APCER = .1 (.2): .5 (.3).
    # blend lies below all bona fide: every error is 0. Means are halves of warp's.
    result, table = morph.score("mad", SCORES, LABELS, ATTACKS, IDS, **CONTEXT)
    warp = {
        "eer": 0.2, "eer_nearest_fpr": 0.2, "apcer_at_bpcer_10": 0.2, "apcer_at_bpcer_20": 0.2,
        "bpcer_at_apcer_10": 0.5, "bpcer_at_apcer_20": 0.3,
    }  # fmt: skip
    for leaf, value in warp.items():
        assert result.values[f"mad/warp/{leaf}"] == pytest.approx(value)
        assert result.values[f"mad/blend/{leaf}"] == 0
        assert result.values[f"mad/mean/{leaf}"] == pytest.approx(value / 2)
    # Ten images cannot show 1 %.
    assert (
        result.absent["mad/warp/apcer_at_bpcer_1"]
        == "BPCER 0.01 needs at least 100 bona fide presentations, there are 10"
    )
    assert result.absent["mad/mean/apcer_at_bpcer_1"] == "mean over all parts: undefined for blend, warp"
    assert result.counts == {"bona_fide": 10, "attack_blend": 10, "attack_warp": 10}
    assert table.column("id").to_pylist() == IDS
    assert result.intervals.keys() == result.values.keys()
    for name, (low, high) in result.intervals.items():
        assert 0 <= low <= high <= 1, name
    assert result.intervals["mad/warp/eer"][0] < 0.2 < result.intervals["mad/warp/eer"][1]


def test_morph_values_are_those_of_the_metrics() -> None:
    rng = np.random.default_rng(0)
    attack = np.repeat(["bona_fide", "warp", "blend"], [150, 120, 110])
    labels = (attack == "bona_fide").astype(int)
    scores = np.round(rng.normal(size=380) + 1.5 * labels, 1)
    result, _ = morph.score("mad_text", scores, labels, attack, [f"i{i}" for i in range(380)], **CONTEXT)
    bona_fide = as_scores(scores[:150])
    for kind in ("warp", "blend"):
        attacks = as_scores(scores[attack == kind])
        assert result.values[f"mad_text/{kind}/eer"] == errors.eer(bona_fide, attacks, chosen_on="test").value
        for percent in morph.PERCENTS:
            expected = errors.apcer_at_bpcer(bona_fide, attacks, percent / 100)
            assert result.values[f"mad_text/{kind}/apcer_at_bpcer_{percent}"] == expected
            expected = errors.bpcer_at_apcer(bona_fide, attacks, percent / 100)
            assert result.values[f"mad_text/{kind}/bpcer_at_apcer_{percent}"] == expected


def test_morph_result_depends_on_neither_order_nor_scale_of_scores() -> None:
    plain, _ = morph.score("mad", SCORES, LABELS, ATTACKS, IDS, **CONTEXT)
    z_normalised, _ = morph.score("mad", (SCORES - SCORES.mean()) / SCORES.std(), LABELS, ATTACKS, IDS, **CONTEXT)
    assert plain == z_normalised  # the papers' normalisation over the test set changes nothing here
    order = np.random.default_rng(0).permutation(30)
    moved, _ = morph.score("mad", SCORES[order], LABELS[order], ATTACKS[order], [IDS[i] for i in order], **CONTEXT)
    assert moved.values == plain.values


def test_morphs_by_subject_are_drawn_whole() -> None:
    by_image, _ = morph.score("mad", SCORES, LABELS, ATTACKS, IDS, **CONTEXT)
    by_subject, _ = morph.score("mad", SCORES, LABELS, ATTACKS, IDS, subjects=np.arange(30) // 5, **CONTEXT)
    assert by_image.values == by_subject.values
    assert (by_image.notes["interval_unit"], by_subject.notes["interval_unit"]) == ("image", "subject")
    assert by_image.intervals != by_subject.intervals


def test_morphs_without_bona_fide_or_without_attacks_are_absent() -> None:
    attacks_only, _ = morph.score("mad", SCORES[10:], LABELS[10:], ATTACKS[10:], IDS[10:], **CONTEXT)
    assert not attacks_only.values
    assert "no genuine (bona fide) scores" in attacks_only.absent["mad/warp/eer"]
    bona_fide_only, _ = morph.score("mad", SCORES[:10], LABELS[:10], ATTACKS[:10], IDS[:10], **CONTEXT)
    assert bona_fide_only.absent["mad/mean/eer"] == "no part to average"


def test_reversed_and_constant_scores_are_remarked_on() -> None:
    reversed_, _ = morph.score("mad", -SCORES, LABELS, ATTACKS, IDS, **CONTEXT)
    assert "higher should mean bona fide" in reversed_.notes["warning"]
    constant, _ = morph.score("mad", np.full(30, 0.25), LABELS, ATTACKS, IDS, **CONTEXT)
    assert constant.notes["warning"] == "all scores equal 0.25: they separate nothing"
    assert constant.values["mad/mean/eer"] == 0.5
    assert "warning" not in morph.score("mad", SCORES, LABELS, ATTACKS, IDS, **CONTEXT)[0].notes


def test_rates_with_few_errors_are_marked() -> None:
    # 400 bona fide and 400 morphs, evenly spread: 200 errors of each kind at the EER, 4, 40 and 80 expected at 1, 10 and 20 %.
    spread, names = np.arange(800) / 800, [f"i{i}" for i in range(800)]
    attack = np.where(np.arange(800) % 2, "bona_fide", "warp")
    result, _ = morph.score("mad", spread, (attack == "bona_fide").astype(int), attack, names, **CONTEXT)
    assert result.notes["rule_of_30"] == "fewer than 30 errors behind apcer_at_bpcer_1 (warp); bpcer_at_apcer_1 (warp)"
    # Both domains of the hand case have a video or none in error; auc is no error rate.
    result, _ = spoof.score("pad", TEST, DEV, **CONTEXT)
    named = "hter (all); acer (all); apcer_worst (all); bpcer (all); hter_at_test_eer (all); eer (all)"
    assert result.notes["rule_of_30"] == f"fewer than 30 errors behind {named}"


def test_reversed_and_constant_videos_are_remarked_on() -> None:
    rng = np.random.default_rng(0)
    rows = [(f"v{i}", "domain_a", "print" if i % 2 else "bona_fide", (rng.normal(i % 2),)) for i in range(200)]
    assert "attacks score above bona fide" in spoof.score("pad", frames(rows, "t"), DEV, **CONTEXT)[0].notes["warning"]
    constant = spoof.score("pad", replace(TEST, scores=np.full(13, 0.25)), DEV, **CONTEXT)[0]
    assert constant.notes["warning"] == "all scores equal 0.25: they separate nothing"
    assert (constant.values["pad/mean/eer"], constant.values["pad/mean/auc"]) == (0.5, 0.5)


def changed(values: Any, position: int, value: Any) -> Any:
    copy = list(values)
    copy[position] = value
    return np.array(copy, dtype=object) if isinstance(value, str) else np.array(copy)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((changed(SCORES, 3, np.nan), LABELS, ATTACKS, IDS), "scores: 1 not finite: m03"),
        ((SCORES, changed(LABELS, 3, 2), ATTACKS, IDS), "labels: 1 outside 0 to 1: m03"),
        ((SCORES, LABELS, changed(ATTACKS, 3, "warp"), IDS), "1 disagree with the label: m03"),
        ((SCORES, LABELS, ATTACKS, changed(IDS, 3, "m04")), "ids: 1 duplicate: m04"),
        ((SCORES, LABELS, changed(ATTACKS, 12, "face morpher"), IDS), "letters, digits"),
        ((SCORES, LABELS, changed(ATTACKS, 12, "mean"), IDS), "kept for the average"),
        ((SCORES[:-1], LABELS, ATTACKS, IDS), "shape (29,)"),
    ],
)
def test_bad_morph_input_is_named(arguments: tuple[Any, ...], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        morph.score("mad", *arguments, **CONTEXT)
    assert expected in str(caught.value)


def frames(rows: list[tuple[str, str, str, tuple[float, ...]]], prefix: str) -> spoof.Frames:
    """Rows (video, domain, attack, scores of its frames)."""
    flat = [(video, domain, attack, value) for video, domain, attack, values in rows for value in values]
    videos, domains, attacks, scores = (list(column) for column in zip(*flat, strict=True))
    labels = np.array([attack == "bona_fide" for attack in attacks]).astype(np.int64)
    ids = [f"{prefix}{i}" for i in range(len(flat))]
    return spoof.Frames(np.array(scores), labels, videos, domains, ids, attacks)


DEV = frames(
    [
        ("d1", "domain_a", "bona_fide", (0.9, 0.9)),
        ("d2", "domain_b", "bona_fide", (0.6, 0.8)),
        ("d3", "domain_a", "print", (0.2,)),
        ("d4", "domain_b", "mask", (0.5, 0.7)),
    ],
    "dev",
)
TEST = frames(
    [
        ("v1", "domain_a", "bona_fide", (0.9, 0.5)),
        ("v2", "domain_a", "bona_fide", (0.6, 0.6)),
        ("v3", "domain_a", "print", (0.5, 0.1)),
        ("v4", "domain_a", "replay", (0.99, 0.5, 0.49)),
        ("v5", "domain_a", "replay", (0.1,)),
        ("v6", "domain_b", "bona_fide", (0.9,)),
        ("v7", "domain_b", "mask", (0.1, 0.3)),
    ],
    "test",
)


def test_spoofs_by_hand() -> None:
    # dev, by video: bona fide .9, .7; attacks .2, .6. Separable, so the threshold lies midway between .7 and .6: .65.
    # domain_a, by video: bona fide .7 .6; print .3; replay .66 .1.
    #   at .65: BPCER 1/2 (.6), APCER 1/3 (.66): hter = 5/12. Instruments: print 0, replay 1/2: acer = (1/2 + 1/2) / 2 = 1/2.
    #   from above (APCER, BPCER): .7 (0, 1/2), .66A (1/3, 1/2), .6 (1/3, 0), .3A (2/3, 0), .1A (1, 0).
    #   |APCER - BPCER| is smallest, 1/6, at .66A: hter_at_test_eer = (1/3 + 1/2) / 2 = 5/12.
    #   The errors cross between .66A and .6, where APCER stays 1/3: eer = 1/3.
    #   Pairs in order: .7 above 3, .6 above 2 of 3 attacks: auc = 5/6.
    # domain_b: .9 against .2: no error, auc 1. Means: half of domain_a's, auc 11/12.
    result, table = spoof.score("pad", TEST, DEV, **CONTEXT)
    #   At that point, .66: print 0, replay 1/2, BPCER 1/2: acer_at_test_eer = 1/2.
    a = {
        "hter": 5 / 12, "acer": 1 / 2, "apcer_worst": 1 / 2, "bpcer": 1 / 2, "hter_at_test_eer": 5 / 12, "hter_at_test_eer_thinned": 5 / 12,
        "acer_at_test_eer": 1 / 2,
        "eer": 1 / 3, "auc": 5 / 6,
    }  # fmt: skip
    assert set(a) == set(spoof.LEAVES)
    for leaf, value in a.items():
        assert result.values[f"pad/domain_a/{leaf}"] == pytest.approx(value), leaf
        other = 1.0 if leaf == "auc" else 0.0
        assert result.values[f"pad/domain_b/{leaf}"] == other
        assert result.values[f"pad/mean/{leaf}"] == pytest.approx((value + other) / 2)
    number, rule = result.notes["threshold"].split(" ", 1)
    assert (float(number), rule) == (pytest.approx(0.65), "(EER, interpolated on spoofs/dev)")
    assert result.counts == {
        "frames": 13, "videos": 7, "domain_a_bona_fide": 2, "domain_a_attacks": 3, "domain_b_bona_fide": 1, "domain_b_attacks": 1,
    }  # fmt: skip
    assert table.column("video").to_pylist() == ["v1", "v2", "v3", "v4", "v5", "v6", "v7"]
    np.testing.assert_allclose(table.column("score").to_numpy(), [0.7, 0.6, 0.3, 0.66, 0.1, 0.9, 0.2])
    assert table.column("frames").to_pylist() == [2, 2, 2, 3, 1, 1, 2]
    assert result.intervals.keys() == result.values.keys()


def many(seed: int, domain: str, alike: float) -> list[tuple[str, str, str, tuple[float, ...]]]:
    """Videos of 60 subjects, 3 bona fide and 3 attacks of each; alike: how much those of a subject have in common."""
    rng, rows = np.random.default_rng(seed), []
    for subject in range(60):
        common = alike * rng.normal()
        for kind, mean in (("bona_fide", 1.0), ("print", -1.0)):
            scores = mean + common + np.sqrt(1 - alike**2) * rng.normal(size=3)
            rows += [(f"{domain}/{subject}/{kind}{n}", domain, kind, (float(score),)) for n, score in enumerate(scores)]
    return rows


def test_the_unit_of_an_interval_is_the_subject_where_known() -> None:
    videos = frames(many(0, "domain_a", 0.9), "t")
    subjects = [str(video).split("/")[1] for video in np.asarray(videos.videos)]
    by_video, _ = spoof.score("pad", videos, DEV, **CONTEXT)
    by_subject, _ = spoof.score("pad", replace(videos, subjects=subjects), DEV, **CONTEXT)
    assert by_video.values == by_subject.values
    assert (by_video.notes["interval_unit"], by_subject.notes["interval_unit"]) == ("video", "subject")
    for leaf in ("hter", "bpcer", "eer", "auc", "hter_at_test_eer"):
        one, two = (result.intervals[f"pad/domain_a/{leaf}"] for result in (by_video, by_subject))
        assert two[1] - two[0] > 1.3 * (one[1] - one[0]), leaf


def test_a_video_of_two_subjects_is_refused() -> None:
    subjects = ["s1", "s2", *("s3" for _ in range(11))]
    with pytest.raises(UserError, match="videos \\(subject\\): 1 with two subjects: v1"):
        spoof.score("pad", replace(TEST, subjects=subjects), DEV, **CONTEXT)


def test_domains_are_different_people() -> None:
    """Two domains of one score each: the mean has half the variance of one of them, as independent means do."""
    one, two = many(1, "domain_a", 0.0), many(1, "domain_b", 0.0)
    result, _ = spoof.score("pad", frames([*one, *two], "t"), DEV, **CONTEXT)
    for leaf in ("bpcer", "hter", "eer", "auc"):
        single, mean = (result.intervals[f"pad/{part}/{leaf}"] for part in ("domain_a", "mean"))
        assert (mean[1] - mean[0]) / (single[1] - single[0]) == pytest.approx(1 / np.sqrt(2), rel=0.1), leaf


def test_order_of_frames_does_not_count() -> None:
    order = np.random.default_rng(1).permutation(13)
    columns = {
        name: np.asarray(getattr(TEST, name))[order]
        for name in ("scores", "labels", "videos", "domains", "ids", "attacks")
    }
    assert spoof.score("pad", spoof.Frames(**columns), DEV, **CONTEXT)[0] == spoof.score("pad", TEST, DEV, **CONTEXT)[0]


def test_dev_threshold_is_not_the_test_sets_own() -> None:
    moved = replace(DEV, scores=np.asarray(DEV.scores) + 10)  # dev far above: at its threshold all of test is rejected
    result, _ = spoof.score("pad", TEST, moved, **CONTEXT)
    assert result.values["pad/mean/hter"] == 0.5
    assert result.values["pad/mean/hter_at_test_eer"] == pytest.approx(5 / 24)


def test_without_dev_or_with_one_class_in_it_the_fixed_threshold_is_absent() -> None:
    without, _ = spoof.score("pad_text", TEST, None, **CONTEXT)
    assert without.absent["pad_text/domain_a/hter"] == "no development split to choose the threshold on"
    assert without.absent["pad_text/mean/acer"] == "mean over all parts: undefined for domain_a, domain_b"
    assert without.values["pad_text/mean/eer"] == pytest.approx(1 / 6)
    one, _ = spoof.score("pad", TEST, frames([("d1", "domain_a", "bona_fide", (0.9,))], "dev"), **CONTEXT)
    assert "threshold on spoofs/dev: ROC: no impostor (attack) scores" in one.absent["pad/domain_b/hter"]


def test_domain_of_one_class_is_absent_and_so_is_the_mean() -> None:
    lone = frames(
        [
            ("v1", "domain_a", "bona_fide", (0.9,)),
            ("v2", "domain_a", "print", (0.2,)),
            ("v3", "domain_b", "print", (0.1,)),
        ],
        "t",
    )
    result, _ = spoof.score("pad", lone, DEV, **CONTEXT)
    assert result.values["pad/domain_a/hter"] == 0
    assert "no bona fide" in result.absent["pad/domain_b/bpcer"]
    assert (
        result.absent["pad/domain_b/acer_at_test_eer"]
        == "acer_at_test_eer: no EER point, videos of both classes needed"
    )
    for leaf in spoof.LEAVES:
        if leaf == "apcer_worst":  # needs no bona fide
            continue
        assert f"pad/domain_b/{leaf}" in result.absent
        assert result.absent[f"pad/mean/{leaf}"] == "mean over all parts: undefined for domain_b"


def test_instruments_unknown_leave_acer_absent() -> None:
    result, _ = spoof.score("pad", replace(TEST, attacks=None), replace(DEV, attacks=None), **CONTEXT)
    for leaf in ("acer", "apcer_worst", "acer_at_test_eer"):
        assert result.absent[f"pad/domain_a/{leaf}"] == f"{leaf}: attack instruments not given"
    assert result.values["pad/domain_a/bpcer"] == 0.5
    assert result.values["pad/domain_a/hter"] == pytest.approx(5 / 12)


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("scores", np.inf, "test scores: 1 not finite: test1"),
        ("labels", 3, "test labels: 1 outside 0 to 1: test1"),
        ("ids", "test0", "test ids: 1 duplicate: test0"),
        ("ids", "dev0", "1 ids in both: dev0"),
        ("videos", "v3", "videos (label): 1 with two labels: v3"),
        ("domains", "domain_b", "videos (domain): 1 with two domains: v1"),
        ("attacks", "print", "1 disagree with the label: test1"),
        ("domains", "domain b", "letters, digits"),
    ],
)
def test_bad_spoof_input_is_named(column: str, value: Any, expected: str) -> None:
    bad = changed(getattr(TEST, column), 1, value)
    with pytest.raises(UserError) as caught:
        spoof.score("pad", replace(TEST, **{column: bad}), DEV, **CONTEXT)
    assert expected in str(caught.value)


def test_a_prefix_keeps_two_sets_with_the_same_attacks_and_domains_apart() -> None:
    plain, _ = morph.score("mad", SCORES, LABELS, ATTACKS, IDS, **CONTEXT)
    own, _ = morph.score("mad", SCORES, LABELS, ATTACKS, IDS, dataset="mine", prefix="mine.", **CONTEXT)
    assert own.values == {name.replace("mad/", "mad/mine."): value for name, value in plain.values.items()}
    assert own.absent.keys() == {name.replace("mad/", "mad/mine.") for name in plain.absent}
    assert "mad/mine.mean/eer" in own.values
    frames = spoof.Frames(SCORES, LABELS, np.array(IDS), np.array(["domain_a"] * 30), np.array(IDS))
    result, _ = spoof.score("pad", frames, None, dataset="mine", prefix="mine.", **CONTEXT)
    assert {name.split("/")[1] for name in {*result.values, *result.absent}} == {"mine.domain_a", "mine.mean"}
