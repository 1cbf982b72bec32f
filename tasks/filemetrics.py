"""The metrics of a score file: the protocols' own code where one reads scores (morph, spoof), the same metrics for pairs."""

from __future__ import annotations

from functools import partial

import numpy as np
from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.intervals import Complement, Interval, mean_of_rates
from gelo.tasks.metrics.roc_intervals import Roc
from gelo.tasks.metrics.scores import Scores, UndefinedMetric, needs_resolution
from gelo.tasks.metrics.verification import fold_accuracy
from gelo.tasks.protocols import morph, spoof
from gelo.tasks.protocols.detection import BONA_FIDE, area, warnings_of
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.protocols.templates import RATES
from gelo.tasks.results import Result, rate_label
from gelo.tasks.scorefile import ScoreFile
from numpy.typing import NDArray

VERIFICATION = (
    "scores of pairs: eer interpolated, auc, TAR at the nearest FAR, accuracy over folds from squared distances"
)
TEMPLATES = "scores of template pairs: eer interpolated, auc, TAR at the nearest FAR"
VERSION = 2
FOLDS = 10
LARGEST = 4.0  # squared distance of unit vectors, reached by opposite ones


def measure(file: ScoreFile) -> Result:
    """The result of one file, its metrics named as those of an encoder, the file's name in the data set's place,
    a domain as the file calls it.

    Notes say how the direction was read, what stands for a column that is not there, and warn of scores that separate
    nothing or look reversed. Raises UserError as the protocol of that name does.
    """
    # No image and no encoder was seen: only the file's own fingerprint is known.
    context: Context = {"data": file.digest, "vision": "", "text": "", "scale": "full"}
    notes = {"direction": "distance, negated: higher = genuine"} if file.distance else {}
    if file.protocol == "morph":
        result = _morph(file, notes, context)
    elif file.protocol == "spoof":
        result = _spoof(file, notes, context)
    else:
        result = _pairs(file, notes, context)
    said = {**notes, **result.notes}
    if "warning" in said and "AUC" in said["warning"]:
        other = "score" if file.distance else "distance"
        said["warning"] += f"; if that is the file's direction, name its column `{other}`"
    return result.model_copy(update={"notes": said})


def _pairs(file: ScoreFile, notes: dict[str, str], context: Context) -> Result:
    tally = Tally("fr", unit="pair")
    same = file.labels == 1
    genuine, impostor = Scores(file.scores[same]), Scores(file.scores[~same])
    roc = Roc(Sample(genuine), Sample(impostor))
    for leaf, read in (("eer", roc.equal_error(roc.curve.eer())), ("auc", area(roc))):
        tally.give(file.name, leaf, read.value, read.interval())
    for rate in RATES:
        tally.attempt(file.name, f"tar_at_far_{rate_label(rate)}", partial(_tar, roc, rate))
    few = [rate_label(rate) for rate in RATES if 1 <= round(rate * impostor.size, 6) < 30]
    if few:
        notes["rule_of_30"] = f"fewer than 30 impostor pairs beyond FAR {', '.join(few)}"
    counts = {"genuine": genuine.size, "impostor": impostor.size}
    if file.protocol == "verification":
        counts |= _accuracy(tally, file, same, notes)
    notes |= warnings_of(genuine, impostor, ("genuine", "impostors"))
    protocol = VERIFICATION if file.protocol == "verification" else TEMPLATES
    return tally.result(file.name, protocol, VERSION, counts, notes, **context)


def _accuracy(tally: Tally, file: ScoreFile, same: NDArray[np.bool_], notes: dict[str, str]) -> dict[str, int]:
    """Give or lack `accuracy`: its threshold grid, 0 to 3.99 in steps of 0.01, is in squared distances."""
    try:
        if not file.distance:
            raise UndefinedMetric(
                "accuracy: needs a `distance` column, the squared distance of unit features (2 - 2 cos), for its "
                "threshold grid of 0 to 3.99"
            )
        if -file.scores.min() > LARGEST + 1e-6:
            raise UndefinedMetric(f"accuracy: distances up to {-file.scores.min():g}, the threshold grid ends at 3.99")
        fold = _folds(file, same)
        outcome = fold_accuracy(file.scores, same, fold)
    except UndefinedMetric as undefined:
        tally.lack(file.name, "accuracy", str(undefined))
        return {}
    sizes = np.bincount(np.searchsorted(outcome.folds, fold))
    hits = np.rint(outcome.accuracies * sizes)
    tally.give(file.name, "accuracy", outcome.mean, mean_of_rates(hits, sizes))
    notes["thresholds"] = ", ".join(f"{t:.2f}" for t in outcome.thresholds)
    notes["folds"] = "the column's" if "fold" in file.given else "ten tenths of the file, in its order"
    return {"folds": outcome.folds.size}


def _folds(file: ScoreFile, same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The column's, or LFW's: ten contiguous folds, each genuine pairs and then as many impostors; another order, such as that of a
    shuffled file, says nothing of folds.
    """
    if "fold" in file.given:
        return file.given["fold"].astype(np.int64)
    size = same.size // FOLDS
    if size == 0 or same.size % (2 * FOLDS) or (same.reshape(FOLDS, size) != (np.arange(size) < size // 2)).any():
        raise UndefinedMetric(
            "accuracy: no `fold` column, and the ten tenths of the file are not genuine pairs and then as many impostors, as LFW's are"
        )
    return np.repeat(np.arange(FOLDS), same.size // FOLDS)


def _tar(roc: Roc, rate: float) -> tuple[float, Interval | None]:
    """As `tar_at_far`, off a curve that is there: of millions of pairs, sorting is the longest part."""
    needs_resolution(rate, roc.impostor.scores.size, "FAR", "impostor pairs")
    missed = float(roc.curve.frr()[roc.curve.nearest_far(rate)])
    accepted, total = int(roc.curve.genuine[roc.curve.nearest_far(rate)]), roc.genuine.scores.size
    return accepted / total, Complement(roc.frr_at_far(rate, missed)).interval()


def _morph(file: ScoreFile, notes: dict[str, str], context: Context) -> Result:
    attack = file.given.get("attack")
    if attack is None:
        attack = np.where(file.labels == 1, BONA_FIDE, "attack")
        notes["attack"] = "no such column: one attack, named attack"
    subjects = file.given.get("subject")
    result, _ = morph.score(
        "mad", file.scores, file.labels, attack.tolist(), _ids(file).tolist(), dataset=file.name, subjects=subjects,
        **context,
    )  # fmt: skip
    return result


def _spoof(file: ScoreFile, notes: dict[str, str], context: Context) -> Result:
    ids, split = _ids(file), file.given.get("split", np.full(file.labels.size, "test"))
    if "video" not in file.given:
        notes["video"] = "no such column: each row is a video of its own"
    if "domain" not in file.given:
        notes["domain"] = f"no such column: one domain, named {file.name}"
    video, domain = file.given.get("video", ids), file.given.get("domain", np.full(file.labels.size, file.name))
    attack, subject = file.given.get("attack"), file.given.get("subject")

    def frames(name: str) -> spoof.Frames | None:
        rows = split == name
        kinds = None if attack is None else attack[rows]
        who = None if subject is None else subject[rows]
        chosen = spoof.Frames(file.scores[rows], file.labels[rows], video[rows], domain[rows], ids[rows], kinds, who)
        return chosen if rows.any() else None

    test = frames("test")
    assert test is not None  # the reader refuses a file without a row of it
    result, _ = spoof.score("pad", test, frames("dev"), dataset=file.name, **context)
    return result


def _ids(file: ScoreFile) -> NDArray[np.str_]:
    rows: NDArray[np.str_] = np.char.add("row ", file.rows.astype(str))
    return file.given.get("id", rows)
