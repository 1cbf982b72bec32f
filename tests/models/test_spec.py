"""Keys and fingerprints stay when a spec gets a new field, at every depth, and change with every value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gelo.models.spec import Spec, joined


class Inner(Spec):
    rate: float = 0.5
    late: int = joined(3, ge=0)


class Outer(Spec):
    name: str
    one: Inner = Inner()
    several: tuple[Inner, ...] = ()
    sizes: tuple[int, ...] = (1, 2)
    flag: bool = joined(False)


INNER = st.builds(Inner, rate=st.floats(allow_nan=False, allow_infinity=False), late=st.integers(0, 5))
OUTER = st.builds(
    Outer, name=st.text(), one=INNER, several=st.lists(INNER, max_size=3).map(tuple), sizes=st.just((1, 2)), flag=st.booleans()
)  # fmt: skip


def test_a_field_that_joined_is_there_only_where_it_says_something() -> None:
    assert Outer(name="a").canonical() == {"name": "a", "one": {"rate": 0.5}, "several": [], "sizes": [1, 2]}
    other = Outer(name="a", several=(Inner(late=4), Inner()), flag=True)
    assert other.canonical()["several"] == [{"rate": 0.5, "late": 4}, {"rate": 0.5}]
    assert other.canonical()["flag"] is True


@given(OUTER)
def test_it_reads_back_to_the_same(spec: Outer) -> None:
    assert Outer.model_validate(json.loads(json.dumps(spec.canonical()))) == spec


@given(OUTER, OUTER)
def test_two_are_alike_only_when_they_are_equal(one: Outer, two: Outer) -> None:
    assert (one.canonical() == two.canonical()) == (one == two)


def test_a_spec_is_frozen_and_takes_no_unknown_key() -> None:
    with pytest.raises(ValidationError):
        Outer(name="a", flags=True)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Outer(name="a").name = "b"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Inner(late=-1)
