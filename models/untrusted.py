"""Files that others may have written (shared storage, copied folders): read within bounds, checked, and never run.

Decisions: one way for JSON, one for YAML, one for names that become paths. JSON is bounded in bytes and depth and becomes a pydantic model
or a plain dictionary; whatever is wrong with it is one `UserError`. A name that becomes a path is one plain component.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

from pydantic import BaseModel, ValidationError
from upath import UPath

from gelo.models.faults import Fault, UserError

_FIRST = 64 * 2**10  # bytes, more than most files have
MOST_BYTES = 256 * 2**20  # of one JSON file: the history of a long training and the curves of a wide one stay far below
MOST_DEPTH = 100  # of what nests in what
_NAME = re.compile(r"[\w.+@=,() -]{1,200}")
Model = TypeVar("Model", bound=BaseModel)


class UntrustedError(ValueError):
    """Content that is too large, too deep, or not what it says; the text says what was found."""


def plain_name(name: object) -> bool:
    """Whether a name is one component of a path, and no other place: no separator, no `..`, no leading dot, no control character."""
    return isinstance(name, str) and bool(_NAME.fullmatch(name)) and not name.startswith(".") and name == name.strip()


def below(folder: Path, name: str, what: str) -> Path:
    """The place of this name in a folder. what: it is of, for the message. Raises UserError for a name that leads elsewhere."""
    if not plain_name(name):
        expected = f"a plain name of {what}, without a slash: letters, digits and ._+-"
        raise UserError(what.removeprefix("a "), Fault(str(folder), repr(name)[:80], expected))
    return folder / name


def inside(folder: Path, name: str, of: str) -> Path:
    """The place of a file's name, which may have folders, in a folder: what is called so in the store `of`, which takes any name. Raises
    UserError for one that leads elsewhere."""
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        fault = Fault(
            of, f"a file called {name[:80]!r}", "names that stay in their folder", "remove it: gelo wrote no such file"
        )
        raise UserError("storage", fault)
    return folder / name


def parse_json(data: bytes) -> Any:
    """The content. Raises UntrustedError for what is no JSON, longer than `MOST_BYTES` or nested deeper than `MOST_DEPTH`."""
    if len(data) > MOST_BYTES:
        raise UntrustedError(f"{len(data):,} bytes, more than {MOST_BYTES:,}")
    try:
        content = json.loads(data)
    except RecursionError:
        raise UntrustedError(f"nested deeper than {MOST_DEPTH}") from None
    except ValueError as error:
        raise UntrustedError(f"not JSON ({error})") from None
    if _depth(data) > MOST_DEPTH:
        raise UntrustedError(f"nested deeper than {MOST_DEPTH}")
    return content


def read_json(path: UPath | Path, subject: str = "", remedy: str = "") -> dict[str, Any]:
    """A file that holds an object. Raises UserError for one that is no JSON object within bounds, OSError where it cannot be read."""
    try:
        found = parse_json(_bounded(path))
        if not isinstance(found, dict):
            raise UntrustedError(f"not whole: a {type(found).__name__}, no object")
    except UntrustedError as error:
        raise UserError(
            subject or path.name, Fault(str(path), str(error), "a JSON object that gelo wrote", remedy)
        ) from None
    return found


@overload
def read_model(path: UPath | Path, model: type[Model], *, remedy: str = "") -> Model: ...
@overload
def read_model(
    path: UPath | Path, model: type[Model], *, missing_ok: Literal[True], lenient: bool = False, remedy: str = ""
) -> Model | None: ...
def read_model(
    path: UPath | Path, model: type[Model], *, missing_ok: bool = False, lenient: bool = False, remedy: str = ""
) -> Model | None:
    """A JSON file as a model. missing_ok: None where there is no file; lenient: None where it cannot be read either.

    Raises UserError for what the model refuses, OSError.
    """
    try:
        return model.model_validate(read_json(path, remedy=remedy))
    except FileNotFoundError:
        if missing_ok:
            return None
        raise
    except (ValidationError, UserError) as error:
        if lenient:
            return None
        if isinstance(error, UserError):
            raise
        first = error.errors()[0]
        found = f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
        fault = Fault(str(path), found, f"what gelo writes there ({model.__name__.strip('_')})", remedy)
        raise UserError(path.name, fault) from None


def read_or(path: UPath | Path, parse: Callable[[dict[str, Any]], Any], otherwise: Any) -> Any:
    """parse(content); `otherwise` where there is no file, or none that can be read so: of what can be made again."""
    try:
        return parse(read_json(path))
    except (FileNotFoundError, UserError, KeyError, TypeError, ValueError, AttributeError):
        return otherwise


def _bounded(path: UPath | Path) -> bytes:
    """In two reads: one for as much as is allowed makes room for all of it, for each of thousands of small files."""
    with path.open("rb") as stream:
        first = min(_FIRST, MOST_BYTES + 1)
        data: bytes = stream.read(first)
        return data if len(data) < first else data + stream.read(MOST_BYTES + 1 - first)


def _depth(data: bytes) -> int:
    """How deep brackets nest outside strings; of what is JSON, so that every string has an end."""
    if data.count(b"[") + data.count(b"{") <= MOST_DEPTH:
        return 0
    depth = deepest = 0
    for piece in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', data):
        sign = piece.group()
        if sign in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif sign in (b"]", b"}"):
            depth -= 1
    return deepest
