"""Files of names that a user writes, YAML or JSON: every value is the text that stands there, `010` and `12:30` too.

YAML on its own would take these for 8 and 750, and JSON and YAML would both let the last of two equal keys win without a word. Words that
YAML takes for a yes, a no or nothing have to stand in quotes, since other programs that read the file would not see text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from gelo.models.faults import Fault, UserError
from gelo.tasks.scorefiles.textfile import NotTextError, read_text

_OTHERWISE = ("yes", "no", "on", "off", "true", "false", "null", "~")
_NAMED = 4


def read_words(path: Path, subject: str, expected: str) -> Any:
    """Lists, mappings and text, nothing else; empty text where nothing stands. Raises UserError, also for a key that is given twice."""
    try:
        text = read_text(path)
        if path.suffix.lower() == ".json":
            return json.loads(text, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_each_once)
        loader = _EachOnce(text)
        found = loader.get_single_data()
    except NotTextError as error:
        raise UserError(
            subject, Fault(str(path), f"not text ({error})", expected, "save it as text in UTF-8")
        ) from None
    except OSError as error:
        raise UserError(subject, Fault(str(path), error.strerror or str(error), expected)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        found = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(subject, Fault(str(path), f"unreadable ({found})", expected)) from None
    if loader.odd:
        shown = ", ".join(loader.odd[:_NAMED]) + (
            f" and {len(loader.odd) - _NAMED} more" if len(loader.odd) > _NAMED else ""
        )
        remedy = f'put it in quotes: "{loader.odd[0].partition(" ")[0]}"'
        raise UserError(
            subject, Fault(str(path), f"{shown}: YAML takes that for a yes, a no or nothing", "text", remedy)
        )
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} is given twice")
        found[key] = value
    return found


class _EachOnce(yaml.BaseLoader):
    """All scalars are text; a key that is given twice is refused. odd: words without quotes that YAML takes for other than text."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.odd: list[str] = []

    def construct_scalar(self, node: yaml.ScalarNode) -> str:
        if node.style is None and node.value.lower() in _OTHERWISE:
            self.odd.append(f"{node.value} (line {node.start_mark.line + 1})")
        return str(super().construct_scalar(node))

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
