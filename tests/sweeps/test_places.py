"""A path that a user gives: what stands there in place of the folder or the file that is needed, in every command, without a traceback."""

from __future__ import annotations

import errno
import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner
from upath import UPath

from gelo.models.durable import publish_bytes
from gelo.models.faults import UserError
from gelo.sweeps.cli import program as command_line
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.state.places import file_fault, place_faults, refuse
from tests.s3 import Door


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("GELO_DATA", "GELO_CACHE", "GELO_CACHE_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "folder").mkdir()
    (tmp_path / "astray").symlink_to("nowhere")
    return tmp_path


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("file", "a file, not a folder"),
        ("file/deep/er", "Not a directory: "),
        ("astray", "a link to nowhere, which is not there"),
        ("x" * 300, "File name too long"),
    ],
)
@pytest.mark.parametrize("write", [False, True])
def test_what_is_no_folder_is_named(here: Path, place: str, found: str, write: bool) -> None:
    settings = Settings(storage=place, data=place, cache=place)
    faults = place_faults(settings, ("storage", "data", "cache"), write=write)
    assert [fault.where for fault in faults] == [f"--{name} {place}" for name in ("storage", "data", "cache")]
    assert all(fault.found.startswith(found) for fault in faults)


def test_a_folder_that_is_not_there_is_made_only_to_be_written_to(here: Path) -> None:
    settings = Settings(storage="memory://bucket/gelo", data="new/data", cache="folder")
    refuse(settings, reads=("storage", "data", "cache"))
    assert not (here / "new").exists()
    refuse(settings, writes=("storage", "data", "cache"))
    assert list((here / "new" / "data").iterdir()) == [] == list((here / "folder").iterdir())
    with pytest.raises(UserError, match="--cache /proc/gelo"):
        refuse(Settings(cache="/proc/gelo"), writes=("cache",))


@pytest.mark.parametrize(
    ("given", "found"),
    [("", "empty"), (" ", "empty"), ("nothing://x", "Unsupported filesystem"), ("http://host/x", "can only be read")],
)
def test_a_place_that_nothing_can_be_kept_at_is_named(here: Path, given: str, found: str) -> None:
    """An empty one would be the working folder; a URI of a kind that fsspec does not know, or of a package that is not there."""
    (fault,) = place_faults(Settings(storage=given), ("storage",), write=True)
    assert fault.where.startswith("--storage") and found in fault.found
    if importlib.util.find_spec("s3fs") is None:
        (fault,) = place_faults(Settings(storage="s3://bucket/x"), ("storage",), write=False)
        assert "s3fs" in fault.found


def test_a_file_is_told_from_a_folder_and_from_nothing(here: Path) -> None:
    assert file_fault("--scores", Path("file"), "a CSV") is None
    found = {name: file_fault("--scores", Path(name), "a CSV") for name in ("folder", "gone", "file/in", "x" * 300)}
    assert {name: fault and fault.found for name, fault in found.items()} == {
        "folder": "a folder, not a file", "gone": "no such file", "file/in": "no such file", "x" * 300: "File name too long",
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "prepare mine --from folder --reader folder --data file",
        "prepare --list --data file",
        "evaluate mini-s --dataset mine --cache file",
        "evaluate mini-s --dataset mine --data file/deep",
        "evaluate mini-s --dataset mine --storage file",
        "evaluate mini-s --dataset mine --weights folder",
        "prepare mine --from folder --reader folder --landmarks folder",
        "evaluate --scores folder --protocol morph",
        "status demo --storage file",
        "resume demo --storage file/deep",
        "report demo --storage file",
        "doctor demo --storage file",
        "run demo --cache file",
        "run folder",
        "cache --cache file",
        "cache --data file",
        "cache --limit 0 --cache file",
        "ui --tracking sqlite:///file",
        "ui --tracking sqlite:///folder",
    ],
)
def test_every_command_refuses_what_is_in_the_way(here: Path, line: str) -> None:
    """Case 18 and its siblings."""
    told = CliRunner().invoke(command_line.app, line.split())
    if isinstance(told.exception, UserError):
        assert "a file" in str(told.exception) or "SQLite" in str(told.exception)
    else:
        assert told.exit_code == 2 and "a file, not a folder" in told.output
    assert sorted(entry.name for entry in here.iterdir() if entry.name != "out") == ["astray", "file", "folder"]


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/cache/x.npy"), 2, "free some room"),
        (OSError(errno.ENOSPC, "Error writing bytes to file"), 2, "df -h"),
        (RuntimeError("database or disk is full"), 2, "df -h"),
        (PermissionError(errno.EACCES, "Permission denied", "out/data"), 2, "out/data: Permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file", "weights"), 1, "Traceback"),
        (OSError("something else"), 1, "Traceback"),
    ],
)
def test_a_disk_that_gives_way_is_a_message_and_a_fault_of_gelo_a_traceback(
    error: Exception, code: int, part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**given: object) -> None:
        raise error

    monkeypatch.setattr(command_line, "app", fails)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == code and part in capsys.readouterr().err


@pytest.mark.slow
def test_a_bucket_that_is_missing_or_not_named_is_told(
    door: Door, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked of an S3-speaking server, by what only reads and by what writes first."""
    for storage, part in (("s3://", "no bucket"), ("s3://nobody/x", "bucket does not exist")):
        with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["gelo", "report", "gone", "--storage", storage])
            command_line.main()
        said = capsys.readouterr().err
        assert ended.value.code == 2 and storage in said and part in said and "Traceback" not in said
    with pytest.raises(FileNotFoundError) as missing:
        (UPath("s3://nobody/x") / "file").write_bytes(b"")
    assert missing.value.filename == "s3://nobody/x/file"


@pytest.mark.parametrize("given", ["sftp://host/folder", "smb://host/share/folder", "ftp://host/folder"])
def test_storage_where_a_kill_could_leave_half_a_file_is_refused(given: str) -> None:
    (fault,) = place_faults(Settings(storage=given), ["storage"], write=True)
    assert "files are written in place" in fault.found and "mount it" in str(fault)


def test_a_file_address_is_the_path_that_it_names(tmp_path: Path, here: Path) -> None:
    settings = Settings(storage=f"file://{tmp_path}/deep/out")
    assert place_faults(settings, ["storage"], write=True) == []
    assert settings.place() == UPath(tmp_path / "deep" / "out") and str(settings.place()) == str(
        tmp_path / "deep" / "out"
    )
    publish_bytes(settings.place() / "a.json", b"{}")
    assert (tmp_path / "deep" / "out" / "a.json").read_bytes() == b"{}" and not list(here.glob("file:*"))
