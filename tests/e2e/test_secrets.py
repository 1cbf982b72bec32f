"""One secret in every address option and every secret environment variable, in commands that succeed and that fail: it is nowhere after."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from gelo.sweeps.cli import app
from tests import forked

pytestmark = pytest.mark.slow

SECRET = "hunter2-correct-horse"
PLACES = ("storage", "tracking", "data", "cache", "address")  # options that take an address
ADDRESSES = (
    f"https://user:{SECRET}@host.invalid/gelo",
    f"s3://KEY:{SECRET}@bucket/gelo",
    f"s3://bucket/gelo?token={SECRET}",
)
MORE = {"TRIAL": ["driver"], "ENCODER": ["mini-s"], "NAME": ["nothing"], "SWEEP": ["demo"], "SET": ["shapes"]}


def _commands() -> dict[str, Any]:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    return dict(group.commands)  # type: ignore[attr-defined]


OPTIONS = {
    name: [
        option
        for option in PLACES
        if any(
            option in parameter.name.split("_") for parameter in command.params if parameter.param_type_name == "option"
        )
    ]
    for name, command in _commands().items()
}


def _gelo(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    done = forked.gelo(folder, *arguments, environment={**os.environ, **environment})
    return done.returncode, done.stdout + done.stderr


def _written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize("command", [name for name, options in OPTIONS.items() if options])
def test_secrets_in_addresses_are_refused_and_never_printed(command: str, tmp_path: Path) -> None:
    positional = [
        value
        for parameter in _commands()[command].params
        if parameter.param_type_name == "argument"
        for value in MORE.get(str(parameter.name).upper(), ["shapes"])
    ]
    positional += [
        word
        for parameter in _commands()[command].params
        if parameter.param_type_name == "option" and parameter.required and parameter.name not in OPTIONS[command]
        for word in (parameter.opts[0], "there")
    ]
    given = [f"--{option}={ADDRESSES[number % len(ADDRESSES)]}" for number, option in enumerate(OPTIONS[command])]
    code, said = _gelo(tmp_path, command, *positional, *given)
    assert code == 2, said
    assert said.count("a password or key in an address") == len(given), said
    assert SECRET not in said
    assert "Traceback" not in said
    assert not _written(tmp_path)


@pytest.mark.parametrize("dataset", ["shapes", "nothing"])
def test_secrets_of_the_environment_are_nowhere(dataset: str, small_world: Path, tmp_path: Path) -> None:
    names = ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MY_API_KEY")
    environment = {
        **dict.fromkeys(names, SECRET),
        "GELO_DATA": str(small_world / "data"),
        "GELO_CACHE": str(tmp_path / "cache"),
    }
    code, said = _gelo(tmp_path, "evaluate", "mini-s", "--suite", "zero_shot", "--dataset", dataset, **environment)
    assert code == (0 if dataset == "shapes" else 2), said
    assert SECRET not in said
    assert not _written(tmp_path)


def test_a_secret_in_a_message_or_a_spec_is_taken_out(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        f"name: s\nbackbones: [mini-s]\nweights: {{mini-s: 'https://u:{SECRET}@host/w.safetensors'}}\n"
    )
    code, said = _gelo(tmp_path, "run", "s.yaml")
    assert code == 2, said
    assert SECRET not in said
    assert not [path for path in _written(tmp_path) if path.name != "s.yaml"]


def test_a_sweep_leaves_no_secret_of_the_environment_in_rays_logs(small_world: Path, tmp_path: Path) -> None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "MLFLOW_TRACKING_PASSWORD", "HF_TOKEN")
    (tmp_path / "s.yaml").write_text(
        "name: s\nbackbones: [mini-s]\ntasks: {morphs: {adaptation: lora, epochs: 1}}\nevaluate: [zero_shot]\n"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as logs:  # a short path: Ray's sockets lie there
        environment = {**dict.fromkeys(names, SECRET), "RAY_TMPDIR": logs}
        environment |= {"GELO_DATA": str(small_world / "data"), "GELO_CACHE": str(tmp_path / "cache")}
        code, said = _gelo(tmp_path, "run", "s.yaml", **environment)
        assert code == 0, said
        assert SECRET not in said
        assert any(path.stat().st_size for path in Path(logs).rglob("*.log")), "Ray logs elsewhere"
        assert not [*_written(tmp_path), *_written(Path(logs))]
