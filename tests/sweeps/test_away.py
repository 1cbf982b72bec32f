"""Storage that is away, as a command tells it: one message, the line to go on with, no traceback, nothing secret."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from upath import UPath

from gelo.models.storage import away
from gelo.models.storage.away import StorageAwayError
from gelo.sweeps.cli import base, program
from tests.s3 import Door


def _said(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["gelo", *arguments])
    with pytest.raises(SystemExit) as ended:
        program.main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), " ".join(
        (captured.out + captured.err).split()
    )  # lines break where the terminal ends


def test_a_command_says_in_two_lines_that_storage_is_away(
    door: Door, bucket: UPath, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(away.SETTING, "0.3")
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    door.ill = lambda method, path, number: "drop"
    for command in (["resume", "mine"], ["status", "mine"], ["ls"]):
        code, said = _said([*command, "--storage", str(bucket)], monkeypatch, capsys)
        assert code == 1 and "Traceback" not in said, said
        assert "has not answered for" in said and "everything finished is saved" in said and str(bucket) in said
        assert "testing-secret" not in said


def test_a_run_that_has_begun_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(base.RESUME, "hint", "; go on with: gelo resume mine --storage s3://bucket/gelo")

    def fail(**options: object) -> None:
        raise StorageAwayError("s3://bucket/gelo/mine/trials/a/trained/DONE", 600.4, "ConnectionRefusedError")

    monkeypatch.setattr(program, "app", fail)
    code, said = _said(["run"], monkeypatch, capsys)
    assert code == 1 and "Traceback" not in said
    assert "trained/DONE has not answered for 600 s (ConnectionRefusedError)" in said
    assert "everything finished is saved; go on with: gelo resume mine --storage s3://bucket/gelo" in said


@pytest.mark.parametrize("given", ["soon", "ten minutes"])
def test_a_deadline_that_is_no_number_is_a_users_mistake(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(away.SETTING, given)
    code, said = _said(["ls", "--storage", str(tmp_path)], monkeypatch, capsys)
    assert code == 2 and away.SETTING in said and "Traceback" not in said
