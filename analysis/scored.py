"""What was scored beside a result, unit by unit, and one metric of it on resamples that all encoders share: so two results are paired."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from upath import UPath

from gelo.analysis.readings import Statistic, reading
from gelo.analysis.resampling import DRAWS, SEED, Vector
from gelo.analysis.scores import table_of
from gelo.tasks.results import Result

Rows = npt.NDArray[np.int64]
MOST = 2_000_000  # rows that a metric off a ROC is read of again and again; right and wrong have no such limit
_BLOCK = 2**24  # numbers drawn at once
_ROUNDED = 1e-9  # by which a metric made of the table again may differ from its result


@dataclass(frozen=True)
class Scored:
    """One metric of a result of `dataset`. unit: what is drawn again. names: (N,) of the rows, sorted; strata: (N,) within which they are.
    right: (N,) 0 or 1 where the metric is the mean over strata of what is right, else None, and then statistic: rows (n,), some several
    times, -> value. ends: (N, 2) the subjects of a comparison, where subjects are drawn. note: what is to be known of the unit."""

    dataset: str
    unit: str
    names: npt.NDArray[np.str_]
    strata: Rows
    right: npt.NDArray[np.uint8] | None = None
    statistic: Statistic | None = None
    ends: Rows | None = None
    note: str = ""


def scored(trial: UPath, result: Result, metric: str) -> Scored:
    """What lies beside a result of a trial for one of its metrics. trial: its folder.

    Raises LookupError with the reason where there is no value, no such table, or none that this metric is read off again; where the table
    gives another value than the result, which it then does not belong to, too.
    """
    value, told = result.values.get(metric), result.notes.get("interval_unit", "")
    if value is None:
        raise LookupError(result.absent.get(metric, "no value"))
    path = trial / "results" / result.suite / f"{result.dataset}.parquet"
    try:
        table = table_of(trial, result.suite, result.dataset)
    except (FileNotFoundError, NotADirectoryError):
        raise LookupError(f"no scores are kept beside {result.suite}/{result.dataset}") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise LookupError(f"{path} cannot be read ({str(error).splitlines()[0]})") from None
    try:
        read = reading(table, metric, result.notes.get("threshold", ""))
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise LookupError(f"{path} is no table of scores ({' '.join(str(error).split())[:120]})") from None
    if len(set(read.names.tolist())) < len(read.names):
        raise LookupError(f"{path} has the same {read.unit} twice")
    order = np.argsort(read.names, kind="stable")
    back = np.argsort(order, kind="stable")
    given = read.statistic
    statistic: Statistic | None = None if given is None else (lambda rows: given(order[rows]))
    note = f"drawn by {read.unit}: the {told}s are not kept" if told and told != read.unit else ""
    found = Scored(
        result.dataset, read.unit, read.names[order], read.strata[order], None if read.right is None else read.right[order], statistic,
        None if read.ends is None else read.ends[order], note,
    )  # fmt: skip
    again = _value(found, back)
    if not abs(again - value) <= _ROUNDED:
        raise LookupError(f"{path} gives {again:.6g} where the result says {value:.6g}")
    if statistic is not None and len(order) > MOST:
        raise LookupError(f"{len(order):,} comparisons are too many to draw again")
    return found


def alike(samples: Sequence[Scored]) -> bool:
    """Whether the same units stand behind all of them."""
    first = samples[0]
    return all(
        np.array_equal(first.names, each.names) and np.array_equal(first.strata, each.strata) for each in samples
    )


def drawn(samples: Sequence[Scored], draws: int = DRAWS) -> Vector:
    """(samples, draws): the metric of each on units drawn again with replacement within their strata, the same ones for all samples, and
    for whatever else has their units. A resample on which the metric is undefined is NaN. Raises ValueError for other units."""
    if not alike(samples):
        raise ValueError("the samples are not of the same units")
    first = samples[0]
    rights = [each.right for each in samples if each.right is not None]
    if len(rights) == len(samples):
        return _drawn_right(first, np.array(rights, np.float32), draws)
    values = np.full((len(samples), draws), np.nan)
    for place, rows in enumerate(_resamples(first, draws)):
        for number, each in enumerate(samples):
            if each.statistic is not None:
                values[number, place] = each.statistic(rows)
    return values


def _drawn_right(of: Scored, right: npt.NDArray[np.float32], draws: int) -> Vector:
    """right: (samples, N). The mean over strata of the share that is right."""
    generator, total = _generator(of), np.zeros((len(right), draws))
    strata = np.unique(of.strata)
    for stratum in strata:
        rows = np.flatnonzero(of.strata == stratum)
        block = max(1, _BLOCK // len(rows))
        for start in range(0, draws, block):
            stop = min(start + block, draws)
            counts = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), stop - start)
            total[:, start:stop] += right[:, rows] @ counts.astype(np.float32).T / len(rows)
    return total / len(strata)


def _resamples(of: Scored, draws: int) -> Iterator[Rows]:
    """`draws` times the rows of a resample. Of comparisons the subjects are drawn: one of a subject with itself counts as often as the
    subject is drawn, one of two as often as both are together (after the subsets bootstrap of Bolle, Ratha and Pankanti 2004)."""
    generator = _generator(of)
    groups = [np.flatnonzero(of.strata == stratum) for stratum in np.unique(of.strata)]
    for _ in range(draws):
        if of.ends is None:
            yield np.concatenate([rows[generator.integers(0, len(rows), len(rows))] for rows in groups])
            continue
        subjects = int(of.ends.max()) + 1
        times = np.bincount(generator.integers(0, subjects, subjects), minlength=subjects)
        one, two = of.ends.T
        yield np.repeat(np.arange(len(one)), np.where(one == two, times[one], times[one] * times[two]))


def _generator(of: Scored) -> np.random.Generator:
    """Of its own for these units: those of one set are drawn independently of those of another, whatever their ids."""
    told = "\n".join([of.dataset, *of.names.tolist()])
    return np.random.default_rng([SEED, zlib.crc32(told.encode("utf-8", "backslashreplace")), len(of.names)])


def _value(of: Scored, rows: Rows) -> float:
    """On what was scored. rows: in the order of the table, which some readings depend on."""
    if of.right is not None:
        return float(np.mean([of.right[of.strata == stratum].mean() for stratum in np.unique(of.strata)]))
    assert of.statistic is not None
    return of.statistic(rows)
