"""What a protocol of a user's own may give wrongly is one fault that names the protocol, the metric and what is expected."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gelo.models.faults import UserError
from gelo.tasks import results
from gelo.tasks.data import defined
from gelo.tasks.metrics.intervals import Interval
from gelo.tasks.protocols import PROTOCOLS
from gelo.tasks.protocols import tally as module
from gelo.tasks.protocols.base import Metric, Protocol, Suite
from gelo.tasks.protocols.tally import Context, Tally

CONTEXT: Context = {"data": "d", "vision": "v", "text": "t", "scale": "full"}


def refused(part: str, leaf: str, *given: Any) -> str:
    with pytest.raises(UserError) as caught:
        Tally("zero_shot").give(part, leaf, *given)
    (fault,) = caught.value.faults
    assert fault.where == f"protocol zero_shot, zero_shot/{part}/{leaf}"
    return f"{fault.found}; {fault.expected}; {fault.remedy}"


@pytest.mark.parametrize(
    ("interval", "found"),
    [
        ((0.4, 0.6), "(0.4, 0.6)"),
        (Interval(0.6, 0.4), "low=0.6, high=0.4"),
        (Interval(0.4, math.nan), "high=nan"),
        ([0.4, 0.6], "[0.4, 0.6]"),
    ],
)
def test_an_interval_is_an_interval(interval: Any, found: str) -> None:
    told = refused("shapes", "top1", 0.5, interval)
    assert found in told and "Interval(low, high) of gelo.tasks.metrics.intervals" in told


@pytest.mark.parametrize("value", [math.nan, np.float32("inf"), None, "half", np.zeros(2)])
def test_a_value_is_a_finite_number(value: Any) -> None:
    told = refused("shapes", "top1", value)
    assert "a finite number" in told and "tally.lack('shapes', 'top1', WHY)" in told


@pytest.mark.parametrize("value", [-0.01, 1.0001, 97.53])
def test_a_share_lies_in_0_to_1_and_another_number_where_it_likes(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refused("shapes", "top1", value)
    assert f"the share {value:g}" in told and 'Metric(..., unit="number")' in told
    monkeypatch.setattr(module, "metric_of", lambda name: Metric("top1", "higher", unit="number"))
    tally = Tally("zero_shot")
    tally.give("shapes", "top1", value, Interval(value - 1, value + 1))
    assert tally.values == {"zero_shot/shapes/top1": value}


def test_rounding_is_no_mistake() -> None:
    Tally("zero_shot").give("shapes", "top1", math.nextafter(1, 2))


def test_a_leaf_that_is_not_declared_is_named_with_those_that_are() -> None:
    assert "zero_shot declares top1, mean_per_class, top5" in refused("shapes", "entropy", 0.5)
    with pytest.raises(UserError, match="zero_shot/shapes/entropy"):
        Tally("zero_shot").lack("shapes", "entropy", "no image")
    assert "letters, digits" in refused("my shapes", "top1", 0.5)


def test_what_is_no_result_is_told_in_a_line() -> None:
    tally = Tally("zero_shot")
    tally.give("shapes", "top1", 0.5)
    tally.lack("shapes", "top1", "no image")
    with pytest.raises(UserError, match=r"zero_shot/shapes: .*both valued and absent"):
        tally.result("shapes", "p", 1, {}, {}, **CONTEXT)
    counts: Any = {"images": 0.5}
    with pytest.raises(UserError, match=r"counts: images: "):
        Tally("zero_shot").result("shapes", "p", 1, counts, {}, **CONTEXT)


@pytest.mark.parametrize(
    ("value", "share", "number"),
    [
        (0.98765, "98.77", "0.9877"),
        (2.34567, "234.57", "2.346"),
        (1234.5, "123450.00", "1234"),
        (1e-5, "0.00", "1e-05"),
    ],
)
def test_a_share_is_shown_in_per_cent_and_another_number_as_it_is(
    value: float, share: str, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert results.shown("zero_shot/shapes/top1", value) == share
    assert results.per_cent("zero_shot/shapes/top1") == 100
    monkeypatch.setattr(results, "unit", lambda name: "number")
    assert results.shown("zero_shot/shapes/top1", value) == number
    assert results.per_cent("zero_shot/shapes/top1") == 1


def test_a_result_of_another_version_than_the_protocols_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Tally("knn").result("shapes", "p", 99, {}, {}, **CONTEXT)
    scoring: Any = SimpleNamespace(
        dataset=SimpleNamespace(name="shapes"), unasked="", prefix="", context=CONTEXT,
    )  # fmt: skip
    monkeypatch.setattr(defined, "why_not", lambda protocol, dataset: "")
    own = replace(PROTOCOLS["knn"], score=lambda s: [(told, pa.table({}))])
    monkeypatch.setattr(defined, "PROTOCOLS", {"knn": own})
    with pytest.raises(UserError, match=f"a result of version 99; expected {own.version}"):
        defined.run("knn", ("knn",), scoring)


def test_what_is_averaged_is_a_share() -> None:
    suite = Suite("far", "far", (Metric("d_prime", "higher", unit="number"),), averaged="d_prime")
    with pytest.raises(ValueError, match="d_prime is averaged, and so a share"):
        Protocol("far", asked="far", version=1, says="far", suites=(suite,), reads=(), score=lambda s: [])
