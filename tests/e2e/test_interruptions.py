"""An interrupted sweep loses nothing and repeats nothing: Ctrl-C and a kill, before a release SIGTERM and SIGHUP too, against one run left
alone.

Both run in folders whose own `models`, `tasks`, `sweeps` and `analysis` are not gelo's.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from gelo.models.durable import stamp
from gelo.models.faults import UserError
from gelo.sweeps.stages.embed import verified
from tests.e2e.sweeping import LIMIT, SMALL, Place, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def left_alone(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = _place(tmp_path_factory.mktemp("alone"), small_world)
    assert place.gelo("run", "small.yaml") == 0, place.log()
    return place


EACH_CHANGE = {"checkpoint": signal.SIGINT, "result": signal.SIGKILL}
EACH_RELEASE = {
    "checkpoint": signal.SIGTERM,
    "trained trial": signal.SIGINT,
    "embedding": signal.SIGHUP,
    "result": signal.SIGKILL,
}


@pytest.mark.parametrize("given", [EACH_CHANGE, pytest.param(EACH_RELEASE, marks=pytest.mark.long)], ids=len)
def test_signals_and_a_kill_change_no_digit_and_no_metric(
    given: dict[str, signal.Signals], left_alone: Place, small_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = _place(tmp_path_factory.mktemp("interrupted"), small_world)

    def done(pattern: str) -> int:
        return len(list(place.sweep.glob(pattern)))

    def embedded() -> int:
        return len(list(place.cache.glob("embeddings/*/*/*/*.npy")))

    moments: dict[str, Callable[[], bool]] = {
        "checkpoint": lambda: done("trials/*/checkpoints/epoch-*/DONE") > 0,
        "trained trial": lambda: done("trials/*/trained/DONE") > 0,
        "embedding": lambda: embedded() > 5,
        "result": lambda: done("trials/*/results/*/*.json") > 5,
    }
    for number, (what, asked) in enumerate(given.items()):
        process, marker = place.start(*(("resume", "small") if number else ("run", "small.yaml"))), len(place.log())
        wait_for(moments[what], process, what)
        if asked is signal.SIGINT:
            os.killpg(process.pid, asked)  # as a terminal does: the whole group
        else:
            process.send_signal(asked)
        code = process.wait(LIMIT)
        if asked is signal.SIGKILL:
            _ends_with_a_word(place, marker)
            continue
        said = place.log()[marker:]
        assert code == 128 + asked, said
        assert "gelo resume small" in said
        assert "Traceback" not in said
    assert place.gelo("resume", "small") == 0, place.log()

    assert place.tables() == left_alone.tables()
    same, other = place.metrics(), left_alone.metrics()
    assert same.keys() == other.keys()
    timed = {key for key in same if key[1] == "train/images_per_second"}
    assert {k: v for k, v in same.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}
    assert place.runs() == left_alone.runs()
    assert all(status == "FINISHED" for _, status in place.runs())
    _says_what_happened(place, list(given.values()))


def _says_what_happened(place: Place, given: list[signal.Signals]) -> None:
    """Those that were ended and one that came to its end; every training has a journal and a log of the steps that it made."""
    marker = len(place.log())
    assert place.gelo("status", "small", "--json") == 0
    document = json.loads(place.log()[marker:])
    assert (document["state"], document["holder"], document["starts"]) == ("complete", "", len(given) + 1)
    trained = [row for row in document["trials"] if row["starts"]]
    assert len(trained) == 2 and all(row["step"] == row["steps"] > 0 for row in trained)
    assert document["hours"]["cpu"] > document["hours"]["cpu_repeated"] >= 0
    marker = len(place.log())
    assert place.gelo("logs", "driver", "small") == place.gelo("logs", trained[0]["key"]) == 0
    said = place.log()[marker:]
    first = "Ctrl-C" if given[0] is signal.SIGINT else given[0].name
    assert f"{first}: the running trials save a checkpoint" in said and "start of rank 0 of 1" in said
    assert place.gelo("clean", "small", "--yes") == 0 and place.gelo("status", "small") == 0


@pytest.mark.long  # without a sweep: tests/sweeps/test_cluster.py
def test_a_run_whose_ray_is_gone_ends_and_says_how_to_go_on(small_world: Path, tmp_path: Path) -> None:
    place = _place(tmp_path, small_world)
    process = place.start("run", "small.yaml")
    wait_for(lambda: any(place.sweep.glob("trials/*/checkpoints/epoch-*/DONE")), process, "checkpoint")
    raylets = [int(pid) for pid in _children(process.pid) if Path(f"/proc/{pid}/comm").read_text().strip() == "raylet"]
    (raylet,) = raylets
    os.kill(raylet, signal.SIGKILL)
    assert process.wait(120) == 1, place.log()
    _ends_with_a_word(place, 0)
    assert "Traceback" not in place.log()


def _ends_with_a_word(place: Place, marker: int) -> None:
    """Another process says it where the run itself could not: a moment after its end."""
    limit = time.monotonic() + 30
    while not re.search("(?s)(Ray|gelo) is gone.*gelo resume small", place.log()[marker:]):
        assert time.monotonic() < limit, place.log()[marker:]
        time.sleep(0.05)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_the_sweeps_run_holds_its_report_and_numbers(left_alone: Place) -> None:
    parent, metrics, inputs = left_alone.parent()
    (report,) = (left_alone.folder / "out" / "mlflow-artifacts").glob(f"*/{parent}/artifacts/report/index.html")
    assert report.read_bytes() == (left_alone.sweep / "report" / "index.html").read_bytes()
    (faces,) = [row for row in left_alone.tables()["gelo.csv"] if row["task"] == "faces" and row["remedy"] == "none"]
    assert (metrics["trials/all"], metrics["trials/complete"]) == (4, 4)
    assert f"{metrics['gelo/zero_shot_3/faces/lowest']:.3f}" == faces["gelo_zero_shot_3"]
    assert inputs["faces"] == {"training"} and "evaluation" in inputs["shapes"]


def test_a_finished_sweep_run_again_does_nothing(left_alone: Place) -> None:
    before, tables, parent = left_alone.metrics(), left_alone.tables(), left_alone.parent()
    files = {
        path: path.stat().st_mtime_ns
        for path in left_alone.sweep.rglob("*")
        if "report" not in path.parts and path.is_file()
    }
    marker = len(left_alone.log())
    assert left_alone.gelo("run", "small.yaml") == 0
    said = left_alone.log()[marker:]
    assert "train:" not in said and "embed:" not in said and "score:" not in said
    assert left_alone.metrics() == before
    assert left_alone.tables() == tables
    assert left_alone.parent() == parent
    kept = ("sweep.json", ".lock", "driver.json", "driver.log")
    assert all(path.stat().st_mtime_ns == at for path, at in files.items() if path.name not in kept)


def test_what_is_damaged_in_the_cache_is_made_again(left_alone: Place) -> None:
    """One file of every kind is cut, another is of some other program; without its results the sweep gives the same digits."""
    before, tables = left_alone.metrics(), left_alone.tables()
    kinds = ("decoded/*/*/*/*.npy", "embeddings/*/*/*/*.npy", "text/*/*.npy", "text/*/*.flaw.txt", "verified/*.txt")
    for kind in kinds:
        files = sorted(left_alone.cache.glob(kind))
        assert len(files) > 1, kind
        files[0].write_bytes(files[0].read_bytes()[: files[0].stat().st_size // 2])
        files[1].write_bytes(b"\xff\xfeof some other program")
    for result in left_alone.sweep.glob("trials/*/results"):
        shutil.rmtree(result)
    assert left_alone.gelo("resume", "small") == 0, left_alone.log()
    assert left_alone.tables() == tables
    assert left_alone.metrics() == before


def test_results_of_something_else_are_stale_and_scored_again(left_alone: Place) -> None:
    def standing() -> dict[str, tuple[str, str]]:
        marker = len(left_alone.log())
        assert left_alone.gelo("status", "small", "--json") == 0
        return {row["key"]: (row["state"], row["note"]) for row in json.loads(left_alone.log()[marker:])["trials"]}

    before, complete = left_alone.metrics(), standing()
    assert {state for state, _ in complete.values()} == {"complete"}
    for number, (field, value) in enumerate([("data", "0" * 16), ("vision", "1" * 16), ("protocol_version", 1)]):
        (path,) = left_alone.sweep.glob(f"trials/{sorted(complete)[number]}/results/zero_shot/shapes.json")
        saved = json.loads(path.read_bytes())
        path.write_text(json.dumps({**saved, field: value}))
        state, note = standing()[sorted(complete)[number]]
        assert state == "stale"
        assert note.startswith("1 result to score again: zero_shot/shapes (")
        assert f"{value}, now {saved[field]}" in note
    assert left_alone.gelo("resume", "small") == 0, left_alone.log()
    assert {state for state, _ in standing().values()} == {"complete"}
    assert left_alone.metrics() == before


def test_a_trial_of_other_data_is_refused(left_alone: Place) -> None:
    path = next(path for path in left_alone.sweep.glob("trials/*/trained/training.json"))
    saved = path.read_bytes()
    path.write_text(json.dumps({**json.loads(saved), "data": "0" * 16}))
    marker = len(left_alone.log())
    assert left_alone.gelo("resume", "small") == 2
    said = left_alone.log()[marker:]
    assert f"trained with data {'0' * 16}" in said and json.loads(saved)["data"] in said
    path.write_bytes(saved)


def test_a_shard_that_changed_at_equal_size_and_time_is_noticed(left_alone: Place, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(left_alone.data / "shapes", data / "shapes")
    place = Place(tmp_path, data, left_alone.cache)
    assert place.gelo("evaluate", "mini-s", "--suite", "zero_shot", "--dataset", "shapes") == 0, place.log()
    shard = next((data / "shapes").glob("test-*.parquet"))
    whole, at = shard.read_bytes(), shard.stat()
    shard.write_bytes(_flipped(whole))
    os.utime(shard, ns=(at.st_atime_ns, at.st_mtime_ns))
    marker = len(place.log())
    assert place.gelo("evaluate", "mini-s", "--suite", "zero_shot", "--dataset", "shapes") == 2
    assert shard.name in place.log()[marker:]


def test_verify_hashes_whatever_is_known(small_world: Path, tmp_path: Path) -> None:
    root = tmp_path / "shapes"
    shutil.copytree(small_world / "data" / "shapes", root)
    known = verified(root, tmp_path / "cache")
    shard = root / known.card.splits["test"][0].file
    content = shard.read_bytes()
    shard.write_bytes(_flipped(content))
    (known_right,) = (tmp_path / "cache" / "verified").iterdir()
    files = [*(e for shards in known.card.splits.values() for e in shards), *known.card.tables.values()]
    lines = (f"{root / each.file} {stamp(root / each.file)}" for each in files)
    known_right.write_text("\n".join(lines))  # as if the disk had changed it unseen
    assert verified(root, tmp_path / "cache").fingerprint == known.fingerprint
    with pytest.raises(UserError, match=shard.name):
        verified(root, tmp_path / "cache", anew=True)


def test_a_merged_curve_costs_one_training(left_alone: Place) -> None:
    rows = {row["remedy"]: row for row in left_alone.tables()["gelo.csv"] if row["task"] == "faces"}
    assert len(rows) == 2
    trained = [key for key, name, _ in left_alone.metrics() if name == "train/loss"]
    assert len(set(trained)) == 2  # faces and morphs; the interpolation has no training curve


def test_ls_shows_what_is_kept(left_alone: Place) -> None:
    marker = len(left_alone.log())
    assert left_alone.gelo("ls", "--json") == 0
    (row,) = json.loads(left_alone.log()[marker:])
    assert (row["name"], row["state"], row["complete"], row["trials"]) == ("small", "complete", 4, 4)
    assert row["bytes"] == sum(file.stat().st_size for file in left_alone.sweep.rglob("*") if file.is_file())
    (left_alone.folder / "out" / "broken").mkdir()
    (left_alone.folder / "out" / "broken" / "sweep.json").write_text("{")
    marker = len(left_alone.log())
    assert left_alone.gelo("ls") == 0
    assert "cannot be read: not JSON" in left_alone.log()[marker:]
    shutil.rmtree(left_alone.folder / "out" / "broken")


def test_evaluate_agrees_with_the_sweep(left_alone: Place) -> None:
    marker = len(left_alone.log())
    sets = [word for name in ("shapes", "digits", "shapes_shifted") for word in ("--dataset", name)]
    assert left_alone.gelo("evaluate", "mini-s", "--suite", "zero_shot", *sets) == 0, left_alone.log()
    said = left_alone.log()[marker:]
    baseline = next(row for row in left_alone.tables()["zero_shot.csv"] if row["task"] == "none")
    assert "MINIATURE" in said
    assert f"zero_shot/mean_3/top1 (MINIATURE): {baseline['average_3']}" in said
    for name in ("shapes", "digits"):
        line = next(line for line in said.splitlines() if f"zero_shot/{name}/top1" in line)
        assert f" {baseline[name]} " in line


def test_the_commands_of_the_readme_do_what_they_say(left_alone: Place) -> None:
    """As they stand under "Go on", on this sweep in place of the demo. The first would take ten minutes; those on images of one's
    own, and `prepare --list`, are those of docs/your-own-data.md and docs/data.md, which tests/e2e/test_docs_data.py runs."""
    readme = (Path(__file__).parents[2] / "README.md").read_text().partition("## Go on")[2]
    lines = re.findall(r"^ {4}\.venv/bin/gelo (.+)$", readme, flags=re.MULTILINE)
    codes = {}
    here = [shlex.split(line, comments=True) for line in lines if not line.startswith("run demo-remedies")]
    assert "1. `gelo doctor paper`" in readme
    here.append(["doctor", "paper"])
    pages = "".join((Path(__file__).parents[2] / "docs" / name).read_text() for name in ("your-own-data.md", "data.md"))
    for given in here:
        if {"mine", "--list"} & set(given):
            assert f"gelo {shlex.join(given)}" in pages
            continue
        words = ["small" if word == "demo" else word for word in given]
        if words[0] == "evaluate":
            words += ["--dataset", "shapes"]  # the whole of it takes minutes
        if words[0] != "ui":
            codes[shlex.join(words)] = left_alone.gelo(*words)
            continue
        marker = len(left_alone.log())
        process = left_alone.start(*words, "--port", "5077")
        wait_for(lambda at=marker: "http://127.0.0.1:5077/#/experiments/" in left_alone.log()[at:], process, "address")
        wait_for(_answers, process, "page")
        os.killpg(process.pid, signal.SIGINT)
        process.wait(LIMIT)
    assert codes.pop("doctor paper") == 2, "nothing of the paper's is here"
    assert len(codes) == 9 and set(codes.values()) == {0}, (codes, left_alone.log())


def _answers() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:5077/", timeout=5) as page:
            return "MLflow" in page.read().decode()
    except OSError:
        return False


def _flipped(content: bytes) -> bytes:
    """One bit is another, in the middle of an image."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _place(folder: Path, world: Path) -> Place:
    (folder / "small.yaml").write_text(SMALL)
    for name in ("models", "tasks", "sweeps", "analysis"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('a user's own package was imported')\n")
    return Place(folder, world / "data", folder / "out" / "cache")
