"""What processes print, kept beside their trial: bounded, without secrets, whatever becomes of them."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path

import fsspec
import pytest
from rich.console import Console
from upath import UPath

from gelo.models.faults import UserError
from gelo.models.secrets import redacted
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state import logs
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.logs import Log, logged, name_of, ranks_of, read_log
from gelo.sweeps.state.reading import Named, named_logs
from gelo.sweeps.terminal.tail import tail

SPEC = {"name": "mine", "backbones": ["mini-s"], "tasks": {"morphs": {"adaptation": ["lora", "full"]}}}


@pytest.mark.parametrize("place", ["local", "memory"])
def test_a_rank_is_heard_and_goes_on_to_where_it_spoke(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hunter2-correct-horse")
    root = UPath(tmp_path / "trial") if place == "local" else UPath(f"memory://{tmp_path.name}/trial")
    with pytest.raises(ValueError, match="bad"), logged(root, 1, "rank 1 of 2"):
        print("one", end="")
        print(" line")
        print("10 %\r20 %\r30 %")
        print("token hunter2-correct-horse", file=sys.stderr)
        logging.StreamHandler().emit(logging.makeLogRecord({"msg": "from a library"}))
        raise ValueError("bad")
    said = read_log(root, name_of(1)).decode()
    for words in ("start of rank 1 of 2", "one line", "30 %", "token ***", "from a library", "ValueError: bad"):
        assert words in said, said
    assert "hunter2" not in said and "20 %" not in said
    assert "one line" in capsys.readouterr().out
    with logged(root, 1):
        print("again")
    assert said in read_log(root, name_of(1)).decode(), "starts stand one after the other"
    assert ranks_of(root) == [1]


def test_a_log_has_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST", 10_000)
    for root in (UPath(tmp_path / "t"), UPath(f"memory://{tmp_path.name}/t")):
        with Log(root, "rank-0") as log:
            for number in range(2_000):
                log.line(f"line {number}")
            log.line("x" * 100_000)
        kept = read_log(root, "rank-0")
        lines = kept.decode().splitlines()
        assert len(kept) <= 10_000
        assert lines[-1].endswith("x" * 4_000) and lines[-2].endswith("line 1999")
        assert all("line " in line for line in lines[:-1]), "whole lines"


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with logged(UPath(tmp_path / "file" / "trial"), 0):
        print("said")


def test_a_line_without_end_is_redacted_in_a_moment() -> None:
    """Half a million letters without a blank: in quadratic time an hour."""
    for piece in ("x", "token", "a:", "?token"):
        long = piece * (500_000 // len(piece))
        assert (
            redacted(f"{long} s3://KEY:pass-word@b {long} ?my_token=abc") == f"{long} s3://***@b {long} ?my_token=***"
        )


def _sweep(tmp_path: Path, name: str = "mine") -> SweepFolder:
    folder = SweepFolder(UPath(tmp_path), name)
    folder.save(parse_spec({**SPEC, "name": name}, ""), {}, [])
    return folder


def test_a_trial_is_meant_by_its_key_its_beginning_or_its_label(tmp_path: Path) -> None:
    folder = _sweep(tmp_path)
    trial = folder.spec().trials()[1]
    root = folder.trial(trial).root
    for rank in (0, 1):
        with logged(root, rank):
            print("here")
    for said in (trial.key, trial.key[:6], trial.label):
        for sweep in ("mine", None):
            assert named_logs(UPath(tmp_path), said, sweep, None)[1] == [Named(root, "rank-0"), Named(root, "rank-1")]
    assert named_logs(UPath(tmp_path), trial.key, None, 1)[1] == [Named(root, "rank-1")]
    assert named_logs(UPath(tmp_path), "driver", None, None)[1] == [Named(folder.root, "driver")]
    with pytest.raises(UserError, match="one of 0, 1"):
        named_logs(UPath(tmp_path), trial.key, None, 2)
    with pytest.raises(UserError, match="nearest: mini-s morphs lora"):
        named_logs(UPath(tmp_path), "mini-s morfs lora seed 0", "mine", None)
    with pytest.raises(UserError, match="unknown sweep"):
        named_logs(UPath(tmp_path), trial.key, "../mine", None)
    _sweep(tmp_path, "other")
    with pytest.raises(UserError, match="2 trials"):
        named_logs(UPath(tmp_path), trial.key, None, None)
    with pytest.raises(UserError, match="2 sweeps"):
        named_logs(UPath(tmp_path), "driver", None, None)


def test_what_is_added_is_followed_over_a_cut_and_carries_no_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [b"a\nb\n", b"a\nb\nc\n", b"b\nc\nd \x1b[2Jx\n", b"b\nc\nd \x1b[2Jx\n"]
    looks = iter(contents)
    monkeypatch.setattr(Named, "read", lambda self: next(looks))
    runs = iter("111")
    monkeypatch.setattr("gelo.sweeps.terminal.tail.holder", lambda folder: next(runs, ""))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    out = io.StringIO()
    tail(
        SweepFolder(UPath(tmp_path), "x"),
        [Named(UPath(tmp_path), "driver")],
        Console(file=out, soft_wrap=True),
        follow=True,
    )
    assert out.getvalue().splitlines() == ["a", "b", "c", "d [2Jx"]


def teardown_module() -> None:
    fsspec.filesystem("memory").store.clear()
