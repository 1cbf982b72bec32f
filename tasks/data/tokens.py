"""Prompts on their way to a text tower: which ones its tokenizer would cut, and which classes it cannot tell apart.

Decisions: the tokenizer itself is asked twice, with its own length and with a longer one, so that it does not matter whose it is: what is
whole is the same in both but for more of one filling token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gelo.models.durable import publish_bytes
from gelo.models.words import counted
from gelo.tasks.data.asking import prompts_for
from gelo.tasks.data.cache import TEXT, touch
from gelo.tasks.data.catalogue import ENTRIES
from gelo.tasks.data.embed import text_features, texts_path
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.prompts import Prompts

if TYPE_CHECKING:
    from gelo.models.encoder import Encoder
    from gelo.models.texttower import Tokenizer

_FLAW = ".flaw.txt"  # beside the text features; empty where there is none
_WIDER = 4  # times the tokenizer's own length
_AT_ONCE = 1024  # prompts
_NAMED = 3  # spelled out in one reason
_LONGEST = 60  # characters of a class name that are


def ask(encoder: Encoder, dataset: Dataset, cache: Path) -> None:
    """Fill the cache with what `asked` reads: text features, or why the prompts cannot be asked; once per (text tower, prompts)."""
    prompts = prompts_for(dataset)
    if _why_not_named(dataset, prompts):
        return
    said = texts_path(encoder.text_fingerprint, prompts, cache).with_suffix(_FLAW)
    if not _readable(said):
        publish_bytes(said, (encoder.text.unasked or flaw_of(encoder.tokenizer, prompts)).encode())
    if not said.stat().st_size:
        text_features(encoder, prompts, cache)
    for path in (said, texts_path(encoder.text_fingerprint, prompts, cache)):
        touch(cache, TEXT, encoder.text_fingerprint, path.name)


def _readable(said: Path) -> bool:
    try:
        said.read_text("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    return True


def asked(text: str, dataset: Dataset, cache: Path) -> tuple[list[np.ndarray] | None, str]:
    """(text features by class, "") of a data set's prompts, or (None, why they cannot be asked). text: the tower's fingerprint."""
    prompts = prompts_for(dataset)
    path = texts_path(text, prompts, cache)
    reason = _why_not_named(dataset, prompts) or path.with_suffix(_FLAW).read_text()
    return (None, reason) if reason else (list(np.load(path)), "")


def flaw_of(tokenizer: Tokenizer, prompts: Prompts) -> str:
    """Why the prompts cannot be asked of this tokenizer's tower, "" where they can: cut ones, and texts that differ with equal tokens."""
    texts = prompts.texts()
    flat = [text for of_class in texts for text in of_class]
    pieces = [_tokens(tokenizer, flat[start : start + _AT_ONCE]) for start in range(0, len(flat), _AT_ONCE)]
    if not pieces:
        return ""
    tokens, cut = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    reasons = []
    if cut.any():
        width = len(prompts.templates)
        named = [
            f"{_short(prompts.classes[row // width])} in {prompts.templates[row % width]!r}"
            for row in np.flatnonzero(cut)
        ]
        count = f"{len(named):,} of {counted(len(flat), 'prompt')} {'is' if len(named) == 1 else 'are'}"
        reasons.append(f"{count} cut by the tokenizer, which takes {tokens.shape[1]} tokens: {_first(named)}")
    alike = list(_alike(tokens.reshape(len(texts), len(prompts.templates), -1), prompts))
    if alike:
        count = counted(sum(len(group) for group in alike), "class")
        reasons.append(f"{count} become the same tokens as another: {_first([' = '.join(group) for group in alike])}")
    return "; ".join(reasons)


def _why_not_named(dataset: Dataset, prompts: Prompts) -> str:
    """Why these texts cannot tell classes apart, whatever the tokenizer; publishers may give two classes one name (ImageNet: two pairs)."""
    if len(prompts.classes) < 2:
        return f"{counted(len(prompts.classes), 'class')}, at least 2 needed"
    twice = [name for name, count in Counter(prompts.classes).items() if count > 1]
    own = dataset.name not in ENTRIES
    return f"several classes have one text: {_first(list(map(_short, twice)))}" if twice and own else ""


def _tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Token ids (N, length) as the tower gets them, and whether something of the text is not among them, (N,)."""
    own = tokenizer(list(texts)).numpy()
    length = own.shape[1]
    wide = tokenizer(list(texts), context_length=_WIDER * length).numpy()  # type: ignore[call-arg]
    same = own == wide[:, :length]
    split = np.where(
        same.all(axis=1), length, np.argmin(same, axis=1)
    )  # where `wide` has more filling, if that is all it has
    more = wide.shape[1] - length
    cut = [
        (row[at : at + more] != row[at]).any() or (row[at + more :] != kept[at:]).any()
        for row, kept, at in zip(wide, own, split, strict=True)
    ]
    return own, np.array(cut, dtype=bool)


def _alike(tokens: NDArray[np.int64], prompts: Prompts) -> Iterator[list[str]]:
    """Classes with different texts that some template makes equal, group by group; tokens (K, T, length)."""
    said = set()
    for place in range(tokens.shape[1]):
        _, group, sizes = np.unique(tokens[:, place], axis=0, return_inverse=True, return_counts=True)
        for equal in np.flatnonzero(sizes > 1):
            names = list(dict.fromkeys(prompts.classes[row] for row in np.flatnonzero(group.ravel() == equal)))
            if len(names) > 1 and tuple(names) not in said:
                said.add(tuple(names))
                yield [_short(name) for name in names]


def _short(name: str) -> str:
    return repr(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}...")


def _first(named: Sequence[str]) -> str:
    more = len(named) - _NAMED
    return "; ".join(named[:_NAMED]) + (f"; and {more:,} more" if more > 0 else "")
