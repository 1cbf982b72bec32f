"""Storage elsewhere, against a real S3-speaking server behind a door that fails as networks do."""

from __future__ import annotations

import json
import pickle
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from gelo.models import durable
from gelo.models.durable import DONE, DamagedError, fetched, is_done, publish_bytes, publish_folder, remove
from gelo.models.faults import UserError
from gelo.models.storage import away, fence, scan
from gelo.models.storage.away import StorageAwayError, is_outage, waits
from tests.s3 import Door


def test_one_request_in_ten_failing_costs_nothing_but_time(door: Door, bucket: UPath) -> None:
    kinds = ["503", "drop", "cut", "lost"]
    met: set[str] = set()

    def ill(method: str, path: str, number: int) -> str:
        kind = kinds[number // 10 % 4] if number % 10 == 7 else ""
        met.add(kind)
        return kind

    door.ill = ill
    written = {f"{n:03d}.json": bytes([n]) * (1 + 1000 * n) for n in range(15)}
    for name, data in written.items():
        publish_bytes(bucket / "a" / name, data)
        assert (bucket / "a" / name).read_bytes() == data
    assert {entry.name: entry.read_bytes() for entry in (bucket / "a").iterdir()} == written
    for name in written:
        remove(bucket / "a" / name)
    assert not (bucket / "a").exists()
    assert met == {"", *kinds}


def test_a_large_file_goes_in_parts_and_a_cut_one_is_not_there(door: Door, bucket: UPath, tmp_path: Path) -> None:
    """Half the parts of an upload fail once; a folder is whole, or it is not there."""
    whole = random.Random(0).randbytes(11 << 20)
    (tmp_path / "encoder.bin").write_bytes(whole)
    failed: set[str] = set()

    def ill(method: str, path: str, number: int) -> str:
        if "partNumber=2" in path and path not in failed:
            failed.add(path)
            return "cut"
        return ""

    door.ill = ill
    target = bucket / "trained" / "encoder.bin"
    target.fs.put_file(str(tmp_path / "encoder.bin"), target.path, chunksize=5 << 20)
    assert failed and target.read_bytes() == whole

    door.ill = lambda method, path, number: "cut" if method in ("PUT", "POST") and "other" in path else ""
    with waits(0.5), pytest.raises(StorageAwayError), publish_folder(bucket / "other", summed=True) as place:
        (place / "encoder.bin").write_bytes(whole[:1000])
        assert not is_done(bucket / "other")
    door.ill = lambda method, path, number: ""
    assert not is_done(bucket / "other")
    with publish_folder(bucket / "other", summed=True) as place:
        (place / "encoder.bin").write_bytes(whole[:1000])
    with fetched(bucket / "other") as place:
        assert (place / "encoder.bin").read_bytes() == whole[:1000]


def test_what_is_away_is_waited_for_and_said(door: Door, bucket: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away, "_TELL", 0.2)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    told: list[str] = []
    monkeypatch.setattr(away, "heard", [told.append])
    publish_bytes(bucket / "a.json", b"1")
    with door.away(6.0), waits(120):
        began = time.monotonic()
        publish_bytes(bucket / "a.json", b"2")
        assert time.monotonic() - began > 1.0
    assert (bucket / "a.json").read_bytes() == b"2"
    assert any("waiting for s3://" in line for line in told) and "answers again" in told[-1]


def test_what_stays_away_is_one_error_for_every_request(
    door: Door, bucket: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    publish_bytes(bucket / "a.json", b"1")
    asked = {
        "read": lambda: (bucket / "a.json").read_bytes(), "write": lambda: publish_bytes(bucket / "a.json", b"2"),
        "exists": (bucket / "a.json").exists, "list": lambda: list(bucket.iterdir()), "remove": lambda: remove(bucket / "a.json"),
        "is done": lambda: is_done(bucket), "glob": lambda: list(bucket.glob("*.json")), "text": lambda: (bucket / "a.json").read_text(),
    }  # fmt: skip
    for ill in ("drop", "503"):
        door.ill = lambda method, path, number, ill=ill: ill  # type: ignore[misc]
        for what, ask in asked.items():
            if ill == "503" and what not in ("read", "write"):
                continue
            with waits(0.1), pytest.raises(StorageAwayError) as caught:
                ask()
            assert caught.value.address.startswith("s3://") and "testing-secret" not in str(caught.value), what
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.kind, again.address) == (str(caught.value), "storage away", caught.value.address)
    door.ill = lambda method, path, number: ""
    assert (bucket / "a.json").read_bytes() == b"1"


def test_answers_are_not_asked_for_again(door: Door, bucket: UPath) -> None:
    began = time.monotonic()
    with pytest.raises(FileNotFoundError):
        (bucket / "none.json").read_bytes()
    with pytest.raises(FileNotFoundError):
        publish_bytes(UPath("s3://gelo-no-such-bucket/a.json"), b"1")
    door.ill = lambda method, path, number: "denied"
    for error in (
        PermissionError("x"),
        FileExistsError("x"),
        IsADirectoryError("x"),
        ValueError("x"),
        OSError(28, "full"),
    ):
        assert not is_outage(error)
    for passing in (
        ConnectionResetError(),
        TimeoutError(),
        OSError(113, "no route"),
        StorageAwayError("s3://a", 1, "x"),
    ):
        assert is_outage(passing)
    assert time.monotonic() - began < 20


def test_a_lost_answer_of_a_removal_is_no_error(door: Door, bucket: UPath) -> None:
    publish_bytes(bucket / "a.json", b"1")
    lost: list[str] = []

    def ill(method: str, path: str, number: int) -> str:
        if method == "DELETE" and not lost:
            lost.append(path)
            return "lost"
        return ""

    door.ill = ill
    (bucket / "a.json").unlink()
    assert lost and not (bucket / "a.json").exists()


def test_a_file_whose_block_raises_is_not_written(door: Door, bucket: UPath) -> None:
    with pytest.raises(RuntimeError), (bucket / "a.txt").open("w") as stream:
        stream.write("half")
        raise RuntimeError
    assert not (bucket / "a.txt").exists()
    with (bucket / "a.txt").open("w") as stream:
        stream.write("whole")
    with (bucket / "a.txt").open() as stream:
        assert stream.read() == "whole"


@pytest.mark.parametrize("place", ["local", "s3"])
def test_a_damaged_folder_is_told_and_an_older_marker_is_read(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root = UPath(tmp_path) if place == "local" else request.getfixturevalue("bucket")
    with publish_folder(root / "trained", summed=True) as folder:
        (folder / "encoder.bin").write_bytes(b"right")
        (folder / "below").mkdir()
        (folder / "below" / "head.bin").write_bytes(b"head")
    assert set(json.loads((root / "trained" / DONE).read_bytes())["sha256"]) == {"encoder.bin", "below/head.bin"}
    (root / "trained" / "encoder.bin").write_bytes(b"wrong")
    with pytest.raises(DamagedError, match=r"encoder\.bin: damaged.*gelo resume"), fetched(root / "trained"):
        pass
    with fetched(root / "trained", ("below/head.bin",)) as folder:
        assert (folder / "below" / "head.bin").read_bytes() == b"head"
    remove(root / "trained" / "encoder.bin")
    with pytest.raises(DamagedError, match=r"encoder\.bin: missing"), fetched(root / "trained"):
        pass
    for broken in (b"[]", b"{}", b"half of", b'{"sha256": 3}'):
        (root / "trained" / DONE).write_bytes(broken)
        with pytest.raises(DamagedError, match="DONE: not as it was written"), fetched(root / "trained"):
            pass
    (root / "trained" / DONE).write_bytes(b"")
    with fetched(root / "trained") as folder:
        assert (folder / "below" / "head.bin").read_bytes() == b"head"
    remove(root / "trained")
    assert not (root / "trained").exists()


def test_who_may_not_write_writes_nothing(door: Door, bucket: UPath, tmp_path: Path) -> None:
    def refuse() -> None:
        raise PermissionError("another leads")

    for root, key in ((bucket / "s", (bucket / "s").path), (UPath(tmp_path) / "s", str(tmp_path / "s"))):
        publish_bytes(root / "before.json", b"1")
        fence.guard(key, refuse)
        try:
            acts = [
                lambda root=root: publish_bytes(root / "a.json", b"1"), lambda root=root: remove(root / "before.json"),
                lambda root=root: publish_folder(root / "f").__enter__(),
            ]  # fmt: skip
            for act in acts[: 2 if root.protocol == "s3" else 3]:
                with pytest.raises(PermissionError):
                    act()
            with pytest.raises(PermissionError), publish_folder(root / "f") as place:
                (place / "x").write_bytes(b"1")
            publish_bytes(root.parent / "sx" / "a.json", b"1")  # a folder whose name only begins so
        finally:
            fence.guard(key, None)
        assert sorted(entry.name for entry in root.iterdir()) == ["before.json"]


def test_a_scan_sees_what_others_changed_and_what_it_wrote(door: Door, bucket: UPath, tmp_path: Path) -> None:
    root = bucket / "s"
    for n in range(30):
        publish_bytes(root / f"{n % 3}" / f"{n}.json", str(n).encode())

    def look() -> dict[str, bytes]:
        return {
            each.name: each.read_bytes()
            for folder in root.iterdir()
            if folder.name != scan.KEPT
            for each in folder.iterdir()
        }

    plain = look()
    with scan.scanned(root.fs, root.path):
        assert (
            look() == plain
            and not (root / "none.json").exists()
            and (root / "1").is_dir()
            and not (root / "1.json").is_file()
        )
    door.counted()
    with scan.scanned(root.fs, root.path):
        assert {folder.name: sorted(e.name for e in folder.iterdir()) for folder in root.iterdir() if folder.is_dir()}
        for n in range(30):
            assert (root / f"{n % 3}" / f"{n}.json").read_bytes() == str(n).encode()
            assert not (root / f"{n % 3}" / f"{n}.parquet").exists()
    assert len(door.counted()) <= 4, "one listing, the kept file, and of a folder outside the scan"
    with scan.scanned(root.fs, root.path):
        publish_bytes(root / ".lease" / "00000001.json", b"{}")
    assert len([each for each in door.counted() if "list-type" in each[1]]) == 1, "a beat of the lease changes nothing"
    with scan.listed_once(root), scan.listed_once(UPath(tmp_path)):
        assert (root / "2" / "2.json").read_bytes() == b"2" and not (root / "2" / "3.json").exists()
    assert len(door.counted()) == 2
    (root / "0" / "3.json").write_bytes(b"by hand")
    with scan.scanned(root.fs, root.path) as made:
        assert (root / "0" / "3.json").read_bytes() == b"by hand"
        publish_bytes(root / "new.json", b"1")
        assert (root / "new.json").read_bytes() == b"1"
        publish_bytes(root / "deep" / "er" / "a.json", b"2")
        assert [each.name for each in (root / "deep" / "er").iterdir()] == ["a.json"] and (root / "deep").is_dir()
        with fetched(root / "deep") as place:
            assert (place / "er" / "a.json").read_bytes() == b"2"
        assert "new.json" in {each.name for each in root.iterdir()}
        made.forget((root / "1").path)
        other = threading.Thread(
            target=lambda: durable.UPath(f"{root}/1/1.json").fs.inner.pipe_file((root / "1/1.json").path, b"worker")
        )
        other.start()
        other.join()
        assert (root / "1" / "1.json").read_bytes() == b"worker"
        remove(root / "2")
        assert not (root / "2").exists() and not (root / "2" / "2.json").exists()
    for damage in (b"", b"no parquet"):
        (root / scan.KEPT).write_bytes(damage)
        with scan.scanned(root.fs, root.path):
            assert (root / "1" / "1.json").read_bytes() == b"worker" and (root / "new.json").read_bytes() == b"1"


def test_small_files_are_read_several_at_once_and_each_once(bucket: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a resume of a run that was killed does, which left no file that has them all."""
    root, inner = bucket / "s", bucket.fs.inner
    for n in range(20):
        publish_bytes(root / f"{n}.json", str(n).encode())
    publish_bytes(root / "weights.bin", b"w")
    publish_bytes(root / "long.json", b" " * (scan._TOLD + 1))
    asked: list[str] = []
    files, at_once, most = root.fs, set[str](), 0
    plain = files.inner.cat_file

    def read(path: str, **given: Any) -> Any:
        nonlocal most
        asked.append(path.rpartition("/")[2])
        at_once.add(path)
        most = max(most, len(at_once))
        time.sleep(0.2)
        at_once.discard(path)
        return plain(path, **given)

    monkeypatch.setattr(files.inner, "cat_file", read)
    with scan.scanned(files, root.path) as made:
        inner.rm_file((root / "7.json").path)  # by somebody else
        made.forget((root / "8.json").path)
        inner.pipe_file((root / "8.json").path, b"a worker's")
        assert (root / "5.json").read_bytes() == b"5"
        assert sorted(asked) == sorted(f"{n}.json" for n in (5, 6, 7, 9)), "those that follow, but what may change"
        assert most > 1
        with pytest.raises(FileNotFoundError):
            (root / "7.json").read_bytes()
        assert (root / "8.json").read_bytes() == b"a worker's" and (root / "6.json").read_bytes() == b"6"
        asked.clear()
        assert [(root / f"{n}.json").read_bytes() for n in range(7)] == [str(n).encode() for n in range(7)]
        assert sorted(asked) == sorted(f"{n}.json" for n in (0, 1, 2, 3, 4, *range(10, 20)))
        assert (root / "weights.bin").read_bytes() == b"w" and len((root / "long.json").read_bytes()) > scan._TOLD


def test_one_file_that_cannot_be_read_stands_in_the_way_of_no_other(
    bucket: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a store that is away asked again and again for files that nobody needs yet."""
    root = bucket / "s"
    for n in range(40):
        publish_bytes(root / f"{n:02d}.json", str(n).encode())
    files = root.fs
    plain, asked = files.inner.cat_file, list[str]()

    def read(path: str, **given: Any) -> Any:
        asked.append(path)
        if not path.endswith("/00.json"):
            raise PermissionError(path)
        return plain(path, **given)

    monkeypatch.setattr(files.inner, "cat_file", read)
    with scan.scanned(files, root.path) as made:
        assert made.content((root / "00.json").path) == b"0"
        assert len(asked) <= 32, "not all forty"
        assert made.content((root / "39.json").path) is None, "who needs it asks for it alone"


def test_a_key_that_leads_out_of_its_folder_is_refused_and_written_nowhere(bucket: UPath, tmp_path: Path) -> None:
    """An object store takes any name: whoever writes to it must not write to the machines that read it."""
    with publish_folder(bucket / "trained") as folder:
        (folder / "weights").write_bytes(b"w")
    astray = f"trained/..{tmp_path}/astray.py"
    bucket.fs.inner.call_s3("put_object", Bucket=bucket.path.partition("/")[0], Key=f"gelo/{astray}", Body=b"code")
    with (
        pytest.raises(UserError, match=r"a file called '\.\./.*names that stay in their folder"),
        fetched(bucket / "trained"),
    ):
        raise AssertionError
    assert not (tmp_path / "astray.py").exists() and not list(tmp_path.rglob("astray.py"))


def test_who_may_write_is_asked_again_before_each_try(door: Door, bucket: UPath) -> None:
    """An outage lasts longer than another driver waits: the try after it is no longer this driver's."""
    tries = 0

    def ill(method: str, path: str, number: int) -> str:
        nonlocal tries
        tries += method == "PUT" and "mine.json" in path
        return "503" if tries else ""

    def check() -> None:
        if tries:
            raise RuntimeError("led by another")

    door.ill = ill
    fence.guard(bucket.path, check)
    try:
        with pytest.raises(RuntimeError, match="led by another"), waits(30):
            publish_bytes(bucket / "mine.json", b"stale")
    finally:
        fence.guard(bucket.path, None)
        door.ill = lambda method, path, number: ""
    assert tries and not (bucket / "mine.json").exists()


def test_what_a_cut_short_folder_left_does_not_stand_beside_what_is_written_now(bucket: UPath) -> None:
    publish_bytes(bucket / "trained" / "curve.json", b"old")
    publish_bytes(bucket / "trained" / "deep" / "er.json", b"old")
    with publish_folder(bucket / "trained", summed=True) as folder:
        (folder / "weights").write_bytes(b"w")
    assert sorted(each.rpartition("/")[2] for each in bucket.fs.find((bucket / "trained").path)) == [DONE, "weights"]
