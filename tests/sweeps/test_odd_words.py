"""Every argument and every option of every command, given what nobody should give: one message or none, never a traceback.

The list of commands and parameters is the program's own, so a new one is tried too.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gelo.sweeps.cli import program as command_line
from gelo.sweeps.engine import signals

pytestmark = pytest.mark.slow

ODD = (
    *(
        "",
        " ",
        ".",
        "..",
        "../up",
        "a/b",
        "/",
        "~",
        "a b",
        "it's",
        'say "it"',
        "x" * 300,
        "x" * 5000,
        "new\nline",
        "名前",
        "\udcff",
    ),
    *(
        "-1",
        "0",
        "1e99",
        "nan",
        "inf",
        "0x10",
        "%s",
        "{}",
        "[red]",
        "$HOME",
        "*",
        "None",
        "null",
        "a=b",
        "=",
        "a=",
        "=b",
    ),
    *("file", "folder", "gone", "file/in", "astray", "file://x", "s3://", "sqlite://", "http://", "host:99999999"),
)
WIDE = (".", "..", "/", "~")  # folders, and large ones
BASE = {  # what fails by itself, or is done in a moment
    "run": ["bad.yaml"],
    "submit": ["bad.yaml", "--address", "http://127.0.0.1:9"],
    "attach": ["gone", "--address", "http://127.0.0.1:9"],
    "plan": ["bad.yaml"],
    "resume": ["gone"],
    "status": ["gone"],
    "logs": ["gone"],
    "ls": [],
    "clean": ["gone"],
    "prepare": ["mine", "--from", "folder", "--reader", "folder"],
    "show": ["gone"],
    "evaluate": ["mini-s", "--dataset", "gone"],
    "export": ["gone", "--to", "made"],
    "import": ["gone", "--to", "made"],
    "results": ["gone"],
    "report": ["gone"],
    "recommend": ["gone", "--keep", "0.95"],
    "compare": ["gone", "gone"],
    "doctor": [],
    "cache": [],
    "ui": ["--tracking", "sqlite:///gone"],
}
COMMANDS: dict[str, Any] = dict(typer.main.get_command(command_line.app).commands)  # type: ignore[attr-defined]


def _lines() -> list[tuple[str, str, slice]]:
    """(command, parameter, which of the words). An option that several commands have, read by the same code, gets all of them in the first
    and every fifth in the others, not the same fifth in each."""
    lines: list[tuple[str, str, slice]] = []
    seen: dict[str, int] = {}
    for name, command in COMMANDS.items():
        for parameter in command.params:
            option = parameter.opts[0] if parameter.param_type_name == "option" else f"{name} {parameter.name}"
            times = seen[option] = seen.get(option, -1) + 1
            lines.append((name, parameter.name, slice(times - 1, None, 5) if times else slice(None)))
    return lines


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in ("GELO_STORAGE", "GELO_TRACKING", "GELO_DATA", "GELO_CACHE", "GELO_CACHE_LIMIT", "GELO_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").write_text("neither YAML: [nor, a {table}\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "astray").symlink_to("nowhere")
    (tmp_path / "bad.yaml").write_text("name: bad\nbackbones: [nobody]\n")
    before = {number: signal.getsignal(number) for number in signals.ENDING}
    yield tmp_path
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("name", "given", "which"), _lines())
def test_odd_words_are_answered_in_words(
    name: str, given: str, which: slice, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(BASE) == set(COMMANDS)
    parameter = next(each for each in COMMANDS[name].params if each.name == given)
    base = BASE[name]
    flag = getattr(parameter, "is_flag", False)
    for odd in ODD[:1] if flag else ODD[which]:
        if (name, given) == ("prepare", "source") and odd in WIDE:
            continue
        if parameter.param_type_name == "argument":
            words = [odd, *(base[1:] if base and not base[0].startswith("--") else base)]
        else:
            words = [*base, parameter.opts[0], *([] if flag else [odd])]
        shown = [name, *(word if len(word) < 60 else f"{word[:20]}... ({len(word)})" for word in words)]
        monkeypatch.setattr("sys.argv", ["gelo", name, *words])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        said = capsys.readouterr()
        assert ended.value.code in (0, 2), f"{shown}: {said.err}"
        assert "Traceback" not in said.err, f"{shown}: {said.err}"
        assert len(said.err) < 12_000, shown
        if ended.value.code == 2:
            assert said.err.strip(), shown
            assert not any(
                line.rstrip().endswith((": ", ":")) and not line.startswith("  ") for line in said.err.splitlines()[1:]
            ), shown
