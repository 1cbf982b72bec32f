"""Class names and templates by data set: what the text tower is asked."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from gelo.models.faults import Fault, UserError, unknown
from gelo.models.words import kind_of
from gelo.tasks.data.wordlists import read_words
from gelo.tasks.scorefiles.textfile import NotTextError, read_lines

_YAML = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Prompts:
    """Class names in label order, and templates with `{}` where the name goes; every class is asked with every template."""

    classes: tuple[str, ...]
    templates: tuple[str, ...]

    def texts(self) -> list[list[str]]:
        """One list of filled templates per class, (K, T)."""
        return [[template.replace("{}", name) for template in self.templates] for name in self.classes]

    @property
    def fingerprint(self) -> str:
        """16 hex digits over names and templates."""
        return hashlib.sha256(json.dumps([self.classes, self.templates]).encode()).hexdigest()[:16]


def read_prompts(path: Path, classes: tuple[str, ...]) -> Prompts:
    """A user's prompts: YAML with `templates`, each with one `{}`, and maybe `classes`: other words for the classes.

    `classes` is a mapping from class to word, or a list: of the classes themselves in any order, matched by name, or of a word for every
    class in label order. A list of which some are classes at another place could be either, and is a fault.

    Raises UserError with every fault.
    """
    raw = read_words(path, "prompts", "YAML with templates and classes")
    if not isinstance(raw, dict):
        raise UserError("prompts", Fault(str(path), kind_of(raw), "a mapping with templates and classes"))
    faults = [
        unknown(f"{path}: {key}", key, ("templates", "classes"), "key")
        for key in raw
        if key not in ("templates", "classes")
    ]
    templates = _templates(path, raw.get("templates"), faults)
    names = _words(path, raw["classes"], classes, faults) if "classes" in raw else list(classes)
    if faults:
        raise UserError("prompts", faults)
    return Prompts(tuple(names), tuple(templates))


def read_classes(path: Path) -> tuple[str, ...] | dict[str, str]:
    """`--classes`: a name a line, in the order of the labels' numbers; or YAML or JSON, a list or a mapping from label to name.

    Raises UserError with every fault.
    """
    form = "names, one a line, or YAML"
    if path.suffix.lower() in _YAML:
        raw = read_words(path, "--classes", form)
    else:
        try:
            raw = read_lines(path)
        except (OSError, NotTextError) as error:
            raise UserError("--classes", Fault(str(path), f"unreadable ({error})", form)) from None
    faults: list[Fault] = []
    if isinstance(raw, dict):
        found = {
            unicodedata.normalize("NFC", key.strip()): _word(path, f"{key}", value, faults)
            for key, value in raw.items()
        }
    else:
        found = {}
        while isinstance(raw, list) and raw and raw[-1] == "":
            raw.pop()
        if not isinstance(raw, list) or not raw:
            faults.append(Fault(str(path), "no names", "names of classes, one a line, or YAML"))
        names = [_word(path, f"name {n}", value, faults) for n, value in enumerate(raw or (), start=1)]
        if path.suffix.lower() not in _YAML and len(names) > 1 and _are_numbered(names):
            first = f"lines that begin with numbers: {names[0]!r}, {names[1]!r}, ..."
            faults.append(Fault(str(path), first, form, "leave the numbers out, or write YAML, `number: name` a line"))
    if faults:
        raise UserError("--classes", faults)
    return found or tuple(names)


def _are_numbered(names: list[str]) -> bool:
    """Whether every line begins with the next number, as in `0 red`, `1: green`: an index that would be asked for as part of a name."""
    numbers = [re.match(r"(\d+)[\s,;:.)]+\S", name) for name in names]
    found = [int(number[1]) for number in numbers if number is not None]
    return len(found) == len(names) and found == list(range(found[0], found[0] + len(found)))


def _templates(path: Path, given: object, faults: list[Fault]) -> list[str]:
    if not isinstance(given, list) or not given:
        faults.append(Fault(f"{path}: templates", repr(given), 'a list such as ["a photo of a {}."]'))
        return []
    form = "text with one {} where the name goes, and no other { or }"
    for number, text in enumerate(given, start=1):
        if not isinstance(text, str) or text.count("{}") != 1 or set("{}") & set(text.replace("{}", "", 1)):
            lone = next((sign for sign in "{}" if isinstance(text, str) and sign in text.replace("{}", "", 1)), "")
            found = f"{text!r}, with a lone {lone!r}" if lone and "{}" in text else repr(text)
            faults.append(Fault(f"{path}: template {number}", found, form))
    return given


def _words(path: Path, given: object, classes: tuple[str, ...], faults: list[Fault]) -> list[str]:
    """A word for each class in label order; fewer with a fault."""
    where, before = f"{path}: classes", len(faults)
    label = {name: row for row, name in enumerate(classes)}
    if isinstance(given, dict):
        words = {
            unicodedata.normalize("NFC", key): _word(path, f"class {key}", value, faults)
            for key, value in given.items()
        }
        faults += [unknown(where, key, classes, "class") for key in words if key not in label]
        return [words.get(name, name) for name in classes]
    if not isinstance(given, list) or len(given) != len(classes):
        found = f"{len(given)} names" if isinstance(given, list) else repr(given)
        faults.append(Fault(where, found, f"{len(classes)} names in label order: {', '.join(classes[:3])}, ..."))
        return []
    names = [_word(path, f"class {number}", value, faults) for number, value in enumerate(given, start=1)]
    if len(faults) > before:
        return []
    alike = {reads_alike(name): row for row, name in enumerate(classes)}
    if {reads_alike(name) for name in names} == set(alike) and len(alike) == len(classes):
        return [names[row] for row in sorted(range(len(names)), key=lambda row: alike[reads_alike(names[row])])]
    twice: dict[str, int] = {}
    for row, name in enumerate(names):
        other = twice.setdefault(reads_alike(name), row)
        if other != row:
            faults.append(
                Fault(
                    where,
                    f"places {other + 1} and {row + 1} are one text, {name!r}",
                    "a text of its own for each class",
                )
            )
    moved = [(row, name) for row, name in enumerate(names) if alike.get(reads_alike(name), row) != row]
    if moved:
        row, name = moved[0]
        faults.append(
            Fault(
                where,
                f"{name!r} at place {row + 1}, where the class is {classes[row]!r}, not class {alike[reads_alike(name)] + 1}",
                "the classes' own names in any order, or other words in label order",
                f"say which is which: {{{classes[row]}: ..., ...}}",
            )
        )
    return names


def _word(path: Path, what: str, value: object, faults: list[Fault]) -> str:
    """A class's name; a fault for what is no text, and for one that is empty."""
    if not isinstance(value, str):
        faults.append(Fault(f"{path}: {what}", repr(value), "text"))
    elif not value.strip():
        faults.append(Fault(f"{path}: {what}", "empty", "a name that a prompt can ask for"))
    return unicodedata.normalize("NFC", str(value).strip())


def reads_alike(name: str) -> str:
    """What a tokenizer that lowers case and folds blanks makes of a class name: names equal here are one text."""
    return " ".join(unicodedata.normalize("NFKC", name).replace("_", " ").casefold().split())
