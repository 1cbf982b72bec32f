"""The log of a run against a store that is a set of rows, as MLflow's table is: whatever changes and whenever it is cut off."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gelo.sweeps.tracking.logged import Row
from gelo.sweeps.tracking.runlog import Asked, RunLog

WHOLE = ("zero_shot/",)
RESULTS = st.dictionaries(st.sampled_from(["zero_shot/a", "zero_shot/b", "probe/a"]), st.sampled_from([0.0, 0.25, 0.5]))
CURVES = st.dictionaries(
    st.tuples(st.sampled_from(["train/loss", "forgetting/task"]), st.integers(0, 4)), st.sampled_from([1.0, 2.0])
)
SAYINGS = st.lists(st.tuples(RESULTS, CURVES), min_size=1, max_size=6)


def asked(results: dict[str, float], curves: dict[tuple[str, int], float], **more: object) -> Asked:
    wanted = {(name, None): value for name, value in results.items()} | dict(curves)
    given: dict[str, object] = {"status": "FINISHED", "started": 5.0, "ended": 6.0, "whole": WHOLE, **more}
    return Asked("key", "a trial", {"rank": 8}, wanted=wanted, **given)  # type: ignore[arg-type]


def said(sayings: list[tuple[dict[str, float], dict[tuple[str, int], float]]]) -> list[RunLog]:
    log, logs = None, []
    for results, curves in sayings:
        log = asked(results, curves).over(log)
        logs.append(log)
    return logs


def shown(rows: set[Row]) -> dict[str, float]:
    """What MLflow shows of each name: of the highest step the latest row."""
    ordered = sorted(rows, key=lambda row: (row.step, row.timestamp))
    return {row.name: row.value for row in ordered}


@settings(max_examples=50)
@given(SAYINGS)
def test_what_was_said_last_is_shown_and_nothing_stands_twice(sayings: list) -> None:
    log = said(sayings)[-1]
    rows = log.rows()
    places = [(row.name, row.step, row.timestamp) for row in rows]
    assert len(set(places)) == len(places), "one value for each moment"
    results, curves = sayings[-1]
    found = shown(set(rows))
    assert {name: found[name] for name in results} == results
    for name, value in found.items():
        if name.startswith(WHOLE) and name not in results:
            assert math.isnan(value)
    latest = {(row.name, row.step): row.value for row in sorted(rows, key=lambda row: row.timestamp)}
    assert {place: latest[place] for place in curves} == curves


@settings(max_examples=50)
@given(SAYINGS)
def test_to_say_it_again_changes_nothing_and_it_reads_as_it_was_written(sayings: list) -> None:
    log = said(sayings)[-1]
    assert asked(*sayings[-1]).over(log).dumps() == log.dumps()
    again = RunLog.loads(log.dumps())
    assert again.dumps() == log.dumps() and again.seal == log.seal
    assert [repr(row) for row in again.rows()] == [repr(row) for row in log.rows()]


@settings(max_examples=50)
@given(SAYINGS, st.integers(0, 5), st.booleans())
def test_a_store_that_is_behind_gets_what_it_lacks(sayings: list, at: int, sealed: bool) -> None:
    """It has the log of an earlier moment, and perhaps the rows after it whose seal a kill kept back."""
    logs = said(sayings)
    earlier, log = logs[min(at, len(logs) - 1)], logs[-1]
    store = {repr(row) for row in (earlier if sealed else log).rows()}
    since = log.acknowledged(earlier.seal)
    assert since is not None
    assert store | {repr(row) for row in log.rows(since)} == {repr(row) for row in log.rows()}
    assert len({repr(row) for row in log.rows()}) == len(log.rows())


@settings(max_examples=50)
@given(SAYINGS, SAYINGS)
def test_a_run_that_the_log_knows_nothing_of_is_adopted(theirs: list, ours: list) -> None:
    """Another log's run: its rows stay, what is shown becomes ours, and to adopt it once more adds nothing."""
    there = set(said(theirs)[-1].rows())
    log = said(ours)[-1].adopted(5000, there)
    rows = set(there) | set(log.rows(1))
    found = shown(rows)
    results, _ = ours[-1]
    assert {name: found[name] for name in results} == results
    assert all(math.isnan(value) for name, value in found.items() if name.startswith(WHOLE) and name not in results)
    assert log.adopted(5000, rows).rows(1) == []


def test_a_seal_is_of_one_log_alone() -> None:
    one, other = said([({"a": 1.0}, {}), ({"a": 2.0}, {})])[-1], said([({"a": 3.0}, {}), ({"a": 2.0}, {})])[-1]
    assert one.acknowledged(one.seal) == 2 and one.acknowledged(one.unsealed) == 0
    for seal in (other.seal, "", None, "2", "x-y-z", "-1-a-b", "99-a-b", "²-a-b"):
        assert one.acknowledged(seal) is None, seal
    assert one.has_head(one.unsealed) and one.has_head(other.seal) and not one.has_head(None)
    assert not asked({"a": 2.0}, {}, tags={"gelo.text": "other"}).over(one).has_head(one.seal)


def test_params_and_start_stay_and_an_end_moves_with_its_status() -> None:
    first = Asked("key", "a trial", {"rank": 8, "flip": True}, "FAILED", {"a": "1"}, 1.0, 2.0)
    second = Asked("key", "a trial", {"rank": 16, "seed": 0}, "FAILED", {"b": "2"}, 3.0, 4.0)
    log = second.over(first.over(None))
    assert log.head.params == {"rank": "8", "seed": "0", "flip": "true"} and log.head.tags == {"a": "1", "b": "2"}
    assert (log.head.started, log.head.ended) == (1000, 2000)
    assert Asked("key", "a trial", {}, "FINISHED", {}, 3.0, 4.0).over(log).head.ended == 4000


@pytest.mark.parametrize(
    "content",
    [b"", b"{}\n", b"[1]\n", b"\xff\n", b'{"key": "../../x"}\n', b"{" * 5000],
)
def test_what_is_no_log_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        RunLog.loads(content)
    whole = said([({"a": 1.0}, {})])[-1].dumps()
    for cut in range(len(whole) - 2):
        try:
            RunLog.loads(whole[:cut])
        except ValueError:
            continue
        assert whole[:cut].endswith(b"\n") or whole[cut : cut + 1] == b"\n", "cut within a line"
