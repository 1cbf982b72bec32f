"""Presentation attack detection by video: each test domain on its own, and the unweighted mean over domains.

The honest threshold comes from the development split; the papers' own choice, the EER point of the scored set itself,
is kept under a name that says so (gurayozgur/FoundPAD: src/training/trainer.py). Terms of ISO/IEC 30107-3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gelo.tasks.metricnames import MEAN
from gelo.tasks.metrics import errors
from gelo.tasks.metrics.curves import Curve
from gelo.tasks.metrics.intervals import Estimate, rule_of_30
from gelo.tasks.metrics.scores import Threshold
from gelo.tasks.protocols.base import Metric, Protocol, ScoresFile, Suite, leaves_of
from gelo.tasks.protocols.curves import Part, flags
from gelo.tasks.protocols.detection import THINNED, UNNAMED, Statistic, area, equal, read_off, warnings_of
from gelo.tasks.protocols.heads import head_scores, text_scores
from gelo.tasks.protocols.inputs import refuse
from gelo.tasks.protocols.spoofrates import Rates, dev_threshold
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.protocols.videos import Frames, Videos, frame_faults, gather, shared_faults
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scorefiles.scorefile import ScoreFile
    from gelo.tasks.scoring import Scored, Scoring

PROTOCOL = (
    "PAD: video score = mean of frames; hter, acer, apcer_worst and bpcer at the EER threshold of dev, "
    "hter_at_test_eer as FoundPAD and acer_at_test_eer at the EER point of the scored domain"
)
PROTOCOL_VERSION = 3
FIXED = ("hter", "acer", "apcer_worst", "bpcer")  # leaves that need the threshold of the development split
METRICS = (
    Metric("hter", "lower", main=(MEAN,), help="mean of the error rates of both classes, at the threshold of dev"),
    Metric("acer", "lower", help="mean of apcer_worst and bpcer"),
    Metric("apcer_worst", "lower", help="attacks accepted, of the instrument accepted most often"),
    Metric("bpcer", "lower", help="bona fide rejected"),
    Metric("hter_at_test_eer", "lower", help="hter at the scored domain's own EER point"),
    Metric(f"hter_at_test_eer{THINNED}", "lower", help="the same, off the points that scikit-learn keeps"),
    Metric("acer_at_test_eer", "lower", help="acer at the scored domain's own EER point"),
    Metric("eer", "lower", help="equal error rate, interpolated"),
    Metric("auc", "higher", main=(MEAN,), help="area under the ROC curve"),
)
LEAVES = leaves_of(METRICS)
_READ: dict[str, Statistic] = {
    "hter_at_test_eer": equal(Curve.hter_at_nearest_equal),
    f"hter_at_test_eer{THINNED}": equal(lambda roc: roc.thinned().hter_at_nearest_equal()),
    "eer": equal(Curve.eer),
    "auc": area,
}


def score(
    suite: Literal["pad", "pad_text"],
    test: Frames,
    dev: Frames | None,
    *,
    dataset: str = "spoofs",
    prefix: str = "",
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`LEAVES` by domain of the test frames and as `mean`; prefix: before both in the names.

    `hter` pools the attacks, `apcer_worst` is that of the instrument accepted most often, `acer` its mean with `bpcer`: at the threshold
    of dev, without which, or with one class in it, they are absent. `_at_test_eer`: at the domain's own EER point (min |TPR + FPR - 1|).
    Without instruments `apcer_worst` and both `acer` are absent. The unit of the intervals is the subject where known, else the video;
    thresholds are kept, but for `hter_at_test_eer`, `eer` and `auc`; domains share no unit. Rates with fewer than 30 errors are
    named in the notes. The table has one row a video: video, domain, attack, label, score, frames. Raises UserError for duplicate ids,
    ids in both splits, scores that are not finite, labels other than 0 and 1, and a video with two labels, domains, attacks or
    subjects, naming ids.
    """
    subject = f"presentation attack detection on {dataset}"
    splits = {"test": test} if dev is None else {"test": test, "dev": dev}
    refuse(subject, *(frame_faults(frames, split) for split, frames in splits.items()), shared_faults(test, dev))
    videos = {split: gather(frames) for split, frames in splits.items()}
    refuse(subject, *(faults for _, faults in videos.values()))
    scored = videos["test"][0]
    threshold, why = dev_threshold(videos["dev"][0] if dev is not None else None, f"{dataset}/dev")
    tally = Tally(suite, prefix, "video" if test.subjects is None else "subject")
    domains = sorted(set(scored.domain.tolist()))
    behind: dict[tuple[str, str], float] = {}
    found = {domain: _domain(tally, scored, domain, threshold, why, behind) for domain in domains}
    for leaf in LEAVES:
        tally.give_mean({domain: estimates[leaf] for domain, estimates in found.items()}, leaf)
    counts = {"frames": int(scored.frames.sum()), "videos": scored.name.size}
    for domain in domains:
        counts[f"{domain}_bona_fide"] = scored.bona_fide(domain).scores.size
        counts[f"{domain}_attacks"] = scored.attacks(domain).scores.size
    notes = {
        **rule_of_30(behind),
        **warnings_of(scored.bona_fide().scores, scored.attacks().scores),
    }
    if threshold is not None:
        notes["threshold"] = f"{threshold.value!r} ({threshold.rule} on {threshold.chosen_on})"
    table = pa.table(
        {
            "video": scored.name, "domain": scored.domain, "attack": scored.attack, "label": scored.label,
            "score": scored.score, "frames": scored.frames,
        }
    )  # fmt: skip
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def _domain(
    tally: Tally,
    videos: Videos,
    domain: str,
    threshold: Threshold | None,
    why: str,
    behind: dict[tuple[str, str], float],
) -> dict[str, Estimate | None]:
    """Give or lack every leaf of one domain; returns them, and adds how many errors stand behind each to `behind`."""
    bona_fide, attacks = videos.bona_fide(domain), videos.attacks(domain)
    found: dict[str, Estimate | None] = dict(read_off(tally, domain, bona_fide, attacks, _READ))
    rates = Rates(tally, videos, domain)
    if threshold is None:
        for leaf in FIXED:
            tally.lack(domain, leaf, why)
        found |= dict.fromkeys(FIXED)
    else:
        found |= {leaf: rates.give(leaf, leaf, threshold) for leaf in FIXED}
        behind |= {(domain, leaf): rates.count(leaf, threshold) for leaf in FIXED if found[leaf] is not None}
    own = None
    if bona_fide.scores.size and attacks.scores.size:
        own = errors.eer_nearest_fpr(bona_fide.scores, attacks.scores, chosen_on=f"{domain}/test").threshold
        behind |= {(domain, leaf): rates.count("hter", own) for leaf in ("hter_at_test_eer", "eer")}
    return {**found, "acer_at_test_eer": rates.give("acer_at_test_eer", "acer", own)}


def _scored(s: Scoring) -> list[Scored]:
    d = s.dataset

    def frames(split: str, scores: np.ndarray) -> Frames:
        domains = np.array([f"domain_{name}" for name in s.column(split, "domain")])
        attacks = s.column(split, "attack")
        known = np.where(attacks == UNNAMED, "", attacks)  # so that no ACER is read from instruments thrown together
        videos = s.column(split, "video")
        return Frames(scores, d.labels(split), videos, domains, d.ids(split), known, s.subjects(split))

    features = {split: s.features(split, "image") for split in ("test", "dev") if split in d.card.splits}
    out = []
    if s.texts is not None:
        by_text = {n: frames(n, text_scores(f, s.classifier(), s.logit_scale)) for n, f in features.items()}
        out.append(score("pad_text", by_text["test"], by_text.get("dev"), dataset=d.name, prefix=s.prefix, **s.context))
    if s.head is not None:
        by_head = {n: frames(n, head_scores(f, s.head.weight, s.head.bias)) for n, f in features.items()}
        out.append(score("pad", by_head["test"], by_head.get("dev"), dataset=d.name, prefix=s.prefix, **s.context))
    return out


def _curve(result: Result, table: pa.Table) -> Iterator[Part]:
    """APCER and BPCER of each domain, by video."""
    for domain in sorted(table["domain"].unique().to_pylist()):
        rows = table.filter(pc.equal(table["domain"], domain))
        bona_fide, values = flags(pc.equal(rows["label"], 1)), rows["score"].to_numpy()
        yield Part(domain, values[bona_fide], values[~bona_fide])


def _measure(file: ScoreFile, notes: dict[str, str], context: Context) -> Result:
    ids, split = file.ids, file.given.get("split", np.full(file.labels.size, "test"))
    if "video" not in file.given:
        notes["video"] = "no such column: each row is a video of its own"
    if "domain" not in file.given:
        notes["domain"] = f"no such column: one domain, named {file.name}"
    video, domain = file.given.get("video", ids), file.given.get("domain", np.full(file.labels.size, file.name))
    attack, subject = file.given.get("attack"), file.given.get("subject")

    def frames(name: str) -> Frames | None:
        rows = split == name
        kinds = None if attack is None else attack[rows]
        who = None if subject is None else subject[rows]
        chosen = Frames(file.scores[rows], file.labels[rows], video[rows], domain[rows], ids[rows], kinds, who)
        return chosen if rows.any() else None

    test = frames("test")
    assert test is not None  # the reader refuses a file without a row of it
    return score("pad", test, frames("dev"), dataset=file.name, **context)[0]


PROTOCOLS = (
    Protocol(
        "spoof",
        asked="biometric",
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(
            Suite("pad", "biometric", METRICS, before="pad_text", trained=True, parts="domain", compared=("videos",)),
            Suite("pad_text", "biometric", METRICS, parts="domain", compared=("videos",)),
        ),
        reads=(("dev", ("image",)), ("test", ("image",))),
        score=_scored,
        help="presentation attack detection, by domain and video",
        source="gurayozgur/FoundPAD: src/training/trainer.py; ISO/IEC 30107-3",
        optional=("dev",),
        prompted=True,
        curve=_curve,
        file=ScoresFile(("id", "attack", "subject", "video", "domain", "split"), _measure),
    ),
)
