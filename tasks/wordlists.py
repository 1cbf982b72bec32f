"""Files of names that a user writes, YAML or JSON: every value is the text that stands there, `010`, `on` and `1e3` too.

YAML on its own would take these for 8, true and 1000.0, and JSON and YAML would both let the last of two equal keys win without a word.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from models.faults import Fault, UserError
from tasks.textfile import NotTextError, read_text


def read_words(path: Path, subject: str, expected: str) -> Any:
    """Lists, mappings and text, nothing else; empty text where nothing stands. Raises UserError, also for a key that is given twice."""
    try:
        text = read_text(path)
        if path.suffix.lower() == ".json":
            return json.loads(text, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_each_once)
        return yaml.load(text, _EachOnce)
    except NotTextError as error:
        raise UserError(subject, Fault(str(path), f"not text ({error})", expected, error.remedy)) from None
    except OSError as error:
        raise UserError(subject, Fault(str(path), error.strerror or str(error), expected)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        found = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(subject, Fault(str(path), f"unreadable ({found})", expected)) from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} is given twice")
        found[key] = value
    return found


class _EachOnce(yaml.BaseLoader):
    """All scalars are text; a key that is given twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.constructor.ConstructorError(None, None, "a key that is no text", key.start_mark)
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key.value!r} is given twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)
