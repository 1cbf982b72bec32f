"""YAML as users write it: safe, keys that are text, each once; whatever is wrong is a fault that says where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from gelo.models.faults import Fault, UserError
from gelo.models.words import kind_of
from gelo.tasks.scorefiles.textfile import NotTextError, read_text

MOST_LETTERS = 2**20  # of one file: the largest sweep that anybody wrote has some hundred lines
MOST_NODES = 50_000  # of what it says, each repetition by an alias counted
MOST_DEPTH = 50
LARGEST = 2**63 - 1  # what every generator and every counter takes
_NAMED = 3  # keys spelled out in one fault
_WHOLE = re.compile(r"[-+]?(0|[1-9][\d_]*|0x[\da-fA-F_]+|0b[01_]+)")


def read_yaml(path: Path, subject: str) -> Any:
    """The content of a file. Raises UserError."""
    try:
        text = read_text(path)
    except NotTextError as error:
        raise UserError(subject, Fault(str(path), f"not text ({error})", "YAML in UTF-8")) from None
    except OSError as error:
        raise UserError(
            subject, Fault(str(path), error.strerror or str(error), "a YAML file that can be read")
        ) from None
    return parse_yaml(text, str(path), subject)


def parse_yaml(text: str, where: str, subject: str, expected: str = "a YAML mapping") -> Any:
    """The content of a text. Raises UserError for what is not YAML, for keys that are no text or given twice, and for what is too much:
    aliases of aliases make gigabytes of ten lines."""
    try:
        if len(text) > MOST_LETTERS:
            raise ValueError(f"{len(text):,} letters, more than {MOST_LETTERS:,}")
        loader = _TextKeys(text)
        node = loader.get_single_node()
        _count(node, {}, 0)
        content = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: such as a day that no month has
        found = "nested too deeply" if isinstance(error, RecursionError) else _told(error)
        raise UserError(subject, Fault(where, f"not YAML ({found})", expected)) from None
    if loader.odd:
        more = len(loader.odd) - _NAMED
        named = "; ".join(loader.odd[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
        found = f"{'a key that is' if len(loader.odd) == 1 else f'{len(loader.odd)} keys that are'} no text: {named}"
        raise UserError(subject, Fault(where, found, "keys that are text", 'put it in quotes, such as "on": or "1":'))
    return content


class _TextKeys(yaml.SafeLoader):
    """Safe, refuses a key given twice (YAML would let the last one win without a word) and collects those that are no text.

    Refuses whole numbers that YAML takes for others, such as 010 for 8, and those that no program counts to.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.odd: list[str] = []

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = int(super().construct_yaml_int(node))
        if not _WHOLE.fullmatch(node.value):
            flaw = f"{node.value} is {value} in YAML: write that, or put it in quotes"
        elif abs(value) > LARGEST:
            flaw = f"{node.value[:40]} is a larger number than {LARGEST}"
        else:
            return value
        raise yaml.constructor.ConstructorError(None, None, flaw, node.start_mark)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(node, deep=deep)
        seen: set[str] = set()
        texts = []
        for key, value in node.value:
            if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                found = self.construct_object(key, deep=True)
                written = key.value if isinstance(key, yaml.ScalarNode) else str(found)[:40]
                self.odd.append(f"line {key.start_mark.line + 1}, {written or 'an empty one'} ({kind_of(found)})")
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
            texts.append((key, value))
        node.value = texts
        return super().construct_mapping(node, deep=deep)


_TextKeys.add_constructor("tag:yaml.org,2002:int", _TextKeys.construct_yaml_int)


def _count(node: yaml.Node | None, known: dict[int, int], depth: int) -> int:
    """Nodes of what a node says, those behind aliases each time that they are named. Raises ValueError above the bounds."""
    if depth > MOST_DEPTH:
        raise ValueError(f"nested deeper than {MOST_DEPTH}")
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_NODES + 1  # of one that holds itself
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_count(part, known, depth + 1) for part in parts)
    if known[id(node)] > MOST_NODES:
        raise ValueError(f"more than {MOST_NODES:,} values, aliases counted each time")
    return known[id(node)]


def _told(error: Exception) -> str:
    """Where in the text and what, without the lines around it."""
    mark = getattr(error, "problem_mark", None)
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
