"""YAML as users write it: safe, keys that are text, each once; whatever is wrong is a fault that says where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from models.faults import Fault, UserError

_NAMED = 3  # keys spelled out in one fault
_KINDS = {
    list: "a list",
    dict: "a mapping",
    bool: "a yes or no",
    type(None): "nothing",
    int: "a number",
    float: "a number",
}


def read_yaml(path: Path, subject: str) -> Any:
    """The content of a file. Raises UserError."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(subject, Fault(str(path), f"not text ({error})", "YAML in UTF-8")) from None
    except OSError as error:
        raise UserError(
            subject, Fault(str(path), error.strerror or str(error), "a YAML file that can be read")
        ) from None
    return parse_yaml(text, str(path), subject)


def parse_yaml(text: str, where: str, subject: str, expected: str = "a YAML mapping") -> Any:
    """The content of a text. Raises UserError for what is not YAML and for keys that are no text or given twice."""
    loader = _TextKeys(text)
    try:
        content = loader.get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: such as a day that no month has
        found = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(subject, Fault(where, f"not YAML ({found})", expected)) from None
    finally:
        loader.dispose()
    if loader.odd:
        more = len(loader.odd) - _NAMED
        named = "; ".join(loader.odd[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
        found = f"{'a key that is' if len(loader.odd) == 1 else f'{len(loader.odd)} keys that are'} no text: {named}"
        raise UserError(subject, Fault(where, found, "keys that are text", 'put it in quotes, such as "on": or "1":'))
    return content


class _TextKeys(yaml.SafeLoader):
    """Safe, refuses a key given twice (YAML would let the last one win without a word) and collects those that are no text."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.odd: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(node, deep=deep)
        seen: set[str] = set()
        texts = []
        for key, value in node.value:
            if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                found = self.construct_object(key, deep=True)
                kind = _KINDS.get(type(found), f"a {type(found).__name__}")
                written = key.value if isinstance(key, yaml.ScalarNode) else str(found)[:40]
                self.odd.append(f"line {key.start_mark.line + 1}, {written or 'an empty one'} ({kind})")
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
            texts.append((key, value))
        node.value = texts
        return super().construct_mapping(node, deep=deep)
