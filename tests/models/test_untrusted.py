"""Files that others may have written: bounded, checked, one error each. And nothing in the packages runs what a file says."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gelo.models import untrusted
from gelo.models.faults import UserError
from gelo.models.untrusted import UntrustedError, below, parse_json, plain_name, read_json, read_model

ROOT = Path(__file__).parents[2]
FILES = [
    file for name in ("gelo", "models", "tasks", "sweeps", "analysis") for file in sorted((ROOT / name).rglob("*.py"))
]


class Point(BaseModel):
    x: int


def test_json_within_bounds_is_that_of_the_standard_library() -> None:
    document = {"a": [1, 2.5, None, '] } [[[ \\" {{{' * 300], "b": {"c": True}}
    assert parse_json(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[" * 200 + b"]" * 200, "nested deeper than 100"),
        (b"[" * 200_000 + b"]" * 200_000, "nested deeper than 100"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested deeper than 100"),
        (b"\x80\x04\x95", "not JSON"),
        (b"1" * 6_000, "not JSON"),  # a number that takes quadratic time
        (b"", "not JSON"),
        (b'{"a": "' + b'\\"' * 200_000, "not JSON"),
    ],
)
def test_too_deep_too_large_or_no_json(data: bytes, said: str) -> None:
    with pytest.raises(UntrustedError, match=said):
        parse_json(data)


def test_a_file_above_the_limit_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "MOST_BYTES", 1000)
    (tmp_path / "big.json").write_bytes(b'{"a": "' + b"x" * 2000 + b'"}')
    with pytest.raises(UserError, match="1,001 bytes, more than 1,000"):
        read_json(tmp_path / "big.json")


def test_models_and_objects_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert read_model(path, Point, missing_ok=True) is None
    with pytest.raises(FileNotFoundError):
        read_model(path, Point)
    path.write_text('{"x": 3, "y": 4}')
    assert read_model(path, Point) == Point(x=3)
    for text, said in (
        ("[]", "a list, no object"),
        ('{"x": "no"}', "x: Input should be a valid integer"),
        ("{", "not JSON"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=said):
            read_model(path, Point)
        assert read_model(path, Point, missing_ok=True, lenient=True) is None


@given(st.text(max_size=30))
def test_a_plain_name_stays_below_its_folder(name: str) -> None:
    if plain_name(name):
        assert (Path("/a/b") / name).resolve().parent == Path("/a/b").resolve()
        assert "\0" not in name and not name.startswith(".")


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../up", "a/b", "/etc", "a\\b", "a\0b", "a\nb", ".hidden", "x" * 201, " a"]
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="a plain name of a data set"):
        below(Path("/data"), name, "a data set")


RAYS_OWN = {"tasks/data/stream.py", "tasks/data/embed.py"}  # rows between processes of one Ray cluster, never a file


def _calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _keyword(call: ast.Call, name: str) -> str:
    return next((ast.unparse(each.value) for each in call.keywords if each.arg == name), "")


def runs_code(file: Path) -> list[str]:
    """Calls of a file that could run what their input says."""
    found = []
    for name, call in _calls(file):
        bad = (
            (name == "torch.load" and _keyword(call, "weights_only") != "True")
            or (name.split(".")[-1] == "load" and _keyword(call, "allow_pickle") == "True")
            or (name in ("yaml.load", "yaml.load_all") and "BaseLoader" not in ast.unparse(call))
            or name in ("yaml.unsafe_load", "yaml.full_load", "eval", "exec", "os.system", "os.popen", "torch.jit.load")
            or name.split(".")[-1] in ("Unpickler", "read_pickle")
            or (
                name in ("pickle.loads", "pickle.load", "dill.loads", "joblib.load", "shelve.open", "marshal.loads")
                and file.relative_to(ROOT).as_posix() not in RAYS_OWN
            )
            or _keyword(call, "shell") == "True"
            or _keyword(call, "trust_remote_code") == "True"
            or name.endswith((".extractall", ".unpack_archive"))
        )
        if bad:
            found.append(f"{file.name}:{call.lineno} {ast.unparse(call)[:80]}")
    return found


def test_no_file_runs_what_it_reads() -> None:
    assert not [each for file in FILES for each in runs_code(file)]


def test_the_search_for_such_calls_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "torch.load(p)", "torch.load(p, weights_only=False)", "np.load(p, allow_pickle=True)", "yaml.load(t, yaml.Loader)",
        "pickle.loads(b)", "subprocess.run(c, shell=True)", "tar.extractall(p)", "eval(x)", "pd.read_pickle(p)",
    )  # fmt: skip
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "bad.py").write_text("\n".join(lines))
    assert len(runs_code(tmp_path / "bad.py")) == len(lines)
    (tmp_path / "good.py").write_text("torch.load(p, weights_only=True)\nnp.load(p)\nyaml.load(t, yaml.BaseLoader)\n")
    assert not runs_code(tmp_path / "good.py")
